# SPDX-License-Identifier: MIT
"""Progress on a terminal, with the time that has passed and that is left; a file or pipe gets none of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

__all__ = ["shown_progress", "shown_stage"]


@contextmanager
def shown_progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the context lasts; it moves by calls of ``progress(done, total)``, or turns until the first."""
    # A narrow terminal wraps the description; otherwise it would cut all columns, the times with them.
    described = TextColumn("{task.description}", table_column=Column())
    columns = (SpinnerColumn(), described, BarColumn(20), TimeElapsedColumn(), TextColumn("left:"),
               TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def shown_stage(console: Console, first: str = "") -> Iterator[Callable[[str], None]]:
    """Show which stage has begun, and the time since the beginning, while the context lasts."""
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console,
                  transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(first, total=None)
        yield lambda stage: bar.update(task, description=stage)
