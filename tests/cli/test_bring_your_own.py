# SPDX-License-Identifier: MIT
"""The code of docs/bring_your_own.md runs as it stands there."""

import re
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own.md"


def ran(heading: str) -> dict:
    """The names that the Python below a heading leaves."""
    names: dict = {"__name__": "page"}
    exec(compile(blocks(heading), str(PAGE), "exec"), names)
    return names


def blocks(heading: str) -> str:
    """All Python below a heading."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


@pytest.mark.slow  # plain torch, below, is trained in seconds
@pytest.mark.parametrize(("heading", "folder"), [
    ("From snnTorch", "build_snntorch"), ("From SpikingJelly", "build_spikingjelly")])
def test_the_page_runs(heading, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ran(heading)
    real, integer = float(names["right"]), (names["golden"].classes == names["labels"][1500:]).mean()
    assert real > 0.85 and integer > real - 0.03
    assert (tmp_path / folder / "manifest.json").is_file() and list((tmp_path / folder).glob("*.v"))


def test_the_page_runs_in_plain_torch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ran("From plain torch")
    assert names["right"] > 0.87 and names["integer"] > names["right"] - 0.03
    assert 0.02 < names["golden"].spikes[1].mean() < 0.7
    assert (tmp_path / "build_torch" / "manifest.json").is_file()
    assert [one.source for one in names["network"].layers[1].branches] == [0]


def test_what_the_page_writes_as_nir_is_the_same_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ran("From a NIR file")
    inputs = np.random.default_rng(1).integers(0, 2, (20, 6, 64))
    expected, actual = (fs.infer(names[name], inputs).spikes for name in ("program", "again"))
    assert all(np.array_equal(*pair) for pair in zip(expected, actual, strict=True))
    assert 0.02 < expected[-1].mean() < 0.7


def test_what_the_page_writes_by_hand_is_the_same_in_the_commands(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    names = ran("By hand, in integers")
    network, images, golden = names["network"], names["images"], names["golden"]
    assert network.layers[0].weights.tolist() == names["edges"]
    assert all(0.02 < (one > 0).mean() < 0.7 for one in golden.spikes[1:]) and len(set(golden.classes)) > 1
    for verb in (["inspect", "by_hand.safetensors"], ["compile", "by_hand.safetensors", "-o", "b", "--early-exit"]):
        done = command(*verb)
        assert done.status == 0, done.err
    again = fs.infer(fs.open_build("b"), images)
    assert all(np.array_equal(*pair) for pair in zip(golden.spikes, again.spikes, strict=True))


def test_the_bits_that_the_page_chooses_keep_its_budget():
    names = ran("Fewer bits")
    calibration, program = names["calibration"], names["compilation"].program
    assert max(names["chosen"].bits) < 8
    score = calibration.score(fs.infer(program, names["samples"]).classes)
    assert score == names["chosen"].score >= calibration.score(calibration.classes) - 0.5
