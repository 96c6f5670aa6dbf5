# SPDX-License-Identifier: MIT
"""Results: rows of what, floor and measured, on the screen and in benchmarks/results/*.json."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from firstspike_arch.program import write_atomically
from rich.console import Console
from rich.table import Table

__all__ = ["Row", "publish", "published"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: what it is, what must at least be reached, what was measured, and whether that is enough."""

    what: str
    floor: str
    measured: str
    met: bool


def publish(name: str, rows: list[Row]) -> None:
    """Print the rows and store them."""
    rows = [replace(row, met=bool(row.met)) for row in rows]  # comparisons of NumPy numbers
    table = Table("what", "floor", "measured", title=name)
    for row in rows:
        table.add_row(row.what, row.floor, row.measured, style=None if row.met else "red")
    Console(width=160).print(table)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)
    write_atomically(RESULTS / f"{name}.json", text + "\n")


def published(name: str) -> list[Row]:
    """The rows as they were last stored; none if they never were."""
    path = RESULTS / f"{name}.json"
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
