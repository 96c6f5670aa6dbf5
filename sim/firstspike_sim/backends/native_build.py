# SPDX-License-Identifier: MIT
"""A Verilated model behind a C++ loop, compiled once and kept."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from firstspike_hw.toolchain import Tool, ToolError, find_tool
from firstspike_hw.verilog import TOP

__all__ = ["NATIVE", "build_simulator"]

NATIVE = Path(__file__).parent / "native"


def build_simulator(
    text: str, files: Mapping[str, str], *, waves: bool = False, optimise: bool = True,
) -> Tool:
    """The simulator as a tool, from the cache ``$FIRSTSPIKE_CACHE`` (default ``~/.cache/firstspike``) if it is there.

    Parameters
    ----------
    text : str
        Verilog, top module `TOP`.
    files : mapping of str to str
        C++ sources, their headers, and Verilator's configuration, by name.
    waves : bool
        With FST waveforms; the sources see WAVES defined.
    optimise : bool
        Not for runs so short that compiling is what takes the time.

    Raises
    ------
    ToolError
        Verilator or the C++ compiler is missing or failed.
    """
    verilator = find_tool("verilator")
    files = {f"{TOP}.v": text, **files}
    if waves:
        # Verilator edges FST waves with -llz4, which few machines have: an empty archive stands in.
        files["lz4.h"] = (NATIVE / "lz4.h").read_text()
    key = hashlib.sha256("\0".join((*(part for item in files.items() for part in item), str(verilator.version),
                                    str(waves), str(optimise))).encode())
    cache = Path(os.environ.get("FIRSTSPIKE_CACHE") or Path.home() / ".cache" / "firstspike") / key.hexdigest()[:24]
    if not (cache / "simulator").exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix="build-") as folder_name:
            folder = Path(folder_name)
            for name, content in files.items():
                (folder / name).write_text(content)
            if waves:
                (folder / "liblz4.a").write_bytes(b"!<arch>\n")
            verilator.run([
                "--cc", "--exe", "--build", "-j", "2", "-O3", "--x-assign", "fast", "--x-initial", "fast",
                "--noassert", "-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT", "--top-module", TOP, "--Mdir", "build",
                "-CFLAGS", ("-O2" if optimise else "-O0") + " -std=c++17" + (" -DWAVES" if waves else ""),
                *(["--trace-fst", "-LDFLAGS", "-L.."] if waves else []),
                "-o", "simulator", *(name for name in files if not name.endswith(".h")),
                "-CFLAGS", "-I..",
            ], folder=folder, timeout=1800)
            built = folder / "build" / "simulator"
            if not built.exists():
                raise ToolError("verilator ended well but left no simulator")
            staged = folder / "staged"
            staged.mkdir()
            shutil.copy2(built, staged / "simulator")
            try:
                staged.rename(cache)
            except OSError:  # somebody else was first
                if not (cache / "simulator").exists():
                    raise
    return Tool(name="simulator", command=(str(cache / "simulator"),))
