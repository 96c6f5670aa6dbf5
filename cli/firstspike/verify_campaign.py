# SPDX-License-Identifier: MIT
"""Verification in jobs: each predicts and simulates one run of a test set."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from firstspike_arch.program import Program
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.inputs import check_inputs
from firstspike_sim.models.golden import Progress, unseen
from firstspike_sim.models.prediction import predict_inputs

from .api import backend_of
from .campaign import Workers, run_jobs
from .job_folder import JobFolder
from .verification import JudgedRun, Verification, judge, merge

__all__ = ["RUN_SIZE", "VerifyCase", "verify_in_jobs"]

RUN_SIZE = 250
"""Inferences of a job, back to back."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VerifyCase:
    """What is verified, and how; parameters as of `firstspike.api.verify`."""

    program: Program
    verilog: str | None
    backend: str = "verilator"
    waits: int | None = None
    optimise: bool = True


def verify_in_jobs(
    case: VerifyCase, inputs: np.ndarray, *, run_size: int = RUN_SIZE, folder: JobFolder | None = None,
    workers: Workers | None = None, progress: Progress = unseen,
) -> Verification:
    """Compare hardware and models as `firstspike.api.verify` does, each run a job whose outcome ``folder`` keeps.

    Raises
    ------
    CampaignError
        As of `run_jobs`. Hardware that differs is no failure: all runs are compared.
    ValueError
        The inputs are none of the network's, there is no such backend, or a result in the folder is altered.
    """
    inputs = check_inputs(case.program.network, inputs, some=True)
    backend_of(case.backend)
    jobs = {f"run{start:07}": (start, inputs[start : start + run_size]) for start in range(0, len(inputs), run_size)}
    found = run_jobs(_judged, case, jobs, folder=folder, workers=workers, progress=progress)
    try:
        runs = [JudgedRun.from_json(one) for one in found.values()]
    except (KeyError, TypeError, ValueError):
        raise ValueError("a result of a job is altered; give another folder with -o") from None
    return merge(case.program, runs)


@lru_cache(maxsize=1)
def _simulator(case: VerifyCase) -> VerilatorBackend | PysimBackend:
    """The simulator of a case, built once in a process."""
    found = backend_of(case.backend, optimise=case.optimise)
    if case.verilog is not None and isinstance(found, VerilatorBackend):
        found.load(case.program, case.verilog)
    else:
        found.load(case.program)
    return found


def _judged(case: VerifyCase, part: tuple[int, np.ndarray]) -> dict:
    """A job: the run that begins with input number ``start``."""
    start, inputs = part
    waits = None if case.waits is None else case.waits + start
    prediction = predict_inputs(case.program, inputs, waits=waits)
    return judge(case.program, start, prediction, _simulator(case).run(prediction.stimulus)).to_json()
