# SPDX-License-Identifier: MIT
"""Spike queue, with the extractor behind it: rows of every bank become events."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_layers import CapturedRows
from firstspike_sim.testing.unit_words import layer_tokens, struct_word


@pytest.mark.parametrize("shape, lanes, banks, high", [
    ((30,), 12, (1, 1), 3), ((5, 3, 4), 5, (1, 1), 7), ((9, 5, 5), 9, (2, 3), 1), ((6, 4, 7), 3, (3, 2), 2),
])
def test_queue_and_extractor_send_magnitudes_of_all_banks(shape, lanes, banks, high):
    """Captured rows, from every bank, become events with channel, x and y of each neuron."""
    layout = TokenLayout(shape=shape, high=high)
    plan = LayerPlan(options=LayerOptions(lanes=lanes, membrane_bits=8, banks=banks), neurons=int(np.prod(shape)),
                     scattered=len(shape) == 3, size=(1, 1) if len(shape) == 1 else (shape[1], shape[2]))
    random = np.random.default_rng(lanes)
    spikes = random.integers(1, high + 1, (2, 2, plan.neurons)) * (random.random((2, 2, plan.neurons)) < 0.3)
    spikes[1, 0] = 0  # a silent step ends, too
    bits = plan.word_lanes // plan.bank_count
    unit = CapturedRows(layout, plan)
    sent = []
    for inference, step in np.ndindex(2, 2):
        rows = np.zeros((plan.rows, plan.bank_count, bits), dtype=np.int64)
        rows.ravel()[plan.places()] = spikes[inference, step]
        assert not rows[..., lanes:].any()
        for row, values in enumerate(rows[..., :lanes].reshape(plan.rows, -1)):
            sent.append(struct_word(
                unit.rows.payload.shape(), last=row == plan.rows - 1, final=step == 1, row=row,
                spikes=sum(1 << int(lane) for lane in np.flatnonzero(values)),
                magnitudes=values.tolist() if layout.value_bits else [0] * plan.elements))
    seen = run_unit(unit, "pysim", offers={"rows": sent}, takes=["events"], seed=lanes,
                    cycles=3 * np.count_nonzero(spikes) + 4 * len(sent) + 40)
    assert seen["left"] == [0] and seen["events"] == layer_tokens(spikes, layout, plan)
