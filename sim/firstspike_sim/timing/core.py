# SPDX-License-Identifier: MIT
"""Twin of the core behind its sequencer: the stages on the way to the add, and the capture of spikes.

What the rows add is the golden model's business; here only rows whose spikes are captured count.
"""

import numpy as np

from .compilation import twin
from .spike_queue import WORD

__all__ = ["CORE", "ROW", "coming", "is_opening", "new_cores", "requests", "step", "take_spikes"]

ROW = np.dtype([
    ("captures", np.bool_), ("final", np.bool_), ("masked", np.bool_), ("row", np.int64), ("inference", np.int64),
    ("step", np.int64),
], align=True)
"""A row in a stage; the rest means nothing unless its spikes are captured. ``inference`` and ``step``: whose spikes."""

CORE = np.dtype([
    ("free", np.bool_), ("fetch", ROW), ("operand", ROW), ("add", ROW), ("rows", np.int64), ("lanes", np.int64),
    ("next_spike", np.int64), ("word", WORD),
], align=True)
"""Its state: whether the stages before the last move in this cycle, and what they hold; rows and bits of a row's word;
the first spike of the layer, in the spike lists, that no row had; and the word of the row being captured."""


def new_cores(rows: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """Cores as reset leaves them, `CORE` [cores], for int64[cores] each."""
    state = np.zeros(len(rows), CORE)
    state["free"], state["rows"], state["lanes"] = True, rows, lanes
    return state


@twin
def requests(core):  # pragma: no cover - compiled
    """A row "waits in the operand stage until ``capture.grant`` was high in the cycle before": it asks when it is about
    to be there, and from then on."""
    return not core.free or core.fetch.captures


@twin
def is_opening(core):  # pragma: no cover - compiled
    """The row that asks is the first of its step."""
    return core.fetch.row == 0 if core.free else core.operand.row == 0


@twin
def coming(core):  # pragma: no cover - compiled
    """A row is captured in the next cycle."""
    return core.operand.captures and core.free


@twin
def take_spikes(core, offsets, places, first_step):  # pragma: no cover - compiled
    """The spikes of the row in the add stage, as ``core.word``; of a masked row none. ``offsets``: those of the layer.

    Rows come in the order of the spikes.
    """
    add, word = core.add, core.word
    where = first_step[add.inference] + add.step
    if add.row == 0:
        core.next_spike = offsets[where]
    stop, end, behind = core.next_spike, offsets[where + 1], (add.row + 1) * core.lanes
    while stop < end and places[stop] < behind:
        stop += 1
    word.start = stop if add.masked else core.next_spike
    word.stop, word.base, word.last = stop, add.row * core.lanes, add.row == core.rows - 1
    word.final = word.last and add.final
    core.next_spike = stop


@twin
def _follow(stage, before):  # pragma: no cover - compiled
    stage.captures = before.captures
    if before.captures:
        stage.final, stage.masked, stage.row = before.final, before.masked, before.row
        stage.inference, stage.step = before.inference, before.step


@twin
def step(core, issue, granted):  # pragma: no cover - compiled
    """`firstspike_hw.core`: "a row issued in cycle c is added in c + 3"; one whose spikes are captured waits for its
    promise, and "nothing else ever waits behind the sequencer"."""
    moves = granted or not requests(core)
    if core.free:
        _follow(core.add, core.operand)
        _follow(core.operand, core.fetch)
        _follow(core.fetch, issue)
    else:
        core.add.captures = False
    core.free = moves
