# SPDX-License-Identifier: MIT
"""The whole way: driver → UART pins → accelerator → driver, equal to golden, on good wires and on bad ones."""

import dataclasses
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.events import FINAL_MARKER
from firstspike_arch.program import Program
from firstspike_arch.status import program_address
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link
from firstspike_hw.link.frames import IDENTITY, IDENTITY_MEMORY, NO_PROGRAM, PROGRAM_PLACES, Kind, wire_format
from firstspike_hw.link.linked_accelerator import LinkedAccelerator, buffer_bytes_for, linked_memories
from firstspike_sim.boards.faulty_transport import FaultyTransport
from firstspike_sim.boards.simulated_board import SimulatedBoard
from firstspike_sim.models.prediction import Prediction, predict_inputs, predict_stimulus
from firstspike_sim.stimulus import make_stimulus
from firstspike_train.data import load

VALUES = ("classes", "steps", "decided_by", "scores")
DIVISOR = 8
TIMEOUT = 0.02  # seconds of the board; some inferences of a request take long
SHORT = 0.01


def program(name: str, **options) -> Program:
    return fs.compile(fs.load(shipped("zoo", f"digits_{name}.safetensors")), **options).program


@pytest.fixture(scope="module")
def dense() -> Program:
    return program("ettfs", lanes=8, early_exit=True, winner="scan", register_rows=2)


@pytest.fixture(scope="module")
def readable() -> Program:
    """Two convolutions with a bank of lanes for each position, words of several chunks; then a dense layer."""
    one = program("diet", lanes=2, port="image", kernel_parallel=True, rotates=[True, (False, True), False],
                  read_back=True)
    assert {shape.chunks for shape in one.memories()} > {1}
    return one


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load("digits", "test")[0]


@pytest.fixture
def boards(dense):
    """Only the simulator of the dense network runs long enough for the compiler's optimisation to pay."""
    opened: list[SimulatedBoard] = []

    def open_board(one: Program, **options) -> SimulatedBoard:
        opened.append(SimulatedBoard(one, **{
            "divisor": DIVISOR, "initialised": False, "optimise": one is dense, **options}))
        return opened[-1]

    yield open_board
    for board in opened:
        board.close()


def differing(wanted: Prediction, trace: Trace) -> list[str]:
    return [name for name in VALUES if not np.array_equal(getattr(wanted.trace, name), getattr(trace, name))]


def loaded(transport, one: Program, **options) -> WireBackend:
    backend = WireBackend(Link(lambda: transport, **{"timeout": TIMEOUT, **options}))
    backend.load(one)
    return backend


NETWORKS = {
    "ettfs": {"lanes": 8, "early_exit": True, "winner": "scan", "register_rows": 2},  # dense, spikes by latency
    "diet": {"lanes": 4, "port": "image"},  # convolution, direct input, potential
    "multi_threshold": {"lanes": 4, "port": "image"},  # the same with graded spikes
}


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", NETWORKS)
def test_classes_and_scores_over_the_pins_equal_golden(name, boards, images):
    one = program(name, **NETWORKS[name])
    wanted = predict_inputs(one, images[:40])
    backend = loaded(boards(one), one)
    trace = backend.run(wanted.stimulus)
    assert differing(wanted, trace) == [] and len(set(trace.classes.tolist())) > 5
    assert backend.link.resent == 0 and trace.counters["inferences"] == 40
    assert [trace.counters[counter] for counter in ("corrupt", "overflow", "cut")] == [0, 0, 0]


def same_cycles(backend: WireBackend, one: Program, image: np.ndarray) -> bool:
    """Whether an inference takes as long as the timing model says."""
    plain = make_stimulus(one, image[None])
    # A word comes out of the buffer octet by octet; then it is offered.
    gaps = np.full(len(plain.words), wire_format(one).word_bytes)
    gaps[0] = 200  # the board has been idle since its reset
    wanted = predict_stimulus(one, image[None], dataclasses.replace(plain, gaps=gaps)).trace
    return backend.run(plain).decided[0] == wanted.decided[0] - wanted.accepted[0]


def test_cycles_over_the_link_equal_the_timing_model(dense, boards, images):
    backend = loaded(boards(dense), dense)
    assert all(same_cycles(backend, dense, image) for image in images[:8])


def test_payload_fills_the_wire(dense, boards, images):
    image_port = dense.with_config(port="image")
    board = boards(image_port, initialised=True)
    backend = loaded(board, image_port)
    batch = images[:300]
    stimulus = make_stimulus(image_port, batch)
    start = board.cycles
    backend.run(stimulus)
    assert 8 * len(stimulus.words) * 10 * DIVISOR / (board.cycles - start) >= 0.95


@pytest.mark.parametrize("what, share", [
    ("flip", 1e-3), pytest.param("drop", 1e-3, marks=pytest.mark.slow),
    pytest.param("repeat", 1e-3, marks=pytest.mark.slow), ("cut", 6e-4)])
def test_faults_of_octets_lose_nothing(what, share, dense, boards, images):
    faults = FaultyTransport(boards(dense), **{what: share}, seed=3)
    wanted = predict_inputs(dense, images[:25])
    backend = loaded(faults, dense, timeout=SHORT)
    assert differing(wanted, backend.run(wanted.stimulus)) == []
    assert faults.faults > 0 and backend.link.resent > 0


def test_faults_of_pins_lose_nothing(dense, boards, images):
    board = boards(dense, glitches=1e-4, seed=4)
    wanted = predict_inputs(dense, images[:60])
    backend = loaded(board, dense, timeout=SHORT)
    assert differing(wanted, backend.run(wanted.stimulus)) == []
    assert backend.link.resent > 0 and backend.counters()["corrupt"] > 0


def test_a_damaged_image_starts_no_inference(dense, boards, images):
    board = boards(dense)
    backend = loaded(board, dense)
    stimulus = make_stimulus(dense, images[:1])

    class Damaging(FaultyTransport):
        def write(self, data: bytes) -> None:
            super().write(data[:20] + bytes([data[20] ^ 1 or 2]) + data[21:] if len(data) > 30 else data)

    link = Link(lambda: Damaging(board), timeout=SHORT, attempts=3)
    before = WireBackend(link).counters()
    with pytest.raises(ConnectionError, match=r"^request 0 \(INFER\) must be answered, but none of 3 attempts was$"):
        link.exchange([(Kind.INFER, wire_format(dense).pack_words(stimulus.words))])
    after = WireBackend(link).counters()
    assert after["words_in"] == before["words_in"] == 0 and after["corrupt"] == before["corrupt"] + 3
    assert differing(predict_inputs(dense, images[:1]), backend.run(stimulus)) == []


def test_a_board_without_contents_is_loaded_over_the_link(dense, boards, images):
    backend = WireBackend(Link(lambda: boards(dense), timeout=TIMEOUT))
    assert backend.link.identity.program == NO_PROGRAM
    backend.load(dense)
    wanted = predict_inputs(dense, images[:20])
    assert differing(wanted, backend.run(wanted.stimulus)) == []
    assert backend.link.identify().program == dense.digest()[:16]


def test_other_weights_are_loaded_over_the_link(dense, boards, images):
    layer = dense.network.layers[1]
    network = dataclasses.replace(dense.network, name="rolled", layers=(
        dense.network.layers[0], dataclasses.replace(layer, weights=np.roll(layer.weights, 1, axis=0))))
    rolled = dataclasses.replace(dense, network=network)
    backend = loaded(boards(dense), dense)
    wanted = predict_inputs(rolled, images[:20])
    assert "classes" in differing(wanted, backend.run(wanted.stimulus))
    backend.load(rolled)
    assert differing(wanted, backend.run(wanted.stimulus)) == []
    backend.load(dense)
    wanted = predict_inputs(dense, images[:20])
    assert differing(wanted, backend.run(wanted.stimulus)) == []


@pytest.mark.slow  # the tests below read the same memories
def test_memories_are_read_back_between_inferences(readable, boards, images):
    backend = loaded(boards(readable, initialised=True), readable)
    wanted = predict_inputs(readable, images[:5])
    assert backend.read_memories(readable) == readable.images()
    assert differing(wanted, backend.run(wanted.stimulus)) == []
    assert backend.verify_memories(readable) == sum(shape.depth for shape in readable.memories())
    assert same_cycles(backend, readable, images[0])
    assert backend.link.resent == 0


@pytest.mark.slow
def test_a_flipped_bit_is_found(readable, boards):
    backend = loaded(boards(readable, initialised=True), readable)
    for index, shape in reversed(list(enumerate(readable.memories()))):  # the first that differs is what is said
        word, bit = shape.depth - 1, shape.used_bits - 1
        value = readable.images()[shape.name][word]
        chunk = (value ^ 1 << bit) >> 32 * (bit // 32) & 0xFFFF_FFFF
        address = program_address(word, bit // 32, shape.chunks)
        backend.link.exchange([(Kind.PROGRAM, (chunk | address << 32 | index << 56).to_bytes(8, "little"))])
        with pytest.raises(ConnectionError, match=rf"^{shape.name} of the device must hold {value:#x} at word {word}, "
                                                  rf"as in the image of digits_diet, not {value ^ 1 << bit:#x}$"):
            backend.verify_memories(readable)


def test_a_board_with_other_weights_is_found(readable, boards):
    layer = readable.network.layers[0]
    weights = layer.weights.copy()
    weights.flat[-1] ^= 1
    network = dataclasses.replace(readable.network, layers=(
        dataclasses.replace(layer, weights=weights), *readable.network.layers[1:]))
    backend = loaded(boards(readable, initialised=True), readable)
    with pytest.raises(ConnectionError, match=r"^core0_weights of the device must hold 0x[0-9a-f]+ at word \d+, as "):
        backend.verify_memories(dataclasses.replace(readable, network=network))


def test_places_outside_read_zero_and_a_cut_place_is_told(readable, boards):
    backend = loaded(boards(readable, initialised=True), readable)
    depth, chunks = readable.memories()[1].depth, readable.memories()[1].chunks
    places = [program_address(depth, 0, chunks) | 1 << 24, 77 << 24]
    octets = np.array(places, dtype="<u4").tobytes()
    assert backend.link.exchange([(Kind.READ, octets), (Kind.READ, octets[:5])]) == [bytes(9), bytes(4) + b"\1"]


def test_a_device_without_read_back_says_so(dense, boards):
    backend = loaded(boards(dense), dense)
    with pytest.raises(ValueError, match=r"^digits_ettfs must be compiled with --read-back for its memories to be "
                                         r"read, but is not$"):
        backend.verify_memories(dense)
    with pytest.raises(ConnectionError, match=r"but it answered UNKNOWN_KIND$"):
        backend.link.exchange([(Kind.READ, bytes(4))])


@pytest.mark.slow
def test_weights_in_memory_with_one_port_are_loaded_first(boards, images):
    one = program("ettfs", **NETWORKS["ettfs"], single_port=[0, 1], read_back=True)
    board = boards(one, initialised=True)
    backend = WireBackend(Link(lambda: board, timeout=TIMEOUT))
    assert backend.link.identity.program == NO_PROGRAM
    wanted = predict_inputs(one, images[:20])
    words = wire_format(one).pack_words(wanted.stimulus.words)
    with pytest.raises(ConnectionError, match=r"^request 0 \(INFER\) must be accepted by the device, but it answered "
                                              r"NO_PROGRAM$"):
        backend.link.exchange([(Kind.INFER, words)])
    assert backend.counters()["words_in"] == 0
    backend.load(one)
    for _ in range(2):
        backend.verify_memories(one)
        assert differing(wanted, backend.run(wanted.stimulus)) == []
        assert same_cycles(backend, one, images[0])
        board.reset()  # loaded once, until power goes
    forget = [(place << 32 | IDENTITY_MEMORY << 56).to_bytes(8, "little") for place in PROGRAM_PLACES]
    backend.link.exchange([(Kind.PROGRAM, b"".join(forget))])
    with pytest.raises(ConnectionError, match=r"NO_PROGRAM$"):
        backend.link.exchange([(Kind.INFER, words)])


def test_a_board_may_be_reset_between_runs(dense, boards, images):
    board = boards(dense)
    backend = loaded(board, dense)
    wanted = predict_inputs(dense, images[:10])
    backend.run(wanted.stimulus)
    board.reset()
    assert backend.counters()["inferences"] == 0
    assert differing(wanted, backend.run(wanted.stimulus)) == []


def test_raw_tokens_are_completed_and_repaired(dense, boards):
    backend = loaded(boards(dense), dense)
    bad = Stimulus(words=np.array([FINAL_MARKER, 5 << 2]), starts=np.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"^inference 1 must end with a final marker, or have all words of an image$"):
        backend.run(bad)
    counters = backend.counters()
    assert (counters["inferences"], counters["cut"]) == (2, 0)


def test_the_driver_refuses_what_it_cannot_do(dense, boards, images):
    backend = WireBackend(Link(lambda: boards(dense), timeout=TIMEOUT))
    stimulus = make_stimulus(dense, images[:2])
    with pytest.raises(RuntimeError, match=r"^load a program first$"):
        backend.run(stimulus)
    with pytest.raises(ValueError, match=r"^the device must be built for digits_ettfs \(architecture [0-9a-f]{16}\), "
                                         r"not for digits_ettfs \(architecture [0-9a-f]{16}\)$"):
        backend.load(dense.with_config(early_exit=False))
    backend.load(dense)
    with pytest.raises(ValueError, match=r"^gaps and sink_stalls must be None over the host link, which has waits of "):
        backend.run(dataclasses.replace(stimulus, gaps=np.zeros(len(stimulus.words), int)))
    long = Stimulus(words=np.array([2] * 1017 + [3]), starts=np.array([0, 1018]))
    with pytest.raises(ValueError, match=r"^request 0 \(INFER\) must fit the device's buffer of 1024 bytes, not need "
                                         r"1025$"):
        backend.run(long)


def test_a_link_refuses_what_the_guard_or_the_buffer_cannot_stand(dense):
    with pytest.raises(ValueError, match=r"^timeout must be 0 or at least 64 cycles behind a host link, not 63$"):
        LinkedAccelerator(dense.with_config(timeout=63))
    with pytest.raises(ValueError, match=r"^depth must be a power of two of 64…65536 octets, not 1000$"):
        LinkedAccelerator(dense, buffer_bytes=1000)
    image_port = dense.with_config(port="image")
    assert buffer_bytes_for(dense) == buffer_bytes_for(image_port) == 1024
    assert list(linked_memories(dense, initialised=False)) == [IDENTITY]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_frames_with_faults(seed, dense, boards, images):
    board = boards(dense, glitches=2e-5, seed=seed, optimise=True)
    faults = FaultyTransport(board, flip=4e-4, drop=3e-4, repeat=2e-4, cut=1e-4, seed=seed)
    wanted = predict_inputs(dense, np.tile(images, (10, 1))[:2500])
    backend = loaded(faults, dense, attempts=60)
    assert differing(wanted, backend.run(wanted.stimulus)) == []


def test_the_folder_of_a_board_is_cleared(dense):
    board = SimulatedBoard(dense, divisor=DIVISOR, initialised=False)
    folder = Path(board._folder.name)
    assert folder.exists()
    board.close()
    board.close()
    assert not folder.exists()
