# SPDX-License-Identifier: MIT
"""Campaigns of soft errors: a bit of the machine's state is flipped during inferences, again and again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

import numpy as np
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_sim.backends.upset_bench import NO_UPSET, Recovery, Upset, UpsetBench, UpsetRuns
from firstspike_sim.models.golden import Progress, unseen
from firstspike_sim.models.prediction import Prediction, predict_inputs

from .campaign import Workers, run_jobs
from .job_folder import JobFolder
from .upset_sites import Site, sites_of

__all__ = ["CHUNK", "Effect", "SiteOutcome", "Trial", "UpsetCase", "UpsetMachine", "interval", "machine_of",
           "run_upsets"]

CHUNK = 100
"""Upsets of a job, at most."""

_QUIET = 200
"""Cycles after which a machine must have nothing left to say."""


class Effect(IntEnum):
    """The worst that an upset did to the results of a run."""

    NONE = 0
    CYCLES = 1  # other cycles, the same results
    EVIDENCE = 2  # other scores, step or deciding rule, the same classes
    CLASS = 3
    COUNT = 4  # results are missing, or too many


@dataclass(frozen=True, kw_only=True)
class Trial:
    """An upset and its effect.

    Parameters
    ----------
    upset : Upset
    effect : Effect
    classes : int
        Number of inferences whose class changed, those without a result among them.
    lasting : bool
        Whether the result of the last inference changed.
    recovery : Recovery
    noticed : bool
        Whether a word was read that did not fit its parity.
    """

    upset: Upset
    effect: Effect
    classes: int
    lasting: bool
    recovery: Recovery
    noticed: bool = False

    def to_json(self) -> list[int]:
        one = self.upset
        return [one.inputs, one.element, one.word, one.bit, one.cycle, int(self.effect), self.classes,
                int(self.lasting), int(self.recovery), int(self.noticed)]

    @classmethod
    def from_json(cls, values: Sequence[int]) -> "Trial":
        inputs, element, word, bit, cycle, effect, classes, lasting, recovery, *noticed = values
        return cls(upset=Upset(inputs=inputs, element=element, word=word, bit=bit, cycle=cycle), effect=Effect(effect),
                   classes=classes, lasting=bool(lasting), recovery=Recovery(recovery), noticed=any(noticed))


@dataclass
class SiteOutcome:
    """The trials of a site."""

    site: Site
    trials: list[Trial] = field(default_factory=list)

    def share(self, effect: Effect) -> float:
        """Share of the upsets with this effect."""
        return sum(one.effect is effect for one in self.trials) / max(1, len(self.trials))

    @property
    def lasting(self) -> float:
        """Share of the upsets by which the last result of the run changed."""
        return sum(one.lasting for one in self.trials) / max(1, len(self.trials))

    @property
    def noticed(self) -> float:
        """Share of the upsets by which a word was read that did not fit its parity."""
        return sum(one.noticed for one in self.trials) / max(1, len(self.trials))

    def by_bit(self) -> list[tuple[int, int]]:
        """For each bit of the numbers, from the lowest: upsets, and those that changed a class or lost a result."""
        hits, wrong = Counter(), Counter()
        for one in self.trials:
            bit = self.site.number_bit(one.upset.element, one.upset.bit)
            hits[bit] += 1
            wrong[bit] += one.effect >= Effect.CLASS
        return [(hits[bit], wrong[bit]) for bit in range(self.site.number_bits or 0)]


@dataclass(frozen=True, kw_only=True, eq=False)
class UpsetCase:
    """What is struck, and how: all that trials follow from, beside their numbers.

    An upset of a weight or bias is there from reset on; any other is at a random cycle until half of the results are
    out, so that the inferences behind it tell whether it lasts.

    Parameters
    ----------
    program : Program
    text : str
        Its Verilog.
    inputs : array
        Inputs of all runs, one behind the other.
    inferences : int
        Inferences of a run, back to back.
    seed : int
        Trial number n of a site is the same whatever runs beside it.
    """

    program: Program
    text: str
    inputs: np.ndarray
    inferences: int
    seed: int


class UpsetMachine:
    """Runs the same inferences with one upset each time, and compares the results with those without.

    Members
    -------
    sites : list of Site
    limits : list of int
        Cycles after which a run is given up.

    Raises
    ------
    ValueError
        There are too few inputs; or hardware and models differ without an upset.
    """

    def __init__(self, case: UpsetCase):
        program, inputs, inferences = case.program, case.inputs, case.inferences
        runs = len(inputs) // inferences
        if runs < 1:
            raise ValueError(f"there must be at least {inferences} inputs, for a run, not {len(inputs)}")
        self._predictions: list[Prediction] = [
            predict_inputs(program, inputs[run * inferences : (run + 1) * inferences]) for run in range(runs)]
        self.limits = [2 * (int(one.trace.taken[-1]) + 1) + 2 * program.config.timeout + 2000
                       for one in self._predictions]
        self._bench = UpsetBench(program, case.text, [one.stimulus for one in self._predictions], self.limits,
                                 quiet=_QUIET)
        self._layout, self._seed = result_layout(program), case.seed
        self.sites = sites_of(program, self._bench.elements)
        self._calm = self._bench.run([Upset(inputs=run, element=NO_UPSET, word=0, bit=0, cycle=NO_UPSET)
                                      for run in range(runs)])
        for run, one in enumerate(self._predictions):
            same = self._classes(self._calm)[run].tolist() == one.trace.classes.tolist()
            if not same or self._calm.decided[run].tolist() != one.trace.decided.tolist():
                raise ValueError("hardware and models differ without an upset: 'firstspike verify' tells where")

    def trials(self, site: int, numbers: Sequence[int]) -> list[Trial]:
        """Run the trials of a site with these numbers."""
        upsets = [self._drawn(site, number) for number in numbers]
        return self._judged(upsets, self._bench.run(upsets))

    def _drawn(self, number: int, trial: int) -> Upset:
        random, site = np.random.default_rng([self._seed, number, trial]), self.sites[number]
        element, word, bit = site.at(int(random.integers(site.bits)))
        run = int(random.integers(len(self._predictions)))
        decided = self._predictions[run].trace.decided
        until = 1 if site.kind in ("weights", "biases") else int(decided[(len(decided) - 1) // 2]) + 1
        return Upset(inputs=run, element=element, word=word, bit=bit, cycle=int(random.integers(until)))

    def _classes(self, runs: UpsetRuns) -> np.ndarray:
        """Class of each result, int64[U, R]; -1 where none came."""
        classes = runs.words[..., 0].astype(np.int64) & (1 << self._layout.class_bits) - 1
        return np.where(runs.decided < 0, -1, classes)

    def _judged(self, upsets: Sequence[Upset], runs: UpsetRuns) -> list[Trial]:
        at = [one.inputs for one in upsets]
        moved = (runs.decided != self._calm.decided[at]).any(axis=1)
        changed = (runs.words != self._calm.words[at]).any(axis=2) | (runs.decided < 0)
        classes = (self._classes(runs) != self._classes(self._calm)[at]).sum(axis=1)
        count = runs.results != runs.decided.shape[1]
        effects = np.select([count, classes > 0, changed.any(axis=1), moved],
                            [Effect.COUNT, Effect.CLASS, Effect.EVIDENCE, Effect.CYCLES], Effect.NONE)
        return [Trial(upset=upset, effect=Effect(int(effect)), classes=int(wrong), lasting=bool(last),
                      recovery=Recovery(int(recovery)), noticed=bool(mismatches))
                for upset, effect, wrong, last, recovery, mismatches in
                zip(upsets, effects, classes, changed[:, -1], runs.recovery, runs.mismatches, strict=True)]


@lru_cache(maxsize=1)
def machine_of(case: UpsetCase) -> UpsetMachine:
    """The machine of a case, made once in a process."""
    return UpsetMachine(case)


def run_upsets(
    case: UpsetCase, count: int, *, folder: JobFolder | None = None, workers: Workers | None = None,
    progress: Progress = unseen,
) -> list[SiteOutcome]:
    """Run ``count`` trials of each site, and return them in their order. Those that ``folder`` does not have are jobs,
    of at most `CHUNK` trials.

    Raises
    ------
    CampaignError
        As of `run_jobs`.
    ValueError
        A result in the folder is altered.
    """
    outcomes = [SiteOutcome(site) for site in machine_of(case).sites]
    kept = [] if folder is None else [*folder.results().values()]
    found = _gathered(len(outcomes), kept)
    jobs = {}
    for site, trials in enumerate(found):
        missing = [number for number in range(count) if number not in trials]
        for first in range(0, len(missing), CHUNK):
            part = missing[first : first + CHUNK]
            jobs[f"site{site:03}-{part[0]:06}-{part[-1]:06}"] = (site, part)
    done = run_jobs(_strike, case, jobs, folder=folder, workers=workers, progress=progress)
    for outcome, trials in zip(outcomes, _gathered(len(outcomes), [*kept, *done.values()]), strict=True):
        outcome.trials = [trials[number] for number in range(count)]
    return outcomes


def _strike(case: UpsetCase, part: tuple[int, list[int]]) -> dict:
    """A job: trials of a site, by their numbers."""
    site, numbers = part
    return {"site": site, "numbers": numbers, "trials": [one.to_json() for one in machine_of(case).trials(
        site, numbers)]}


def _gathered(sites: int, results: Sequence[dict]) -> list[dict[int, Trial]]:
    """Trials of each site by their numbers, from results of jobs."""
    found: list[dict[int, Trial]] = [{} for _ in range(sites)]
    try:
        for one in results:
            found[one["site"]].update(zip(one["numbers"], map(Trial.from_json, one["trials"]), strict=True))
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError("a result of a job is altered; give another folder with -o") from None
    return found


def interval(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share.

    # Ref: E. B. Wilson, Probable inference, J. Am. Stat. Assoc. 22, 1927.
    """
    z, n = 1.96, max(1, of)
    share = hits / n
    middle, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - spread) / (1 + z * z / n)), min(1.0, float(middle + spread) / (1 + z * z / n))
