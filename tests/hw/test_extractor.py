# SPDX-License-Identifier: MIT
"""Extractor: words of spikes in ascending order."""

import re

import numpy as np
import pytest
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout
from firstspike_arch.layer_plan import GROUP_BITS
from firstspike_hw.extractor import Extractor
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import event, struct_word


@pytest.mark.parametrize("lanes, rows", [(11, 3), (20, 1), (64, 2)])
def test_extractor_sends_words_in_ascending_order(lanes, rows):
    random = np.random.default_rng(lanes)
    unit = Extractor(layout=TokenLayout(shape=(lanes * rows,)), lanes=lanes)
    layout = unit.words.payload.shape()
    sent, wanted = [], []
    for step in range(8):
        for row in range(rows):
            spikes = random.random(lanes) < random.choice([0, 0.1, 0.6])
            last, final = row == rows - 1, row == rows - 1 and step % 4 == 3
            if not last and not spikes.any():
                continue
            groups = [spikes[start:start + GROUP_BITS].any() for start in range(0, lanes, GROUP_BITS)]
            sent.append(struct_word(
                layout, base=row * lanes, last=last, final=final,
                spikes=sum(1 << int(lane) for lane in np.flatnonzero(spikes)),
                occupied=sum(1 << index for index, some in enumerate(groups) if some),
            ))
            wanted += [event(row * lanes + int(lane)) for lane in np.flatnonzero(spikes)]
        wanted.append(FINAL_MARKER if step % 4 == 3 else MARKER)
    seen = run_unit(unit, "pysim", offers={"words": sent}, takes=["events"], cycles=4 * len(wanted) + 40, seed=4)
    assert seen["events"] == wanted and seen["left"] == [0]


@pytest.mark.parametrize("shape, lanes, banks, message", [
    ((8,), 0, (1, 1), "lanes must be an integer of at least 1, not 0"),
    ((2, 4, 4), 32, (0, 1), "banks down must be an integer of at least 1, not 0"),
    ((2, 4, 4), 24, (2, 1), "banks must divide the 24 lanes of a map into whole groups of 8, not (2, 1)"),
    ((32,), 32, (2, 1), "banks must divide the 32 lanes of a map into whole groups of 8, not (2, 1)"),
])
def test_extractor_refuses_lanes_and_banks(shape, lanes, banks, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Extractor(layout=TokenLayout(shape=shape), lanes=lanes, banks=banks)


def test_extractor_has_its_arguments():
    unit = Extractor(layout=TokenLayout(shape=(2, 4, 4)), lanes=32, banks=(2, 1))
    assert (unit.layout, unit.lanes, unit.banks) == (TokenLayout(shape=(2, 4, 4)), 32, (2, 1))
