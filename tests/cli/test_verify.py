# SPDX-License-Identifier: MIT
"""Verification in several runs: every input once, in its order, and what differs with the run that it is in."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import firstspike as fs
import numpy as np
import pytest
from firstspike import api
from firstspike.job_folder import JobFolder
from firstspike.verify_campaign import VerifyCase, verify_in_jobs
from firstspike_boards import gates
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend


@pytest.fixture(scope="module")
def case() -> tuple:
    """A program, and images of which no two fire alike."""
    random = np.random.default_rng(0)
    network = fs.NetworkBuilder(9, steps=4, readout="first_spike", input_kind="latency", name="runs")
    network.layer(random.integers(-7, 8, (6, 9)), theta=9, single_spike=True)
    network.layer(random.integers(-7, 8, (3, 6)), theta=4, single_spike=True)
    return fs.compile(network.build(), lanes=3).program, random.integers(0, 256, (7, 9)).astype(np.uint8)


@pytest.mark.parametrize("waits", [None, 5])
def test_runs_add_up_to_all_inputs(case, waits):
    program, images = case
    outcome = fs.verify(program, images, backend="pysim", run_size=3, waits=waits)
    assert outcome.equal and outcome.classes.tolist() == fs.infer(program, images).classes.tolist()
    assert {check.name: check.compared for check in outcome.checks}["classes"] == len(outcome.latency) == 7
    assert len(outcome.intervals) == 2 + 2 + 0


def test_each_run_begins_as_soon_as_it_is_predicted(case, monkeypatch):
    """In Verilator: while later ones are being predicted."""
    program, images = case
    simulator, seen = PysimBackend(), []

    def run_many(self, stimuli, processes, done):
        traces = []
        for stimulus in stimuli:
            seen.append((stimulus.inferences, len(predicted)))
            traces.append(simulator.run(stimulus))
            done()
        return traces

    predicted, predict = [], api.predict_inputs

    def noted(*args, **options):
        predicted.append(1)
        return predict(*args, **options)

    monkeypatch.setattr(api, "predict_inputs", noted)
    monkeypatch.setattr(VerilatorBackend, "load", lambda self, program: simulator.load(program))
    monkeypatch.setattr(VerilatorBackend, "run_many", run_many)
    told = []
    assert fs.verify(program, images, run_size=3, progress=lambda *counts: told.append(counts)).equal
    assert seen == [(3, 1), (3, 2), (1, 3)] and told == [(done, 6) for done in range(1, 7)]


@pytest.fixture
def late(monkeypatch):
    """The simulator of a run with one inference is a cycle late."""
    run = PysimBackend.run

    def wrong(self, stimulus):
        trace = run(self, stimulus)
        return replace(trace, decided=trace.decided + (stimulus.inferences == 1))

    monkeypatch.setattr(PysimBackend, "run", wrong)


@pytest.mark.usefixtures("late")
def test_a_difference_is_in_the_run_that_has_it(case):
    program, images = case
    outcome = fs.verify(program, images, backend="pysim", run_size=3)
    assert not outcome.equal and outcome.first.startswith("run 2 (from input 6): inference 0: cycle of the decision is")


@pytest.mark.usefixtures("late")
def test_jobs_find_what_runs_find(case, tmp_path):
    program, images = case
    found = verify_in_jobs(VerifyCase(program=program, verilog=None, backend="pysim", waits=5), images, run_size=3,
                           folder=JobFolder(tmp_path, {}))
    assert [path.name for path in sorted(tmp_path.glob("jobs/run*.json"))] == [
        "run0000000.json", "run0000003.json", "run0000006.json"]
    wanted = fs.verify(program, images, backend="pysim", run_size=3, waits=5)
    for name in ("checks", "first", "run", "alive", "dead", "cycles"):
        assert getattr(found, name) == getattr(wanted, name), name
    for name in ("classes", "latency", "intervals"):
        assert getattr(found, name).tolist() == getattr(wanted, name).tolist(), name
    assert found.run == (6, 7) and not found.equal


def test_a_verification_in_a_folder_goes_on_and_reports(case, command, tmp_path, monkeypatch):
    program, images = case
    monkeypatch.chdir(tmp_path)
    program.save("one.fsp")
    np.save("images.npy", images)
    call = ("verify", "one.fsp", "--data", "images.npy", "--backend", "pysim", "-o", "out", "--processes", 1)
    status, said, _ = command(*call, "--json", "same.json")
    assert status == 0 and "written to out/verify.json" in said and "going on" not in said
    report, same = (json.loads(Path(name).read_text()) for name in ("out/verify.json", "same.json"))
    assert report["equal"] and report["count"] == 7 and report["made_by"] == "firstspike verify"
    assert {name: report[name] for name in same} == same
    kept = Path("out/jobs/run0000000.json").stat().st_mtime_ns
    status, again, _ = command(*call)
    assert status == 0 and again.replace("going on with out\n", "") == said and again != said
    assert Path("out/jobs/run0000000.json").stat().st_mtime_ns == kept
    for options, message in (
        (("--waits", 3), "campaign.json: must be of the same campaign to go on, but differs in waits; give another "),
        (("--limit", 5), "but differs in count, inputs; give another folder with -o"),
        (("--html", "page.html"), "--html must be given without -o, whose jobs leave their spikes behind"),
    ):
        status, _, error = command(*call, *options)
        assert status == 1 and message in error, error
    Path("out/jobs/run0000000.json").write_text("{}")
    status, _, error = command(*call)
    assert status == 1 and "a result of a job is altered; give another folder with -o" in error
    status, _, error = command(*call[:6], "--scheduler", "tcp://host:8786")
    assert status == 1 and "--scheduler must be given with -o FOLDER, which keeps the outcomes of jobs" in error
    Path("mine").mkdir()
    Path("mine/verify.json").write_text("mine")
    status, _, error = command(*call[:-3], "mine")
    assert status == 1 and "mine: must have room for verify.json" in error and not Path("mine/jobs").exists()


@pytest.mark.parametrize("options, message", [
    (("--gates", "gowin"), "gates must be those of ecp5, ice40, xilinx, not 'gowin'"),
    (("--gates", "ecp5", "--backend", "pysim"), "--gates must be simulated with backend 'verilator', not 'pysim'"),
    (("--gates", "ecp5", "--html", "page.html"), "--html must be given without --gates, whose signals have no names"),
])
def test_what_does_not_go_with_gates_is_refused_at_once(options, message, command):
    status, _, error = command("verify", "missing.fsp", "--data", "digits", *options)
    assert status == 1 and message in error


def test_the_gates_are_simulated_in_place_of_the_verilog(case, command, tmp_path, monkeypatch):
    program, images = case
    program.save(tmp_path / "one.fsp")
    np.save(tmp_path / "images.npy", images)
    found = gates.Gates(text="module gates();", cells=Counter(LUT4=7, DP16KD=2))
    made, verified = create_autospec(gates.gates_of, return_value=found), create_autospec(api.verify)
    verified.return_value = fs.verify(program, images, backend="pysim")
    monkeypatch.setattr(gates, "gates_of", made)
    monkeypatch.setattr(api, "verify", verified)
    status, said, _ = command("verify", tmp_path / "one.fsp", "--data", tmp_path / "images.npy", "--gates", "ecp5")
    assert status == 0 and "cells of ecp5: 7 LUT4, 2 DP16KD" in said
    assert "\nmodule firstspike(" in made.call_args.args[1] and made.call_args.args[2] == "ecp5"
    assert verified.call_args.kwargs["verilog"] == found.text and verified.call_args.kwargs["optimise"] is False
