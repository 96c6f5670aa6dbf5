# SPDX-License-Identifier: MIT
"""Guard: every repair, its count, and what is left of the stream."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER, TokenLayout
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


PULSES = ("bad_address", "overrun", "cut", "opens")


def timed(unit, words, cycles, *, restart=(), kept_out=(), stalls=()):
    """Words by the cycle in which each is first offered. Returns the tokens that passed, as (cycle, token), and the
    cycles of each pulse; ``stalls`` are cycles in which none can pass."""
    passed, pulses, left = [], {name: [] for name in PULSES}, dict(words)

    async def bench(ctx):
        for cycle in range(cycles):
            due = min(left, default=cycles)
            ctx.set(unit.source.valid, due <= cycle and cycle not in kept_out)
            ctx.set(unit.source.payload, unit.source.payload.shape().from_bits(left.get(due, 0)))
            ctx.set(unit.kept_out, cycle in kept_out)
            ctx.set(unit.restart, cycle in restart)
            ctx.set(unit.events.ready, cycle not in stalls)
            if ctx.get(unit.events.valid) and cycle not in stalls:
                passed.append((cycle, ctx.get(unit.events.payload.as_value())))
            if due <= cycle and cycle not in kept_out and ctx.get(unit.source.ready):
                left.pop(due)
            for name in PULSES:
                if ctx.get(getattr(unit, name)):
                    pulses[name].append(cycle)
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert not left
    return passed, pulses


def guard(timeout=0, **options):
    return Guard(**{"layout": TokenLayout(shape=(11,)), "steps_max": 2, "timeout": timeout, **options})


@pytest.mark.parametrize("timeout", [1, 2, 3, 4, 7, 8, 12, 31, 32])
def test_guard_ends_an_inference_after_exactly_so_many_cycles_of_silence(timeout):
    passed, pulses = timed(guard(timeout), {0: event(3)}, timeout + 10)
    assert passed == [(0, event(3)), (timeout + 2, FINAL_MARKER)] and pulses["cut"] == [timeout + 2]
    # One cycle less between two words is none.
    words = {at: event(3) for at in range(0, 5 * timeout, timeout)} | {5 * timeout: FINAL_MARKER}
    passed, pulses = timed(guard(timeout), words, 7 * timeout + 10)
    assert passed == list(words.items()) and (pulses["cut"], pulses["opens"]) == ([], [0])


@pytest.mark.parametrize("timeout", [3, 8])
def test_a_word_that_waits_is_no_silence(timeout):
    waits = range(1, 5 * timeout)
    for held in ({"kept_out": waits}, {"stalls": waits}):
        passed, pulses = timed(guard(timeout), {0: event(3), 1: FINAL_MARKER}, 7 * timeout, **held)
        assert passed == [(0, event(3)), (5 * timeout, FINAL_MARKER)] and pulses["cut"] == []


OVERLONG = [MARKER, MARKER, event(4), MARKER]
"""The second marker ends an inference of two steps; dropped is what follows."""


def test_what_ends_the_dropping_after_an_overrun():
    good, more, timeout = [event(3), FINAL_MARKER], [event(4), event(15)], 9

    def seen(pause=0, **pulses):
        """An inference behind one that is too long, with more of that one and a pause between."""
        words = dict(enumerate([*OVERLONG, *more]))
        words |= {len(words) + pause + place: word for place, word in enumerate(good)}
        passed, counts = timed(guard(timeout), words, 60, **pulses)
        return [token for _, token in passed], [len(counts[name]) for name in PULSES]

    lost = [MARKER, FINAL_MARKER], [0, 1, 0, 1]  # the next final marker is taken for the end of what is dropped
    kept = [MARKER, FINAL_MARKER, *good], [0, 1, 0, 2]
    assert seen() == seen(pause=timeout - 1) == lost
    # The event is offered in the last cycle of dropping; its marker is not.
    assert seen(pause=timeout) == ([MARKER, FINAL_MARKER, FINAL_MARKER], [0, 1, 0, 2])
    assert seen(pause=timeout + 1) == kept
    assert seen(pause=3, restart=[7]) == kept
    assert seen(pause=2 * timeout, kept_out=range(6, 6 + 2 * timeout)) == lost  # the host went on offering


def test_nothing_that_is_dropped_counts():
    words = [*OVERLONG, event(15), event(11), FINAL_MARKER, event(11), FINAL_MARKER]
    passed, pulses = timed(guard(), dict(enumerate(words)), 20)
    assert [token for _, token in passed] == [MARKER, FINAL_MARKER, FINAL_MARKER]
    assert (pulses["bad_address"], pulses["overrun"], pulses["cut"]) == ([7], [1], [])


@pytest.mark.parametrize("restart", [[1, 2], [1, 3], [1, 4, 5], [1, 6], [5, 6], [1, 2, 3, 4, 5, 6]])
def test_restarts_in_a_row_end_an_inference_once(restart):
    passed, pulses = timed(guard(), {0: event(3)}, 20, restart=restart, stalls=range(1, 6))
    assert passed == [(0, event(3)), (max(6, restart[0] + 1), FINAL_MARKER)]
    assert pulses["cut"] == [passed[1][0]]


def test_a_restart_as_a_final_marker_passes_ends_nothing():
    for at in range(1, 8):
        passed, pulses = timed(guard(), {0: event(3), 4: FINAL_MARKER, 9: event(5)}, 12, restart=[at])
        ends = [(at + 1, FINAL_MARKER)] if at < 4 else []
        cut_again = [] if at >= 4 else ends  # a final marker alone is then an inference of one step
        assert passed == [(0, event(3)), *cut_again, (4 if at != 3 else 5, FINAL_MARKER), (9, event(5))]
        assert len(pulses["cut"]) == len(ends) and len(pulses["opens"]) == 2 + len(ends)


@pytest.mark.parametrize("shape, spare", [((11,), 3), ((3, 2, 5), 1), ((16,), 2)])
def test_guard_drops_events_with_a_bit_above_the_token(shape, spare):
    layout = TokenLayout(shape=shape)
    unit, good = guard(layout=layout, spare_bits=spare), (layout.addresses() << ADDRESS_SHIFT).tolist()
    above = [1 << layout.bits + bit for bit in range(spare)]
    words = [*good, *(good[3] | bits for bits in above), MARKER, FINAL_MARKER | above[-1]]
    passed, pulses = timed(unit, dict(enumerate(words)), len(words) + 3)
    assert [token for _, token in passed] == [*good, MARKER, FINAL_MARKER]
    assert len(pulses["bad_address"]) == spare and unit.spare_bits == spare


@pytest.mark.parametrize("shape", [(11,), (3, 2, 5)])
@pytest.mark.parametrize("once", [False, True])
def test_ordered_guard_passes_an_address_once_a_step(shape, once):
    layout = TokenLayout(shape=shape, low=-3, high=3)
    random, values = np.random.default_rng(4), np.array([-3, -1, 1, 3])
    words, wanted, dropped = [], [], 0
    for _ in range(30):
        for marker in (MARKER, FINAL_MARKER):
            least = -1
            for neuron in random.integers(0, np.prod(shape), 12).tolist():
                word = int(layout.events(np.array([neuron]), random.choice(values, 1))[0])
                passes = neuron > least and not (once and marker == FINAL_MARKER)
                least = neuron if passes else least
                wanted += [word] * passes
                dropped += not passes
                words.append(word)
            words.append(marker)
            wanted.append(marker)
    passed, pulses = timed(guard(layout=layout, ordered=True, once=once), dict(enumerate(words)), len(words) + 3)
    assert [token for _, token in passed] == wanted and len(pulses["bad_address"]) == dropped > 100
    whole = [*layout.events(np.arange(np.prod(shape)), np.full(np.prod(shape), 3)).tolist(), FINAL_MARKER] * 3
    passed, pulses = timed(guard(layout=layout, ordered=True, once=once), dict(enumerate(whole)), len(whole) + 3)
    assert [token for _, token in passed] == whole and pulses["bad_address"] == []


def test_guard_has_its_arguments_and_refuses_wrong_ones():
    arguments = {"layout": TokenLayout(shape=(11,)), "steps_max": 2, "timeout": 40, "once": True, "ordered": True,
                 "spare_bits": 2}
    unit = Guard(**arguments)
    assert {name: getattr(unit, name) for name in arguments} == arguments
    with pytest.raises(ValueError, match=r"^steps_max must be an integer of at least 1, not 0$"):
        Guard(**{**arguments, "steps_max": 0})
    with pytest.raises(ValueError, match=r"^timeout must be an integer of at least 0 cycles, not 2.5$"):
        Guard(**{**arguments, "timeout": 2.5})
