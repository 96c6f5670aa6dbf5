# SPDX-License-Identifier: MIT
"""Builds simulators: a Verilated model driven by a C++ loop, compiled once and cached."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from firstspike_hw.toolchain import Tool, ToolError, find_tool
from firstspike_hw.verilog import TOP

from .build_cache import build_once, shared_runtime, tool_identity

__all__ = ["NATIVE", "build_simulator"]

NATIVE = Path(__file__).parent / "native"

_FLAGS = (
    "--cc", "--exe", "--build", "-j", "2", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
    "-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT", "--top-module", TOP, "--Mdir", "build", "-o", "simulator",
    "-CFLAGS", "-I.. -std=c++17",
)
_WAVES = ("--trace-fst", "-CFLAGS", "-DWAVES", "-LDFLAGS", "-L..")


def build_simulator(
    text: str, files: Mapping[str, str], *, waves: bool = False, optimise: bool = True,
) -> Tool:
    """Return the simulator as a tool, from the `build_cache` if it is there.

    Parameters
    ----------
    text : str
        Verilog, with the top module `TOP`.
    files : mapping of str to str
        C++ sources, headers and Verilator's configuration files, by name.
    waves : bool
        Build with FST waveforms; WAVES is defined for the sources.
    optimise : bool
        Optimise the compiled code; False is faster for short runs, whose time is mostly compilation.

    Raises
    ------
    ToolError
        Verilator or the C++ compiler is missing or failed.
    """
    verilator = find_tool("verilator")
    files = {f"{TOP}.v": text, **files}
    if waves:
        # Verilator links FST waves with -llz4, which few machines have; an empty archive replaces it.
        files["lz4.h"] = (NATIVE / "lz4.h").read_text()
    flags = (*_FLAGS, *(_WAVES if waves else ()), "-CFLAGS", "-O2" if optimise else "-O0")
    tools = (*tool_identity(verilator), *flags)

    def build(folder: Path) -> Iterable[Path]:
        for name, content in files.items():
            (folder / name).write_text(content)
        if waves:
            (folder / "liblz4.a").write_bytes(b"!<arch>\n")
        with shared_runtime(folder / "build", tools):
            verilator.run([*flags, *(name for name in files if not name.endswith(".h"))], folder=folder, timeout=1800)
        built = folder / "build" / "simulator"
        if not built.exists():
            raise ToolError("verilator ended well but left no simulator")
        return [built]

    kept = build_once([*tools, *(part for item in files.items() for part in item)], build)
    return Tool(name="simulator", command=(str(kept / "simulator"),))
