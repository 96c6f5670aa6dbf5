# SPDX-License-Identifier: MIT
"""Models as their frameworks' tutorials and libraries publish them, and the table of docs/bring_your_own.md.

`firstspike` runs each model beside what it read of it (`check_run`), spike for spike, so that an import that succeeds
is one that does the same.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from firstspike_arch.float_network import FloatNetwork
from firstspike_compiler.errors import CompileError

PAGE = Path(__file__).parents[3] / "docs" / "bring_your_own.md"
FRAMEWORKS = {"snnTorch", "SpikingJelly", "Norse", "any"}
"""The first word of each row, and ``FRAMEWORK`` of one of the files here."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of a ``row`` and what ``happens`` gets the rows of the table for the framework of its file, whose ``ROWS``
    has what is to be run, by the words in which the row begins."""
    if "row" in metafunc.fixturenames:
        table = PAGE.read_text().split("| what your framework has | what happens |")[1].split("\n\n")[0]
        rows = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in table.splitlines()[2:]]
        assert {row.partition(",")[0] for row, _ in rows} == FRAMEWORKS
        rows = [(row, happens) for row, happens in rows if row.startswith(f"{metafunc.module.FRAMEWORK},")]
        tested = metafunc.module.ROWS
        assert sorted(start for start in tested for row, _ in rows if row.startswith(start)) == sorted(tested)
        metafunc.parametrize(("row", "happens"), rows)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def as_said() -> Callable[..., None]:
    """``as_said(rows, row, happens, *arguments)``: what the row begins with is read, or refused in its words."""

    def check(rows: Mapping[str, Callable[..., FloatNetwork]], row: str, happens: str, *arguments) -> None:
        run = next(run for start, run in rows.items() if row.startswith(start))
        if happens.startswith("refused: "):
            with pytest.raises(CompileError, match=re.escape(happens.removeprefix("refused: "))):
                run(*arguments)
            return
        assert happens.startswith("read")
        network = run(*arguments)
        assert network.layers
        assert any(layer.branches for layer in network.layers) or "recurrent" not in happens

    return check


@pytest.fixture(scope="session")
def shapes() -> Callable[[FloatNetwork], list[tuple[int, ...]]]:
    """``shapes(network)``: those of the sums of all layers."""
    return lambda network: [layer.connectivity.out_shape for layer in network.layers]


@pytest.fixture(scope="session")
def sources() -> Callable[[FloatNetwork], list[list[int]]]:
    """``sources(network)``: those of the branches of all layers."""
    return lambda network: [[branch.source for branch in layer.branches] for layer in network.layers]
