# SPDX-License-Identifier: MIT
"""Simulators are built although the compiler that was chosen for its speed fails."""

from pathlib import Path

import pytest
from firstspike_hw.toolchain import ToolError
from firstspike_sim.backends.native_build import build_simulator

VERILOG = "module firstspike(input clk, output reg [3:0] count); always @(posedge clk) count <= 4'd7; endmodule"
DRIVER = """
#include "Vfirstspike.h"
#include <cstdio>
int main() {
    Vfirstspike top;
    for (int edge = 0; edge < 4; ++edge) { top.clk = edge & 1; top.eval(); }
    std::printf("%d\\n", int(top.count));
}
"""


@pytest.fixture
def calls(tmp_path, monkeypatch) -> Path:
    """A Clang that compiles nothing, and the file in which it counts its calls."""
    monkeypatch.setenv("FIRSTSPIKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    tools, called = tmp_path / "tools", tmp_path / "called"
    tools.mkdir()
    (tools / "clang++").write_text(
        f'#!/bin/sh\ncase "$1" in --version) echo clang version 18.1.3; exit 0;; esac\necho x >> {called}\nexit 1\n')
    (tools / "clang++").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    return called


def test_another_compiler_takes_over_and_is_remembered(calls, tmp_path):
    for _ in range(2):
        simulator = build_simulator(VERILOG, {"driver.cpp": DRIVER})
        assert simulator.run([], folder=tmp_path).strip() == "7"
        tries = calls.read_text()
    assert tries and calls.read_text() == tries


def test_a_compiler_that_was_asked_for_is_the_only_one(calls, monkeypatch):
    monkeypatch.setenv("CXX", "clang++")
    with pytest.raises(ToolError, match=r"^verilator ended with status 2:\n"):
        build_simulator(VERILOG, {"driver.cpp": DRIVER})
    assert calls.exists()


def test_what_no_compiler_takes_is_told(calls):
    with pytest.raises(ToolError, match=r"driver\.cpp"):
        build_simulator(VERILOG, {"driver.cpp": "int main() { return missing; }"})
