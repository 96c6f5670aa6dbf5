# SPDX-License-Identifier: MIT
"""Guard: every repair, its count, and what is left of the stream."""

import numpy as np
import pytest
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout
from firstspike_hw.guard import Guard
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import event


def test_guard_repairs_what_is_malformed():
    good = [event(3), MARKER, event(10), FINAL_MARKER]
    sent = [
        *good, event(11), event(15), *good,  # addresses out of range
        MARKER, MARKER, MARKER, event(1), MARKER, FINAL_MARKER,  # a third step of two
        *good, event(5),  # and then silence
    ]
    unit = Guard(layout=TokenLayout(shape=(11,)), steps_max=2, timeout=40)
    seen = run_unit(unit, "pysim", offers={"source": sent}, takes=["events"],
                    counts=["bad_address", "overrun", "cut", "opens"], cycles=120)
    assert seen["events"] == [*good, *good, MARKER, FINAL_MARKER, *good, event(5), FINAL_MARKER]
    assert [seen[name] for name in ("bad_address", "overrun", "cut", "opens")] == [[2], [1], [1], [5]]


def test_guard_without_a_last_step_lets_every_step_pass():
    sent = [event(3), *[MARKER] * 50, event(4), MARKER, event(11), FINAL_MARKER, event(5), MARKER]
    unit = Guard(layout=TokenLayout(shape=(11,)), steps_max=0, timeout=0)
    seen = run_unit(unit, "pysim", offers={"source": sent}, takes=["events"], pulses={"restart": [90]},
                    counts=["bad_address", "overrun", "cut", "opens"], cycles=120)
    assert seen["events"] == [word for word in sent if word != event(11)] + [FINAL_MARKER]
    assert [seen[name] for name in ("bad_address", "overrun", "cut", "opens")] == [[1], [0], [1], [2]]


@pytest.mark.parametrize("timeout", [0, 40])
def test_guard_waits_forever_without_a_timeout(timeout):
    unit = Guard(layout=TokenLayout(shape=(11,)), steps_max=2, timeout=timeout)
    seen = run_unit(unit, "pysim", offers={"source": [event(3)]}, takes=["events"], counts=["cut"], cycles=200)
    assert (seen["events"], seen["cut"]) == ([event(3), *[FINAL_MARKER] * bool(timeout)], [bool(timeout)])
    seen = run_unit(unit, "pysim", offers={"source": [event(3)]}, takes=["events"], counts=["cut"],
                    pulses={"restart": [60]}, cycles=200)
    assert (seen["events"], seen["cut"]) == ([event(3), FINAL_MARKER], [1])


@pytest.mark.parametrize("low, high", [(-3, 4), (0, 5), (1, 3)])
def test_guard_drops_values_out_of_range(low, high):
    layout = TokenLayout(shape=(11,), low=low, high=high)

    def say(value):
        return int(layout.events(np.array([3]), np.array([value]))[0])

    bits = layout.value_bits
    everything = range(-(1 << bits - 1), 1 << bits - 1) if layout.signed else range(1 << bits)
    inside = [say(value) for value in everything if low <= value <= high]
    assert 0 < len(inside) < len(everything)
    unit = Guard(layout=layout, steps_max=2, timeout=40)
    seen = run_unit(unit, "pysim", offers={"source": [*map(say, everything), MARKER, *map(say, everything),
                                                      FINAL_MARKER]},
                    takes=["events"], counts=["bad_address", "cut"], cycles=100, seed=8)
    assert seen["events"] == [*inside, MARKER, *inside, FINAL_MARKER] and seen["left"] == [0]
    assert (seen["bad_address"], seen["cut"]) == ([2 * (len(everything) - len(inside))], [0])


def test_guard_takes_events_of_the_first_step_only_once():
    sent = [event(1), event(2), MARKER, event(3), MARKER, event(4), event(5), FINAL_MARKER, event(6), FINAL_MARKER]
    unit = Guard(layout=TokenLayout(shape=(11,)), steps_max=3, timeout=40, once=True)
    seen = run_unit(unit, "pysim", offers={"source": sent}, takes=["events"], counts=["bad_address", "opens"],
                    cycles=60, seed=9)
    assert seen["events"] == [event(1), event(2), MARKER, MARKER, FINAL_MARKER, event(6), FINAL_MARKER]
    assert (seen["bad_address"], seen["opens"]) == ([3], [2])


def test_guard_has_its_arguments_and_refuses_wrong_ones():
    arguments = {"layout": TokenLayout(shape=(11,)), "steps_max": 2, "timeout": 40, "once": True}
    unit = Guard(**arguments)
    assert {name: getattr(unit, name) for name in arguments} == arguments
    with pytest.raises(ValueError, match=r"^steps_max must be an integer of at least 1, not 0$"):
        Guard(**{**arguments, "steps_max": 0})
    with pytest.raises(ValueError, match=r"^timeout must be an integer of at least 0 cycles, not 2.5$"):
        Guard(**{**arguments, "timeout": 2.5})
