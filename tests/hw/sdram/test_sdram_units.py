# SPDX-License-Identifier: MIT
"""Units of the SDRAM's side, on a model of LiteDRAM's native port; `test_sdram_core` runs them on LiteDRAM itself."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from firstspike_hw.beat_streams import ADDRESS_BITS
from firstspike_hw.sdram.sdram_core import SdramChip, StartStep
from firstspike_hw.sdram.sdram_port import QUEUE_WORDS, SdramPort
from firstspike_hw.sdram.sdram_starter import SdramStarter
from firstspike_hw.sdram.sdram_tester import SdramTester, beat_of_test

CHIP = SdramChip(module="none", row_bits=4, column_bits=3, bank_bits=1)  # 256 words, 512 octets


class Controller:
    """Carries out commands in order: a read word comes ``latency`` cycles behind its command, a word to write is taken
    three behind."""

    def __init__(self, latency: int = 6, seed: int | None = None):
        self.words, self.latency, self.random = {}, latency, None if seed is None else np.random.default_rng(seed)
        self.reads, self.writes, self.commands = [], [], []

    def drive(self, ctx, native, cycle: int):
        ready = self.random is None or self.random.random() < 0.6
        ctx.set(native.cmd_ready, ready)
        read = self.reads[0] if self.reads and self.reads[0][0] <= cycle else None
        ctx.set(native.rdata_valid, read is not None)
        if read:
            ctx.set(native.rdata_data, self.words.get(self.reads.pop(0)[1], 0xDEAD))
        write = self.writes[0] if self.writes and self.writes[0][0] <= cycle else None
        ctx.set(native.wdata_ready, write is not None)
        if write:
            assert ctx.get(native.wdata_valid) and ctx.get(native.wdata_we) == 3
            self.words[self.writes.pop(0)[1]] = ctx.get(native.wdata_data)
        if ready and ctx.get(native.cmd_valid):
            address = ctx.get(native.cmd_addr)
            self.commands.append((cycle, address, ctx.get(native.cmd_we)))
            (self.writes if ctx.get(native.cmd_we) else self.reads).append(
                (cycle + (3 if ctx.get(native.cmd_we) else self.latency), address))


def run_port(controller, *, data_bits=64, writes=(), requests=(), cycles=500, takes=lambda cycle: True):
    """Beats, (cycle, data, last, error), and how many words of both inputs were not taken."""
    unit, beats = SdramPort(CHIP, data_bits=data_bits), []
    left = {"writes": list(writes), "requests": list(requests)}

    async def bench(ctx):
        for cycle in range(cycles):
            for name, words in left.items():
                stream = getattr(unit, name)
                ctx.set(stream.valid, bool(words) and (name == "writes" or not left["writes"]))
                if words:
                    ctx.set(stream.payload, dict(zip(("address", "data" if name == "writes" else "beats"), words[0],
                                                     strict=True)))
            ctx.set(unit.responses.ready, takes(cycle))
            controller.drive(ctx, unit.native, cycle)
            out = unit.responses
            if ctx.get(out.valid) and ctx.get(out.ready):
                beats.append((cycle, *(ctx.get(getattr(out.payload, name)) for name in ("data", "last", "error"))))
            for name, words in left.items():
                if ctx.get(getattr(unit, name).valid) and ctx.get(getattr(unit, name).ready):
                    words.pop(0)
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return beats, {name: len(words) for name, words in left.items()}


@pytest.mark.parametrize("data_bits, seed", [(32, None), (64, 3), (128, 4)])
def test_what_is_written_is_read(data_bits, seed):
    octets, random = data_bits // 8, np.random.default_rng(7)
    contents = random.integers(0, 256, CHIP.size, np.uint8).tobytes()
    beats = [int.from_bytes(contents[at : at + octets], "little") for at in range(0, CHIP.size, octets)]
    order = random.permutation(len(beats)).tolist()
    requests = [(0, len(beats)), (octets, 1), (CHIP.size - 3 * octets, 3), (4 * octets, 17)]
    waits = np.random.default_rng(1)
    seen, left = run_port(
        Controller(seed=seed), data_bits=data_bits, cycles=4000, requests=requests,
        writes=[(CHIP.size, 1), (1 << 31, 2), *((place * octets, beats[place]) for place in order)],  # two are beyond
        takes=lambda cycle: seed is None or waits.random() < 0.5)
    wanted = [(beats[address // octets + place], int(place == count - 1), 0)
              for address, count in requests for place in range(count)]
    assert [beat[1:] for beat in seen] == wanted and left == {"writes": 0, "requests": 0}


def test_a_word_a_cycle_and_three_cycles_from_the_last_word_to_its_beat():
    controller = Controller(latency=9)
    seen, _ = run_port(controller, requests=[(0, 60), (8, 2)])
    assert [cycle for cycle, _, _ in controller.commands[:240]] == list(range(1, 241))
    assert [cycle for cycle, *_ in seen[:60]] == [1 + 3 + 9 + 3 + 4 * place for place in range(60)]


def test_no_more_words_are_asked_for_than_have_room():
    controller = Controller()
    seen, _ = run_port(controller, requests=[(0, 64)], cycles=900, takes=lambda cycle: cycle > 400)
    # Those of the beat that waits have left the queue.
    assert sum(cycle <= 400 for cycle, *_ in controller.commands) == QUEUE_WORDS + 4 and len(seen) == 64


@pytest.mark.parametrize("request_, beats, right", [
    ((4, 3), 3, 0), ((512, 2), 2, 0), ((1 << ADDRESS_BITS - 1, 5), 5, 0), ((8, 0), 1, 0), ((512 - 16, 5), 5, 2),
])
def test_what_cannot_be_read_is_answered_by_errors_in_its_turn(request_, beats, right):
    controller = Controller(latency=20)
    controller.words = {place: place for place in range(256)}
    seen, left = run_port(controller, requests=[(0, 2), request_, (16, 2)])
    assert [beat[2:] for beat in seen] == [
        (0, 0), (1, 0), *((int(place == beats - 1), int(place >= right)) for place in range(beats)), (0, 0), (1, 0)]
    assert [word & 0xFFFF for _, word, _, error in seen if not error] == [
        0, 4, *[248, 252][:right], 8, 12] and not left["requests"]
    assert len(controller.commands) == 4 * (4 + right)


def test_the_starter_makes_all_writes_and_waits():
    steps = [StartStep(register=5, data=7), StartStep(register=512, data=0xFFFF_FFFF, wait=9),
             StartStep(register=0, data=1)]
    unit, seen, done = SdramStarter(steps), [], []

    async def bench(ctx):
        for cycle in range(40):
            offered = ctx.get(unit.bus.cyc)
            assert ctx.get(unit.bus.stb) == offered and ctx.get(unit.bus.we) and ctx.get(unit.bus.sel) == 15
            ack = offered and cycle % 3 == 2
            ctx.set(unit.bus.ack, ack)
            seen.append((cycle, ctx.get(unit.bus.adr), ctx.get(unit.bus.dat_w), ack) if offered else None)
            done.extend([cycle] * ctx.get(unit.done))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    offers = [one for one in seen if one]
    assert [one[:3] for one in offers if one[3]] == [(2, 5, 7), (5, 512, 0xFFFF_FFFF), (17, 0, 1)]
    assert [cycle for cycle, *_ in offers] == [0, 1, 2, 4, 5, 16, 17]  # c + 2 + wait
    assert done == list(range(19, 40)) and list(unit.steps) == steps


class Store:
    """A memory behind the tester, with a fault: a function of (beat, data) that it keeps, or of its answers."""

    def __init__(self, keeps=lambda beat, data: data, error=None, cuts=None):
        self.beats, self.keeps, self.error, self.cuts, self.owed, self.given = {}, keeps, error, cuts, [], 0


def run_tester(store: Store, *, data_bits=32, beats=32):
    """Whether the tester ended, and whether it found something wrong."""
    unit = SdramTester(data_bits=data_bits, beats=beats, request_beats=8)
    found = []

    async def bench(ctx):
        for cycle in range(12 * beats):
            ready = cycle % 3 != 0
            ctx.set(unit.writes.ready, ready)
            ctx.set(unit.requests.ready, ready)
            if ready and ctx.get(unit.writes.valid):
                beat = ctx.get(unit.writes.payload.address) // (data_bits // 8)
                store.beats[beat] = store.keeps(beat, ctx.get(unit.writes.payload.data))
            gives = bool(store.owed) and cycle % 2 == 0
            ctx.set(unit.responses.valid, gives)
            if gives:
                beat, last = store.owed.pop(0)
                ctx.set(unit.responses.payload, {"data": store.beats[beat], "last": last ^ (beat == store.cuts),
                                                 "error": beat == store.error})
            if ready and ctx.get(unit.requests.valid):
                first, count = (ctx.get(getattr(unit.requests.payload, name)) for name in ("address", "beats"))
                store.owed += [(first // (data_bits // 8) + place, place == count - 1) for place in range(count)]
            await ctx.tick()
        found.extend([ctx.get(unit.done), ctx.get(unit.wrong)])

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return tuple(found)


@pytest.mark.parametrize("data_bits", [32, 64, 128])
def test_the_tester_passes_a_memory_that_holds_everything(data_bits):
    store = Store()
    assert run_tester(store, data_bits=data_bits) == (1, 0)
    assert store.beats == {beat: beat_of_test(beat, data_bits) for beat in range(32)}


@pytest.mark.parametrize("store", [
    Store(keeps=lambda beat, data: data | 1), Store(keeps=lambda beat, data: data & ~(1 << 63)),
    Store(keeps=lambda beat, data: beat_of_test(beat & ~16, 64)),
    Store(keeps=lambda beat, data: data ^ (beat == 31) << 40),
    Store(error=31), Store(cuts=15), Store(cuts=9),
])
def test_the_tester_finds_every_fault(store):
    assert run_tester(store, data_bits=64) == (1, 1)


@pytest.mark.parametrize("make, message", [
    (lambda: SdramPort(CHIP, data_bits=16), "data_bits must be 32, 64 or 128, not 16"),
    (lambda: SdramStarter([]), "steps must be at least one, not none"),
    (lambda: SdramTester(data_bits=32, beats=12, request_beats=8),
     "beats must be a multiple of the 8 of a request, not 12"),
    (lambda: SdramTester(data_bits=32, beats=4, request_beats=8),
     r"beats must be an integer of 8…2147483648 beats, not 4"),
])
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()
