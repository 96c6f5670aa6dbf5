# SPDX-License-Identifier: MIT
"""firstspike robustness NETWORK… --data DATA -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from firstspike_arch.shown import shown
from rich.console import Console

from .options import Limit, Split, load_inputs, require_size
from .tables import print_table


def robustness(
    networks: Annotated[list[Path], typer.Argument(help="Checkpoints of trained networks.")],
    data: Annotated[str, typer.Option(help="A data set of images.")], split: Split = "test", limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    strengths: Annotated[str | None, typer.Option(
        help="imagenet-c, or cifar-10-c, which is weaker; default: cifar-10-c for cifar10, else imagenet-c.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the JSON file and the picture.")] = Path(
        "reports"),
) -> None:
    """Measure the accuracy of integer networks on corrupted images: eight kinds, five severities."""
    from firstspike_train.corruptions import STRENGTHS
    from firstspike_train.data import image_shape

    from . import api
    from .corruption_report import corruption_table, measure_corrupted, write_corruption

    if strengths is None:
        strengths = "cifar-10-c" if data == "cifar10" else "imagenet-c"
    if strengths not in STRENGTHS:
        raise ValueError(f"--strengths must be one of {', '.join(STRENGTHS)}, not {shown(strengths)}")
    shape = image_shape(data)
    images, labels = load_inputs(data, split, limit)
    if labels is None:
        raise ValueError(f"--data must be a data set with labels, not {shown(data)}")
    trained = [api.load(path) for path in networks]
    for network in trained:
        require_size(network, data, images)
    integers = [api.compile(network).program.network for network in trained]
    names = [network.name for network in integers]
    if len(set(names)) < len(names):
        raise ValueError(f"networks must have different names, not {', '.join(names)}")
    found = measure_corrupted(integers, images, labels, shape, seed, strengths)
    console = Console()
    print_table(console, corruption_table(found))
    data_file, picture = write_corruption(
        output, found, data=data, split=split, images=len(images), seed=seed, strengths=strengths)
    console.print(f"written to {data_file} and {picture.name}", highlight=False, soft_wrap=True)
