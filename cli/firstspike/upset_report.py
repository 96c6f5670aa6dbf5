# SPDX-License-Identifier: MIT
"""Report of a campaign of soft errors: tables, a JSON file with every trial, and a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from firstspike_arch.output_folder import refuse_foreign, write_folder
from firstspike_sim.backends.upset_bench import Recovery
from matplotlib.figure import Figure
from rich.table import Column, Table

from .picture import png
from .upset_campaign import Effect, SiteOutcome, interval

__all__ = ["bit_table", "check_folder", "effect_table", "summary", "write_report"]

RECORD, PICTURE, MADE_BY = "upsets.json", "upsets.png", "firstspike upsets"

EFFECTS = {Effect.NONE: "nothing", Effect.CYCLES: "cycles only", Effect.EVIDENCE: "evidence", Effect.CLASS: "a class",
           Effect.COUNT: "results lost"}


def check_folder(folder: Path) -> None:
    """Refuse a folder that the report cannot be written to, before the work."""
    refuse_foreign(folder, [PICTURE], record=RECORD, made_by=MADE_BY)


def write_report(folder: Path, facts: dict, outcomes: Sequence[SiteOutcome]) -> list[Path]:
    """Write all trials, and the picture; return their paths."""
    sites = [{"name": one.site.name, "bits": one.site.bits, "upsets": len(one.trials),
              "effects": {EFFECTS[effect]: sum(trial.effect is effect for trial in one.trials) for effect in Effect},
              "lasting": sum(trial.lasting for trial in one.trials),
              "noticed": sum(trial.noticed for trial in one.trials),
              "trials": [trial.to_json() for trial in one.trials]} for one in outcomes]
    columns = ["run", "element", "word", "bit", "cycle", "effect", "classes", "lasting", "recovery", "noticed"]
    write_folder(folder, {PICTURE: png(_drawn(outcomes))}, record=RECORD, made_by=MADE_BY, facts={
        **facts, "effects": [EFFECTS[effect] for effect in Effect],
        "recoveries": [one.name.lower() for one in Recovery], "columns": columns, "sites": sites})
    return [folder / RECORD, folder / PICTURE]


def effect_table(outcomes: Sequence[SiteOutcome], *, parity: bool = False) -> Table:
    """Make a table of the share of upsets with each effect, and how sure that of changed classes is; and, with parity,
    of those that were noticed."""
    table = Table(Column("state", no_wrap=True), "bits", "upsets", *(f"changes {EFFECTS[one]}" for one in (
        Effect.NONE, Effect.CYCLES, Effect.EVIDENCE, Effect.CLASS)), EFFECTS[Effect.COUNT], "lasts",
                  *["noticed"] * parity, title="what an upset of one bit does to a run of inferences")
    for one in outcomes:
        low, high = interval(sum(trial.effect is Effect.CLASS for trial in one.trials), len(one.trials))
        table.add_row(one.site.name, str(one.site.bits), str(len(one.trials)),
                      *(f"{one.share(effect):.1%}" for effect in (Effect.NONE, Effect.CYCLES, Effect.EVIDENCE)),
                      f"{one.share(Effect.CLASS):.1%} ({100 * low:.1f}-{100 * high:.1f})",
                      f"{one.share(Effect.COUNT):.1%}", f"{one.lasting:.1%}", *[f"{one.noticed:.1%}"] * parity)
    return table


def bit_table(outcomes: Sequence[SiteOutcome]) -> Table:
    """Make a table of the share of upsets that change a class or lose a result, by bit of the number."""
    numbers = [one for one in outcomes if one.site.number_bits]
    bits = max((one.site.number_bits or 0 for one in numbers), default=0)
    table = Table(Column("state", no_wrap=True), *map(str, range(bits)),
                  title="upsets that change a class or lose a result, by bit of the number, the sign last")
    for one in numbers:
        table.add_row(one.site.name, *(f"{wrong / hits:.0%}" if hits else "-" for hits, wrong in one.by_bit()),
                      *[""] * (bits - (one.site.number_bits or 0)))
    return table


def summary(outcomes: Sequence[SiteOutcome], *, parity: bool = False) -> list[str]:
    """What all sites together mean, in sentences; with parity, what it noticed of the upsets in memories."""
    bits = sum(one.site.bits for one in outcomes)
    wrong = sum(one.site.bits * sum(one.share(effect) for effect in (Effect.CLASS, Effect.COUNT)) for one in outcomes)
    trials = [trial for one in outcomes for trial in one.trials]
    lost = [trial for trial in trials if trial.recovery is not Recovery.NOT_NEEDED]
    how = {one: sum(trial.recovery is one for trial in lost) for one in Recovery}
    more = sum(trial.effect is Effect.COUNT for trial in trials) - len(lost)
    return [
        f"of upsets anywhere in the {bits} bits, {wrong / bits:.2%} change a class or lose a result",
        f"of {len(trials)} upsets, {len(lost)} left results out within the limit: the next inference was right after a "
        f"restart in {how[Recovery.BY_RESTART]} cases, after a reset in {how[Recovery.BY_RESET]}, and in neither in "
        f"{how[Recovery.NONE]}; {more} gave a result too many", *_noticed(outcomes, parity)]


def _noticed(outcomes: Sequence[SiteOutcome], parity: bool) -> list[str]:
    trials = [trial for one in outcomes for trial in one.trials if one.site.kind != "registers"]
    felt = [trial for trial in trials if trial.effect is not Effect.NONE]
    return [f"of {len(trials)} upsets in memories with parity, {sum(one.noticed for one in trials)} were noticed; of "
            f"the {len(felt)} that changed anything, {sum(one.noticed for one in felt)}"] * parity


def _drawn(outcomes: Sequence[SiteOutcome]) -> Figure:
    figure = Figure(figsize=(13, 0.32 * len(outcomes) + 2.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    names, base = [one.site.name for one in outcomes], np.zeros(len(outcomes))
    for effect, colour in zip((Effect.CYCLES, Effect.EVIDENCE, Effect.CLASS, Effect.COUNT),
                              ("#b8c4d6", "#f2c14e", "#d1495b", "#3d3d3d"), strict=True):
        shares = np.array([100 * one.share(effect) for one in outcomes])
        left.barh(names, shares, left=base, color=colour, label=EFFECTS[effect])
        base += shares
    left.invert_yaxis()
    left.set_xlabel("upsets that change something, %")
    left.legend(fontsize=8)
    for one in outcomes:
        if one.site.number_bits:
            right.plot([100 * wrong / hits if hits else np.nan for hits, wrong in one.by_bit()], "o-", markersize=4,
                       label=one.site.name)
    right.set_xlabel("bit of the number")
    right.set_ylabel("upsets that change a class or lose a result, %")
    right.legend(fontsize=8)
    right.grid(alpha=0.3)
    return figure
