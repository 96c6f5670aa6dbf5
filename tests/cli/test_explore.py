# SPDX-License-Identifier: MIT
"""Exploration: trials that say what they measured, go on from a file, and can be compiled."""

import json
import re

import firstspike as fs
import numpy as np
import pytest
from firstspike import dask_workers, exploring
from firstspike.campaign import CampaignError
from firstspike.exploring import Measures, Trials, measure
from firstspike.mapping import SAMPLES
from firstspike.options import load_inputs
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_compiler.passes.search_mapping import processing_elements

DIGITS, DEVICE = shipped("zoo", "digits_ettfs.safetensors"), "ice40-up5k"


def measured(choice: dict) -> tuple[Measures, int] | str:
    """Measures that follow from the choice, in place of those of a mapping."""
    budget, bits = choice["lane_budget"], choice["weight_bits"]
    if budget > 2000:
        return "it must fit"
    return Measures(interval=1000 / budget, luts=10 * budget + sum(bits), blocks=sum(bits), accuracy=min(bits) / 10,
                    energy_nj=float(sum(bits))), budget


@pytest.fixture
def trials(tmp_path, monkeypatch):
    """Opens the trials of a file, which are measured in this process."""
    monkeypatch.setattr(exploring, "_measured", lambda samples, choice: measured(choice))
    return lambda: Trials(tmp_path / "t.journal", DIGITS, device=DEVICE, data="digits", make=True)


def dominated(one: Measures, other: Measures) -> bool:
    signs = [1 if way == "minimize" else -1 for way in exploring.AIMS.values()]
    pairs = [(sign * mine, sign * theirs) for sign, mine, theirs in zip(signs, one, other, strict=True)]
    return all(theirs <= mine for mine, theirs in pairs) and any(theirs < mine for mine, theirs in pairs)


def test_trials_go_on_from_their_file(trials):
    first = trials()
    first.run(6, np.zeros(0), np.zeros(0))
    trained = tuple(layer.weight_bits for layer in first.network.layers)
    begun = [(one.lane_budget, one.weight_bits, one.early_exit) for one in first.finished()][:4]
    assert begun == [(budget, trained, False) for budget in exploring.STARTS]
    cut = first._study.ask(first._space())  # as if the command had been ended
    second = trials()
    assert second.finished() == first.finished()
    second.run(40, np.zeros(0), np.zeros(0))
    finished = second.finished()
    assert len(finished) + len(second.refused()) == 46 and len(second.refused()) == sum(
        budget > 2000 for budget in [one.params["lane_budget"] for one in second._study.get_trials()[:6] +
                                     second._study.get_trials()[7:]])
    assert any(one.params == cut.params for one in second._study.get_trials()[7:]), "it is tried again"
    assert len({(one.lane_budget, one.weight_bits, one.early_exit) for one in finished}) > 30
    assert {one.early_exit for one in finished} == {False, True}
    front = second.front()
    assert front == sorted(front, key=lambda one: one.measures) and 4 <= len(front) < len(finished)
    best = {one.measures for one in finished
            if not any(dominated(one.measures, other.measures) for other in finished)}
    assert [one.measures for one in front] == sorted(best)


def test_trials_go_on_after_an_interruption_and_a_failure(trials, monkeypatch):
    asked = []

    def struck(samples, choice):
        asked.append(choice)
        if len(asked) in (3, 5):
            raise KeyboardInterrupt if len(asked) == 3 else ZeroDivisionError("none")
        return measured(choice)

    monkeypatch.setattr(exploring, "_measured", struck)
    kept = trials()
    with pytest.raises(CampaignError, match=r"^interrupted; 2 of 4 trials are done, kept in .*t.journal, from which "):
        kept.run(4, np.zeros(0), np.zeros(0))
    with pytest.raises(CampaignError, match=r"^trial 4 failed \(.*t.journal.4.log\): ZeroDivisionError: none; 1 of 4 "):
        trials().run(4, np.zeros(0), np.zeros(0))
    assert asked[4] == asked[2] != asked[3] and "Traceback" in kept.path.with_name("t.journal.4.log").read_text()
    trials().run(1, np.zeros(0), np.zeros(0))
    assert asked[5] == asked[4] and len(trials().finished()) == 4


def test_a_choice_is_measured_as_it_would_be_compiled():
    network, (images, labels) = fs.load(DIGITS), load_inputs("digits", "validation", 40)
    choice = {"lane_budget": 24, "early_exit": True, "weight_bits": [4, 3]}
    found, elements = measure(network, images, labels, DEVICE, choice)
    mapping = fs.map_to_device(network, images[:SAMPLES], device=DEVICE, **choice)
    program = mapping.compilation.program
    assert (found.interval, found.luts, found.blocks, elements) == (
        mapping.interval, mapping.luts, mapping.blocks, mapping.elements)
    assert found.accuracy == float((fs.infer(program, images).classes == labels).mean()) and found.energy_nj > 0
    assert measure(network, images, labels, DEVICE, {**choice, "lane_budget": 1}) == (
        "lane_budget must be ≥ 2 (one a layer), not 1")


def test_explore_and_compile_a_trial(run, tmp_path):
    journal, page = tmp_path / "t.journal", tmp_path / "t.html"
    printed = run("explore", DIGITS, "--data", "digits", "--device", DEVICE, "--trials", journal, "--count", 2,
                  "--limit", 40, "--html", page)
    trial = Trials(journal, DIGITS).front()[0]
    assert f"{trial.measures.luts:,}" in printed and "of 2 trials; 0 did not fit" in printed
    text = page.read_text()
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["front"][0]["measures"] == trial.measures._asdict() and f"{trial.measures.luts:,}" in text
    assert text.count("<svg") == 4 and "http" not in re.sub(r'xmlns(:xlink)?="[^"]+"', "", text)
    run("compile", DIGITS, "--trials", journal, "--from-trial", trial.number, "-o", tmp_path / "b")
    program: Program = fs.open_build(tmp_path / "b")
    assert tuple(layer.weight_bits for layer in program.network.layers) == trial.weight_bits
    assert sum(processing_elements(core) for core in program.cores) == trial.elements
    assert program.config.early_exit == trial.early_exit


def test_a_scheduler_that_is_none_leaves_no_file(command, trials, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_workers, "ANSWER_SECONDS", 0.2)
    explore = ["explore", DIGITS, "--device", DEVICE, "--data", "digits", "--count", 1, "--limit", 5, "--scheduler",
               "bad://host:8786", "--trials"]
    ended = command(*explore, tmp_path / "new.journal")
    assert ended.status == 1 and "--scheduler must be the address of a dask scheduler" in ended.err
    assert not list(tmp_path.iterdir())
    trials().run(1, np.zeros(0), np.zeros(0))
    before = trials().finished()
    assert command(*explore, tmp_path / "t.journal").status == 1
    assert trials().finished() == before and len(before) == 1


def test_trials_that_do_not_fit_the_question(command, trials, tmp_path):
    trials().run(1, np.zeros(0), np.zeros(0))
    journal = tmp_path / "t.journal"
    other = shipped("zoo", "digits_latency.safetensors")
    (tmp_path / "text").write_text("not a journal\n")
    explore = ["--data", "digits", "--count", 0, "--trials"]
    for arguments, sentence in (
        (["explore", other, "--device", DEVICE, *explore, journal], "holds trials of another network"),
        (["explore", DIGITS, "--device", "ecp5-25", *explore, journal],
         f"holds trials for the device {DEVICE}, not ecp5-25"),
        (["explore", DIGITS, "--device", "ecp6", *explore, journal], "device must be one of"),
        (["explore", DIGITS, "--device", DEVICE, *explore, tmp_path / "text"], "must be a file of trials"),
        (["compile", DIGITS, "-o", tmp_path / "b", "--from-trial", 0, "--trials", tmp_path / "none"],
         "must be a file of trials ('firstspike explore' makes one)"),
        (["compile", DIGITS, "-o", tmp_path / "b", "--from-trial", 7, "--trials", journal],
         "trial must be one that fits, such as 0, not 7"),
        (["compile", DIGITS, "-o", tmp_path / "b", "--from-trial", 0, "--trials", journal, "--lanes", "4"],
         "--from-trial must be given without --lanes"),
    ):
        ended = command(*arguments)
        assert ended.status == 1 and sentence in ended.err, (arguments, ended.err)
    assert (tmp_path / "text").read_text() == "not a journal\n"
    assert not (tmp_path / "b").exists() and not (tmp_path / "none").exists()
