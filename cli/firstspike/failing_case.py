# SPDX-License-Identifier: MIT
"""Verification that raises: the first difference, in a case that is kept on disk, and the command that repeats it."""

import shlex
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firstspike_arch.output_folder import write_folder

from .verifiable import PROGRAM_SUFFIX, Verifiable

if TYPE_CHECKING:
    from .api import Verification

__all__ = ["DivergenceError", "check"]

MADE_BY = "firstspike's failing cases"
RECORD = "case.json"


class DivergenceError(AssertionError):
    """Hardware and models differ.

    Parameters
    ----------
    outcome : Verification
    command : str
        Shell command that repeats the run that differs, with waves.
    """

    def __init__(self, message: str, outcome: "Verification", command: str):
        super().__init__(message)
        self.outcome, self.command = outcome, command


def check(
    case: Verifiable, inputs: Any, *, folder: Path, build: Path | None = None, backend: str = "verilator",
    waits: int | None = None,
) -> "Verification":
    """Verify a program on inputs, and return the outcome.

    Parameters
    ----------
    inputs : array
        See `check_inputs`.
    folder : Path
        Where the program and the inputs of the run are written if they differ, in place of what was written there
        before.
    build : Path or None
        Build folder that the program comes from, which the command then names.
    backend, waits
        See `firstspike.verify`.

    Raises
    ------
    DivergenceError
        They differ; the message says where first, and how to see it again.
    ValueError, ToolError
        The inputs do not fit the network, or a tool is missing or failed.
    """
    __tracebackhide__ = True  # for pytest
    from . import api

    outcome = api.verify(case.program, inputs, backend=backend, waits=waits, verilog=case.verilog)
    if outcome.run is None:
        return outcome
    first, last = outcome.run
    command = _keep(case, inputs[first:last], folder, build, None if waits is None else waits + first)
    counts = [f"{one.different} of {one.compared} values of '{one.name}' differ" for one in outcome.checks
              if one.different]
    raise DivergenceError("\n".join((
        f"hardware and models of {case.program.network.name} differ first at: {outcome.first}", *counts,
        f"again, with waves: {command}")), outcome, command)


def _keep(case: Verifiable, inputs: Any, folder: Path, build: Path | None, waits: int | None) -> str:
    """Write the case into its folder, and return the command that repeats it."""
    import numpy as np
    from firstspike_sim.inputs import check_inputs

    stored = BytesIO()
    np.save(stored, check_inputs(case.program.network, inputs), allow_pickle=False)
    program = f"program{PROGRAM_SUFFIX}"
    target = folder / program if build is None else build
    command = shlex.join(["firstspike", "verify", _from_here(target), "--data", _from_here(folder / "inputs.npy"),
                          *(() if waits is None else ("--waits", str(waits))),
                          "--waves", _from_here(folder / "wave.fst")])
    files = {"inputs.npy": stored.getvalue()} | ({program: case.program.to_bytes()} if build is None else {})
    write_folder(folder, files, record=RECORD, made_by=MADE_BY, facts={"command": command})
    return command


def _from_here(path: Path) -> str:
    """The path as seen from the current folder, if it lies in there."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
