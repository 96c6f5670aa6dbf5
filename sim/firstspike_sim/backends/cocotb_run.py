# SPDX-License-Identifier: MIT
"""Runs a cocotb bench on a Verilog file, under Verilator or Icarus."""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import cocotb_tools
from cocotb_tools.runner import get_runner
from firstspike_hw.toolchain import ToolError, find_tool
from firstspike_hw.verilog_files import TOP

from .build_cache import build_once, shared_runtime, tool_identity
from .native_build import FEW_FILES

__all__ = ["run_bench"]

_WARNINGS_OFF = ("-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT")


def run_bench(folder: Path, simulator: str, bench: str, outcome: str, *, optimise: bool) -> Path:
    """Run the bench module ``bench`` on the Verilog file `TOP`.v in ``folder``, and return the file that it writes.

    The design is built unless the `build_cache` has it; benches of the same Verilog share a build.

    Parameters
    ----------
    simulator : "verilator" or "icarus"
    outcome : str
        Name of that file in ``folder``; the bench gets the folder in the environment variable FIRSTSPIKE_FOLDER.
    optimise : bool
        Optimise the compiled code; False is faster for short runs, whose time is mostly compilation.

    Raises
    ------
    ToolError
        The simulator is missing or failed, or the bench failed or ended without its file.
    """
    tool = find_tool("verilator" if simulator == "verilator" else "iverilog")
    # cocotb looks for the simulator on PATH, so the folder of the one that was found comes first.
    path = tool.environment.get("PATH", os.environ.get("PATH", ""))
    place = Path(shutil.which(tool.command[0], path=path) or tool.command[0]).resolve().parent
    environment = {**tool.environment, "PATH": f"{place}{os.pathsep}{path}"}
    if not optimise:
        environment["MAKEFLAGS"] = f"{environment.get('MAKEFLAGS', '')} OPT_FAST=-O0 OPT_GLOBAL=-O0".lstrip()
    flags = [] if simulator == "icarus" else [*_WARNINGS_OFF, *(() if optimise else FEW_FILES)]
    source, build_log, test_log = folder / f"{TOP}.v", folder / "build.log", folder / "test.log"
    tools = (simulator, *tool_identity(tool), *flags, str(optimise), cocotb_tools.__file__, version("cocotb"))
    runner = get_runner(simulator)

    def build(work: Path) -> Iterable[Path]:
        with shared_runtime(work, ["cocotb", *tools]):
            runner.build(
                sources=[source], hdl_toplevel=TOP, build_dir=work, always=True,
                build_args=flags, log_file=build_log, timescale=("1ns", "1ps"),
            )
        return [work / (TOP if simulator == "verilator" else "sim.vvp")]

    # cocotb's runner raises SystemExit or RuntimeError if a tool or a bench fails.
    with patch.dict(os.environ, environment), suppress(RuntimeError, SystemExit):
        runner.test(
            hdl_toplevel=TOP, hdl_toplevel_lang="verilog", test_module=bench, test_dir=folder, log_file=test_log,
            build_dir=build_once([*tools, source.read_text()], build), extra_env={"FIRSTSPIKE_FOLDER": str(folder)},
        )
        if (folder / outcome).exists():
            return folder / outcome
    output = next((log.read_text(errors="replace") for log in (test_log, build_log) if log.exists()), "")
    tail = "\n".join(output.splitlines()[-12:])
    raise ToolError(f"{bench} in {simulator} ended without a result:\n{tail}")
