# SPDX-License-Identifier: MIT
"""This version beside an older one: the same code is run with the packages of either, in turn."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BEFORE", "ROOT", "checked_out", "in_turn"]

ROOT = Path(__file__).parents[1]
ROOMS = ("arch", "hw", "compiler", "train", "sim", "boards", "cli")
BEFORE = "2417359"
"""The last revision before convolutions were mapped to banks of any shape, simulators and golden model made faster."""


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A tree with that revision of this repository, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="firstspike-before-") as folder:
        tree = Path(folder) / "tree"
        added = subprocess.run(["git", "worktree", "add", "--detach", tree, revision], cwd=ROOT, capture_output=True,
                               text=True, check=False)
        if added.returncode:
            sys.exit(f"--against must be a revision of this clone's repository, not {revision!r}: "
                     f"{added.stderr.strip().splitlines()[-1]}")
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def in_turn(code: str, before: Path, *, rounds: int) -> tuple[list[dict], list[dict]]:
    """Run Python code with the packages of the older tree, then with ours, and so on; return what each has printed.

    The machine may be busy: what is measured once in each round suffers from the same neighbours in both trees.

    Parameters
    ----------
    code : str
        Prints lines "NAME VALUE …".

    Returns
    -------
    tuple of two lists
        Before and now: for each round the values by name, as lists of str.
    """
    found = [_run(code, tree) for _ in range(rounds) for tree in (before, ROOT)]
    return found[0::2], found[1::2]


def _run(code: str, tree: Path) -> dict[str, list[str]]:
    packages = os.pathsep.join(str(tree / room) for room in ROOMS)
    run = subprocess.run([sys.executable, "-c", code], cwd=tree, env={**os.environ, "PYTHONPATH": packages},
                         stdout=subprocess.PIPE, text=True, check=True)
    return {name: values for name, *values in (line.split() for line in run.stdout.splitlines())}
