# SPDX-License-Identifier: MIT
"""Words offered with gaps between them, results left waiting."""

import numpy as np
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import ports

TWINS = callable_twins(ports)


def test_words_wait_for_their_gaps_and_until_they_are_taken():
    source = ports.new_source(np.array([7, 8, 9]), np.array([2, 0, 3]))
    state, offered = ports.new_ports(source)[0], []
    for cycle in range(14):
        offered.append(bool(TWINS.is_offered(state, source, cycle)))
        TWINS.step_source(state, source, cycle, offered[-1] and cycle != 2)
    assert source.accepted.tolist() == [3, 4, 8]
    assert [cycle for cycle, one in enumerate(offered) if one] == [2, 3, 4, 8]


def test_results_wait_for_their_stalls():
    sink = ports.new_sink(2, np.array([3, 0]))
    state, cycles = ports.new_ports(ports.new_source(np.zeros(0, int), None))[0], range(4, 12)
    for cycle in cycles:
        taken = TWINS.takes_result(state, sink, cycle, state["result"] == 0 or cycle == 10)
        TWINS.step_sink(state, sink, cycle, taken)
    assert sink.decided.tolist() == [4, 10] and sink.taken.tolist() == [7, 10]


def test_without_waits_nothing_waits():
    source = ports.new_source(np.array([7, 8]), None)
    state = ports.new_ports(source)[0]
    for cycle in range(2):
        TWINS.step_source(state, source, cycle, TWINS.is_offered(state, source, cycle))
    assert source.accepted.tolist() == [0, 1]
