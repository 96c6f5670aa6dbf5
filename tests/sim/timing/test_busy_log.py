# SPDX-License-Identifier: MIT
"""The busy log: every busy cycle is in one window, however often windows are joined."""

import numpy as np
import pytest
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import busy_log
from firstspike_sim.timing.busy_log import WINDOWS, busy_windows, new_busy_log


@pytest.mark.parametrize("cycles", [1, WINDOWS - 1, WINDOWS, WINDOWS + 1, 3 * WINDOWS + 7])
def test_windows_hold_every_busy_cycle_where_it_was(cycles):
    worked = np.random.default_rng(cycles).random((2, cycles)) < 0.4
    log, sequencers = new_busy_log(2), np.zeros(2, [("busy", np.int64)])
    for cycle in range(cycles):
        sequencers["busy"] += worked[:, cycle]
        callable_twins(busy_log).note(log, sequencers)
    span, found = int(log.span[0]), busy_windows(log, sequencers["busy"])
    assert span == {1: 1, WINDOWS - 1: 1, WINDOWS: 2, WINDOWS + 1: 2}.get(cycles, 4)
    assert found.shape == (2, -(-cycles // span))
    wanted = np.add.reduceat(worked.astype(int), np.arange(0, cycles, span), axis=1)
    assert np.array_equal(found, wanted)


def test_the_timing_model_notes_every_cycle_once(alive_programs):
    (program, inputs), = alive_programs(300, 1)
    trace = predict_inputs(program, inputs).trace
    assert np.array_equal(trace.busy_windows.sum(1), trace.busy) and trace.busy.all()
    assert trace.busy_windows.max() <= trace.window_cycles
    cycles = trace.busy_windows.shape[1] * trace.window_cycles
    assert cycles > trace.taken[-1] >= 0 and trace.busy_windows.shape[1] <= WINDOWS
