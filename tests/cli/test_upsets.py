# SPDX-License-Identifier: MIT
"""Campaigns of soft errors: what is struck, how effects are told apart and counted, and that a campaign goes on."""

import json
from dataclasses import replace
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike import upset_campaign
from firstspike.upset_campaign import Effect, Trial, UpsetCase, UpsetMachine, interval, run_upsets
from firstspike.upset_report import bit_table, effect_table, summary
from firstspike.upset_sites import sites_of
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_sim.backends.state_elements import state_elements
from firstspike_sim.backends.upset_bench import NO_UPSET, Recovery, Upset, UpsetBench, UpsetRuns
from firstspike_sim.models.golden import GoldenModel, GoldenResult
from firstspike_sim.models.prediction import predict_inputs


@pytest.fixture(scope="module")
def program() -> Program:
    random = np.random.default_rng(2)
    network = fs.NetworkBuilder(6, steps=3, readout="first_spike", input_kind="latency", name="struck")
    network.layer(random.integers(-3, 4, (5, 6)), theta=5, leak=0.75, reset="subtract", bias=1, name="hidden")
    network.layer(random.integers(-3, 4, (3, 5)), theta=2, single_spike=True, name="output")
    return fs.compile(network.build(), lanes=2, register_rows=2).program


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (9, 6)).astype(np.uint8)


@pytest.fixture(scope="module")
def text(program) -> str:
    return verilog(Accelerator(program), program.memories())


class FakeBench(UpsetBench):
    """In place of a simulator: what an upset does depends on its cycle or on where it strikes."""

    def __init__(self, program, text, stimuli, limits, *, quiet):
        self.elements = state_elements(text)
        self.traces = [predict_inputs(program, self.inputs[4 * run : 4 * run + 4]).trace for run in range(len(stimuli))]
        self.ran = []
        type(self).last = self

    def run(self, upsets):
        self.ran += upsets
        decided = np.array([self.traces[one.inputs].decided for one in upsets])
        words = np.array([self.traces[one.inputs].classes for one in upsets]).astype(np.uint32)[..., None]
        mismatches = np.zeros(len(upsets), dtype=int)
        results, recovery = np.full(len(upsets), 4), np.zeros(len(upsets), dtype=int)
        for index, one in enumerate(upsets):
            struck = self.elements[max(0, one.element)]
            name = "" if one.element == NO_UPSET else f"{struck.unit}.{struck.name}"
            mismatches[index] = "weights" in name and one.bit % 3
            if "weights" in name and one.bit % 3 == 2:
                words[index, 1:] ^= 1
            elif "membranes" in name:
                words[index, 2] ^= 1 << 20
            elif "readout" in name:
                results[index], decided[index, 3], words[index, 3], recovery[index] = 3, -1, 0, Recovery.BY_RESTART
            elif "queue" in name:
                decided[index] += 1
        return UpsetRuns(results=results, decided=decided, words=words, recovery=recovery,
                         mismatches=mismatches)


@pytest.fixture
def fake(monkeypatch, inputs):
    monkeypatch.setattr(FakeBench, "inputs", inputs, raising=False)
    monkeypatch.setattr(upset_campaign, "UpsetBench", FakeBench)
    return FakeBench


def test_every_bit_of_state_is_in_one_site(program, text):
    elements = state_elements(text)
    sites = sites_of(program, elements)
    seen = {site.at(index) for site in sites for index in range(site.bits)}
    padding = sum(shape.depth * (shape.width - shape.used_bits) for shape in program.memories())
    assert len(seen) == sum(site.bits for site in sites) == sum(one.bits for one in elements) - padding
    names = [site.name for site in sites]
    assert names[:2] == ["weights of hidden", "weights of output"] and "biases of hidden" in names
    assert {"membranes of hidden", "membranes of output", "registers of hidden", "registers of readout"} <= {*names}
    (weights,) = (site for site in sites if site.name == "weights of hidden")
    core = program.cores[0]
    assert weights.bits == core.bias_word * core.memory.used_bits and weights.number_bits == core.layer.weight_bits
    with pytest.raises(ValueError, match=f"^index must be below {weights.bits}$"):
        weights.at(weights.bits)


@pytest.fixture(scope="module")
def guarded(program) -> Program:
    return fs.compile(program.network, lanes=[2, 1], register_rows=2, protect="parity").program


@pytest.fixture(scope="module")
def guarded_text(guarded) -> str:
    return verilog(Accelerator(guarded), guarded.memories())


def test_memories_with_parity_are_sites_of_their_own(guarded, guarded_text):
    elements = state_elements(guarded_text)
    sites = {site.name: site for site in sites_of(guarded, elements)}
    seen = [site.at(index) for site in sites.values() for index in range(site.bits)]
    padding = sum(shape.depth * (shape.width - shape.stored_bits) for shape in guarded.memories())
    assert len({*seen}) == len(seen) == sum(one.bits for one in elements) - padding
    for core in guarded.cores:
        name, memory = core.layer.name, core.memory
        bits = {one.name.removeprefix(f"core{core.index}_"): one.depth * one.used_bits for one in core.memories
                if one.name.startswith("core") and one is not memory}
        parity = [bits.pop(f"{one}_parity") for one in [*bits] if not one.endswith("_parity")]
        assert core.plan.in_registers == (f"membranes of {name}" not in sites)
        if not core.plan.in_registers:
            assert sites[f"membranes of {name}"].bits == bits.pop("membranes")
        assert sum(site.bits for site in sites.values() if site.name == f"rows of {name}") == sum(bits.values())
        assert sites[f"parity of {name}"].bits == sum(parity) + memory.depth * (memory.stored_bits - memory.used_bits)
        weights = sites[f"weights of {name}"]
        numbers = [weights.number_bit(element, bit) for element, _, bit in map(weights.at, range(weights.bits))]
        assert numbers == [index % core.layer.weight_bits for index in range(weights.bits)]


def test_what_parity_notices_is_told(guarded, guarded_text, inputs, fake):
    outcomes = run_upsets(UpsetCase(program=guarded, text=guarded_text, inputs=inputs, inferences=4, seed=1), 9)
    trials = [trial for one in outcomes if one.site.kind != "registers" for trial in one.trials]
    noticed, felt = ([one for one in trials if good(one)] for good in (
        lambda one: one.noticed, lambda one: one.effect is not Effect.NONE))
    both = sum(one.noticed for one in felt)
    assert 0 < both < len(felt) < len(trials) and both < len(noticed)
    assert summary(outcomes, parity=True)[-1] == (
        f"of {len(trials)} upsets in memories with parity, {len(noticed)} were noticed; of the {len(felt)} that "
        f"changed anything, {both}")
    assert summary(outcomes) == summary(outcomes, parity=True)[:-1]
    column = effect_table(outcomes, parity=True).columns[-1]
    assert column.header == "noticed" and [*column.cells] == [f"{one.noticed:.1%}" for one in outcomes]
    assert effect_table(outcomes).columns[-1].header == "lasts"


def test_effects_are_told_apart_and_counted(program, text, inputs, fake):
    seen = []
    outcomes = run_upsets(UpsetCase(program=program, text=text, inputs=inputs, inferences=4, seed=1), 40,
                          progress=lambda done, total: seen.append((done, total)))
    found = {one.site.name: one for one in outcomes}
    assert seen == [(done, len(found)) for done in range(len(found) + 1)]
    assert {len(one.trials) for one in found.values()} == {40}
    weights = found["weights of hidden"]
    assert {trial.effect for trial in weights.trials} == {Effect.NONE, Effect.CLASS}
    assert [bool(wrong) for _, wrong in weights.by_bit()] == [False, False, True]
    assert sum(hits for hits, _ in weights.by_bit()) == 40
    assert weights.lasting == weights.share(Effect.CLASS) > 0
    assert {trial.upset.cycle for trial in weights.trials} == {0}
    assert all(trial.classes == 3 * (trial.effect is Effect.CLASS) for trial in weights.trials)
    membranes = found["membranes of output"]
    assert membranes.share(Effect.EVIDENCE) == 1 and membranes.lasting == 0
    half = [int(trace.decided[1]) for trace in fake.last.traces]
    assert all(0 <= trial.upset.cycle <= half[trial.upset.inputs] for trial in membranes.trials)
    assert len({trial.upset.cycle for trial in membranes.trials}) > 5
    assert found["registers of readout"].share(Effect.COUNT) == 1
    assert found["registers of queue"].share(Effect.CYCLES) == 1
    said = summary(outcomes)[1]
    assert "40 left results out" in said and "restart in 40 cases" in said
    assert bit_table(outcomes).row_count == sum(one.site.number_bits is not None for one in outcomes)


def test_a_machine_that_differs_without_an_upset_is_refused(program, text, inputs, fake, monkeypatch):
    run = FakeBench.run

    def late(self, upsets):
        runs = run(self, upsets)
        runs.decided[0, 0] += 1
        return runs

    monkeypatch.setattr(FakeBench, "run", late)
    with pytest.raises(ValueError, match=r"^hardware and models differ without an upset: 'firstspike verify' tells"):
        UpsetMachine(UpsetCase(program=program, text=text, inputs=inputs, inferences=4, seed=1))


def test_intervals_of_shares():
    # Ref: Wilson's interval for 0 and 5 of 10, as in textbooks.
    assert interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_a_campaign_goes_on(program, inputs, fake, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program.save("struck.fsp")
    np.save("inputs.npy", inputs)
    call = ("upsets", "struck.fsp", "--data", "inputs.npy", "--runs", 2, "-o", "out")
    status, said, _ = command(*call, "--count", 3)
    assert status == 0 and "weights of hidden" in said and "going on" not in said
    assert (tmp_path / "out" / "upsets.png").stat().st_size > 1000
    first = json.loads(Path("out/upsets.json").read_text())
    assert [len(site["trials"]) for site in first["sites"]] == [3] * len(first["sites"])
    status, said, _ = command(*call, "--count", 5)
    assert status == 0 and "going on with out" in said
    second = json.loads(Path("out/upsets.json").read_text())
    assert [site["trials"][:3] for site in second["sites"]] == [site["trials"] for site in first["sites"]]
    assert len(fake.last.ran) == 2 + 2 * len(first["sites"])  # without upsets, and the new ones
    command(*call[:-1], "again", "--count", 5)
    assert json.loads(Path("again/upsets.json").read_text())["sites"] == second["sites"]
    status, _, error = command(*call, "--seed", 7)
    assert status == 1 and "campaign.json: must be of the same campaign to go on, but differs in seed" in error
    (tmp_path / "out" / "jobs" / "site000-000000-000002.json").write_text("{}")
    status, _, error = command(*call)
    assert status == 1 and "a result of a job is altered; give another folder with -o" in error
    status, _, error = command(*call[:-1], "few", "--inferences", 10)
    assert status == 1 and "there must be at least 10 inputs, for a run, not 9" in error
    assert not Path("few").exists()


def test_trials_are_kept_whole():
    trial = Trial(upset=Upset(inputs=1, element=2, word=3, bit=4, cycle=5), effect=Effect.COUNT, classes=2,
                  lasting=True, recovery=Recovery.BY_RESET)
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial


@pytest.mark.slow
def test_a_struck_weight_is_another_weight(program, text, inputs):
    """In the real machine, against the golden model of the network with that weight: classes, steps and scores."""
    prediction = predict_inputs(program, inputs)
    bench = UpsetBench(program, text, [prediction.stimulus], [5000], quiet=200)
    network, core = program.network, program.cores[0]
    (memory,) = (index for index, one in enumerate(bench.elements) if one.name == core.memory.name)
    bits = core.layer.weight_bits
    upsets, wanted = [], []
    for address, neuron, bit in ((0, 0, 0), (2, 3, 1), (5, 4, 2), (3, 1, 2)):
        weights = np.array(core.layer.weights)
        old = int(weights[neuron, address])
        new = (old & (1 << bits) - 1) ^ 1 << bit
        weights[neuron, address] = new - (new >> bits - 1 << bits)
        layers = list(network.layers)
        layers[0] = replace(layers[0], weights=weights)
        changed = replace(network, layers=tuple(layers))
        wanted.append(evidence(GoldenModel(changed).run(inputs)))
        differs = [index for index, (one, other) in enumerate(zip(
            program.images()[core.memory.name], replace(program, network=changed).images()[core.memory.name],
            strict=True)) if one != other]
        (word,) = differs
        place = program.images()[core.memory.name][word] ^ replace(program, network=changed).images()[
            core.memory.name][word]
        upsets.append(Upset(inputs=0, element=memory, word=word, bit=place.bit_length() - 1, cycle=0))
    upsets.append(Upset(inputs=0, element=NO_UPSET, word=0, bit=0, cycle=NO_UPSET))
    runs = bench.run(upsets)
    layout = result_layout(program)
    fields = [[layout.unpack(int.from_bytes(word.tobytes(), "little")) for word in run] for run in runs.words]
    seen = [[(label, step, scores) for label, step, _, scores in run] for run in fields]
    assert seen == [*wanted, evidence(prediction.golden)]
    assert runs.decided[-1].tolist() == prediction.trace.decided.tolist()
    assert len({repr(one) for one in seen}) > 2


@pytest.mark.slow
def test_every_upset_in_memories_with_parity_that_changes_anything_is_noticed(
        guarded, guarded_text, inputs):
    """In Verilator: each bit of each memory, in many cycles."""
    machine = UpsetMachine(UpsetCase(program=guarded, text=guarded_text, inputs=inputs, inferences=4, seed=1))
    assert {site.kind for site in machine.sites} == {
        "weights", "biases", "membranes", "rows", "parity", "registers"}
    for number, site in enumerate(machine.sites):
        if site.kind != "registers":
            trials = machine.trials(number, range(1500))
            felt = [trial for trial in trials if trial.effect is not Effect.NONE]
            assert all(trial.noticed for trial in felt) and sum(trial.noticed for trial in trials) > 150
            assert not felt if site.kind == "parity" else len(felt) > 10


def evidence(golden: GoldenResult) -> list[tuple[int, int, list[int]]]:
    """Class, step and scores of each inference."""
    return list(zip(golden.classes.tolist(), golden.steps.tolist(), golden.scores.tolist(), strict=True))
