# SPDX-License-Identifier: MIT
"""firstspike robustness NETWORK… --data DATA -o FOLDER"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import write_atomically
from firstspike_arch.shown import shown
from firstspike_sim.models.golden import GoldenModel
from firstspike_train.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from firstspike_train.data import image_shape
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from . import api
from .options import Limit, Split, load_inputs
from .picture import save_picture

CLEAN = "clean"


def robustness(
    networks: Annotated[list[Path], typer.Argument(help="Checkpoints of trained networks.")],
    data: Annotated[str, typer.Option(help="A data set of images.")], split: Split = "test", limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the JSON file and the picture.")] = Path(
        "build/robustness"),
) -> None:
    """Measure the accuracy of integer networks on corrupted images: eight kinds, five severities."""
    shape = image_shape(data)
    images, labels = load_inputs(data, split, limit)
    if labels is None:
        raise ValueError(f"--data must be a data set with labels, not {shown(data)}")
    integers = [api.compile(api.load(path)).program.network for path in networks]
    names = [network.name for network in integers]
    if len(set(names)) < len(names):
        raise ValueError(f"networks must have different names, not {', '.join(names)}")
    found: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    total = 1 + len(CORRUPTIONS) * len(SEVERITIES)
    for kind, changed in track(_changed(images, shape, seed), description="corrupting", total=total):
        for network in integers:
            found[network.name].setdefault(kind, []).append(_accuracy(network, changed, labels))
    console = Console()
    console.print(_table(found))
    output.mkdir(parents=True, exist_ok=True)
    report = {"data": data, "split": split, "images": len(images), "seed": seed, "accuracy": found}
    write_atomically(output / "robustness.json", json.dumps(report, indent=1) + "\n")
    save_picture(_drawn(found), output / "robustness.png")
    console.print(f"written to {output}/robustness.json and .png", highlight=False, soft_wrap=True)


def _changed(images: np.ndarray, shape: tuple[int, ...], seed: int) -> Iterator[tuple[str, np.ndarray]]:
    yield CLEAN, images
    for kind in CORRUPTIONS:
        for severity in SEVERITIES:
            yield kind, corrupted(torch.from_numpy(images), shape, kind, severity, seed).numpy()


def _accuracy(network: IntegerNetwork, images: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(GoldenModel(network).run(images).classes == labels))


def _table(found: dict[str, dict[str, list[float]]]) -> Table:
    """Make a table of the means over the severities."""
    table = Table("corruption", *found, title="accuracy of the integers, mean of five severities")
    for kind in (CLEAN, *CORRUPTIONS):
        table.add_row(kind, *(f"{np.mean(one[kind]):.2%}" for one in found.values()))
    mean = [np.mean([np.mean(one[kind]) for kind in CORRUPTIONS]) for one in found.values()]
    table.add_row("mean of all", *(f"{value:.2%}" for value in mean), style="bold")
    return table


def _drawn(found: dict[str, dict[str, list[float]]]) -> Figure:
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    axes = figure.subplots(2, (len(CORRUPTIONS) + 1) // 2, sharex=True, sharey=True).ravel()
    for axis, kind in zip(axes, CORRUPTIONS, strict=False):
        for name, one in found.items():
            axis.plot([0, *SEVERITIES], [100 * value for value in (*one[CLEAN], *one[kind])], "o-", markersize=4,
                      label=name)
        axis.set_title(kind.replace("_", " "))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.supxlabel("severity (0: uncorrupted)")
    figure.supylabel("accuracy, %")
    return figure
