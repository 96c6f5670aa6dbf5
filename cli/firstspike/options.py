# SPDX-License-Identifier: MIT
"""Options that several verbs share, and the data they name."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from firstspike_arch.network import IntegerNetwork
from firstspike_train.data import load
from PIL import Image

Build = Annotated[Path, typer.Argument(help="Build folder, made by 'firstspike compile'.")]
Data = Annotated[str, typer.Option(help="digits, mnist, fashion-mnist, or a .npy file of uint8 images.")]
Split = Annotated[str, typer.Option(help="train, validation or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many, from the first.")]
Backend = Annotated[str, typer.Option(help="verilator or pysim.")]
Port = Annotated[str, typer.Option(help="Serial port of the board, or 'simulated'.")]
Baud = Annotated[int, typer.Option(min=1, help="Bits a second on the wire.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds without an answer before a request is sent again.")]


def load_for(
    network: IntegerNetwork, data: str, split: str, limit: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """As `load_inputs`; or an image file, grey or of as many colours as the network's input has channels."""
    if Path(data).suffix.lower() not in (".png", ".bmp", ".pgm", ".ppm"):
        return load_inputs(data, split, limit)
    colour = len(network.input_shape) == 3 and network.input_shape[0] == 3
    try:
        with Image.open(data) as image:
            pixels = np.array(image.convert("RGB" if colour else "L"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{data}: must be an image: {error}") from None
    size = network.input_shape[1:] if len(network.input_shape) == 3 else None
    if pixels.size != network.inputs or size not in (None, pixels.shape[:2]):
        wanted = f"{size[1]} × {size[0]}" if size else f"{network.inputs}"
        raise ValueError(f"{data}: must have {wanted} pixels, not {pixels.shape[1]} × {pixels.shape[0]}")
    return (np.moveaxis(pixels, -1, 0) if colour else pixels).reshape(1, -1), None


def load_inputs(data: str, split: str, limit: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs, and their labels if the data have any."""
    if data.endswith(".npy"):
        try:
            inputs = np.load(data, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{data}: must be a .npy file of numbers: {error}") from None
        if not isinstance(inputs, np.ndarray):
            raise ValueError(f"{data}: must be a .npy file with one array, not an archive of several")
        if inputs.ndim < 2 or not inputs.size:
            raise ValueError(f"{data}: must have shape (images, pixels) or (inferences, steps, inputs) and at least "
                             f"one input, not {inputs.shape}")
        return inputs[:limit], None
    images, labels = load(data, split)
    return images[:limit], labels[:limit]
