# SPDX-License-Identifier: MIT
"""Report of accuracy on corrupted images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.output_folder import write_folder
from firstspike_sim.models.golden import GoldenModel
from firstspike_train.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from matplotlib.figure import Figure
from rich.progress import track
from rich.table import Table

from .picture import png

__all__ = ["Accuracies", "corruption_table", "measure_corrupted", "write_corruption"]

Accuracies = dict[str, dict[str, list[float]]]
"""For each network by name, and each kind of corruption, the accuracy at each severity."""

CLEAN = "clean"


def measure_corrupted(
    networks: Sequence[IntegerNetwork], images: np.ndarray, labels: np.ndarray, shape: tuple[int, ...], seed: int,
    strengths: str,
) -> Accuracies:
    """Measure the accuracy of networks on images, clean and corrupted by one of `STRENGTHS`; ``shape`` is that of an
    image."""
    found: Accuracies = {network.name: {} for network in networks}
    total = 1 + len(CORRUPTIONS) * len(SEVERITIES)
    for kind, changed in track(_changed(images, shape, seed, strengths), description="corrupting", total=total):
        for network in networks:
            found[network.name].setdefault(kind, []).append(_accuracy(network, changed, labels))
    return found


def corruption_table(found: Accuracies) -> Table:
    """Make a table of the means over the severities."""
    table = Table("corruption", *found, title="accuracy of the integers, mean of five severities")
    for kind in (CLEAN, *CORRUPTIONS):
        table.add_row(kind, *(f"{np.mean(one[kind]):.2%}" for one in found.values()))
    mean = [np.mean([np.mean(one[kind]) for kind in CORRUPTIONS]) for one in found.values()]
    table.add_row("mean of all", *(f"{value:.2%}" for value in mean), style="bold")
    return table


def write_corruption(folder: Path, found: Accuracies, **facts) -> list[Path]:
    """Write robustness.json, with the facts, and robustness.png into the folder, in place of older ones
    (`write_folder`); return their paths."""
    data, picture = "robustness.json", "robustness.png"
    write_folder(folder, {picture: png(_drawn(found))}, record=data, made_by="firstspike robustness",
                 facts={**facts, "accuracy": found})
    return [folder / data, folder / picture]


def _changed(
    images: np.ndarray, shape: tuple[int, ...], seed: int, strengths: str,
) -> Iterator[tuple[str, np.ndarray]]:
    yield CLEAN, images
    for kind in CORRUPTIONS:
        for severity in SEVERITIES:
            yield kind, corrupted(torch.from_numpy(images), shape, kind, severity, seed, strengths).numpy()


def _accuracy(network: IntegerNetwork, images: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(GoldenModel(network).run(images).classes == labels))


def _drawn(found: Accuracies) -> Figure:
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
