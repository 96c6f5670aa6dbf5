# SPDX-License-Identifier: MIT
"""Emitter: order, rate and values."""

import numpy as np
import pytest
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout
from firstspike_arch.layer_plan import GROUP_BITS
from firstspike_hw.emitter import Emitter
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import event, struct_word


def test_emitter_sends_groups_in_ascending_order():
    random = np.random.default_rng(3)
    unit = Emitter(layout=TokenLayout(shape=(64,)))
    layout = unit.groups.payload.shape()
    sent, wanted = [], []
    for number in range(60):
        base, marker = int(random.integers(0, 8)) * GROUP_BITS, number % 3 == 2
        bits = int(random.integers(0 if marker else 1, 256))
        sent.append(struct_word(
            layout, bits=bits, base=base, marker=marker, final=marker and number % 6 == 5,
            single=bits.bit_count() + marker == 1,
        ))
        wanted += [event(base + bit) for bit in range(GROUP_BITS) if bits >> bit & 1]
        if marker:
            wanted.append(FINAL_MARKER if number % 6 == 5 else MARKER)
    full = run_unit(unit, "pysim", offers={"groups": sent}, takes=["events"], cycles=len(wanted) + 1)
    assert full["events"] == wanted  # one token a cycle, from the second on: no bubbles
    waits = run_unit(unit, "pysim", offers={"groups": sent}, takes=["events"], cycles=4 * len(wanted), seed=2)
    assert waits["events"] == wanted


@pytest.mark.parametrize("low, high", [(1, 3), (-5, 9)])
def test_emitter_sends_values(low, high):
    random = np.random.default_rng(high)
    layout = TokenLayout(shape=(32,), low=low, high=high)
    unit = Emitter(layout=layout)
    sent, wanted = [], []
    for _ in range(40):
        base, values = int(random.integers(0, 4)) * GROUP_BITS, random.integers(low, high + 1, GROUP_BITS)
        bits = int(random.integers(1, 256))
        sent.append(struct_word(
            unit.groups.payload.shape(), bits=bits, base=base, single=bits.bit_count() == 1,
            values=[int(value) & (1 << layout.value_bits) - 1 for value in values]))
        places = np.array([bit for bit in range(GROUP_BITS) if bits >> bit & 1])
        wanted += layout.events(base + places, values[places]).tolist()
    seen = run_unit(unit, "pysim", offers={"groups": sent}, takes=["events"], cycles=len(wanted) + 1)
    assert seen["events"] == wanted
