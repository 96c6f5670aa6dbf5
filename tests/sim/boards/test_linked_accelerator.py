# SPDX-License-Identifier: MIT
"""The accelerator behind the host link, octet by octet in Amaranth's simulator: networks without end, and weights in an
external memory."""

import itertools
from collections import deque
from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from cobs import cobs
from firstspike_arch.events import ADDRESS_SHIFT, MARKER
from firstspike_arch.memory import MemoryShape
from firstspike_arch.program import Program
from firstspike_arch.status import PARITY_ADDRESSES
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link, LinkError
from firstspike_hw.link.frames import (
    NO_PROGRAM,
    PROGRAM_PLACES,
    STAMP_BYTES,
    Capability,
    Kind,
    frame_body,
    identity_of,
    parse_body,
    wire_format,
)
from firstspike_hw.link.linked_accelerator import LinkedAccelerator, linked_memories
from firstspike_sim.boards.faulty_transport import FaultyTransport
from firstspike_sim.models.prediction import predict_inputs, predict_stimulus
from firstspike_sim.stimulus import make_stimulus

VALUES = ("classes", "steps", "decided_by", "scores")
CLK_HZ = 1_000_000


class Store:
    """An external memory of 4 KiB, which takes a write or a request a cycle, and has a beat for each cycle.

    It has started in cycle ``start``. ``stuck``: bits of each beat that are lost; ``fails``: addresses that are read
    with errors.
    """

    def __init__(self, *, start: int = 0, stuck: int = 0, fails: range = range(0)):
        self.octets, self.start, self.stuck, self.fails = bytearray(4096), start, stuck, fails
        self.beats, self.written = deque(), 0

    def step(self, ctx, memory, size: int, cycle: int):
        """Carry out a cycle."""
        runs, requests, responses, writes = cycle >= self.start, memory.requests, memory.responses, memory.writes
        for stream in (requests, writes):
            ctx.set(stream.ready, runs)
        ctx.set(memory.started, runs)
        ctx.set(responses.valid, bool(self.beats))
        if self.beats:
            at, last = self.beats[0]
            ctx.set(responses.payload, {"data": int.from_bytes(self.octets[at:at + size], "little"), "last": last,
                                        "error": at in self.fails})
            if ctx.get(responses.ready):
                self.beats.popleft()
        if runs and ctx.get(writes.valid):
            at, self.written = ctx.get(writes.payload.address), self.written + 1
            self.octets[at:at + size] = (ctx.get(writes.payload.data) & ~self.stuck).to_bytes(size, "little")
        if runs and ctx.get(requests.valid):
            at, beats = ctx.get(requests.payload.address), ctx.get(requests.payload.beats)
            self.beats += [(at + size * beat, beat == beats - 1) for beat in range(beats)]


class PysimBoard:
    """A `firstspike_hw.link.frames.Transport` to a `LinkedAccelerator`: an octet a cycle, and a cycle is 1 µs."""

    octets_per_second = float(CLK_HZ)

    def __init__(self, program: Program, *, buffer_bytes: int = 256, store: Store | None = None):
        linked = LinkedAccelerator(program, buffer_bytes=buffer_bytes, memories=linked_memories(
            program, buffer_bytes=buffer_bytes, clk_hz=CLK_HZ))
        self.cycles, self._given, self._taken = 0, deque(), bytearray()
        self._reset = Signal()
        self._simulator = Simulator(ResetInserter(self._reset)(linked))
        self._simulator.add_clock(1 / CLK_HZ)

        async def wires(ctx):
            ctx.set(linked.tx.ready, 1)
            while True:
                ctx.set(self._reset, self.pressed)
                self.pressed = False
                ctx.set(linked.rx.valid, bool(self._given))
                ctx.set(linked.rx.payload, self._given.popleft() if self._given else 0)  # rx is always ready
                if ctx.get(linked.tx.valid):
                    self._taken.append(ctx.get(linked.tx.payload))
                await ctx.tick()

        async def memory(ctx):
            assert store
            for cycle in itertools.count():
                store.step(ctx, linked.memory, program.config.beat_bits // 8, cycle)
                await ctx.tick()

        self.pressed = False
        self._simulator.add_testbench(wires, background=True)
        if store:
            self._simulator.add_testbench(memory, background=True)

    def write(self, data: bytes) -> None:
        self._given += data

    def read(self, seconds: float) -> bytes:
        end = self.cycles + max(1, round(seconds * CLK_HZ))
        while self.cycles < end and not self._taken.endswith(b"\0"):
            self.cycles += 1
            self._simulator.run_until(self.cycles / CLK_HZ)
        taken = bytes(self._taken)
        self._taken.clear()
        return taken

    def now(self) -> float:
        return self.cycles / CLK_HZ

    def close(self) -> None:
        pass


def program_of(size: int, lanes: int = 4) -> Program:
    """Two layers with a leak, so slow that a window depends on those before."""
    random = np.random.default_rng(2)
    builder = fs.NetworkBuilder(8, steps=size, readout="spike_count", endless=True, in_max=2)
    builder.layer(random.integers(-6, 9, (7, 8)), theta=40, leak=0.9375)
    builder.layer(random.integers(-6, 9, (5, 7)), theta=25, leak=0.9375, bias=1)
    return fs.compile(builder.build(), lanes=lanes).program


def inputs_of(batch: int, steps: int) -> np.ndarray:
    random = np.random.default_rng(1)
    return random.integers(0, 3, (batch, steps, 8)) * (random.random((batch, steps, 8)) < 0.4)


def backend_of(transport, program: Program, **options) -> WireBackend:
    backend = WireBackend(Link(lambda: transport, **{"timeout": 0.003, **options}))
    backend.load(program)
    return backend


def differing(wanted, trace) -> list[str]:
    return [name for name in VALUES if not np.array_equal(getattr(wanted.trace, name), getattr(trace, name))]


@pytest.mark.parametrize(("size", "steps"), [
    pytest.param(1, 9, marks=pytest.mark.slow), pytest.param(3, 20, marks=pytest.mark.slow), (3, 21)])
def test_an_answer_has_a_record_for_each_window(size, steps):
    program, inputs = program_of(size), inputs_of(12, steps)
    backend = backend_of(PysimBoard(program), program)
    assert backend.link.identity.capabilities == Capability.ENDLESS
    wanted = predict_inputs(program, inputs)
    assert wanted.stimulus.results == 12 * -(-steps // size) and len(wanted.stimulus.words) > 256  # several requests
    trace = backend.run(wanted.stimulus)
    assert differing(wanted, trace) == [] and len({*trace.scores.ravel().tolist()}) > 1
    assert backend.link.resent == 0 and trace.counters["inferences"] == wanted.stimulus.results


def test_stamps_of_windows_equal_the_timing_model():
    # With one lane a step takes longer than a record, so that no result waits for the one before it.
    program, inputs = program_of(4, lanes=1), np.random.default_rng(1).integers(1, 3, (1, 30, 8))
    wire, plain = wire_format(program), make_stimulus(program, inputs)
    # A word comes out of the buffer octet by octet; then it is offered.
    gaps = np.full(len(plain.words), wire.word_bytes)
    gaps[0] = 200
    wanted = predict_stimulus(program, inputs, replace(plain, gaps=gaps)).trace
    stamps = backend_of(PysimBoard(program, buffer_bytes=1024), program).run(plain).decided
    assert stamps.tolist() == (wanted.decided - wanted.accepted[0]).tolist() and len(stamps) == 8


def test_faults_change_no_membrane_twice():
    """A request that is carried out again begins from v_init, as it did before."""
    program = program_of(3)
    wanted = predict_inputs(program, inputs_of(20, 16))
    faults = FaultyTransport(PysimBoard(program), flip=5e-4, drop=5e-4, cut=1e-4, seed=3)
    backend = backend_of(faults, program)
    trace = backend.run(wanted.stimulus)
    assert differing(wanted, trace) == [] and faults.faults > 0 and backend.link.resent > 0
    assert trace.counters["inferences"] > wanted.stimulus.results  # some were carried out twice


def test_an_answer_may_take_longer_than_the_timeout():
    program = program_of(1)
    backend = backend_of(PysimBoard(program), program, timeout=0.001)
    wanted = predict_inputs(program, np.zeros((1, 249, 8), int))
    trace = backend.run(wanted.stimulus)
    assert differing(wanted, trace) == [] and backend.link.resent == 0
    assert trace.decided[-1] > 0.002 * CLK_HZ


def test_addresses_beyond_the_token_are_dropped_and_counted():
    """Eleven inputs need four bits of address, and a token's octet has room for six: 19 and 35 are not 3."""
    random = np.random.default_rng(4)
    builder = fs.NetworkBuilder(11, steps=2, readout="potential")
    builder.layer(random.integers(-6, 9, (5, 11)))
    program, inputs = fs.compile(builder.build(), lanes=4).program, random.integers(0, 2, (2, 2, 11))
    assert wire_format(program).word_bytes == 1
    backend = backend_of(PysimBoard(program), program)
    wanted = predict_inputs(program, inputs)
    places = [0, 3, len(wanted.stimulus.words) - 1]
    for address in (19, 35, 15):
        words = np.insert(wanted.stimulus.words, places, address << ADDRESS_SHIFT)
        starts = wanted.stimulus.starts + np.searchsorted(places, wanted.stimulus.starts, side="left")
        before = backend.counters()["bad_address"]
        trace = backend.run(replace(wanted.stimulus, words=words, starts=starts, opens=None))
        assert differing(wanted, trace) == [] and trace.counters["bad_address"] - before == len(places)
    with pytest.raises(ValueError, match=r"^input words must have at most 8 bits, not 0x10c at word 3$"):
        backend.run(replace(wanted.stimulus, words=np.insert(wanted.stimulus.words, 3, 67 << ADDRESS_SHIFT),
                            starts=wanted.stimulus.starts + np.array([0, 1, 1])))


def test_what_a_request_cannot_hold_is_refused():
    program = program_of(3)
    backend = backend_of(PysimBoard(program), program)
    stimulus = make_stimulus(program, inputs_of(2, 6))
    words = stimulus.words.copy()
    words[-1] = MARKER
    with pytest.raises(ValueError, match=r"^inference 1 must end with a final marker, or have all words of an image$"):
        backend.run(replace(stimulus, words=words))
    with pytest.raises(ValueError, match=r"^request 0 \(INFER\) must fit the device's buffer of 256 bytes, not need "
                                         r"307$"):
        backend.run(make_stimulus(program, np.zeros((1, 300, 8), int)))
    # What was completed left nothing behind.
    wanted = predict_inputs(program, inputs_of(2, 6))
    assert differing(wanted, backend.run(wanted.stimulus)) == []
    answer, = backend.link.exchange([(Kind.INFER, wire_format(program).pack_words(words[-1:]))])
    assert len(answer) == wire_format(program).record_bytes + 1 and answer[-1] == 1


@pytest.mark.slow
def test_words_that_do_not_fit_their_parity_are_told_and_loaded_again(monkeypatch):
    random = np.random.default_rng(2)
    builder = fs.NetworkBuilder(6, steps=2, readout="spike_count", in_max=2)
    builder.layer(random.integers(1, 9, (5, 6)), theta=12, name="first")
    builder.layer(random.integers(1, 9, (3, 5)), theta=8, name="last")
    program, stored = fs.compile(builder.build(), lanes=[5, 3], protect="parity").program, MemoryShape.stored
    damaged = program.memories()[1].name
    with monkeypatch.context() as patch:  # the weights of one layer, but not its row of zeros, lose a bit of parity
        patch.setattr(MemoryShape, "stored", lambda self, word: stored(self, word) ^ (
            word > 0 and self.name == damaged) << self.used_bits)
        board = PysimBoard(program)
        backend = backend_of(board, program)
    wanted = predict_inputs(program, random.integers(0, 3, (3, 2, 6)))
    assert backend.link.identity.capabilities == Capability.PARITY
    assert {name: backend.counters()[name] for name in PARITY_ADDRESSES} == {"parity_errors": 0, "parity_cores": 0}
    with pytest.raises(LinkError, match=r"^words in the memories of last must be as they were written, but do not fit "
                                        r"their parity: the results are not to be trusted; run again, which loads the "
                                        r"weights again$"):
        backend.run(wanted.stimulus)
    assert backend.counters()["parity_errors"] > 0 and backend.counters()["parity_cores"] == 1 << 1
    backend.load(program)
    trace = backend.run(wanted.stimulus)
    assert differing(wanted, trace) == []
    assert (trace.counters["parity_errors"], trace.counters["parity_cores"]) == (0, 0)


def external_program(seed: int = 2, **options) -> Program:
    """Two layers; another seed gives other weights of the same hardware."""
    fixed, random = np.random.default_rng(2), np.random.default_rng(seed)
    builder = fs.NetworkBuilder(8, steps=3, readout="spike_count", in_max=2)
    for inputs, neurons, theta in ((8, 7, 12), (7, 5, 8)):
        weights = random.permuted(fixed.integers(-6, 9, (neurons, inputs)), axis=1)
        builder.layer(weights, theta=theta, leak=0.9375)
    return fs.compile(builder.build(), lanes=4, **{"external": [0, 1], "beat_bits": 32, **options}).program


@pytest.mark.slow
def test_external_weights_are_loaded_once_and_read():
    program, store = external_program(), Store()
    board = PysimBoard(program, store=store)
    link, wanted = Link(lambda: board, timeout=0.003), predict_inputs(program, inputs_of(12, 3))
    infer = Kind.INFER, wire_format(program).pack_words(make_stimulus(program, inputs_of(2, 3)).words)
    assert link.identity.capabilities == Capability.EXTERNAL_MEMORY and link.identity.program == NO_PROGRAM
    with pytest.raises(LinkError, match=r"^request 0 \(INFER\) must be accepted by the device, but it answered "
                                        r"NO_PROGRAM$"):
        link.exchange([infer])
    backend, image = WireBackend(link), program.external_image().contents
    backend.load(program)
    assert store.octets[:len(image)] == image and any(image)
    trace, written = backend.run(wanted.stimulus), store.written
    assert differing(wanted, trace) == [] and len({*trace.classes.tolist()}) > 1
    assert (trace.counters["faults"], trace.counters["inferences"]) == (0, 12) and link.resent == 0
    backend.load(program)
    assert store.written == written  # it was loaded already


def test_a_slice_that_fails_is_told_and_a_reset_forgets_what_was_loaded():
    program, store = external_program(), Store()
    board, fed = PysimBoard(program, store=store), inputs_of(1, 3)
    link = Link(lambda: board, timeout=0.003)
    backend, infer = WireBackend(link), wire_format(program).pack_words(make_stimulus(program, fed).words)
    backend.load(program)
    store.fails = range(8)  # slice 0
    link.exchange([(Kind.INFER, infer)])
    assert backend.counters()["faults"] == np.count_nonzero(fed[:, :, 0]) > 0
    board.pressed = True  # the memory may have forgotten
    with pytest.raises(LinkError, match=r"NO_PROGRAM$"):
        link.exchange([(Kind.INFER, infer)])


def test_no_word_is_taken_before_the_memory_has_started():
    program, store = external_program(), Store(start=1500)
    store.octets[:program.external_octets] = program.external_image().contents
    board, wanted = PysimBoard(program, store=store), predict_inputs(program, inputs_of(1, 3))
    named = identity_of(program, buffer_bytes=256).port_words()[[*PROGRAM_PLACES]]
    board.write(b"\0" + b"".join(cobs.encode(frame_body(kind, 1, payload)) + b"\0" for kind, payload in (
        (Kind.PROGRAM, named.astype("<u8").tobytes()),
        (Kind.INFER, wire_format(program).pack_words(wanted.stimulus.words)))))
    board.read(0.003)
    answer = parse_body(cobs.decode(board.read(0.003).strip(b"\0")))[2]
    stamp, result = (int.from_bytes(part, "little") for part in (answer[:STAMP_BYTES], answer[STAMP_BYTES:-1]))
    assert wire_format(program).result.unpack(result)[0] == wanted.trace.classes[0]
    assert stamp < 500 and board.cycles > 1500


@pytest.mark.slow
@pytest.mark.parametrize(("external", "beat_bits"), [([0, 1], 64), ([1], 128)])
def test_external_weights_of_another_build_and_after_a_reset_are_loaded_again(external, beat_bits):
    programs = [external_program(seed, external=external, beat_bits=beat_bits) for seed in (2, 3, 2)]
    assert len({one.architecture() for one in programs}) == 1 and len({one.digest() for one in programs}) == 2
    store = Store(start=900)
    board = PysimBoard(programs[0], store=store)
    for program in programs:
        wanted = predict_inputs(program, inputs_of(6, 3))
        for _ in range(2):
            assert differing(wanted, backend_of(board, program).run(wanted.stimulus)) == []
            board.pressed, store.octets[:] = True, bytes(len(store.octets))
            board.read(1e-5)


@pytest.mark.slow
def test_a_memory_that_does_not_hold_the_weights_leaves_no_program():
    program, board = external_program(), PysimBoard(external_program(), store=Store(stuck=1 << 9))
    link = Link(lambda: board, timeout=0.003)
    with pytest.raises(LinkError, match=r"^the external memory must hold what was written at 0…"):
        WireBackend(link).load(program)
    assert link.identify().program == NO_PROGRAM
