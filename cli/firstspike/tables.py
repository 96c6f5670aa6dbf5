# SPDX-License-Identifier: MIT
"""Tables that can be read on a narrow terminal, too, and what measures are called."""

from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["accuracy_table", "legible", "print_table"]

CROWDED = 1.5
"""A table is taken apart if its lines are longer than so many times the width, or a word is longer than its column."""

KINDS = {"float": "real numbers", "quantised": "integers", "teacher": "its teacher, without spikes"}


def print_table(console: Console, table: Table) -> None:
    """Print a table as `legible` gives it."""
    console.print(legible(console, table))


def legible(console: Console, table: Table) -> RenderableType:
    """Return the table if it fits the console without broken words, and otherwise each row with a line a cell."""
    needed = Measurement.get(console, console.options.update(max_width=10_000), table)
    if needed.maximum <= CROWDED * console.width and needed.minimum <= console.width:
        return table
    cells = [list(column.cells) for column in table.columns]
    parts: list[RenderableType] = [Text(str(table.title), style="italic")] if table.title else []
    for index, row in enumerate(table.rows):
        first, *others = (column[index] for column in cells)
        heads = [str(column.header) for column in table.columns]
        grid = Table.grid(padding=(0, 2, 0, 0))
        for head, cell in zip(heads[1:], others, strict=True):
            if cell:
                grid.add_row(Text(head, style="dim"), cell)
        lines = Padding(grid, (0, 0, 0, 2), style=row.style or "", expand=False)
        parts += [Text(f"{heads[0]} {first}", style="bold"), lines]
    return Group(*parts)


def accuracy_table(accuracy: Mapping[str, float], readout: str) -> Table:
    """Make a table of the accuracies of a trained network: real numbers and integers, its teacher's, if it had one, and
    those by the other read-outs."""
    rows: dict[tuple[bool, int, str], dict[str, float]] = {}  # in the order of their keys
    for name, value in accuracy.items():
        kind, _, rest = name.partition("_")
        split, _, other = rest.partition("_")
        if kind in KINDS and other != readout:
            read = f", read by {other.replace('_', ' ')} instead" if other else ""
            rows.setdefault((bool(read), [*KINDS].index(kind), KINDS[kind] + read), {})[split] = value
    table = Table("accuracy", "validation", "test")
    for (*_, name), values in sorted(rows.items()):
        table.add_row(name, *(f"{values[split]:.2%}" if split in values else "-" for split in ("validation", "test")))
    return table
