# SPDX-License-Identifier: MIT
"""Campaigns of soft errors: a bit of the machine's state is flipped during inferences, again and again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_sim.backends.upset_bench import NO_UPSET, Recovery, Upset, UpsetBench, UpsetRuns
from firstspike_sim.models.prediction import Prediction, predict_inputs

from .upset_sites import Site, sites_of

__all__ = ["CHUNK", "Campaign", "Effect", "SiteOutcome", "Trial", "interval"]

CHUNK = 100
"""Upsets that one process runs; then they are kept."""

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


class Campaign:
    """Runs the same inferences with one upset each time, and compares the results with those without.

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

    Raises
    ------
    ValueError
        There are too few inputs; or hardware and models differ without an upset.
    """

    def __init__(self, program: Program, text: str, inputs: np.ndarray, *, inferences: int, seed: int):
        runs = len(inputs) // inferences
        if runs < 1:
            raise ValueError(f"there must be at least {inferences} inputs, for a run, not {len(inputs)}")
        self._predictions: list[Prediction] = [
            predict_inputs(program, inputs[run * inferences : (run + 1) * inferences]) for run in range(runs)]
        self.limits = [2 * (int(one.trace.taken[-1]) + 1) + 2 * program.config.timeout + 2000
                       for one in self._predictions]
        self._bench = UpsetBench(program, text, [one.stimulus for one in self._predictions], self.limits, quiet=_QUIET)
        self._layout, self._seed = result_layout(program), seed
        self.outcomes = [SiteOutcome(site) for site in sites_of(program, self._bench.elements)]
        self._calm = self._bench.run([Upset(inputs=run, element=NO_UPSET, word=0, bit=0, cycle=NO_UPSET)
                                      for run in range(runs)])
        for run, one in enumerate(self._predictions):
            same = self._classes(self._calm)[run].tolist() == one.trace.classes.tolist()
            if not same or self._calm.decided[run].tolist() != one.trace.decided.tolist():
                raise ValueError("hardware and models differ without an upset: 'firstspike verify' tells where")

    def run(self, count: int, kept: Callable[[int, int], None]) -> None:
        """Add trials until each site has ``count``, in chunks; ``kept(done, total)`` is called after each."""
        total = count * len(self.outcomes)
        done = sum(min(count, len(one.trials)) for one in self.outcomes)
        for number, outcome in enumerate(self.outcomes):
            while len(outcome.trials) < count:
                first = len(outcome.trials)
                upsets = [self._drawn(number, trial) for trial in range(first, min(count, first + CHUNK))]
                outcome.trials += self._judged(upsets, self._bench.run(upsets))
                done += len(upsets)
                kept(done, total)

    def _drawn(self, number: int, trial: int) -> Upset:
        random, site = np.random.default_rng([self._seed, number, trial]), self.outcomes[number].site
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


def interval(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share.

    # Ref: E. B. Wilson, Probable inference, J. Am. Stat. Assoc. 22, 1927.
    """
    z, n = 1.96, max(1, of)
    share = hits / n
    middle, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - spread) / (1 + z * z / n)), min(1.0, float(middle + spread) / (1 + z * z / n))
