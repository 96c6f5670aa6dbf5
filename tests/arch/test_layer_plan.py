# SPDX-License-Identifier: MIT
"""What follows from rows and lanes: the queue of spikes, and the cycles of the read-out."""

import pytest
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan, readout_cycles, spike_queue_depth


def test_a_queue_holds_two_steps_up_to_256_rows_and_of_a_recurrent_layer_always_one():
    """A recurrent layer takes no spike of a step before all are captured: with less room it would wait forever."""
    for rows in (*range(1, 70), *range(126, 131), 255, 256, 257, 400, 511, 512, 513, 1000, 1025):
        for recurrent in (False, True):
            plan = LayerPlan(options=LayerOptions(lanes=1, membrane_bits=8), neurons=rows, recurrent=recurrent)
            depth = spike_queue_depth(plan)
            assert depth & depth - 1 == 0
            if rows == 1:
                assert depth == 1
            elif 2 * rows <= 256:
                assert 2 * rows <= depth < 4 * rows
            elif recurrent:
                assert max(256, rows) <= depth < max(257, 2 * rows)
            else:
                assert depth == 256


@pytest.mark.parametrize(("lanes", "tree", "scan"), [(1, 1, 1), (2, 2, 2), (5, 4, 5), (10, 4, 10)])
def test_a_tree_compares_a_level_a_cycle_and_a_scan_a_lane(lanes, tree, scan):
    plan = LayerPlan(options=LayerOptions(lanes=lanes, membrane_bits=12), neurons=10)
    assert (readout_cycles(plan, "tree"), readout_cycles(plan, "scan")) == (tree, scan)
