# SPDX-License-Identifier: MIT
"""Train a recipe: real numbers before integers, resuming an interrupted run."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from firstspike_arch.checkpoint import save_network
from firstspike_arch.float_network import FloatNetwork

from .curves import Write, tensorboard_curves, unwritten
from .layer_stack import LayerStack
from .recipe import Recipe, RecipeError
from .recipe_file import load_recipe
from .run_files import RunFiles
from .training_run import TrainingRun
from .workers import started_workers

__all__ = ["fit", "one_thread", "train"]


def train(
    recipe: str | Path | Recipe, output: str | Path, resume: bool = True, progress: bool = True,
    device: str = "cpu", curves: str | Path | None = None, real: str | Path | None = None, compiled: bool = False,
    mixed: bool = False, threads: int = 0, teacher: str | Path | None = None, start: str | Path | None = None,
) -> FloatNetwork:
    """Train a recipe, write the network to ``output`` (safetensors), and return it.

    After every epoch the state is written beside the output (``.resume.safetensors``); it is deleted at the end. A run
    that is interrupted and started again gives the same result as an uninterrupted one. The test set is evaluated at
    the end of training in real numbers and at the end of training in integers, and nothing is chosen by it.

    Parameters
    ----------
    recipe : path of a TOML recipe, or Recipe
    resume : bool
        Continue from the state file, if there is one; False starts again from the beginning.
    progress : bool
        Show a progress bar on the terminal, with the remaining time.
    device : str
        "cpu", or a GPU as torch names it; on a GPU, training in real numbers always uses mixed precision. Under
        `torchrun`, each process takes the GPU of its local rank; see `workers`.
    curves : path
        Folder for TensorBoard files with loss, validation accuracy and spikes of every epoch; None: none.
    real : path or None
        File for the state between real numbers and integers: training starts from it if it exists, and writes it
        otherwise. Recipes that differ only in name and quantisation can share it.
    teacher : path or None
        File for the trained teacher: the training of others starts with it if it exists, and writes it otherwise.
        Recipes that agree in seed, data and teacher, and in what of ``[training]`` a teacher takes, can share it.
    start : path or None
        File that another training wrote as its ``real``: the weights begin as they are there, so that a training can go
        on with another schedule, other data or a teacher; network and method must be the same. Or a trained network,
        of which `transfer` makes the beginning of one with other channels, steps or thresholds.
    compiled : bool
        Fuse the loss in real numbers and its gradient with `torch.compile`: faster with ``mixed``, but rounded
        differently, so that another network results. Training in integers is never compiled, because its rounding is
        code shared with the hardware compiler.
    mixed : bool
        Multiply real numbers in bfloat16, and add them and keep membranes in float32, even if the recipe does not ask
        for it. It is faster on processors with instructions for bfloat16 (AVX512-BF16, AMX); those without AVX-512
        multiply in float32 all the same. Validation and integers always use float32.
    threads : int
        Number of CPU threads; the result is reproducible for the same number. 0: one for small networks and torch's
        default for large ones; a resumed run keeps the number it was started with.

    Raises
    ------
    RecipeError, DataError, ResumeError, TransferError, CheckpointError, ExactnessError, DivergenceError
        Subclasses of ValueError, each with a message of one sentence.
    OSError
        ``output``, ``real`` or ``teacher`` cannot be written.

    Notes
    -----
    Torch's number of threads is restored at the end.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    output = Path(output)
    real, teacher, start = (None if one is None else Path(one) for one in (real, teacher, start))
    if teacher and recipe.teacher is None:
        raise RecipeError(f"{recipe.name}: must have a [teacher] whose training {teacher} can hold")
    for path in filter(None, (output, real, teacher)):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "must be a file to write, not a folder", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
    state = output.with_name(f"{output.name}.resume.safetensors")
    if threads < 0:
        raise ValueError(f"threads must be at least 0, not {threads}")
    with (_kept_threads(), started_workers(device) as workers,
          tensorboard_curves(curves if workers.first else None) as write):
        files = RunFiles(state=state, real=real, teacher=teacher, start=start)
        run = TrainingRun(recipe, files, device, workers, compiled, mixed, threads)
        files.restore(run, resume)
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
    """Train all phases of a recipe and return the trained module; nothing is validated or written.

    Parameters
    ----------
    progress, compiled, mixed, threads
        As in `train`.
    write : function
        Called after every epoch with a dict of what was measured in it.

    Raises
    ------
    DataError, ExactnessError, DivergenceError
        Subclasses of ValueError, as in `train`.
    """
    with _kept_threads():
        run = TrainingRun(recipe, compiled=compiled, mixed=mixed, threads=threads)
        run.finish(progress, write)
    return run.module


@contextmanager
def _kept_threads() -> Iterator[None]:
    """Restore torch's number of threads on exit."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, which is fastest for small matrices and beside other processes."""
    with _kept_threads():
        torch.set_num_threads(1)
        yield
