# SPDX-License-Identifier: MIT
"""The verbs that report: a table, a JSON file and a picture each."""

import json
from dataclasses import replace

import numpy as np
import pytest
from firstspike import study_report
from firstspike.main import app
from firstspike.verb_demo import shipped
from firstspike_arch.checkpoint import load_network
from firstspike_train.corruptions import CORRUPTIONS
from firstspike_train.data import DataError, load
from firstspike_train.recipe import DataRecipe, NetworkRecipe
from firstspike_train.studies.surrogate_shapes import SURROGATE_SHAPES
from typer.testing import CliRunner

PNG = b"\x89PNG\r\n"
DIGITS = str(shipped("zoo", "digits_ettfs.safetensors"))


def run(*arguments):
    return CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)


def test_report_of_a_network(tmp_path):
    done = run("report", DIGITS, "--data", "digits", "-o", tmp_path / "out")
    assert done.exit_code == 0 and "memory" in done.stdout
    found = json.loads((tmp_path / "out" / "digits_ettfs.json").read_text())
    stated = load_network(DIGITS).accuracy["quantised_test"]
    assert found["accuracy_by_step"][-1] == stated and len(found["accuracy_by_step"]) == found["steps"] == 8
    assert found["decided_by_step"][-1] == 1 and found["decided_by_step"] == sorted(found["decided_by_step"])
    dense = sum(one["dense"] for one in found["operations"].values())
    assert dense == 64 * 64 + 64 * 10 and found["energy_nj"]["FP32"]["ann"] == pytest.approx(dense * 4.6 / 1000)
    assert found["energy_nj"]["INT8"]["spiking"] == pytest.approx(
        sum(one["additions"] for one in found["operations"].values()) * 0.03 / 1000)
    assert found["memory_bits"]["membranes"] > found["memory_bits"]["weights"] > 0
    assert (tmp_path / "out" / "digits_ettfs.png").read_bytes().startswith(PNG)


def test_report_without_labels(tmp_path):
    np.save(tmp_path / "x.npy", load("digits", "test")[0][:5])
    done = run("report", DIGITS, "--data", tmp_path / "x.npy", "-o", tmp_path)
    assert done.exit_code == 0
    assert json.loads((tmp_path / "digits_ettfs.json").read_text())["accuracy_by_step"] is None


def test_robustness_of_two_networks(tmp_path):
    other = shipped("zoo", "digits_latency.safetensors")
    done = run("robustness", DIGITS, other, "--data", "digits", "--limit", "40", "-o", tmp_path)
    assert done.exit_code == 0 and "mean of all" in done.stdout
    facts = json.loads((tmp_path / "robustness.json").read_text())
    accuracy = facts["accuracy"]
    assert facts["strengths"] == "imagenet-c"
    assert set(accuracy) == {"digits_ettfs", "digits_latency"}
    for one in accuracy.values():
        assert set(one) == {"clean", *CORRUPTIONS} and len(one["contrast"]) == 5
        assert one["clean"][0] > 0.8 > one["gaussian_noise"][4]
    assert (tmp_path / "robustness.png").read_bytes().startswith(PNG)
    with pytest.raises(ValueError, match="networks must have different names, not digits_ettfs, digits_ettfs"):
        run("robustness", DIGITS, DIGITS, "--data", "digits", "-o", tmp_path)
    with pytest.raises(DataError, match="dataset must be one of"):
        run("robustness", DIGITS, "--data", "x.npy", "-o", tmp_path)
    for wrong in ("weak", ""):
        with pytest.raises(ValueError, match=f"--strengths must be one of imagenet-c, cifar-10-c, not '{wrong}'"):
            run("robustness", DIGITS, "--data", "digits", "--strengths", wrong, "-o", tmp_path)
    run("robustness", DIGITS, "--data", "digits", "--limit", "40", "--strengths", "cifar-10-c", "-o", tmp_path)
    weaker = json.loads((tmp_path / "robustness.json").read_text())["accuracy"]["digits_ettfs"]
    assert sum(weaker["impulse_noise"]) > sum(accuracy["digits_ettfs"]["impulse_noise"])


def test_a_study_as_a_command(tmp_path, monkeypatch):
    small = replace(SURROGATE_SHAPES, measures=("layer0_spikes",), variants=tuple(
        replace(variant, recipe=replace(
            variant.recipe, data=DataRecipe(dataset="digits"), network=NetworkRecipe(layers="16-10", steps=2),
            quantisation=replace(variant.recipe.quantisation, weight_bits=(8, 8)),
        )) for variant in SURROGATE_SHAPES.variants[:5]))
    monkeypatch.setitem(study_report.STUDIES, small.name, small)
    done = run("study", small.name, "--seeds", "2", "--samples", "200", "--epochs", "1", "-o", tmp_path)
    assert done.exit_code == 0 and "paper: " in done.stdout
    found = json.loads((tmp_path / "surrogate_shapes.json").read_text())
    assert len(found["outcomes"]) == 10 and {one["seed"] for one in found["outcomes"]} == {1, 2}
    assert found["first_recipe"]["data"]["samples"] == 200 and found["claim"] == small.claim
    assert (tmp_path / "surrogate_shapes.png").read_bytes().startswith(PNG)
    with pytest.raises(ValueError, match=r"study must be one of ettfs_ablation, .*, not 'x'"):
        run("study", "x")
    assert all(name in run("study", "--help").stdout for name in study_report.STUDIES)


def test_data_that_cannot_be_fetched():
    with pytest.raises(DataError, match="nmnist must be fetched by hand from"):
        run("data", "nmnist")
