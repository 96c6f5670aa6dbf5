# SPDX-License-Identifier: MIT
"""Simulators are built although the compiler that was chosen for its speed fails, and from few files."""

import os
import shlex
from pathlib import Path

import pytest
from firstspike_hw.toolchain import ToolError, find_tool
from firstspike_sim.backends.native_build import build_simulator

VERILATOR = """#!/bin/sh
case "$1" in --version) echo Verilator 5.048; exit;; esac
case "$MAKEFLAGS" in *clang++*) echo x >> {called}; echo the compiler crashed; exit 2;; esac
grep -q wrong firstspike.v && {{ echo a wrong name; exit 1; }}
printf '#!/bin/sh\\necho runs\\n' > build/simulator
chmod +x build/simulator
"""
"""Calls no compiler, but for Clang, which fails."""


@pytest.fixture
def called(tmp_path, monkeypatch) -> Path:
    """The file in which a Verilator counts how often its Clang has failed."""
    tools, called = tmp_path / "tools", tmp_path / "called"
    tools.mkdir()
    for name, text in (("clang++", "#!/bin/sh\necho clang version 18.1.3\n"),
                       ("verilator", VERILATOR.format(called=called))):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("FIRSTSPIKE_CACHE", str(tmp_path / "cache"))
    for variable in ("CXX", "VERILATOR", "MAKEFLAGS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    return called


def test_another_compiler_takes_over_and_is_remembered(called, tmp_path):
    for _ in range(2):
        assert build_simulator("module firstspike;", {}).run([], folder=tmp_path) == "runs\n"
    assert called.read_text() == "x\n"


def test_a_compiler_that_was_asked_for_is_the_only_one(called, monkeypatch):
    monkeypatch.setenv("CXX", "clang++")
    with pytest.raises(ToolError, match=r"^verilator ended with status 2:\nthe compiler crashed$"):
        build_simulator("module firstspike;", {})
    assert called.read_text() == "x\n"


def test_what_no_compiler_takes_is_told(called):
    with pytest.raises(ToolError, match=r"^verilator ended with status 1:\na wrong name$"):
        build_simulator("module wrong;", {})


def test_without_optimisation_clang_is_not_asked(called, tmp_path):
    assert build_simulator("module firstspike;", {}, optimise=False).run([], folder=tmp_path) == "runs\n"
    assert not called.exists()


def test_models_without_optimisation_are_written_into_one_file(tmp_path, monkeypatch):
    """The model's own functions; Verilator would begin a second file, with all headers again, at 20,000 statements."""
    real, written, count = find_tool("verilator"), tmp_path / "written", 1200
    variables = {**real.environment, "PATH": real.environment.get("PATH", os.environ["PATH"])}
    only_writes = tmp_path / "verilator"
    only_writes.write_text(f"""#!/bin/bash
case "$1" in --version) echo Verilator 5.048; exit;; esac
export {shlex.join(f"{name}={value}" for name, value in variables.items())}
{shlex.join(real.command)} "${{@/--build/--cc}}" && ls build/*root__[0-9].cpp > {written} && touch build/simulator
""")
    only_writes.chmod(0o755)
    monkeypatch.setenv("VERILATOR", str(only_writes))
    monkeypatch.setenv("FIRSTSPIKE_CACHE", str(tmp_path / "cache"))
    registers = "".join(
        f"reg [7:0] r{i}; always @(posedge clk) r{i} <= " +
        " ^ ".join(f"(r{(i * k + k) % count} + 8'd{i * k % 251})" for k in range(3, 20)) + ";\n" for i in range(count))
    build_simulator(f"module firstspike(input clk, output [7:0] last);\n{registers}assign last = r0;\nendmodule\n", {},
                    optimise=False)
    assert written.read_text().split() == ["build/Vfirstspike___024root__0.cpp"]
