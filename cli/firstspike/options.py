# SPDX-License-Identifier: MIT
"""Options that several commands share, and the loading of the data they name."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from firstspike_arch.connectivity import size_of
from firstspike_arch.shown import said, shown

if TYPE_CHECKING:
    from firstspike_arch.float_network import FloatNetwork
    from firstspike_arch.network import IntegerNetwork

ARCHIVE_BYTES_MAX = 8 << 30
"""Most bytes that the arrays of a .npz file may take: a small file can hold many."""

SAMPLES_OF_BITS = 500
"""Number of samples on whose accuracy bits a weight are chosen."""

Network = Annotated[Path, typer.Argument(help="Checkpoint of a trained network.")]
Build = Annotated[Path, typer.Argument(help="Build folder, made by 'firstspike compile'.")]
NetworkFile = Annotated[Path, typer.Argument(
    help="Checkpoint of a trained network, a NIR file, or what lava-dl exports (.net).")]
Data = Annotated[str, typer.Option(
    help="A data set (digits, mnist, cifar10, …), a .npy file of inputs, or a .npz file of 'inputs' and 'labels'.")]
Split = Annotated[str, typer.Option(help="train, validation or test.")]
Name = Annotated[str | None, typer.Option(
    help="Name of the top module, with which those of its parts and memory images begin: to put several accelerators "
    "into one design.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use only the first so many inputs.")]
Backend = Annotated[str, typer.Option(help="Simulator: verilator or pysim.")]
Port = Annotated[str, typer.Option(
    help="Serial port of the board, or spidev:BUS.DEVICE; 'simulated' and 'simulated-spi' need no board.")]
Baud = Annotated[int, typer.Option(min=1, help="Bits a second on the wire; for SPI, the frequency of sck.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds of silence before a request is sent again.")]
Html = Annotated[Path | None, typer.Option(
    "--html", help="Write a page that shows everything, in one file.")]
HtmlData = Annotated[Path | None, typer.Option("--html-data", help="Write the data of that page as JSON.")]
ShownDevice = Annotated[str | None, typer.Option(
    "--device", help="Device whose use the page shows part by part; default: the smallest that is enough.")]
TrialsFile = Annotated[Path, typer.Option("--trials", help="File of the trials of 'firstspike explore'.")]
JobProcesses = Annotated[int, typer.Option(
    "--processes", min=1, help="Jobs at a time on this machine, each in a process of its own.")]
Scheduler = Annotated[str | None, typer.Option(
    help="Address of a dask scheduler, such as tcp://HOST:8786, whose workers do the jobs instead.")]
Steps = Annotated[int | None, typer.Option(min=1, help="NIR or lava-dl file: number of steps of an inference.")]
Reset = Annotated[str | None, typer.Option(help="NIR file: reset of the membrane, subtract or zero.")]
Strict = Annotated[bool | None, typer.Option(
    "--strict/--at-least", help="NIR file: fire only above the threshold, or already at it.")]
Readout = Annotated[str | None, typer.Option(
    help="NIR or lava-dl file: read-out, spike_count, first_spike or potential.")]
InputShape = Annotated[str | None, typer.Option(
    help="lava-dl file: neurons, or channels, height and width of the input, such as 2,34,34, if the file does not say "
    "it.")]
StepTime = Annotated[float | None, typer.Option("--dt", help="NIR file: seconds a step, unless the file shows it.")]
LeakRule = Annotated[str | None, typer.Option(
    help="NIR file: a step leaks by 1 - dt/tau or by exp(-dt/tau), euler or exponential.")]
Gain = Annotated[float | None, typer.Option(
    help="NIR file: a step adds so many times the input to a membrane, whatever r and tau are.")]
ResetDelay = Annotated[bool | None, typer.Option(
    "--reset-delay/--reset-at-once", help="NIR file: reset one step late, snnTorch's default, or in the same step.")]
CurrentRule = Annotated[str | None, typer.Option(
    help="NIR file: a current that lasts gets w_in·dt/tau_syn of its input, rate, or w_in times it, jump, or leaks "
    "right behind that, decay.")]
CurrentDelay = Annotated[bool | None, typer.Option(
    "--current-delay/--current-at-once",
    help="NIR file: membranes take the current of the step before, or of the step.")]
Levels = Annotated[int | None, typer.Option(help="NIR file: most spikes of a neuron in a step, as of sinabs.")]
Start = Annotated[str | None, typer.Option(
    help="NIR file: IF neurons whose v_reset is not 0 start from 0 or from there, zero or reset.")]
VMin = Annotated[float | None, typer.Option(help="NIR file: lowest membrane, such as -1.")]
InMin = Annotated[int | None, typer.Option(
    max=0, help="Least number of an input address in a step, or of a direct input: -1 for events with polarity.")]
InMax = Annotated[int | None, typer.Option(
    min=1, help="Largest number of an input address in a step, or of a direct input.")]
Scales = Annotated[str, typer.Option(help="One weight scale for each layer, or for each channel: layer or channel.")]
Percentile = Annotated[float | None, typer.Option(
    help="Clip weights above this percentile of magnitudes, weighted by input power; default: least squared error.")]

WeightScale = Annotated[str | None, typer.Option(
    help="Real value of one step of the weights, as training fixed it: of every layer that has none yet, or of each: "
    "0.05,auto,0.1; auto: found in the weights or chosen.")]


def load_for(
    network: "IntegerNetwork | FloatNetwork", data: str, split: str, limit: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Load inputs as `load_inputs` does, or one image file, in colour if the network's input has three channels.

    Raises
    ------
    ValueError
        The inputs are not of the network's size.
    """
    if Path(data).suffix.lower() not in (".png", ".bmp", ".pgm", ".ppm"):
        inputs, labels = load_inputs(data, split, limit)
        require_size(network, data, inputs)
        return inputs, labels
    from PIL import Image

    colour = len(network.input_shape) == 3 and network.input_shape[0] == 3
    try:
        with Image.open(data) as image:
            pixels = np.array(image.convert("RGB" if colour else "L"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{data}: must be an image: {said(error)}") from None
    size = network.input_shape[1:] if len(network.input_shape) == 3 else None
    if pixels.size != size_of(network.input_shape) or size not in (None, pixels.shape[:2]):
        wanted = f"{size[1]} × {size[0]}" if size else f"{size_of(network.input_shape)}"
        raise ValueError(f"{data}: must have {wanted} pixels, not {pixels.shape[1]} × {pixels.shape[0]}")
    return (np.moveaxis(pixels, -1, 0) if colour else pixels).reshape(1, -1), None


def require_size(network: "IntegerNetwork | FloatNetwork", data: str, inputs: np.ndarray) -> None:
    """Raise ValueError unless each sample has as many numbers, or the shape, that the network takes in a step."""
    shape = network.input_shape
    if size_of(shape) == inputs.shape[-1] or shape == inputs.shape[-len(shape):]:
        return
    from firstspike_train.data import DATASETS

    fitting = [name for name, images in DATASETS.items() if size_of(images.shape) == size_of(shape)]
    found, taken = (" × ".join(map(str, sides)) for sides in (inputs.shape[1:], shape))
    raise ValueError(f"--data {data} has samples of {found} numbers, but {network.name} takes {taken}; give what it "
                     f"was trained on{', such as --data ' * bool(fitting)}{' or '.join(fitting)}")


def load_file(network: Path, input_shape: str | None = None, **given: Any) -> "FloatNetwork":
    """Load the network of a checkpoint, a NIR file or one of lava-dl; the options, None where not given, say what the
    file does not."""
    from firstspike_compiler.frontends.nir_graph import read_graph

    from .network_file import is_lava, is_nir, load

    options = {name: value for name, value in given.items() if value is not None}
    if input_shape is not None:
        options["input_shape"] = shape_option(input_shape)
    if is_lava(network):
        known = ("steps", "readout", "input_shape")
        if missing := [f"--{name}" for name in known[:2] if name not in options]:
            raise ValueError(f"{network}: {', '.join(missing)} must be given: a file of lava-dl does not define it")
        if more := [f"--{name.replace('_', '-')}" for name in options if name not in known]:
            raise ValueError(f"{network}: {more[0]} must not be given: the neurons of lava-dl are what they are")
    elif input_shape is not None:
        raise ValueError(f"{network}: --input-shape must be given only for a file of lava-dl")
    elif is_nir(network):
        missing = [f"--{name}" if name != "strict" else "--strict or --at-least"
                   for name in ("steps", "reset", "strict", "readout") if name not in options]
        if missing:
            read_graph(network)  # no options would help with a file that is none
            raise ValueError(f"{network}: {', '.join(missing)} must be given: a NIR file does not define it")
    return load(network, **options)


def shape_option(text: str) -> tuple[int, ...]:
    """Return the sides that ``--input-shape`` gives."""
    try:
        return tuple(int(side) for side in text.split(","))
    except ValueError:
        raise ValueError(f"--input-shape must be whole numbers such as 2,34,34, not {shown(text)}") from None


def scale_options(scales: str, percentile: float | None, weight_scale: str | None = None) -> dict:
    """Return the options of `compile_network` that choose weight scales."""
    try:
        given = None if weight_scale is None else [
            None if part == "auto" else float(part) for part in weight_scale.split(",")]
    except ValueError:
        raise ValueError("--weight-scale must be a number or a list of numbers, one (or auto) a layer, not "
                         f"{shown(weight_scale)}") from None
    if scales not in ("layer", "channel"):
        raise ValueError(f"--scales must be layer or channel, not {shown(scales)}")
    return {"per_channel": scales == "channel", "percentile": percentile,
            "weight_scale": given[0] if given and len(given) == 1 else given}


def load_inputs(data: str, split: str, limit: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Load inputs, and their labels if the data have any, from a data set or a file."""
    if data.endswith((".npy", ".npz")):
        inputs, labels = _arrays(Path(data))
        if not isinstance(inputs, np.ndarray):
            raise ValueError(f"{data}: must be a .npy file with one array, not an archive of several")
        for name, numbers, kinds in (("inputs", inputs, "uifb"), ("labels", labels, "ui")):
            if numbers is not None and numbers.dtype.kind not in kinds:
                raise ValueError(f"{data}: {name} must be {'numbers' if 'f' in kinds else 'integers'}, not of the type "
                                 f"{numbers.dtype}")
        if inputs.ndim < 2 or not inputs.size:
            raise ValueError(f"{data}: must have shape (images, pixels) or (inferences, steps, inputs) and at least "
                             f"one input, not {inputs.shape}")
        if labels is not None and labels.shape != inputs.shape[:1]:
            raise ValueError(f"{data}: labels must be one for each of the {len(inputs)} inputs, not {labels.shape}")
        return inputs[:limit], None if labels is None else labels[:limit]
    from firstspike_train.data import load_lazily

    images, labels = load_lazily(data, split)
    return np.asarray(images[:limit]), labels[:limit]  # of images in folders, only these are read


def _arrays(path: Path) -> tuple[Any, Any]:
    """Read the array of a .npy file, or inputs and labels of a .npz file; nothing in them is executed."""
    wanted = ".npy file of numbers" if path.suffix == ".npy" else ".npz file of 'inputs' and 'labels'"
    with path.open("rb") as file:
        try:
            if path.suffix == ".npy":
                return np.load(file, allow_pickle=False), None
            with zipfile.ZipFile(file) as archive:
                size = sum(one.file_size for one in archive.infolist())
            if size > ARCHIVE_BYTES_MAX:
                raise ValueError(f"its arrays take {size} bytes, more than {ARCHIVE_BYTES_MAX}; use .npy files")
            file.seek(0)
            arrays = np.load(file, allow_pickle=False)
            return arrays["inputs"], arrays["labels"]
        except Exception as error:  # whatever NumPy, zipfile or a decompressor raises for bytes that are none of theirs
            raise ValueError(f"{path}: must be a {wanted}: {said(error)}") from None
