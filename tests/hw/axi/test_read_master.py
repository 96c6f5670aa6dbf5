# SPDX-License-Identifier: MIT
"""The AXI read master and its arbiter: in Amaranth's simulator to the cycle, and on a memory of cocotbext-axi."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.sim import Simulator
from firstspike_hw.axi.read_arbiter import ReadArbiter
from firstspike_hw.axi.read_master import ReadMaster, axi_read
from firstspike_hw.beat_streams import request_stream, response_stream
from firstspike_sim.backends.read_bench import ReadScenario, run_reads

PAGE = 4096


class SharedMaster(Component):
    """Sources, arbiter and master."""

    def __init__(self, *, sources: int, address_bits: int, data_bits: int, **options):
        self._sources = sources
        self.arbiter = ReadArbiter(address_bits=address_bits, data_bits=data_bits, sources=sources)
        self.master = ReadMaster(address_bits=address_bits, data_bits=data_bits, **options)
        super().__init__({
            **{f"requests{number}": In(request_stream(address_bits)) for number in range(sources)},
            **{f"responses{number}": Out(response_stream(data_bits)) for number in range(sources)},
            "bus": Out(axi_read(address_bits, data_bits)), "dead": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter, m.submodules.master = self.arbiter, self.master
        connect(m, self.arbiter.requests, self.master.requests)
        connect(m, self.master.responses, self.arbiter.responses)
        connect(m, self.master.bus, flipped(self.bus))
        m.d.comb += self.dead.eq(self.master.dead)
        for number in range(self._sources):
            connect(m, flipped(getattr(self, f"requests{number}")), getattr(self.arbiter, f"requests{number}"))
            connect(m, getattr(self.arbiter, f"responses{number}"), flipped(getattr(self, f"responses{number}")))
        return m


class Bus:
    """A memory that gives word n at the octet 4 n, one beat a cycle, ``latency`` cycles after an address is taken."""

    def __init__(self, latency: int = 3, *, takes: bool = True, gives: int = 10**6, response=lambda word: 0,
                 cuts: int = -1):
        self.latency, self.takes, self.gives, self.response, self.cuts = latency, takes, gives, response, cuts
        self.due, self.addresses, self.taken = [], [], []

    def drive(self, ctx, bus, cycle: int):
        beat = self.due[0] if self.due and self.due[0][0] <= cycle and self.gives else None
        ctx.set(bus.arready, self.takes)
        ctx.set(bus.rvalid, beat is not None)
        if beat:
            _, word, last = beat
            ctx.set(bus.rdata, word)
            ctx.set(bus.rlast, last ^ (word == self.cuts))
            ctx.set(bus.rresp, self.response(word))
        if beat and ctx.get(bus.rready):
            self.due.pop(0)
            self.gives -= 1
            self.taken.append(cycle)
        if ctx.get(bus.arvalid):
            address, count = ctx.get(bus.araddr), ctx.get(bus.arlen) + 1
            if self.takes:
                self.due += [(cycle + self.latency + place, address // 4 + place, place == count - 1)
                             for place in range(count)]
            self.addresses.append((cycle, address, count))


def run_master(bus: Bus, requests, *, cycles: int = 400, takes=lambda cycle: True, **options):
    """Beats that are passed on, (cycle, data, last, error), cycles in which requests are taken, cycles in which the
    memory is dead, and the number of failed beats."""
    unit = ReadMaster(**{"address_bits": 16, "data_bits": 32, **options})
    beats, taken, dead, failed, left = [], [], [], [], list(requests)

    async def bench(ctx):
        for cycle in range(cycles):
            ctx.set(unit.requests.valid, bool(left))
            if left:
                ctx.set(unit.requests.payload, {"address": left[0][0], "beats": left[0][1]})
            ctx.set(unit.responses.ready, takes(cycle))
            bus.drive(ctx, unit.bus, cycle)
            out = unit.responses
            if ctx.get(out.valid) and ctx.get(out.ready):
                beats.append((cycle, *(ctx.get(getattr(out.payload, name)) for name in ("data", "last", "error"))))
            if left and ctx.get(unit.requests.ready):
                left.pop(0)
                taken.append(cycle)
            dead.extend([cycle] * ctx.get(unit.dead))
            failed.append(ctx.get(unit.failed))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert sum(failed) == sum(error for _, _, _, error in beats)
    return beats, taken, dead


def test_latency_and_throughput_are_as_the_docstring_says():
    bus = Bus(latency=44)  # 16 × 3 − 4
    beats, taken, _ = run_master(bus, [(64, 160), (4096 - 4, 2)])
    assert taken[0] == 0 and bus.addresses[:4] == [(2 + place, 64 + 64 * place, 16) for place in range(4)]
    assert [cycle for cycle, *_ in beats[:160]] == list(range(48, 208))  # no cycle is lost
    assert bus.taken[0] == 46 and taken[1] == bus.addresses[9][0]
    assert [one[1:] for one in bus.addresses[-2:]] == [(4092, 1), (4096, 1)]
    slower, _, _ = run_master(Bus(latency=45), [(64, 160)])
    assert slower[159][0] - slower[0][0] > 159
    short = Bus()
    _, taken, _ = run_master(short, [(4 * place, 1) for place in range(4)])
    assert taken == [0, 2, 4, 6] and [cycle for cycle, *_ in short.addresses] == [2, 4, 6, 8]


def test_no_address_is_offered_without_room_and_no_beat_waits_on_the_bus():
    bus = Bus()
    beats, _, _ = run_master(bus, [(0, 200)], takes=lambda cycle: cycle > 250, cycles=700)
    assert len([one for one in bus.addresses if one[0] <= 250]) == 4 and len(beats) == 200
    assert bus.taken[:64] == list(range(bus.taken[0], bus.taken[0] + 64))


@pytest.mark.parametrize("response, fails", [(0, False), (1, False), (2, True), (3, True)])
def test_an_error_lasts_to_the_end_of_its_request_which_is_read_all_the_same(response, fails):
    bus = Bus(response=lambda word: response * (word == 20))
    beats, _, _ = run_master(bus, [(0, 40), (160, 5)])
    assert [error for *_, error in beats] == [0] * 20 + [int(fails)] * 20 + [0] * 5
    assert [word for _, word, _, error in beats if not error] == [
        word for word in range(45) if not (fails and 20 <= word < 40)]
    assert [place for place, (_, _, last, _) in enumerate(beats) if last] == [39, 44] and len(bus.taken) == 45


@pytest.mark.parametrize("word", [7, 15])
def test_a_burst_with_its_last_in_the_wrong_place_is_an_error(word):
    beats, _, _ = run_master(Bus(cuts=word), [(0, 20), (80, 2)])
    assert [error for *_, error in beats] == [0] * word + [1] * (20 - word) + [0, 0]


@pytest.mark.parametrize("request_, beats", [((6, 3), 3), ((1, 40), 40), ((64, 0), 1)])
def test_a_request_that_is_refused_does_not_reach_the_bus_nor_disturb_others(request_, beats):
    bus = Bus(latency=0)
    seen, _, _ = run_master(bus, [(0, 2), request_, (8, 33)])
    assert [beat[1:] for beat in seen if not beat[3]] == [
        (0, 0, 0), (1, 1, 0), *((2 + place, int(place == 32), 0) for place in range(33))]
    assert [beat[2:] for beat in seen[2 : 2 + beats]] == [(int(place == beats - 1), 1) for place in range(beats)]
    assert sum(count for *_, count in bus.addresses) == 35 and len(seen) == 35 + beats


def test_what_lies_beyond_the_last_address_is_an_error_and_never_reaches_the_bus():
    bus = Bus()
    beats, _, _ = run_master(bus, [(4096 - 8, 3000)], address_bits=12, cycles=4000)
    assert bus.addresses == [(2, 4088, 2)] and len(beats) == 3000
    assert [error for *_, error in beats] == [0, 0, *[1] * 2998]



TIMEOUT = 50


def test_a_memory_that_takes_no_address_is_given_up_but_the_address_stays():
    bus = Bus(takes=False)
    beats, _, dead = run_master(bus, [(0, 20), (400, 3)], timeout=TIMEOUT)
    assert dead == list(range(2 + TIMEOUT, 400))
    assert bus.addresses == [(cycle, 0, 16) for cycle in range(2, 400)]
    assert [beat[2:] for beat in beats] == [*[(0, 1)] * 19, (1, 1), (0, 1), (0, 1), (1, 1)]
    assert [cycle for cycle, *_ in beats[:20]] == list(range(beats[0][0], beats[0][0] + 20))


def test_a_memory_that_falls_silent_is_given_up_and_late_beats_are_dropped():
    bus, gives = Bus(gives=10), 10

    def takes(cycle):
        if cycle == 150:
            bus.gives = 10**6  # it awakes
        return True

    beats, _, dead = run_master(bus, [(0, 40), (160, 3)], timeout=TIMEOUT, takes=takes)
    assert dead[0] == bus.taken[gives - 1] + 1 + TIMEOUT and dead[-1] == 399
    assert [word for _, word, _, error in beats if not error] == list(range(10))
    assert [beat[2:] for beat in beats[10:]] == [*[(0, 1)] * 29, (1, 1), (0, 1), (0, 1), (1, 1)]
    assert len(bus.taken) > 40 and not bus.due  # taken, so that the bus is free for others


def test_a_memory_without_requests_or_with_slow_beats_is_not_given_up():
    bus = Bus(latency=TIMEOUT - 1)
    beats, _, dead = run_master(bus, [(0, 3)], timeout=TIMEOUT)
    assert not dead and [error for *_, error in beats] == [0] * 3
    _, _, dead = run_master(Bus(latency=TIMEOUT + 1), [(0, 3)], timeout=TIMEOUT)
    assert dead


@pytest.mark.parametrize("unit, options, message", [
    (ReadMaster, {"data_bits": 48}, "data_bits must be 32, 64 or 128, not 48"),
    (ReadMaster, {"address_bits": 11}, "address_bits must be an integer of 12…64, not 11"),
    (ReadMaster, {"burst_beats": 24}, "burst_beats must be a power of two of 1…256, not 24"),
    (ReadMaster, {"burst_beats": 512}, "burst_beats must be a power of two of 1…256, not 512"),
    (ReadMaster, {"outstanding": 3}, "outstanding must be an integer of 4…64 bursts, not 3"),
    (ReadMaster, {"timeout": 5}, "timeout must be an integer of at least 16 cycles, not 5"),
    (ReadArbiter, {"sources": 0}, "sources must be an integer of 1…256, not 0"),
    (ReadArbiter, {"sources": 2, "outstanding": 0}, "outstanding must be an integer of 1…256 requests, not 0"),
])
def test_wrong_arguments_are_refused(unit, options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        unit(**{"address_bits": 16, "data_bits": 32, **options})
    right = {"address_bits": 16, "data_bits": 64, "outstanding": 5} | (
        {"sources": 3} if unit is ReadArbiter else {"burst_beats": 8, "timeout": 99})
    made = unit(**right)
    assert {name: getattr(made, name) for name in right} == right


def test_the_arbiter_takes_turns_and_skips_who_asks_for_nothing():
    unit, order = ReadArbiter(address_bits=16, data_bits=32, sources=3, outstanding=4), []

    async def bench(ctx):
        for number, count in enumerate((3, 0, 3)):
            ctx.set(getattr(unit, f"requests{number}").valid, bool(count))
            ctx.set(getattr(unit, f"requests{number}").payload, {"address": number, "beats": 1})
        ctx.set(unit.requests.ready, 1)
        for cycle in range(20):
            if ctx.get(unit.requests.valid):
                order.append((cycle, ctx.get(unit.requests.payload.address)))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    # One every two cycles, after the one that begins; none is answered, so that four are the most.
    assert order == [(1, 2), (3, 0), (5, 2), (7, 0)]


def wanted(contents: bytes, requests, octets: int, errors=()):
    """Beats of the answers: (data, last, error), data None where there is an error."""
    beats = []
    for address, count in requests:
        failed = bool(address % octets) or not count
        for place in range(max(1, count)):
            at = address + place * octets
            failed |= at + octets > len(contents) or any(low <= at < high for low, high in errors)
            data = None if failed else int.from_bytes(contents[at : at + octets], "little")
            beats.append((data, int(place == max(1, count) - 1), int(failed)))
    return beats


def plain(answers):
    return [(None if error else data, last, error) for data, last, error in answers]


def some_requests(random, octets: int, size: int, count: int):
    """Requests of all kinds: single beats, those over several pages, and those that must be refused."""
    found = []
    for _ in range(count):
        beats = int(random.choice([1, 2, 15, 16, 17, int(random.integers(1, 200)), 0]))
        address = int(random.integers(0, size - (beats + 1) * octets)) // octets * octets
        if random.random() < 0.4:  # around the end of a page
            address = max(0, address // PAGE * PAGE - octets * int(random.integers(0, beats + 2)))
        found.append((address + int(random.random() < 0.1), beats))
    return found


@pytest.mark.parametrize("data_bits, burst_beats, outstanding, sources", [
    (32, 16, 4, 3), *(pytest.param(*one, marks=pytest.mark.slow) for one in (
        (64, 256, 5, 1), (128, 256, 4, 2), (64, 1, 4, 2), (128, 16, 4, 1))),
])
def test_a_memory_of_cocotbext_axi_is_read_whole_and_in_order(data_bits, burst_beats, outstanding, sources):
    octets, random = data_bits // 8, np.random.default_rng(data_bits + burst_beats)
    contents = random.integers(0, 256, 5 * PAGE, np.uint8).tobytes()
    bad = (PAGE + 3 * octets, PAGE + 5 * octets)
    unit = SharedMaster(sources=sources, address_bits=20, data_bits=data_bits, burst_beats=burst_beats,
                        outstanding=outstanding, timeout=400)
    plans = [[some_requests(random, octets, len(contents), 12) for _ in range(sources)] for _ in range(2)]
    last = (len(contents) - 4 * octets, 8)  # half of it beyond the end
    scenarios = [
        ReadScenario(requests=plans[0]),
        ReadScenario(requests=[[*plan, last] for plan in plans[1]], stalls=True, seed=1, errors=[bad]),
        ReadScenario(requests=[[(0, 40)]] * sources, silent_after=21),
        ReadScenario(requests=plans[1], stalls=True, seed=2),
    ]
    plain_, stalled, silent, again = run_reads(unit, contents, scenarios, sources=sources)
    for trace, scenario in ((plain_, scenarios[0]), (stalled, scenarios[1]), (again, scenarios[3])):
        for answers, requests in zip(trace.answers, scenario.requests, strict=True):
            assert plain(answers) == wanted(contents, requests, octets, scenario.errors)
        assert not trace.dead and trace.most <= outstanding
        assert all(beats <= burst_beats for _, _, beats in trace.bursts)
    assert any(error for _, _, error in stalled.answers[0]) and not all(error for _, _, error in stalled.answers[0])
    # All bursts of the bus are those of the requests that are not refused.
    asked = sum(count for plan in scenarios[0].requests for address, count in plan if not address % octets)
    assert sum(beats for _, _, beats in plain_.bursts) == asked
    # The memory falls silent: what is owed comes as errors, and so do all requests after it.
    everything = [beat for answers in silent.answers for beat in answers]
    assert silent.dead and [len(answers) for answers in silent.answers] == [40] * sources
    assert sum(not error for _, _, error in everything) == 21
    assert [place for place, (_, last, _) in enumerate(silent.answers[0]) if last] == [39]
