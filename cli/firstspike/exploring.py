# SPDX-License-Identifier: MIT
"""Exploration of mappings and weight bits: trials kept in a file, and those that no other beats in every respect."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.program import write_atomically
from firstspike_arch.shown import shown
from firstspike_boards.devices import DEVICES
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_hw.toolchain import ToolError
from firstspike_sim.models.activity import measure_activity
from firstspike_sim.models.energy import INT8, compute_energy, memory_traffic
from firstspike_sim.models.golden import Progress, unseen

from .campaign import CampaignError, Workers
from .mapping import SAMPLES, map_to_device
from .network_file import load

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["AIMS", "Measures", "Trial", "Trials", "measure"]

AIMS: dict[str, Any] = {
    "interval": "minimize", "luts": "minimize", "blocks": "minimize", "accuracy": "maximize", "energy_nj": "minimize"}
"""What trials are compared by, the fields of `Measures`, and which way is better."""

STARTS = (128, 256, 512, 1024)
"""Lane budgets that are tried first, with the bits as trained."""

MOST_ELEMENTS = 4096
POPULATION = 24
"""Trials of a generation: the first are chosen by chance, those of the next cross the best of it."""

FEWER_BITS_MOST = 3
"""Bits a weight, at most, that a layer may have fewer than it was trained for."""


class Measures(NamedTuple):
    """Cycles between inferences, LUTs and block RAMs of the mapping, share of right classes, and energy of an
    inference without early exit in nJ: arithmetic and memory of 45 nm (`firstspike_sim.models.energy`)."""

    interval: float
    luts: int
    blocks: int
    accuracy: float
    energy_nj: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial: its number, what was tried, and what came of it. ``elements``: processing elements of the mapping."""

    number: int
    lane_budget: int
    weight_bits: tuple[int, ...]
    early_exit: bool
    measures: Measures
    elements: int


class Trials:
    """Trials in a file, which are gone on with when the file is opened again.

    Parameters
    ----------
    path : Path
        Journal of the trials; made if it is missing.
    network : Path
        Checkpoint.
    device : str
    data : str
        Data set or file from which samples are taken.
    make : bool
        Whether the file may be new.

    Raises
    ------
    ValueError
        The file holds trials of another network, device or data, or is none of trials.
    ToolError
        Optuna is not installed.
    """

    def __init__(self, path: Path, network: Path, *, device: str | None = None, data: str | None = None,
                 make: bool = False):
        self.path, self.network_path, self.network = path, network, load(network)
        if device is not None and device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {shown(device)}")
        if not make and not path.is_file():
            raise ValueError(f"{path}: must be a file of trials ('firstspike explore' makes one)")
        digest = hashlib.sha256(network.read_bytes()).hexdigest()
        self._study = _open(path)
        kept = self._study.user_attrs
        if not kept:
            if device is None or data is None:
                raise ValueError(f"{path}: must be a file of trials ('firstspike explore' makes one)")
            for name, value in (("network", digest), ("device", device), ("data", data)):
                self._study.set_user_attr(name, value)
        elif kept["network"] != digest:
            raise ValueError(f"{path}: holds trials of another network than {network}; choose another file")
        for name, value in (("device", device), ("data", data)):
            if value is not None and kept and kept[name] != value:
                raise ValueError(f"{path}: holds trials for the {name} {kept[name]}, not {value}; choose another file")
        self.device, self.data = (self._study.user_attrs[name] for name in ("device", "data"))
        self._trained = tuple(layer.weight_bits for layer in self.network.layers)
        self._early = compile_network(self.network, lanes=1).program.network.earliest_decides

    def finished(self) -> list[Trial]:
        """All trials that fit the device, in their order."""
        return [self._trial(one) for one in self._study.get_trials(deepcopy=False) if one.values is not None]

    def refused(self) -> list[str]:
        """Why trials do not fit, in their order."""
        return [one.user_attrs["refused"] for one in self._study.get_trials(deepcopy=False)
                if "refused" in one.user_attrs]

    def front(self) -> list[Trial]:
        """Trials that no other beats in every respect, the shortest intervals first; of equal ones the first tried."""
        best = sorted((self._trial(one) for one in self._study.best_trials), key=lambda one: (one.measures, one.number))
        return [one for place, one in enumerate(best) if not place or one.measures != best[place - 1].measures]

    def find(self, number: int) -> Trial:
        """Return a trial by its number; raises ValueError if there is none, or it did not fit."""
        found = {one.number: one for one in self.finished()}
        if number not in found:
            numbers = ", ".join(str(one.number) for one in self.front()[:8]) or "none yet"
            raise ValueError(f"{self.path}: trial must be one that fits, such as {numbers}, not {number}")
        return found[number]

    def run(
        self, count: int, inputs: np.ndarray, labels: np.ndarray, *, workers: Workers | None = None, seed: int = 0,
        progress: Progress = unseen,
    ) -> None:
        """Try so many more, as many at a time as there are workers (None: this process); trials that an end had cut off
        are tried again first.

        Raises
        ------
        CampaignError
            A trial failed for another reason than that it does not fit, or all was interrupted; what is done is kept.
        ValueError
            There are no workers, see `Workers.outcomes`; a file without trials is removed.
        """
        from optuna.samplers import NSGAIISampler
        from optuna.trial import TrialState

        for one in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(one.number, state=TrialState.FAIL)
            self._study.enqueue_trial(one.params)
        if not self._study.get_trials(deepcopy=False):
            for budget in STARTS:
                if budget >= len(self._trained):
                    self._study.enqueue_trial({"lane_budget": budget, "early_exit": False, **dict.fromkeys(
                        map(_fewer, range(len(self._trained))), 0)})
        before = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = NSGAIISampler(population_size=POPULATION, seed=seed + before)
        done = 0
        try:
            for trial, outcome in self._outcomes(count, Samples(self.network, inputs, labels, self.device),
                                                 workers or Workers()):
                if isinstance(outcome, str):
                    trial.set_user_attr("refused", outcome)
                    self._study.tell(trial, state=TrialState.FAIL)
                else:
                    trial.set_user_attr("elements", outcome[1])
                    self._study.tell(trial, list(outcome[0]))
                done += 1
                progress(done, count)
        except KeyboardInterrupt:
            raise self._ended("interrupted", done, count) from None
        except CampaignError as end:
            raise self._ended(str(end), done, count) from None
        except ValueError:
            if all(one.state == TrialState.WAITING for one in self._study.get_trials(deepcopy=False)):
                self.path.unlink()
            raise

    def _ended(self, how: str, done: int, count: int) -> CampaignError:
        return CampaignError(f"{how}; {done} of {count} trials are done, kept in {self.path}, from which the same "
                             "command goes on")

    def _outcomes(self, count: int, samples: "Samples", workers: Workers) -> Iterator[tuple]:
        """Yield each trial with its outcome, as they end: as many run at a time as workers can."""
        asked: dict[str, Any] = {}

        def choices() -> Iterator[tuple[str, dict]]:
            for _ in range(count):
                trial = self._study.ask(self._space())
                asked[str(trial.number)] = trial
                yield str(trial.number), self._choice(trial.params)

        for key, outcome in workers.outcomes(_measured, samples, choices(), ahead=False):
            if outcome.failure:
                log = self.path.with_name(f"{self.path.name}.{key}.log")
                write_atomically(log, outcome.log)
                raise CampaignError(f"trial {key} failed ({log}): {outcome.failure}")
            yield asked.pop(key), outcome.result

    def _space(self) -> dict:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            "lane_budget": IntDistribution(len(self._trained), MOST_ELEMENTS, log=True),
            "early_exit": CategoricalDistribution([False, True] if self._early else [False]),
            **{_fewer(index): IntDistribution(0, min(FEWER_BITS_MOST, bits - 2))
               for index, bits in enumerate(self._trained)}}

    def _choice(self, params: dict) -> dict:
        """Options of `map_to_device`."""
        bits = [bits - params[_fewer(index)] for index, bits in enumerate(self._trained)]
        return {"lane_budget": params["lane_budget"], "early_exit": params["early_exit"], "weight_bits": bits}

    def _trial(self, one: "FrozenTrial") -> Trial:
        choice, values = self._choice(one.params), one.values
        return Trial(
            number=one.number, lane_budget=choice["lane_budget"], weight_bits=tuple(choice["weight_bits"]),
            early_exit=choice["early_exit"], elements=one.user_attrs["elements"], measures=Measures(
                interval=values[0], luts=int(values[1]), blocks=int(values[2]), accuracy=values[3],
                energy_nj=values[4]))


def _fewer(index: int) -> str:
    return f"fewer_bits{index}"


def _open(path: Path) -> "Study":
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise ToolError("optuna must be installed to explore: pip install 'firstspike[explore]'") from None
    optuna.logging.set_verbosity(logging.WARNING)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: must be a file in a folder that exists")
    try:
        if path.exists() and path.stat().st_size:  # Optuna would append to any file
            with path.open(encoding="utf-8") as file:
                json.loads(file.readline())["op_code"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="firstspike",
                                       directions=[*AIMS.values()], load_if_exists=True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: must be a file of trials ('firstspike explore' makes one): {error}") from None


class Samples(NamedTuple):
    """What all trials have in common."""

    network: FloatNetwork
    inputs: np.ndarray
    labels: np.ndarray
    device: str


def _measured(samples: Samples, choice: dict) -> tuple[Measures, int] | str:
    """A job: a trial."""
    return measure(*samples, choice)


def measure(
    network: FloatNetwork, inputs: np.ndarray, labels: np.ndarray, device: str, choice: dict[str, Sequence | int],
) -> tuple[Measures, int] | str:
    """Map and measure one choice on samples: what it comes to, and its processing elements; or why it does not fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the compiler assumes is the same for all, and `compile` says it
        try:
            mapping = map_to_device(network, inputs[:SAMPLES], device=device, **choice)  # pyright: ignore
        except CompileError as error:
            return str(error)
    program = mapping.compilation.program
    activity = measure_activity(program.network, inputs)
    energy = compute_energy(activity.operations, INT8) + memory_traffic(program, activity.operations).energy_pj
    accuracy = float((activity.classes[-1] == labels).mean())
    return Measures(interval=mapping.interval, luts=mapping.luts, blocks=mapping.blocks, accuracy=accuracy,
                    energy_nj=energy / len(inputs) / 1000), mapping.elements
