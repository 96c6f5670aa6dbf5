# SPDX-License-Identifier: MIT
"""Report of a study's outcomes: a table, a JSON file and a picture."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from firstspike_arch.output_folder import write_folder
from firstspike_train.studies.diet_learning import DIET_LEARNING
from firstspike_train.studies.ettfs_ablation import ETTFS_ABLATION
from firstspike_train.studies.ettfs_decoding import ETTFS_DECODING
from firstspike_train.studies.latency_loss import LATENCY_LOSS
from firstspike_train.studies.parts_in_time import PARTS_IN_TIME
from firstspike_train.studies.study import Outcome, Study
from firstspike_train.studies.surrogate_shapes import SURROGATE_SHAPES
from matplotlib.figure import Figure
from rich.table import Table

from .picture import png

__all__ = ["STUDIES", "study_table", "write_study"]

STUDIES = {study.name: study for study in (
    ETTFS_ABLATION, ETTFS_DECODING, DIET_LEARNING, LATENCY_LOSS, SURROGATE_SHAPES, PARTS_IN_TIME,
)}


def study_table(study: Study, outcomes: Sequence[Outcome]) -> Table:
    """Make a table of the means over the seeds, and the range of the seeds' accuracies."""
    measures = [name.replace("_", " ") for name in study.measures]
    table = Table("", "", "test accuracy", "seeds", *measures, title=study.question)
    for (series, point), group in _grouped(outcomes).items():
        accuracy = [outcome.accuracy for outcome in group]
        measured = [f"{np.mean([outcome.measures[name] for outcome in group]):.3g}" for name in study.measures]
        spread = f"{min(accuracy):.2%} … {max(accuracy):.2%}"
        table.add_row(series, point, f"{np.mean(accuracy):.2%}", spread, *measured)
    return table


def write_study(folder: Path, study: Study, outcomes: Sequence[Outcome]) -> list[Path]:
    """Write NAME.json and NAME.png into the folder, in place of older ones (`write_folder`); return their paths."""
    data, picture = f"{study.name}.json", f"{study.name}.png"
    facts = {"study": study.name, "question": study.question, "claim": study.claim,
             "first_recipe": study.variants[0].recipe.table, "outcomes": [asdict(outcome) for outcome in outcomes]}
    write_folder(folder, {picture: png(_drawn(study, outcomes))}, record=data, made_by="firstspike study", facts=facts)
    return [folder / data, folder / picture]


def _drawn(study: Study, outcomes: Sequence[Outcome]) -> Figure:
    """Draw the accuracy of each point, and the study's first measure beside it.

    Every seed is a dot; if there are several series, each has a line through its means.
    """
    groups = _grouped(outcomes)
    several = len({series for series, _ in groups}) > 1
    points = list(dict.fromkeys(point for _, point in groups))
    shown = [("test accuracy, %", lambda outcome: 100 * outcome.accuracy)]
    if study.measures:
        first = study.measures[0]
        shown.append((first.replace("_", " "), lambda outcome: outcome.measures[first]))
    figure = Figure(figsize=(5 * len(shown) + 1, 3.8), layout="constrained")
    for axis, (label, value) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for series in dict.fromkeys(series for series, _ in groups):
            found = {point: [value(one) for one in groups[series, point]]
                     for point in points if (series, point) in groups}
            places = [points.index(point) for point in found]
            (line,) = axis.plot(places, [np.mean(values) for values in found.values()],
                                "o-" if several else "o", label=series)
            for place, values in zip(places, found.values(), strict=True):
                axis.plot([place] * len(values), values, ".", color=line.get_color(), alpha=0.5)
        axis.set_xticks(range(len(points)), points, rotation=0 if len(points) < 6 else 40,
                        ha="center" if len(points) < 6 else "right")
        axis.set_ylabel(label)
        axis.grid(axis="y", alpha=0.3)
    if several:
        figure.axes[0].legend()
    figure.suptitle(study.question)
    return figure


def _grouped(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.series, outcome.point), []).append(outcome)
    return groups
