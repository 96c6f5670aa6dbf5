# SPDX-License-Identifier: MIT
"""What the driver makes of inputs and of result beats, against the models' own code; no simulator runs."""

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_arch.result import scores_from_raw
from firstspike_hw.axi.driver_facts import driver_facts, driver_words
from firstspike_hw.axi.registers import RESULT_BEAT_BITS, beat_dtype, result_beats
from firstspike_hw.link.frames import NO_PROGRAM, Identity, identity_of, wire_format
from firstspike_run.export import Export
from firstspike_run.inputs import InputEncoder
from firstspike_run.results import decode_results
from firstspike_sim.stimulus import make_stimulus
from firstspike_sim.testing.random_network import random_inputs
from firstspike_train.data import load

TRAINED = {
    "digits_ettfs": {"lanes": 16, "early_exit": True}, "digits_diet": {"lanes": 4, "port": "image"},
    "digits_latency": {"lanes": 4, "early_exit": True}, "digits_multi_threshold": {"lanes": 4},
}


def encoder(program: Program) -> InputEncoder:
    return InputEncoder(driver_facts(program)["input"])


def check(program: Program, inputs: np.ndarray, seed: int = 0) -> None:
    wanted, made = make_stimulus(program, inputs), encoder(program)
    words, starts = made.encode(inputs)
    assert made.beat == beat_dtype(wire_format(program))
    assert np.array_equal(words.astype(made.beat), wanted.words.astype(made.beat))
    assert np.array_equal(starts, wanted.starts)
    assert made.results(words, starts).sum() == wanted.results
    _check_results(program, seed)


def _check_results(program: Program, seed: int) -> None:
    """Words of random bits, but for steps and classes that do not exist."""
    random, layout, beats = np.random.default_rng(seed), wire_format(program).result, result_beats(wire_format(program))
    words = []
    while len(words) < 20:
        word = int.from_bytes(random.bytes(-(-layout.bits // 8)), "little") & (1 << layout.bits) - 1
        if layout.unpack(word)[1] < program.network.steps_max:
            words.append(word)
    fields = [layout.unpack(word) for word in words]
    cut = [word >> RESULT_BEAT_BITS * beat & (1 << RESULT_BEAT_BITS) - 1 for word in words for beat in range(beats)]
    said = decode_results(driver_facts(program)["result"], np.array(cut, dtype="<u8"), 7)
    steps = np.array([field[1] for field in fields])
    assert said.classes.tolist() == [field[0] for field in fields] and said.steps.tolist() == steps.tolist()
    assert said.decided_by.tolist() == [field[2] for field in fields] and said.cycles == 7
    assert np.array_equal(said.scores, scores_from_raw(program, np.array([field[3] for field in fields]), steps))


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks(name):
    program = fs.compile(fs.load(shipped("zoo", f"{name}.safetensors")), **TRAINED[name]).program
    check(program, load("digits", "test")[0][:20])


def test_random_networks(alive_programs):
    programs = alive_programs(0, 30)
    for seed, (program, inputs) in enumerate(programs):
        check(program, inputs, seed)
    networks = [program.network for program, _ in programs]
    assert {network.input_kind for network in networks} == {"latency", "direct", "events"}
    assert any(len(network.input_shape) == 3 and program.config.port == "events"
               for program, network in zip((one for one, _ in programs), networks, strict=True))
    assert any(network.in_min < 0 for network in networks) and any(network.endless for network in networks)
    assert any(result_beats(wire_format(program)) > 1 for program, _ in programs)


def test_scores_that_stand_for_step_weights(weighted):
    assert driver_facts(weighted)["result"]["step_weights"] == [32, 17, 9, 4, 2, 1]
    check(weighted, np.random.default_rng(2).integers(0, 256, (9, 20), dtype=np.uint8))


def test_events_are_the_arrays_that_they_add_up_to(lif):
    counts = random_inputs(np.random.default_rng(3), lif.network, 6)
    made = encoder(lif)
    recordings = [np.stack(np.nonzero(one), axis=1) for one in counts]
    words, starts = made.encode_events(recordings, steps=counts.shape[1])
    wanted = made.encode(counts)
    assert np.array_equal(words, wanted[0]) and np.array_equal(starts, wanted[1])
    # In any order; and two events of one neuron that cancel each other out are none.
    shuffled = [one[::-1] for one in recordings]
    shuffled[0] = [[0, 5, -1], *[[*event, 1] for event in shuffled[0]], [0, 5, 1]]
    assert np.array_equal(made.encode_events(shuffled, steps=counts.shape[1])[0], wanted[0])
    empty = made.encode_events([[]], steps=2)
    assert empty[0].tolist() == [2, 3] and empty[1].tolist() == [0, 2]
    assert np.array_equal(made.encode_events(recordings)[0], wanted[0])  # five steps, as the network was trained


def test_an_export_holds_the_program_and_says_so(lif):
    export = Export(driver_facts(lif), driver_words(lif))
    assert export.identity == identity_of(lif, buffer_bytes=0).pack()
    assert (export.network, export.architecture, export.program) == (
        "lif", lif.architecture()[:16], lif.digest()[:16])
    assert export.identity_field(export.identity, "name").rstrip(b"\0") == b"lif"
    words = export.port_words
    size = Identity.LAYOUT.size // 4
    assert np.array_equal(words[size:-size], lif.port_words())
    blank = b"".join((int(word) & 0xFFFF_FFFF).to_bytes(4, "little") for word in words[:size])
    assert Identity.unpack(blank).program == NO_PROGRAM
    assert export.facts["barrier"] == words[0] == words[-size]


LIF_WRONG = (
    (np.zeros((2, 5, 12), int), r"inputs must be integers of shape \(batch, 1…5 steps, 13\), not int64 of shape"),
    (np.zeros((2, 6, 13), int), r"of shape \(2, 6, 13\)"),
    (np.zeros((2, 5, 13)), "must be integers of shape .*, not float64"),
    (np.full((2, 5, 13), 2), "inputs must be 0…1, not 2…2"),
    (np.zeros((0, 5, 13), int), "inputs must be at least one inference, not none"),
)


@pytest.mark.parametrize(("inputs", "sentence"), LIF_WRONG, ids=range(len(LIF_WRONG)))
def test_wrong_inputs_are_refused(lif, inputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        encoder(lif).encode(inputs)


EVENTS_WRONG = (
    ([[[5, 0]]], None, "recording 0 must have steps 0…4, not 5 in event 0"),
    ([[[0, 0]], [[0, 1], [0, 13]]], None, "recording 1 must have neurons 0…12, not 13 in event 1"),
    ([[[0, -1]]], None, "neurons 0…12, not -1"),
    ([[[0, 0], [0, 0]]], None, "inputs must be 0…1, not 2…2"),
    ([[[0.5, 0]]], None, r"recording 0 must be integers of shape \(events, 2\) or \(events, 3\), not float64"),
    ([[0, 1]], None, r"of shape \(2,\)"),
    ([], None, "recordings must be at least one"),
    ([[[0, 0]]], 6, "steps must be 1…5, not 6"),
    ([[[0, 0]]], 0, "steps must be 1…5, not 0"),
)


@pytest.mark.parametrize(("recordings", "steps", "sentence"), EVENTS_WRONG, ids=range(len(EVENTS_WRONG)))
def test_wrong_events_are_refused(lif, recordings, steps, sentence):
    with pytest.raises(ValueError, match=sentence):
        encoder(lif).encode_events(recordings, steps)


def test_images_are_not_given_as_events_and_are_bytes():
    program = fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=16).program
    with pytest.raises(ValueError, match="images must be given as arrays, not as events"):
        encoder(program).encode_events([[[0, 0]]])
    with pytest.raises(ValueError, match=r"inputs must be uint8 of shape \(batch, 64\), not int64"):
        encoder(program).encode(np.zeros((1, 64), int))
