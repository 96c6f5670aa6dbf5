# SPDX-License-Identifier: MIT
"""The accelerator on AXI, driven by cocotbext-axi: equal to golden, with stalls, faults, resets and new weights."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.events import FINAL_MARKER
from firstspike_arch.program import Program
from firstspike_arch.result import scores_from_raw
from firstspike_arch.status import COUNTERS
from firstspike_hw.axi.registers import AXI_COUNTERS, Register, Response, result_beats, result_words
from firstspike_hw.link.frames import IDENTITY_BYTES, NO_PROGRAM, Identity, identity_of, wire_format
from firstspike_sim.backends.axi_bench import AxiScenario, AxiTrace, run_axi
from firstspike_sim.models.prediction import Prediction, predict_inputs, predict_stimulus
from firstspike_sim.stimulus import make_stimulus
from firstspike_sim.testing.random_network import random_inputs
from firstspike_train.data import load

OKAY, SLVERR = Response.OKAY.value, Response.SLVERR.value
STALLS = ("none", "random", "late")
LATENCY = 2
"""Cycles that the streams add: one to a word on its way in, one to a result on its way out."""

IDLE = 200

COUNTER_READS = [{"read": Register.COUNTERS + 4 * place} for place in range(len(COUNTERS) + len(AXI_COUNTERS))]
IDENTITY_READS = [{"read": place} for place in range(0, IDENTITY_BYTES, 4)]


def packets(stimulus: Stimulus, each: int = 1) -> list[dict]:
    """So many inferences a packet."""
    cuts = [*stimulus.starts[:-1:each].tolist(), int(stimulus.starts[-1])]
    return [{"packet": stimulus.words[first:last].tolist()} for first, last in pairwise(cuts)]


def wait_for(program: Program, results: int) -> dict:
    return {"beats": results * result_beats(wire_format(program))}


def programming(program: Program) -> dict:
    """Writes that load a program: the address where it does not follow from the one before, and data."""
    writes, following = [], None
    words = [*program.port_words().tolist(), *identity_of(program, buffer_bytes=0).port_words().tolist()]
    for word in words:
        if word >> 32 != following:
            writes.append((Register.PROGRAM_ADDRESS, word >> 32))
        writes.append((Register.PROGRAM_DATA, word & 0xFFFF_FFFF))
        following = (word >> 32) + 1
    return {"program": writes}


def results(program: Program, trace: AxiTrace) -> tuple[list, ...]:
    """Classes, steps, what decided, and scores."""
    layout = wire_format(program).result
    fields = [layout.unpack(word) for word in result_words(wire_format(program), [beat[1] for beat in trace.beats])]
    steps = np.array([field[1] for field in fields])
    scores = scores_from_raw(program, np.array([field[3] for field in fields]), steps)
    return [field[0] for field in fields], steps.tolist(), [field[2] for field in fields], scores.tolist()


def values(wanted: Prediction) -> tuple[list, ...]:
    trace = wanted.trace
    return tuple(getattr(trace, name).tolist() for name in ("classes", "steps", "decided_by", "scores"))


def joined(parts: Sequence[tuple[list, ...]]) -> tuple[list, ...]:
    return tuple([value for part in column for value in part] for column in zip(*parts, strict=True))


def decoded(program: Program, words: Sequence[int]) -> np.ndarray:
    """Spike counts of the tokens of an inference, uint8[1, T, N]."""
    tokens, layout = np.array(words), program.network.input_layout
    markers = tokens >> 1 & 1
    counts = np.zeros((1, int(markers.sum()), program.network.inputs), dtype=np.uint8)
    address, value = layout.split(tokens)
    np.add.at(counts, (0, (np.cumsum(markers) - markers)[markers == 0], address[markers == 0]), value[markers == 0])
    return counts


def isolated_prediction(program: Program, inputs: np.ndarray) -> Trace:
    """Of the first input, offered when everything has long been idle."""
    plain = make_stimulus(program, inputs[:1])
    gaps = np.zeros(len(plain.words), dtype=np.int64)
    gaps[0] = IDLE
    return predict_stimulus(program, inputs[:1], dataclasses.replace(plain, gaps=gaps)).trace


def ends(trace: AxiTrace) -> list[int]:
    """Beats, from 1, with tlast."""
    return [place for place, beat in enumerate(trace.beats, start=1) if beat[2]]


def counters(answers: Sequence) -> dict[str, int]:
    assert all(response == OKAY for _, response in answers)
    return dict(zip((*COUNTERS, *AXI_COUNTERS), (value for value, _ in answers), strict=True))


def identity(answers: Sequence) -> Identity:
    return Identity.unpack(b"".join(value.to_bytes(4, "little") for value, _ in answers))


def test_a_lif_network_on_axi(lif, rolled_lif):
    inputs = random_inputs(np.random.default_rng(9), lif.network, 12)
    wanted = predict_inputs(lif, inputs)
    stimulus = wanted.stimulus
    size = result_beats(wire_format(lif))
    new = rolled_lif
    assert new.architecture() == lif.architecture()
    new_wanted = predict_inputs(new, inputs)
    assert values(wanted)[0] != values(new_wanted)[0]
    # A packet that ends in the middle of an inference, one with more behind its end, and whole ones around them.
    words, starts = stimulus.words, stimulus.starts
    middle = int(starts[1] + starts[2]) // 2
    dropped = [3 << 2 | 1 << 7, 13 << 2]  # a bit above a token, and an address out of range
    malformed = [[*dropped, *words[: starts[1]]], words[starts[1] : middle], words[starts[2] : starts[3] + 3],
                 words[starts[4] : starts[5]]]
    repaired = [words[: starts[1]], [*malformed[1], FINAL_MARKER], words[starts[2] : starts[3]],
                [*words[starts[3] : starts[3] + 3], FINAL_MARKER], malformed[3]]
    whole = [*packets(stimulus), wait_for(lif, 12)]
    scenarios = {
        "plain": AxiScenario(actions=[*whole, *COUNTER_READS, *IDENTITY_READS]),
        "random": AxiScenario(actions=[
            {"write": Register.PACKET, "data": 3}, {"read": Register.PACKET}, *packets(stimulus, each=4),
            *COUNTER_READS, wait_for(lif, 12), *COUNTER_READS], stalls="random", seed=1),
        "late": AxiScenario(actions=[*whole, *COUNTER_READS, {"write": Register.PACKET, "data": 0}], stalls="late"),
        "malformed": AxiScenario(actions=[
            *({"packet": [int(word) for word in part]} for part in malformed), wait_for(lif, 5), *COUNTER_READS],
            stalls="random", seed=2),
        "reset": AxiScenario(actions=[*packets(stimulus), wait_for(lif, 2), {"reset": 3}, *whole, *COUNTER_READS],
                             stalls="random", seed=3),
        "isolated": AxiScenario(actions=[{"idle": IDLE}, packets(stimulus)[0], wait_for(lif, 1)]),
        "restart": AxiScenario(actions=[
            {"packet": words[: starts[1] - 1].tolist()}, {"write": Register.CONTROL, "data": 1}, wait_for(lif, 2),
            *packets(stimulus), wait_for(lif, 14), *COUNTER_READS], stalls="random", seed=4),
        "refused": AxiScenario(actions=[
            {"write": 0x00, "data": 1}, {"read": Register.CONTROL}, {"read": Register.PROGRAM_DATA},
            {"read": Register.COUNTERS + 4 * len(COUNTER_READS)}, {"write": 0xFFC, "data": 1}, {"read": 0xFFC},
            {"write": Register.PACKET, "octet": 7}, {"read": Register.PACKET}]),
        "programmed": AxiScenario(actions=[
            *packets(stimulus)[:2], wait_for(lif, 2), programming(new), *packets(stimulus), wait_for(lif, 14),
            *IDENTITY_READS, {"read": Register.PROGRAM_ADDRESS}], stalls="random", seed=5),
    }
    seen = dict(zip(scenarios, run_axi(lif, list(scenarios.values())), strict=True))

    assert all(results(lif, seen[name]) == values(wanted) for name in ("plain", "random", "late"))
    # Cycles, as the timing model has them, and the streams' own.
    plain = seen["plain"]
    assert plain.offered[::size] == (wanted.trace.decided + 1).tolist()  # the core is what takes the time
    alone, isolated = isolated_prediction(lif, inputs), seen["isolated"]
    assert isolated.offered[0] - isolated.accepted[0] == alone.decided[0] - alone.accepted[0] + LATENCY
    said = counters(plain.answers[: len(COUNTER_READS)])
    assert (said["inferences"], said["words_in"], said["packets_in"], said["completed"]) == (12, len(words), 12, 0)
    assert (said["bad_address"], said["overrun"], said["cut"]) == (0, 0, 0)
    assert identity(plain.answers[len(COUNTER_READS) :]) == identity_of(lif, buffer_bytes=0)
    assert ends(plain) == list(range(size, 12 * size + 1, size))

    assert ends(seen["random"]) == [3 * size, 6 * size, 9 * size, 12 * size]
    assert seen["random"].answers[:2] == [OKAY, [3, OKAY]]
    assert counters(seen["random"].answers[-len(COUNTER_READS) :])["packets_in"] == 3

    assert results(lif, seen["malformed"]) == joined(
        [values(predict_inputs(lif, decoded(lif, part))) for part in repaired])
    said = counters(seen["malformed"].answers)
    assert (said["packets_in"], said["completed"], said["inferences"], said["cut"]) == (4, 2, 5, 0)
    assert said["bad_address"] == 2

    assert results(lif, seen["reset"]) == values(wanted)
    assert counters(seen["reset"].answers)["inferences"] == 12

    assert tuple(part[2:] for part in results(lif, seen["restart"])) == values(wanted)
    said = counters(seen["restart"].answers[1:])
    assert (said["cut"], said["overrun"], said["completed"], said["inferences"]) == (1, 0, 1, 14)

    assert seen["refused"].answers == [SLVERR, [0, SLVERR], [0, SLVERR], [0, SLVERR], SLVERR, [0, SLVERR], SLVERR,
                                       [1, OKAY]]
    programmed = seen["programmed"]
    assert programmed.answers[0] == [OKAY]
    assert tuple(part[:2] for part in values(wanted)) == tuple(part[:2] for part in results(lif, programmed))
    assert tuple(part[2:] for part in results(lif, programmed)) == values(new_wanted)
    assert identity(programmed.answers[1:-1]) == identity_of(new, buffer_bytes=0)
    assert programmed.answers[-1] == [255 << 24 | IDENTITY_BYTES // 4, OKAY]


def agree(program: Program, inputs: np.ndarray, *, each: int = 1, optimise: bool = False) -> list[AxiTrace]:
    """With every kind of stalls, as many inferences a packet."""
    wanted = predict_inputs(program, inputs)
    count = wanted.stimulus.inferences
    # With early exit the last result comes before the last words are taken.
    rest = {"idle": 50 * int(np.diff(wanted.stimulus.starts).max())}
    traces = run_axi(program, [
        AxiScenario(actions=[*packets(wanted.stimulus, each), wait_for(program, count), rest, *COUNTER_READS],
                    stalls=stalls, seed=count, limit=2_000_000) for stalls in STALLS], optimise=optimise)
    for trace in traces:
        assert results(program, trace) == values(wanted)
        said = counters(trace.answers)
        assert (said["inferences"], said["completed"], said["cut"]) == (count, 0, 0)
        assert said["words_in"] == len(wanted.stimulus.words)
    return traces


@pytest.mark.slow
@pytest.mark.parametrize("part", range(12))
def test_random_networks_on_axi(alive_programs, part):
    ((program, inputs),) = alive_programs(7000 + 100 * part, 1)
    agree(program, inputs, each=1 + part % 3)


NETWORKS = {
    "ettfs": {"lanes": 16, "early_exit": True},
    "diet": {"lanes": 4, "port": "image"},  # convolution, direct input, potential
    "latency": {"lanes": 4, "early_exit": True},
    "multi_threshold": {"lanes": 4, "port": "image"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_trained_networks_on_axi(name):
    program = fs.compile(fs.load(shipped("zoo", f"digits_{name}.safetensors")), **NETWORKS[name]).program
    agree(program, load("digits", "test")[0][:8], optimise=True)


@pytest.mark.slow
def test_a_short_image_is_filled_up_and_a_blank_device_programmed():
    program = fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=16, port="image").program
    images = load("digits", "test")[0][:6].copy()
    stimulus = predict_inputs(program, images).stimulus
    beats = packets(stimulus)
    beats[2] = {"packet": beats[2]["packet"][:3]}
    images[2, 24:] = 0
    wanted = predict_inputs(program, images)
    blank, loaded = run_axi(program, [
        AxiScenario(actions=IDENTITY_READS),
        AxiScenario(actions=[programming(program), *beats, wait_for(program, 6), *COUNTER_READS], stalls="random",
                    limit=2_000_000),
    ], initialised=False, optimise=True)
    assert identity(blank.answers).program == NO_PROGRAM
    assert loaded.answers[0] == [OKAY] and results(program, loaded) == values(wanted)
    said = counters(loaded.answers[1:])
    assert (said["completed"], said["packets_in"], said["inferences"]) == (1, 6, 6)


@pytest.mark.slow
def test_a_word_that_the_program_port_cannot_take_is_refused_after_a_while(lif, monkeypatch):
    monkeypatch.setattr("firstspike_hw.axi.axi_accelerator.PROGRAM_WAIT_CYCLES", 256)
    wanted = predict_inputs(lif, random_inputs(np.random.default_rng(9), lif.network, 4))
    # The first result waits at m_axis; the others have no way out.
    (trace,) = run_axi(lif, [AxiScenario(actions=[
        *packets(wanted.stimulus), {"idle": 1000}, {"write": Register.PROGRAM_DATA, "data": 0},
        {"read": Register.PROGRAM_ADDRESS}], stalls="shut")])
    assert trace.answers == [SLVERR, [0, OKAY]]
    assert 1256 < trace.cycles < 1400 and trace.beats == []
