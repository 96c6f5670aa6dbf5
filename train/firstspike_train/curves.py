# SPDX-License-Identifier: MIT
"""Curves of a training run for TensorBoard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Write", "tensorboard_curves", "unwritten"]

Write = Callable[[dict], None]
"""Function that takes the measurements made after an epoch."""


def unwritten(entry: dict) -> None:
    """Discard the measurements."""


@contextmanager
def tensorboard_curves(folder: str | Path | None) -> Iterator[Write]:
    """Write curves into a folder. None: they are discarded.

    Raises
    ------
    ValueError
        TensorBoard is not installed.
    """
    if folder is None:
        yield unwritten
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("curves must have tensorboard installed: pip install 'firstspike[train]'") from None
    with SummaryWriter(str(folder)) as writer:

        def write(entry: dict) -> None:
            for name, value in entry.items():
                if isinstance(value, float):
                    writer.add_scalar(f"{entry['phase']}/{name}", value, entry["epoch"])

        yield write
