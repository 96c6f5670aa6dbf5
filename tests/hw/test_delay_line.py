# SPDX-License-Identifier: MIT
"""Delay line: events come when they are due, in order, at full rate, and none of another inference."""

import re

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from firstspike_arch.delaying import Delaying, delayed
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout, tokens_from_spikes
from firstspike_hw.delay_line import DelayLine
from firstspike_hw.verilog import verilog
from firstspike_sim.backends.unit_bench import run_unit

RANDOM = np.random.default_rng(7)
DELAYINGS = {
    "one address": Delaying(layout=TokenLayout(shape=(1,)), delays=np.array([1])),
    "a few": Delaying(layout=TokenLayout(shape=(5,)), delays=np.array([0, 1, 2, 3, 3])),
    "equal": Delaying(layout=TokenLayout(shape=(70,)), delays=np.full(70, 2)),
    "a map": Delaying(layout=TokenLayout(shape=(3, 5, 6)), delays=RANDOM.integers(0, 5, 90)),
    "graded": Delaying(layout=TokenLayout(shape=(90,), high=3), delays=RANDOM.integers(0, 3, 90)),
    "counts": Delaying(layout=TokenLayout(shape=(20,), high=200), delays=RANDOM.integers(0, 7, 20)),
    "signed": Delaying(layout=TokenLayout(shape=(2, 3, 3), low=-2, high=2), delays=RANDOM.integers(0, 4, 18)),
}
STEPS = 6, 1, 2, 9, 1, 1, 5
"""Steps of inferences, one after the other; some have fewer than the longest delay."""


def draw(delaying: Delaying, seed: int, share: float = 0.4) -> list[np.ndarray]:
    """Spikes [1, T, N] of an inference for each of `STEPS`."""
    random = np.random.default_rng(seed)
    low, high, count = delaying.layout.low, delaying.layout.high, len(delaying.delays)
    return [random.integers(low, high + 1, (1, steps, count)) * (random.random((1, steps, count)) < share)
            for steps in STEPS]


def tokens_of(delaying: Delaying, spikes: list[np.ndarray], *, late: bool) -> list[int]:
    """Tokens of inferences back to back; if they are ``late``, in the order of addresses, with values of 0."""
    found = []
    order = np.argsort(delaying.layout.addresses())
    for one in spikes:
        if not late:
            found += tokens_from_spikes(one, delaying.layout)[0].tolist()
            continue
        there, values = (delayed(part, delaying.delays)[0] for part in (one != 0, one))
        for step, (some, row) in enumerate(zip(there, values, strict=True)):
            neurons = order[some[order]]
            found += delaying.layout.events(neurons, row[neurons]).tolist()
            found.append(FINAL_MARKER if step == len(there) - 1 else MARKER)
    return found


@pytest.mark.thinned(2)
@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("name", DELAYINGS)
def test_events_come_when_they_are_due(name, seed):
    delaying = DELAYINGS[name]
    spikes = draw(delaying, 3)
    sent, wanted = (tokens_of(delaying, spikes, late=late) for late in (False, True))
    seen = run_unit(DelayLine(delaying), "pysim", offers={"events": sent}, takes=["late"], seed=seed,
                    cycles=6 * len(sent) + 20 * delaying.clear_cycles)
    assert seen["late"] == wanted and seen["left"] == [0]
    assert len(wanted) < len(sent) or name == "one address"


def test_the_same_address_twice_adds_up():
    delaying = DELAYINGS["signed"]
    random = np.random.default_rng(4)
    neurons = random.permutation(np.repeat(np.arange(18), 2))
    events = delaying.layout.events(neurons, np.where(np.arange(36) % 3, 1, -1)).tolist()
    values = np.zeros((1, 4, 18), dtype=int)
    np.add.at(values[0, 0], neurons, np.where(np.arange(36) % 3, 1, -1))
    present = np.zeros_like(values)
    present[0, 0] = 1
    sent = [*events, MARKER, MARKER, MARKER, FINAL_MARKER]
    seen = run_unit(DelayLine(delaying), "pysim", offers={"events": sent}, takes=["late"], cycles=400)
    there, late = (delayed(one, delaying.delays)[0] for one in (present, values))
    wanted, order = [], np.argsort(delaying.layout.addresses())
    for step in range(4):
        neurons = order[there[step][order] != 0]
        wanted += delaying.layout.events(neurons, late[step][neurons]).tolist()
        wanted.append(FINAL_MARKER if step == 3 else MARKER)
    assert seen["late"] == wanted


def test_the_table_of_delays_is_in_the_verilog():
    text = verilog(DelayLine(DELAYINGS["a few"]), ())
    assert re.findall(r"delays\[(\d)\] = 2'h(\d);", text) == [*zip("01234", "01233", strict=True)]
    assert not re.search(r"map\[\d+\] = ", text)


def test_an_event_is_taken_in_each_cycle():
    """All addresses fire in every step: a cycle for each event, and one for each word that is read."""
    delaying = DELAYINGS["equal"]
    sent = [*delaying.layout.events(np.arange(70), np.ones(70)).tolist(), MARKER] * 5
    cycles = delaying.clear_cycles + 5 * (71 + delaying.words) + 10
    seen = run_unit(DelayLine(delaying), "pysim", offers={"events": sent}, takes=["late"], cycles=cycles)
    assert seen["left"] == [0]


def test_a_reset_in_the_middle_leaves_no_events():
    """The map is in a memory, which a reset of the registers leaves as it is."""
    delaying = DELAYINGS["a map"]
    sent = tokens_of(delaying, draw(delaying, 6), late=False)
    line, seen = DelayLine(delaying), []
    unit = ResetInserter({"sync": (again := Signal())})(line)

    async def bench(ctx):
        ctx.set(line.late.ready, 1)
        for cycles in (delaying.clear_cycles + 130, delaying.clear_cycles + 6 * len(sent)):
            at = 0
            seen.clear()
            for _ in range(cycles):
                ctx.set(line.events.valid, at < len(sent))
                ctx.set(line.events.payload.as_value(), sent[min(at, len(sent) - 1)])
                at += ctx.get(line.events.ready) and at < len(sent)
                if ctx.get(line.late.valid):
                    seen.append(ctx.get(line.late.payload.as_value()))
                await ctx.tick()
            ctx.set(again, 1)
            await ctx.tick()
            ctx.set(again, 0)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == tokens_of(delaying, draw(delaying, 6), late=True)
