# SPDX-License-Identifier: MIT
"""Twin of the core without its sequencer: the stages up to the addition, and the capture of spikes.

The golden model does the additions; here, only rows whose spikes are captured matter.
"""

import numpy as np

from .compilation import twin
from .spike_queue import WORD

__all__ = ["CORE", "ROW", "coming", "is_opening", "new_cores", "requests", "step", "take_spikes"]

ROW = np.dtype([
    ("captures", np.bool_), ("final", np.bool_), ("masked", np.bool_), ("last", np.bool_), ("row", np.int64),
    ("inference", np.int64), ("step", np.int64),
], align=True)
"""A row in a stage. The other fields are valid only if its spikes are captured; ``last``: it is the last of its step;
``inference`` and ``step`` say whose spikes they are."""

CORE = np.dtype([
    ("free", np.bool_), ("address_stage", np.bool_), ("address", ROW), ("fetch", ROW), ("operand", ROW), ("add", ROW),
    ("lanes", np.int64), ("next_spike", np.int64), ("word", WORD),
], align=True)
"""Settings and state of a core: whether the stages before the last move in this cycle (``free``), whether there is an
``address_stage`` between issue and fetch; the rows in the stages; the number of bits in the word of a row (``lanes``);
the first spike of the layer that no row has taken, as an index into the spike lists; and the word of the row that is
captured."""


def new_cores(lanes: np.ndarray, address_stages: np.ndarray) -> np.ndarray:
    """State of cores after reset, `CORE` [cores]; ``lanes`` is int64[cores], ``address_stages`` bool[cores]."""
    state = np.zeros(len(lanes), CORE)
    state["free"], state["lanes"], state["address_stage"] = True, lanes, address_stages
    return state


@twin
def requests(core):  # pragma: no cover - compiled
    """Whether a row asks for its capture. It "waits in the operand stage until ``capture.grant`` was high in the cycle
    before", so it asks from the cycle before it enters that stage."""
    return not core.free or core.fetch.captures


@twin
def is_opening(core):  # pragma: no cover - compiled
    """Whether the row that asks is the first of its step."""
    return core.fetch.row == 0 if core.free else core.operand.row == 0


@twin
def coming(core):  # pragma: no cover - compiled
    """Whether a row is captured in the next cycle."""
    return core.operand.captures and core.free


@twin
def take_spikes(core, offsets, places, first_step):  # pragma: no cover - compiled
    """Set ``core.word`` to the spikes of the row in the add stage; a masked row has none. ``offsets`` are those of the
    layer.

    Rows come in the order of the spikes in the lists, and those that are skipped have none.
    """
    add, word = core.add, core.word
    where = first_step[add.inference] + add.step
    if add.row == 0:
        core.next_spike = offsets[where]
    stop, end, behind = core.next_spike, offsets[where + 1], (add.row + 1) * core.lanes
    while stop < end and places[stop] < behind:
        stop += 1
    word.start = stop if add.masked else core.next_spike
    word.stop, word.base, word.last = stop, add.row * core.lanes, add.last
    word.final = word.last and add.final
    core.next_spike = stop


@twin
def _follow(stage, before):  # pragma: no cover - compiled
    stage.captures = before.captures
    if before.captures:
        stage.final, stage.masked, stage.last, stage.row = before.final, before.masked, before.last, before.row
        stage.inference, stage.step = before.inference, before.step


@twin
def step(core, issue, granted):  # pragma: no cover - compiled
    """A cycle of `firstspike_hw.core`: "a row issued in cycle c is added in c + 3, or in c + 4 if the core has an
    address stage before fetch"; a row whose spikes are captured waits for its grant, and "nothing else waits after the
    sequencer"."""
    moves = granted or not requests(core)
    if core.free:
        _follow(core.add, core.operand)
        _follow(core.operand, core.fetch)
        if core.address_stage:
            _follow(core.fetch, core.address)
            _follow(core.address, issue)
        else:
            _follow(core.fetch, issue)
    else:
        core.add.captures = False
    core.free = moves
