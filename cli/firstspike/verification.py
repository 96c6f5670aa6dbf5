# SPDX-License-Identifier: MIT
"""What a verification found, run by run, and all runs together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.program import Program
from firstspike_sim.compare import ALIVE, Check, aliveness, compare, first_divergence
from firstspike_sim.models.prediction import Prediction

__all__ = ["JudgedRun", "Verification", "judge", "latencies", "merge"]


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedRun:
    """What one run came to; its members are as those of `Verification`, for this run.

    Parameters
    ----------
    start : int
        Number of its first input.
    inferences : int
    """

    start: int
    inferences: int
    checks: list[Check]
    alive: list[float]
    classes: np.ndarray
    latency: np.ndarray
    intervals: np.ndarray
    cycles: int

    def to_json(self) -> dict:
        return {**asdict(self), **{name: getattr(self, name).tolist() for name in _ARRAYS}}

    @classmethod
    def from_json(cls, values: dict) -> "JudgedRun":
        arrays = {name: np.array(values[name], dtype=np.int64) for name in _ARRAYS}
        return cls(**{**values, **arrays, "checks": [Check(**one) for one in values["checks"]]})


_ARRAYS = ("classes", "latency", "intervals")


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """Outcome of `verify`.

    Parameters
    ----------
    checks : list of Check
        Checks with their counts summed over all runs; ``first`` and ``cycle`` are those of the first run that differs.
    first : str
        Earliest difference in the first run that differs (stream or value, inference, step, cycle); "" if there is
        none.
    run : (int, int) or None
        First input of that run, and the one after its last; None: no run differs.
    alive : list of float
        Share of neuron-steps that fire, for the input and then for each layer.
    dead : list of int
        Layers with thresholds that fire too rarely or too often for the comparison to mean much.
    classes : int64[R]
        Classes from the hardware, one for each result.
    latency, intervals : int64[*]
        Latencies and intervals of the hardware in cycles, see `latencies` and `Trace`.
    cycles : int
        Simulated cycles until the last result, summed over all runs.
    predictions : list of Prediction
    traces : list of Trace
        What the models predicted, and what the hardware did, in each run; [] of a campaign, whose jobs leave them.
    """

    checks: list[Check]
    first: str
    run: tuple[int, int] | None
    alive: list[float]
    dead: list[int]
    classes: np.ndarray
    latency: np.ndarray
    intervals: np.ndarray
    cycles: int
    predictions: list[Prediction]
    traces: list[Trace]

    @property
    def equal(self) -> bool:
        """Whether hardware and models agree in every value."""
        return not any(check.different for check in self.checks)


def judge(program: Program, start: int, prediction: Prediction, trace: Trace) -> JudgedRun:
    """Compare what the hardware did in the run that begins with input number ``start``."""
    stimulus = prediction.stimulus
    return JudgedRun(
        start=start, inferences=stimulus.inferences,
        checks=compare(program.network, stimulus, prediction.trace, trace),
        alive=aliveness(prediction.golden.spikes), classes=trace.classes, latency=latencies(stimulus, trace),
        intervals=trace.intervals, cycles=int(trace.taken[-1]) + 1)


def merge(
    program: Program, runs: Sequence[JudgedRun], predictions: Sequence[Prediction] = (), traces: Sequence[Trace] = (),
) -> Verification:
    """Put runs together, in the order of their inputs."""
    total: dict[str, Check] = {}
    parted, parted_in = "", None
    for number, run in enumerate(runs):
        where = f"run {number} (from input {run.start})"
        earliest = first_divergence(run.checks)
        if earliest and not parted:
            parted = f"{where}: {earliest.first}"
            parted_in = run.start, run.start + run.inferences
        for check in run.checks:
            old = total.get(check.name)
            named = old if old and old.first else check
            first = named.first if named is old or not check.first else f"{where}: {check.first}"
            total[check.name] = Check(
                name=check.name, compared=check.compared + (old.compared if old else 0),
                different=check.different + (old.different if old else 0), first=first, cycle=named.cycle,
                inference=named.inference, step=named.step, edge=named.edge,
            )
    shares = np.average([run.alive for run in runs], axis=0, weights=[run.inferences for run in runs])
    return Verification(
        checks=list(total.values()), first=parted, run=parted_in, alive=[float(share) for share in shares],
        dead=[index for index, (share, layer) in enumerate(zip(shares[1:], program.network.layers, strict=True))
              if layer.neuron.theta is not None and not ALIVE[0] <= share <= ALIVE[1]],
        classes=np.concatenate([run.classes for run in runs]), latency=np.concatenate([run.latency for run in runs]),
        intervals=np.concatenate([run.intervals for run in runs]), cycles=sum(run.cycles for run in runs),
        predictions=list(predictions), traces=list(traces),
    )


def latencies(stimulus: Stimulus, trace: Trace) -> np.ndarray:
    """Return the cycles from the first input word taken to the decision offered, both included, int64[R]."""
    return trace.decided - trace.accepted[stimulus.first_words] + 1
