# SPDX-License-Identifier: MIT
"""One cocotb bench on one Verilog file, under Verilator or Icarus."""

import os
from pathlib import Path
from unittest.mock import patch

from cocotb_tools.runner import get_runner
from firstspike_arch.toolchain import ToolError, find_tool
from firstspike_hw.verilog import TOP

__all__ = ["run_bench"]

WARNINGS_OFF = ["-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT"]


def run_bench(folder: Path, simulator: str, bench: str, outcome: str, *, optimise: bool) -> Path:
    """Build ``folder``/TOP.v there, run bench module ``bench`` on it, and return the file that it must leave.

    Parameters
    ----------
    simulator : "verilator" or "icarus"
    outcome : str
        Name of a file in ``folder``; the bench finds the folder as FIRSTSPIKE_FOLDER.
    optimise : bool
        Not for runs so short that compiling is what takes the time.

    Raises
    ------
    ToolError
        The simulator is missing, or the bench ended without its file.
    """
    tool = find_tool("verilator" if simulator == "verilator" else "iverilog")
    environment = dict(tool.environment)
    if not optimise:
        environment["MAKEFLAGS"] = f"{environment.get('MAKEFLAGS', '')} OPT_FAST=-O0 OPT_GLOBAL=-O0".lstrip()
    with patch.dict(os.environ, environment):
        runner = get_runner(simulator)
        runner.build(
            sources=[folder / f"{TOP}.v"], hdl_toplevel=TOP, build_dir=folder / "build", always=True,
            build_args=WARNINGS_OFF if simulator == "verilator" else [], log_file=folder / "build.log",
            timescale=("1ns", "1ps"),
        )
        runner.test(
            hdl_toplevel=TOP, test_module=bench, build_dir=folder / "build", test_dir=folder,
            log_file=folder / "test.log", extra_env={"FIRSTSPIKE_FOLDER": str(folder)},
        )
    if not (folder / outcome).exists():
        tail = "\n".join((folder / "test.log").read_text().splitlines()[-12:])
        raise ToolError(f"{bench} in {simulator} ended without a result:\n{tail}")
    return folder / outcome
