# SPDX-License-Identifier: MIT
"""The files of a training run: what it writes between two epochs, and how one goes on, or begins, from such files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from firstspike_arch.checkpoint import load_network
from firstspike_arch.float_network import FloatNetwork

from .lif_network import LifNetwork
from .methods.ettfs import EttfsNetwork
from .training_state import TrainingState, is_state, refused, restore_modules, restore_optimizer, tensors_of
from .transfer import TransferError, transfer

if TYPE_CHECKING:
    from .training_run import TrainingRun

__all__ = ["NO_FILES", "RunFiles"]

TRANSFER_IMAGES = 1024
"""Training images by which the normalisation of a network begins that takes another's weights."""


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """Paths of the files; None: there is none.

    Parameters
    ----------
    state : Path or None
        State behind the last epoch.
    real : Path or None
        State between real numbers and integers.
    teacher : Path or None
        State behind the teacher's training.
    start : Path or None
        What the weights begin with: a file that another run wrote as its ``real``, or a trained network.
    """

    state: Path | None = None
    real: Path | None = None
    teacher: Path | None = None
    start: Path | None = None

    def keep(self, run: "TrainingRun", *, ends: bool, taught: bool) -> None:
        """Write the state of a run; ``ends``: of its training in real numbers, ``taught``: its teacher's."""
        if self.state:
            _keep(run, self.state, run.recipe.table)
        if ends and self.real:
            _keep(run, self.real, run.recipe.real_table)
        if taught and self.teacher:
            assert run.teacher is not None
            TrainingState(
                recipe=run.recipe.teacher_table, tensors=tensors_of([("teacher", run.teacher)]),
                facts={"history": run.history, "teacher_accuracy": run.teacher_accuracy}).write(self.teacher)

    def restore(self, run: "TrainingRun", resume: bool) -> None:
        """Load the state of an interrupted run (with ``resume``), or else the state after training in real numbers, or
        else a trained teacher, if there is one."""
        if resume and self.state and self.state.exists():
            _restore(run, self.state, run.recipe.table, "delete it or train with resume=False")
        elif self.real and self.real.exists():
            _restore(run, self.real, run.recipe.real_table, "delete it or name another")
        else:
            if self.start:
                _begin_as(run, self.start)
            if self.teacher and self.teacher.exists():
                _restore_teacher(run, self.teacher, "delete it or name another")


NO_FILES = RunFiles()


def _keep(run: "TrainingRun", path: Path, table: dict) -> None:
    TrainingState(
        recipe=table, tensors=tensors_of(run.parts(), run.optimizer), facts={
            "epoch": run.epoch, "history": run.history, "real_accuracy": run.real_accuracy,
            "teacher_accuracy": run.teacher_accuracy, "threads": run.threads}).write(path)


def _restore(run: "TrainingRun", path: Path, table: dict, advice: str) -> None:
    state = TrainingState.read(path, table, advice)
    try:
        facts = state.facts
        run.history, run.real_accuracy = facts["history"], facts["real_accuracy"]
        run.teacher_accuracy = facts.get("teacher_accuracy", {})
        run.threads = run.given_threads or facts.get("threads", run.threads)
        run.redo(facts["epoch"])
        restore_modules(run.parts(), state.tensors)
        restore_optimizer(run.optimizer, state.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise refused(path, error, advice) from None


def _restore_teacher(run: "TrainingRun", path: Path, advice: str) -> None:
    assert run.teacher is not None
    state = TrainingState.read(path, run.recipe.teacher_table, advice)
    try:
        restore_modules([("teacher", run.teacher)], state.tensors)
        run.history += state.facts["history"]
        run.teacher_accuracy = state.facts["teacher_accuracy"]
    except (KeyError, RuntimeError) as error:
        raise refused(path, error, advice) from None
    run.teacher.eval()
    run.epoch = run.phases[0].epochs


def _begin_as(run: "TrainingRun", path: Path) -> None:
    if not is_state(path):
        _begin_like(run, load_network(path), path)
        return
    advice = "name one of the same network and method, written by --real, or a trained network"
    state = TrainingState.read(path, run.recipe.table, advice, of=("network", "method"))
    try:
        restore_modules([("module", run.module)], state.tensors)
        run.history = [{**entry, "phase": "start"} for entry in state.facts["history"]]
    except (KeyError, TypeError, RuntimeError) as error:
        raise refused(path, error, advice) from None


def _begin_like(run: "TrainingRun", network: FloatNetwork, path: Path) -> None:
    if any(phase.name == "pretraining" for phase in run.phases):
        raise TransferError(f"{path}: must begin a recipe with method.pretraining_epochs = 0, as it is the ANN")
    try:
        module = cast(LifNetwork | EttfsNetwork, run.module)
        transfer(network, module, cast(torch.Tensor, run.images[:TRANSFER_IMAGES]))
    except TransferError as error:
        raise TransferError(f"{path}: {error}") from None
    run.history = [{"epoch": 0, "phase": "start", "network": network.name}]
