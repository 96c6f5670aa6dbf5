# SPDX-License-Identifier: MIT
"""The training loop: the recipe's phases, real numbers before integers; resumes where it was cut."""

import errno
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import cast, get_args

import torch
from firstspike_arch.checkpoint import save_network
from firstspike_arch.connectivity import size_of
from firstspike_arch.float_network import FloatNetwork, Readout
from firstspike_arch.program import write_atomically
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .batches import ahead, batches
from .builder import build_layers
from .curves import Write, tensorboard_curves, unwritten
from .exactness import ExactnessError, require_exact
from .export import export_network
from .image_folders import FolderImages, Images
from .inputs import load_inputs
from .layer_stack import LayerStack
from .methods.diet_snn import DietNetwork
from .methods.ettfs import EttfsNetwork
from .methods.latency_coding import LatencyCodingNetwork
from .methods.multi_threshold import MultiThresholdNetwork
from .recipe import Phase, Recipe
from .recipe_file import load_recipe
from .teacher import Teacher
from .workers import Workers, started_workers

__all__ = ["ResumeError", "fit", "one_thread", "train"]

METHODS: dict[str, type[LayerStack]] = {
    "ettfs": EttfsNetwork, "diet_snn": DietNetwork, "latency_coding": LatencyCodingNetwork,
    "multi_threshold": MultiThresholdNetwork,
}
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]
STATE = "firstspike_training"
ALONE = Workers()
WARM_UP = 0.3
"""Part of the steps in which the learning rate rises."""
MUCH_WORK = 1 << 24
"""Multiplications of a step of one image from which on several threads are worth their while."""


class DivergenceError(ValueError):
    """A training in numbers that are none any more; what was kept is from before."""


class ResumeError(ValueError):
    """A state file that does not belong to this run or is damaged; the sentence says what to do."""


def train(
    recipe: str | Path | Recipe, output: str | Path, resume: bool = True, progress: bool = True,
    device: str = "cpu", curves: str | Path | None = None, real: str | Path | None = None, compiled: bool = False,
    mixed: bool = False, threads: int = 0,
) -> FloatNetwork:
    """Train a recipe, write the network to `output` (safetensors), and return it.

    After every epoch the state is kept beside the output (``.resume.safetensors``) and deleted at the end. A run that
    is cut and started again gives the result of an uninterrupted one. Nothing is chosen by test accuracy; the test
    set is looked at where the real numbers end and where the integers do.

    Parameters
    ----------
    recipe : path of a TOML recipe, or Recipe
    resume : bool
        Continue from a state that is there; False starts anew.
    progress : bool
        Show a progress bar with the time that is left, on the terminal.
    device : str
        "cpu", or a GPU as torch names it: there real numbers are always trained in mixed precision.
        Started by `torchrun`, each process takes the GPU of its own number; see `workers`.
    curves : path
        Folder for TensorBoard: loss, validation and spikes of every epoch.
    real : path or None
        Where the state between the real numbers and the integers is kept: written when training gets there, or read if
        the file is there. Recipes that differ in nothing but their quantisation share it.
    compiled : bool
        Let `torch.compile` fuse the loss of real numbers and its gradient: faster with ``mixed``; other roundings, so
        another network than without. Not for integers, whose rounding is the compiler's own code.
    mixed : bool
        Multiply real numbers in bfloat16, add them and keep membranes in float32, even if the recipe does not say so:
        pays on processors that have such instructions (AVX512-BF16, AMX). Validation and integers are in float32.
    threads : int
        Of the CPU; the result is the same for the same number. 0: one for small networks, whose matrices are small,
        and as many as torch takes for large ones; a run that goes on keeps its number.

    Raises
    ------
    RecipeError, DataError, ResumeError, ExactnessError, DivergenceError
        Subclasses of ValueError, each with one sentence.
    OSError
        ``output`` or ``real`` cannot be written.

    Notes
    -----
    Torch's own number of threads is left as it was.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    output, real = Path(output), None if real is None else Path(real)
    for path in filter(None, (output, real)):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "must be a file to write, not a folder", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
    state = output.with_name(f"{output.name}.resume.safetensors")
    if threads < 0:
        raise ValueError(f"threads must be at least 0, not {threads}")
    with (_kept_threads(), started_workers(device) as workers,
          tensorboard_curves(curves if workers.first else None) as write):
        run = _Run(recipe, state, real, device, workers, compiled, mixed, threads)
        run.restore(resume)
        run.finish(progress and workers.first, write)
        network = run.network()
        if workers.first:
            save_network(output, network)
            state.unlink(missing_ok=True)
    return network


def fit(
    recipe: Recipe, progress: bool = True, *, compiled: bool = False, mixed: bool = False, threads: int = 0,
    write: Write = unwritten,
) -> LayerStack:
    """Train a recipe's phases and return the module, as the last of them left it; nothing is validated or written.

    Parameters
    ----------
    progress, compiled, mixed, threads
        As of `train`.
    write : function
        Called behind every epoch, with what was measured in it.

    Raises
    ------
    DataError
    """
    with _kept_threads():
        run = _Run(recipe, compiled=compiled, mixed=mixed, threads=threads)
        run.finish(progress, write)
    return run.module


@contextmanager
def _kept_threads() -> Iterator[None]:
    """Leave torch's number of threads as it was."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: what small matrices need, and other processes leave."""
    with _kept_threads():
        torch.set_num_threads(1)
        yield


class _Run:
    """State of one training run between two epochs; kept in a file, if there is a path for it."""

    def __init__(
        self, recipe: Recipe, state_path: Path | None = None, real_path: Path | None = None, device: str = "cpu",
        workers: Workers = ALONE, compiled: bool = False, mixed: bool = False, threads: int = 0,
    ) -> None:
        self.recipe, self.state_path, self.real_path, self.workers = recipe, state_path, real_path, workers
        self.device = _device(device, workers)
        self.compiled = compiled
        self.mixed = mixed or recipe.training.precision == "mixed" or self.device.type == "cuda"
        self.given_threads, self.threads = threads, threads or _threads_for(recipe)
        images, self.labels = _tensors(recipe, "train")
        if recipe.data.samples:
            images, self.labels = images[: recipe.data.samples], self.labels[: recipe.data.samples]
        # Augmented where it is learned from.
        self.images = images if isinstance(images, FolderImages) else images.to(self.device)
        self.validation = _tensors(recipe, "validation")
        generator = torch.Generator().manual_seed(recipe.seed)
        self.module = METHODS[recipe.method.kind](recipe, recipe.shape, generator).to(self.device)
        self.teacher = None if recipe.teacher is None else Teacher(recipe, recipe.teacher, generator).to(self.device)
        if self.mixed:  # the order in which products of bfloat16 are fastest
            for module in filter(None, (self.module, self.teacher)):
                module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.averaged: AveragedModel | None = None
        self.phases = recipe.phases
        self.epochs = sum(phase.epochs for phase in self.phases)
        self.epoch = 0
        self.history: list[dict] = []
        self.real_accuracy: dict[str, dict[str, float]] = {}
        self.learner: LayerStack | Teacher = self.module
        self.optimizer = self._optimizer()
        self.loss: Loss = self.module.loss

    def _optimizer(self) -> torch.optim.AdamW:
        # One pass over the parameters instead of a dozen; other roundings, as all that is mixed.
        return torch.optim.AdamW(self.learner.parameters(), fused=True if self.mixed else None)

    def _position(self) -> tuple[Phase, int]:
        """The phase of the next epoch, and how many epochs of it are done."""
        done = self.epoch
        for phase in self.phases:
            if done < phase.epochs:
                return phase, done
            done -= phase.epochs
        raise ValueError("no epoch is left")

    def finish(self, progress: bool, write: Write = unwritten) -> None:
        """Train all epochs that are left; ``write`` gets what was measured behind each."""
        torch.set_num_threads(self.threads)
        with _bar(progress) as bar:
            task = bar.add_task(self.recipe.name, total=self.epochs - self.epoch, news="")
            while self.epoch < self.epochs:
                begin = time.monotonic()
                self.advance()
                news = _news(self.history[-1])
                bar.update(task, advance=1, news=news)
                if progress and not bar.console.is_terminal:  # a bar is not drawn in a file
                    bar.console.print(f"{self.recipe.name}: epoch {self.epoch} of {self.epochs}, {news}, "
                                      f"{time.monotonic() - begin:.0f} s", soft_wrap=True, highlight=False)
                write(self.history[-1])

    def advance(self) -> None:
        """Train one epoch; if there is a file for the state, measure it on the validation set and keep it."""
        phase, done = self._position()
        if done == 0:
            self._start(phase)
        # Everything random in an epoch comes from its own seed, so that a resumed run draws the same numbers.
        seed = self.recipe.seed * 100_003 + self.epoch + 1
        generator = torch.Generator().manual_seed(seed)
        made = batches(self.recipe, self.images, self.labels, generator)
        waits = isinstance(self.images, FolderImages) or self.recipe.data.alterations > 0
        # Batches must be drawn alike whenever they are made, and in all processes, whatever a loss draws.
        own = generator if self.workers.count == 1 and not waits else (
            torch.Generator().manual_seed(seed + 7919 * self.workers.rank))
        count = math.ceil(len(self.images) / self.recipe.training.batch_size)
        self.learner.train()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for index, (images, targets) in enumerate(ahead(made) if waits else made):
            part = (done * count + index) / (phase.epochs * count)
            for group in self.optimizer.param_groups:
                group["lr"] = phase.learning_rate * one_cycle(part)
                group["weight_decay"] = phase.weight_decay
            self.optimizer.zero_grad()
            mine, truth = self.workers.share(images), self.workers.share(targets).to(self.device)
            if len(mine):
                with self._precision(phase):
                    if self.teacher is not None and self.learner is not self.teacher:
                        truth = self.teacher.taught(mine, truth)
                    loss = self.loss(mine, truth, own)
                (loss * (len(mine) / len(images))).backward()
                total += loss.detach() * len(mine)
            self.workers.add_up(self.learner.parameters())
            self.optimizer.step()
            self.learner.constrain()
            if self.averaged is not None:
                self.averaged.update_parameters(self.learner)
        for module in filter(None, (self.learner, self.averaged)):
            self.workers.level(module.buffers())
        self.epoch += 1
        loss = self.workers.total(total) / len(self.images)
        # A comparison hides what is no number: the loss alone does not say it.
        if not math.isfinite(loss) or not all(one.isfinite().all() for one in self.learner.parameters()):
            raise DivergenceError(f"{self.recipe.name}: loss and parameters must stay finite, but do not in epoch "
                                  f"{self.epoch} ({phase.name}): lower its learning_rate")
        self.history.append({"epoch": self.epoch, "phase": phase.name, "loss": loss})
        if done + 1 == phase.epochs:
            self._settle()
        if self.state_path is not None:
            self.history[-1].update(self._validate())
            ends = self.epoch == sum(phase.epochs for phase in self.phases if phase.name != "quantised")
            if ends:  # the real numbers
                self.real_accuracy = self._measure(self.module)
            if self.workers.first:
                self._keep(self.state_path, self.recipe.table)
                if ends and self.real_path:
                    self._keep(self.real_path, self.recipe.real_table)

    def _precision(self, phase: Phase) -> AbstractContextManager:
        """Of the products; integers are exact in float32 only."""
        mixed = self.mixed and phase.name != "quantised"
        return torch.autocast(self.device.type, torch.bfloat16) if mixed else nullcontext()

    def _start(self, phase: Phase) -> None:
        if phase.name == "teacher" and self.teacher is not None:
            self.learner = self.teacher
        else:
            self.learner = self.module
            self.module.start(phase.name, self.images)
        if phase.name == "quantised":
            require_exact(self.module)
        compiles = self.compiled and phase.name != "quantised"
        if compiles:
            torch.compiler.reset()  # what it keeps of other networks would count against this one's compilations
        self.loss = torch.compile(self.learner.loss, dynamic=False) if compiles else self.learner.loss
        self.optimizer = self._optimizer()
        average = self.recipe.training.average
        self.averaged = None if not average else AveragedModel(
            self.learner, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True)

    def _settle(self) -> None:
        """End a phase: what was averaged is what goes on."""
        if self.averaged is not None:
            self.learner.load_state_dict(self.averaged.module.state_dict())
            self.averaged = None
        if self.teacher is not None:
            self.teacher.eval()

    @property
    def judged(self) -> LayerStack:
        """What is validated."""
        return self.module if self.averaged is None else cast(LayerStack, self.averaged.module)

    def _validate(self) -> dict[str, float]:
        images, labels = self.validation
        if self.learner is self.teacher:
            taught = cast(Teacher, self.teacher if self.averaged is None else self.averaged.module).eval()
            return {"potential": taught.accuracy(images, labels)}
        evidence = self.judged.evidence(images)
        return {**_accuracies(evidence.classes, labels), **evidence.measures}

    def _measure(self, module: LayerStack) -> dict[str, dict[str, float]]:
        """Accuracy by split and read-out."""
        splits = {"validation": self.validation, "test": _tensors(self.recipe, "test")}
        return {split: _accuracies(module.evidence(images).classes, labels)
                for split, (images, labels) in splits.items()}

    def network(self) -> FloatNetwork:
        """The result, with the read-out that is better in validation, and its accuracies."""
        if self.phases[-1].name != "quantised":
            self.module.start("quantised", self.images)
        try:
            require_exact(self.module)
        except ExactnessError as error:  # the weights have grown: the network is good, its figures may be off
            warnings.warn(str(error), stacklevel=2)
        accuracy, readout = {}, self.recipe.network.readout
        if readout == "best":
            found = self._validate()
            readout = max(self.recipe.method.READOUTS, key=lambda name: found.get(name, -1.0))
        for kind, splits in (("quantised", self._measure(self.module)), ("float", self.real_accuracy)):
            for split, found in splits.items():
                accuracy[f"{kind}_{split}"] = found[readout]
                accuracy.update({f"{kind}_{split}_{name}": value for name, value in found.items()})
        accuracy["test"] = accuracy["float_test"]
        measures = self.module.evidence(_tensors(self.recipe, "test")[0]).measures
        history = [*self.history, {"epoch": self.epoch, "phase": "test", **measures}]
        return export_network(self.module.to("cpu"), self.recipe, readout, accuracy, history)

    def _keep(self, path: Path, table: dict) -> None:
        tensors = {f"{part}.{name}": value for part, module in self._parts() for name, value in
                   module.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        head = {"recipe": table, "epoch": self.epoch, "history": self.history, "real_accuracy": self.real_accuracy,
                "threads": self.threads}
        contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
        write_atomically(path, save(contiguous, {STATE: json.dumps(head)}))

    def _parts(self) -> list[tuple[str, nn.Module]]:
        """What has a state of its own, by the name it has in a file."""
        parts = (("module", self.module), ("teacher", self.teacher), ("averaged", self.averaged))
        return [(name, part) for name, part in parts if part is not None]

    def restore(self, resume: bool) -> None:
        """Continue from what there is: the state of an interrupted run (if asked to), or that of the real numbers."""
        if resume and self.state_path and self.state_path.exists():
            self._restore(self.state_path, self.recipe.table, "delete it or train with resume=False")
        elif self.real_path and self.real_path.exists():
            self._restore(self.real_path, self.recipe.real_table, "delete it or name another")

    def _restore(self, path: Path, table: dict, advice: str) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                head = json.loads((file.metadata() or {})[STATE])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            if head["recipe"] != table:
                raise ResumeError(f"{path}: is the state of another recipe; {advice}")
            self.epoch, self.history, self.real_accuracy = head["epoch"], head["history"], head["real_accuracy"]
            self.threads = self.given_threads or head.get("threads", self.threads)
            done = self.epoch
            for phase in self.phases:
                if done > 0:
                    self._start(phase)
                if done >= phase.epochs:
                    self._settle()
                done -= phase.epochs
            for part, module in self._parts():
                prefix = f"{part}."
                module.load_state_dict({k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)})
            states: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in tensors.items():
                kind, _, rest = key.partition(".")
                if kind == "optimizer":
                    index, _, name = rest.partition(".")
                    states.setdefault(int(index), {})[name] = value
            groups = self.optimizer.state_dict()["param_groups"]
            for index, parameter in enumerate(self.learner.parameters()):  # in the parameter's order of memory
                for name, value in states.get(index, {}).items():
                    if value.shape == parameter.shape:
                        states[index][name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
            self.optimizer.load_state_dict({"state": states, "param_groups": groups})
        except ResumeError:
            raise
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ResumeError(f"{path}: must be a whole training state ({error}); {advice}") from None


def _device(name: str, workers: Workers) -> torch.device:
    """The device of this process, with products as exact as float32 is."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device must be cpu or cuda, not {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, not {name!r}")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device must be cpu where torch sees no GPU, not {name!r}")
        if (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(f"device must be one of cuda:0 … cuda:{torch.cuda.device_count() - 1}, not {name!r}")
        if workers.count > 1:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        # Integers up to 2^24 need all 24 bits of float32: no TF32.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    return device


def _threads_for(recipe: Recipe) -> int:
    """One, but for networks that are large enough to keep several busy."""
    wirings = build_layers(recipe.network.layers, recipe.shape)
    work = sum(size_of(one.synapses.weight_shape) * size_of(one.synapses.out_shape[1:]) for one in wirings)
    return torch.get_num_threads() if work >= MUCH_WORK else 1


def one_cycle(part: float) -> float:
    """Factor on the peak learning rate at `part` (0 … 1) of a phase: a cosine from 1/25 to 1, then down to 0."""
    if part < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * part / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (part - WARM_UP) / (1 - WARM_UP))) / 2


def _tensors(recipe: Recipe, split: str) -> tuple[Images, torch.Tensor]:
    """Images, or recordings as uint8[B, T·N]; and labels."""
    inputs, labels = load_inputs(recipe, split)
    if not isinstance(inputs, FolderImages):
        inputs = torch.from_numpy(inputs).flatten(1)
    return inputs, torch.from_numpy(labels)


def _accuracies(classes: dict, labels: torch.Tensor) -> dict[str, float]:
    return {readout: float((decided == labels.numpy()).mean()) for readout, decided in classes.items()}


def _bar(progress: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} epochs"),
               TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[news]}"))
    return Progress(*columns, disable=not progress)


def _news(entry: dict) -> str:
    best = max((value for name, value in entry.items() if name in get_args(Readout)), default=None)
    validation = "" if best is None else f", validation {best:.2%}"
    return f"{entry['phase']}: loss {entry['loss']:.3f}{validation}"
