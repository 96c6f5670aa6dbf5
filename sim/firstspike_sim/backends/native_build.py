# SPDX-License-Identifier: MIT
"""Builds simulators: a Verilated model driven by a C++ loop, compiled once and cached."""

import os
import platform
import shlex
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from firstspike_hw.toolchain import Tool, ToolError, find_tool
from firstspike_hw.verilog_files import TOP

from .build_cache import build_once, shared_runtime, tool_identity

__all__ = ["FEW_FILES", "NATIVE", "build_simulator"]

NATIVE = Path(__file__).parent / "native"

FEW_FILES = ("--output-split", "200000")
"""Flags with which Verilator writes ten times as many statements into a file of C++ as it would, before it begins
another. Without optimisation the compiler takes most of its time for the headers that it reads first in each; with it,
two files are compiled side by side."""

_FLAGS = (
    "--cc", "--exe", "--build", "-j", "2", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
    "-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT", "--top-module", "{top}", "--Mdir", "build", "-o", "simulator",
    "-CFLAGS", "-I.. -std=c++17",
)
_WAVES = ("--trace-fst", "-CFLAGS", "-DWAVES", "-LDFLAGS", "-L..")


def build_simulator(
    text: str, files: Mapping[str, str], *, top: str = TOP, waves: bool = False, optimise: bool = True,
) -> Tool:
    """Return the simulator as a tool, from the `build_cache` if it is there.

    Parameters
    ----------
    text : str
        Verilog, with the top module ``top``.
    files : mapping of str to str
        C++ sources, headers and Verilator's configuration files, by name. The model's class is Vfirstspike.
    waves : bool
        Build with FST waveforms; WAVES is defined for the sources.
    optimise : bool
        Optimise the compiled code, with Clang if there is one: its code is 1.2 to 1.4 times as fast as that of GCC.
        If Clang fails, as it does with some large models, Verilator's own choice compiles instead. False is faster for
        short runs, whose time is mostly compilation.

    Raises
    ------
    ToolError
        Verilator or the C++ compiler is missing or failed.
    """
    compiler = _compiler(fast=optimise and not waves)
    return _built(text, files, compiler, top=top, waves=waves, optimise=optimise)


def _built(
    text: str, files: Mapping[str, str], compiler: Tool | None, *, top: str, waves: bool, optimise: bool,
) -> Tool:
    """Return the simulator, compiled by a compiler; None: by that of Verilator's choice."""
    verilator, given = find_tool("verilator"), files
    if compiler:
        verilator = _compiling(verilator, compiler)
    files = {f"{top}.v": text, **files}
    if waves:
        # Verilator links FST waves with -llz4, which few machines have; an empty archive replaces it.
        files["lz4.h"] = (NATIVE / "lz4.h").read_text("utf-8")
    named = [flag.format(top=top) for flag in _FLAGS] + ([] if top == TOP else ["--prefix", f"V{TOP}"])
    flags = (*named, *(_WAVES if waves else ()), *(("-CFLAGS", "-O2") if optimise else ("-CFLAGS", "-O0", *FEW_FILES)))
    tools = (*tool_identity(verilator), *((*tool_identity(compiler), _processor()) if compiler else ()), *flags)

    def build(folder: Path) -> Iterable[Path]:
        for name, content in files.items():
            (folder / name).write_text(content, "utf-8")
        if waves:
            (folder / "liblz4.a").write_bytes(b"!<arch>\n")
        built = folder / "build" / "simulator"
        try:
            with shared_runtime(folder / "build", tools):
                verilator.run(
                    [*flags, *(name for name in files if not name.endswith(".h"))], folder=folder, timeout=1800)
        except ToolError:
            if not compiler or os.environ.get("CXX"):
                raise
            # Kept as what this compiler made, so that it is not tried again.
            other = _built(text, given, None, top=top, waves=waves, optimise=optimise)
            shutil.copy(other.command[0], built)
        if not built.exists():
            raise ToolError("verilator ended well but left no simulator")
        return [built]

    kept = build_once([*tools, *(part for item in files.items() for part in item)], build)
    return Tool(name="simulator", command=(str(kept / "simulator"),))


def _compiler(*, fast: bool) -> Tool | None:
    """The compiler of ``$CXX``; without that, for ``fast`` code, Clang if there is one. None: Verilator's own choice.

    FST waves need a library that Clang from PyPI does not find, and what is not optimised would gain nothing.
    """
    if os.environ.get("CXX"):
        return find_tool("clang++")
    with suppress(ToolError):
        return find_tool("clang++") if fast else None
    return None


def _processor() -> str:
    """What tells this processor from others: Clang from PyPI compiles for the one that it runs on."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return platform.node()


def _compiling(verilator: Tool, compiler: Tool) -> Tool:
    """Return Verilator with this compiler and linker instead of those that its makefile names."""
    # For the shell; then for make, which takes a variable in MAKEFLAGS to the first blank.
    command = shlex.join(compiler.command).replace("$", "$$").replace("\\", "\\\\").replace(" ", "\\ ")
    flags = verilator.environment.get("MAKEFLAGS", os.environ.get("MAKEFLAGS", ""))
    environment = {**verilator.environment, "MAKEFLAGS": f"{flags} CXX={command} LINK={command}".strip()}
    return replace(verilator, environment=environment)
