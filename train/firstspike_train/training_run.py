# SPDX-License-Identifier: MIT
"""A training run: its modules, and its phases epoch by epoch."""

import math
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import cast, get_args

import torch
from firstspike_arch.connectivity import size_of
from firstspike_arch.float_network import FloatNetwork, Readout
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .batches import ahead, batches
from .builder import build_layers
from .curves import Write, unwritten
from .exactness import ExactnessError, require_exact
from .export import export_network
from .image_folders import FolderImages, Images
from .inputs import load_inputs
from .layer_stack import LayerStack
from .methods.diet_snn import DietNetwork
from .methods.ettfs import EttfsNetwork
from .methods.latency_coding import LatencyCodingNetwork
from .methods.multi_threshold import MultiThresholdNetwork
from .recipe import DietRecipe, Phase, Recipe, RecipeError
from .run_files import NO_FILES, RunFiles
from .teacher import Teacher
from .workers import Workers, device_of

__all__ = ["METHODS", "DivergenceError", "TrainingRun", "one_cycle"]

METHODS: dict[str, type[LayerStack]] = {
    "ettfs": EttfsNetwork, "diet_snn": DietNetwork, "latency_coding": LatencyCodingNetwork,
    "multi_threshold": MultiThresholdNetwork,
}
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]
ALONE = Workers()
WARM_UP = 0.3
"""Share of a phase in which the learning rate rises."""
MUCH_WORK = 1 << 24
"""Multiplications per image and step from which on training uses several threads."""


class DivergenceError(ValueError):
    """The loss or a parameter has become NaN or infinite. The state file still holds the epoch before, if there is
    one."""


class TrainingRun:
    """A training run. With a file for its state, it is validated after every epoch."""

    def __init__(
        self, recipe: Recipe, files: RunFiles = NO_FILES, device: str = "cpu", workers: Workers = ALONE,
        compiled: bool = False, mixed: bool = False, threads: int = 0,
    ) -> None:
        self.recipe, self.files, self.workers = recipe, files, workers
        self.device = device_of(device, workers)
        self.compiled = compiled
        self.has_bfloat16 = self.device.type != "cpu" or has_bfloat16()
        self.mixed = self.has_bfloat16 and (mixed or recipe.training.precision == "mixed" or self.device.type == "cuda")
        self.given_threads, self.threads = threads, threads or _threads_for(recipe)
        images, self.labels = _tensors(recipe, "train")
        if recipe.data.samples:
            images, self.labels = images[: recipe.data.samples], self.labels[: recipe.data.samples]
        # Images are augmented on the device on which the network learns.
        self.images = images if isinstance(images, FolderImages) else images.to(self.device)
        self.validation = _tensors(recipe, "validation")
        generator = torch.Generator().manual_seed(recipe.seed)
        self.module = METHODS[recipe.method.kind](recipe, recipe.shape, generator).to(self.device)
        self.teacher = None if recipe.teacher is None else Teacher(recipe, recipe.teacher, generator).to(self.device)
        if self.mixed:  # the memory format in which products in bfloat16 are fastest
            for module in filter(None, (self.module, self.teacher)):
                module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        # An ANN that is trained once more has thresholds of its own.
        self.module.begun = files.start is not None and not any(one.name == "pretraining" for one in recipe.phases)
        if self._adopts and (recipe.teacher is None or recipe.teacher.layers != recipe.network.layers):
            raise RecipeError("method.pretraining_epochs must be at least 1 without a teacher of the same layers, or "
                              "another network to start with, not 0")
        self.averaged: AveragedModel | None = None
        self.phases = recipe.phases
        self.epochs = sum(phase.epochs for phase in self.phases)
        self.epoch = 0
        self.history: list[dict] = []
        self.real_accuracy: dict[str, dict[str, float]] = {}
        self.teacher_accuracy: dict[str, float] = {}
        self.learner: LayerStack | Teacher = self.module
        self.optimizer = self._optimizer()
        self.loss: Loss = self.module.loss

    def _optimizer(self) -> torch.optim.AdamW:
        # One pass over the parameters instead of a dozen; it rounds differently, so it is used only with mixed
        # precision.
        groups = [{"params": some, "decays": decays} for some, decays in self._divided() if some]
        return torch.optim.AdamW(groups, fused=True if self.mixed else None)

    def _divided(self) -> list[tuple[list[nn.Parameter], bool]]:
        """The learner's parameters that the weight decay shrinks, and those that it does not."""
        learned = [*self.learner.parameters()]
        if self.recipe.training.decays == "all":
            return [(learned, True)]
        return [([one for one in learned if one.dim() > 1], True), ([one for one in learned if one.dim() <= 1], False)]

    def _position(self) -> tuple[Phase, int]:
        """The phase of the next epoch, and the number of its epochs that are done."""
        done = self.epoch
        for phase in self.phases:
            if done < phase.epochs:
                return phase, done
            done -= phase.epochs
        raise ValueError("no epoch is left")

    def finish(self, progress: bool, write: Write = unwritten) -> None:
        """Train all remaining epochs; ``write`` is called after each with what was measured."""
        torch.set_num_threads(self.threads)
        with _bar(progress) as bar:
            task = bar.add_task(self.recipe.name, total=self.epochs - self.epoch, news="")
            while self.epoch < self.epochs:
                begin = time.monotonic()
                self.advance()
                news = _news(self.history[-1])
                bar.update(task, advance=1, news=news)
                for before in self.history[-2:-1]:
                    if progress and before["phase"] == "start" and "loss" not in before and _best(before):
                        bar.console.print(f"{self.recipe.name}: began with {_best(before)}", highlight=False)
                if progress and not bar.console.is_terminal:  # a bar is not drawn in a file
                    bar.console.print(f"{self.recipe.name}: epoch {self.epoch} of {self.epochs}, {news}, "
                                      f"{time.monotonic() - begin:.0f} s", soft_wrap=True, highlight=False)
                write(self.history[-1])

    def advance(self) -> None:
        """Train one epoch; if there is a state file, also evaluate the validation set and write the state."""
        phase, done = self._position()
        if done == 0:
            self._start(phase)
            if phase.name == "real" and self.module.begun and self.files.state:
                self.history.append({"epoch": self.epoch, "phase": "start", **self._validate()})
        # Everything random in an epoch comes from its own seed, so that a resumed run draws the same numbers.
        seed = self.recipe.seed * 100_003 + self.epoch + 1
        generator = torch.Generator().manual_seed(seed)
        made = batches(self.recipe, self.images, self.labels, generator)
        waits = isinstance(self.images, FolderImages) or self.recipe.data.alterations > 0
        # Random numbers of a loss must not change the batches, which all processes draw alike and may draw ahead.
        own = generator if self.workers.count == 1 and not waits else (
            torch.Generator().manual_seed(seed + 7919 * self.workers.rank))
        count = math.ceil(len(self.images) / self.recipe.training.batch_size)
        self.learner.train()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for index, (images, targets) in enumerate(ahead(made) if waits else made):
            part = (done * count + index) / (phase.epochs * count)
            for group in self.optimizer.param_groups:
                group["lr"] = phase.learning_rate * one_cycle(part)
                group["weight_decay"] = phase.weight_decay * group["decays"]
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
        # Neurons compare with thresholds, which hides NaN: a finite loss is not enough.
        if not math.isfinite(loss) or not all(one.isfinite().all() for one in self.learner.parameters()):
            raise DivergenceError(f"{self.recipe.name}: loss and parameters must stay finite, but do not in epoch "
                                  f"{self.epoch} ({phase.name}): lower its learning_rate")
        self.history.append({"epoch": self.epoch, "phase": phase.name, "loss": loss})
        if done + 1 == phase.epochs:
            self._settle()
        if self.files.state is not None:
            self.history[-1].update(self._validate())
            ends = self.epoch == sum(phase.epochs for phase in self.phases if phase.name != "quantised")
            if ends:  # of training in real numbers
                self.real_accuracy = self._measure(self.module)
            taught = phase.name == "teacher" and done + 1 == phase.epochs
            if taught and self.teacher is not None:
                self.teacher_accuracy = {split: self.teacher.accuracy(*pair) for split, pair in self._splits().items()}
            if self.workers.first:
                self.files.keep(self, ends=ends, taught=taught)

    def _precision(self, phase: Phase) -> AbstractContextManager:
        """Context for the precision of products in a phase; integers need float32 to be exact, which training can do
        without."""
        mixed = self.mixed
        if phase.name == "quantised":
            mixed = self.has_bfloat16 and self.recipe.quantisation.precision == "mixed"
        return torch.autocast(self.device.type, torch.bfloat16) if mixed else nullcontext()

    def _start(self, phase: Phase) -> None:
        if phase.name == "teacher" and self.teacher is not None:
            self.learner = self.teacher
        else:
            self.learner = self.module
            if phase.name == "real" and self._adopts:
                cast(DietNetwork, self.module).adopt(cast(Teacher, self.teacher))
            self.module.start(phase.name, self.images)
        if phase.name == "quantised":
            require_exact(self.module)
        compiles = self.compiled and phase.name != "quantised"
        if compiles:
            torch.compiler.reset()  # cached code of other networks would count against the limit on recompilations
        self.loss = torch.compile(self.learner.loss, dynamic=False) if compiles else self.learner.loss
        self.optimizer = self._optimizer()
        average = self.recipe.training.average
        self.averaged = None if not average else AveragedModel(
            self.learner, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True)

    @property
    def _adopts(self) -> bool:
        """Whether the teacher's weights are the network's first."""
        method = self.recipe.method
        return isinstance(method, DietRecipe) and not method.pretraining_epochs and not self.module.begun

    def _settle(self) -> None:
        """End a phase: the averaged weights, if any, become the weights."""
        if self.averaged is not None:
            self.learner.load_state_dict(self.averaged.module.state_dict())
            self.averaged = None
        if self.teacher is not None:
            self.teacher.eval()

    @property
    def judged(self) -> LayerStack:
        """The module that is validated: the averaged one, if there is one."""
        return self.module if self.averaged is None else cast(LayerStack, self.averaged.module)

    def _validate(self) -> dict[str, float]:
        images, labels = self.validation
        if self.learner is self.teacher:
            taught = cast(Teacher, self.teacher if self.averaged is None else self.averaged.module).eval()
            return {"potential": taught.accuracy(images, labels)}
        evidence = self.judged.evidence(images)
        return {**_accuracies(evidence.classes, labels), **evidence.measures}

    def _measure(self, module: LayerStack) -> dict[str, dict[str, float]]:
        """Accuracies on the validation and the test set, by split and read-out."""
        return {split: _accuracies(module.evidence(images).classes, labels)
                for split, (images, labels) in self._splits().items()}

    def _splits(self) -> dict[str, tuple[Images, torch.Tensor]]:
        return {"validation": self.validation, "test": _tensors(self.recipe, "test")}

    def network(self) -> FloatNetwork:
        """Return the trained network with its accuracies; a "best" read-out is chosen by validation accuracy."""
        if self.phases[-1].name != "quantised":
            self.module.start("quantised", self.images)
        try:
            require_exact(self.module)
        except ExactnessError as error:  # weights have grown: the measured accuracy may be inexact
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
        accuracy.update({f"teacher_{split}": value for split, value in self.teacher_accuracy.items()})
        measures = self.module.evidence(_tensors(self.recipe, "test")[0]).measures
        history = [*self.history, {"epoch": self.epoch, "phase": "test", **measures}]
        return export_network(self.module.to("cpu"), self.recipe, readout, accuracy, history)

    def parts(self) -> list[tuple[str, nn.Module]]:
        """Modules whose state is stored, with their names in the state file."""
        parts = (("module", self.module), ("teacher", self.teacher), ("averaged", self.averaged))
        return [(name, part) for name, part in parts if part is not None]

    def redo(self, epoch: int) -> None:
        """Start and end the phases up to an epoch, without training: modules then have the parts of that epoch's."""
        self.epoch = done = epoch
        for phase in self.phases:
            if done > 0:
                self._start(phase)
            if done >= phase.epochs:
                self._settle()
            done -= phase.epochs


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16, which needs AVX-512; others train in float32.

    Where it does not, torch 2 corrupts memory in the gradients of some convolutions in that memory format."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _threads_for(recipe: Recipe) -> int:
    """One thread, or torch's default number for networks with at least `MUCH_WORK` multiplications."""
    wirings = build_layers(recipe.network.layers, recipe.shape)
    work = sum(size_of(one.synapses.weight_shape) * size_of(one.synapses.out_shape[1:]) for one in wirings)
    return torch.get_num_threads() if work >= MUCH_WORK else 1


def one_cycle(part: float) -> float:
    """Factor on the peak learning rate at ``part`` (0 … 1) of a phase: a cosine from 1/25 to 1, then down to 0."""
    if part < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * part / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (part - WARM_UP) / (1 - WARM_UP))) / 2


def _tensors(recipe: Recipe, split: str) -> tuple[Images, torch.Tensor]:
    """Images uint8[B, N], a folder of images, or recordings uint8[B, T·N]; and labels."""
    inputs, labels = load_inputs(recipe, split)
    if not isinstance(inputs, FolderImages):
        inputs = torch.from_numpy(inputs).flatten(1)
    return inputs, torch.from_numpy(labels)


def _accuracies(classes: dict, labels: torch.Tensor) -> dict[str, float]:
    return {readout: float((decided == labels.numpy()).mean()) for readout, decided in classes.items()}


def _bar(progress: bool) -> Progress:
    news = TextColumn("{task.fields[news]}", table_column=Column())  # wraps where the terminal is narrow
    columns = (TextColumn("{task.description}"), BarColumn(10), TextColumn("{task.completed}/{task.total} epochs"),
               TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), news)
    return Progress(*columns, disable=not progress)


def _news(entry: dict) -> str:
    validation = _best(entry)
    return f"{entry['phase']}: loss {entry['loss']:.3f}" + f", {validation}" * bool(validation)


def _best(entry: dict) -> str:
    best = max((value for name, value in entry.items() if name in get_args(Readout)), default=None)
    return "" if best is None else f"validation {best:.2%}"
