# SPDX-License-Identifier: MIT
"""Planted faults: put each into a copy of the sources, and see whether the quick tests catch it.

The faults are data, in the ``.toml`` files beside this one, a file for each room. Each has

- ``file``: the source, from the root of the repository;
- ``find``, ``replace``: the text that stands there exactly once, and the fault in its place;
- ``breaks``: what is then wrong, in words;
- ``caught_by``: quick tests of which one must fail, as pytest names them: files, or tests in them.

``make mutants`` runs all; ``python tests/mutants/run_mutants.py guard cobs`` those whose file or words contain one of
the arguments. The status is 0 if all are caught.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

__all__ = ["ROOMS", "ROOT", "Mutant", "load_mutants"]

ROOT = Path(__file__).resolve().parents[2]

ROOMS = ("arch", "hw", "compiler", "train", "sim", "boards", "cli")

_TESTS_FAILED = 1
"""pytest's exit status if tests ran and some failed; any other but 0 means that they did not run."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A planted fault, see above."""

    file: str
    find: str
    replace: str
    breaks: str
    caught_by: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Return the text of the source with the fault.

        Raises
        ------
        ValueError
            The text to be replaced does not stand there exactly once.
        """
        text = (root / self.file).read_text()
        if text.count(self.find) != 1:
            raise ValueError(f"{self.file} must contain what is replaced exactly once, not {text.count(self.find)} "
                             f"times, for the planted fault {self.breaks!r}: {self.find!r}")
        return text.replace(self.find, self.replace)


def load_mutants(folder: Path = Path(__file__).parent) -> list[Mutant]:
    """Return all planted faults, in the order of rooms and files."""
    found = []
    for room in ROOMS:
        for table in tomllib.loads((folder / f"{room}.toml").read_text())["mutant"]:
            found.append(Mutant(**{**table, "caught_by": tuple(table["caught_by"])}))
    return found


class _Copy:
    """A copy of the sources and tests in which one fault at a time is planted."""

    def __init__(self, folder: Path):
        self.root, self._stamp = folder, time.time()
        folder.mkdir()
        for name in (*ROOMS, "tests", "recipes"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("zoo", "docs", "pyproject.toml", "README.md", "constraints.txt"):
            (folder / name).symlink_to(ROOT / name)
        paths = [str(folder / room) for room in ROOMS]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}

    def write(self, file: str, text: str) -> None:
        """Write a source, with another time than ever before: Python's caches of bytecode compare nothing else."""
        self._stamp += 10
        (self.root / file).write_text(text)
        os.utime(self.root / file, (self._stamp, self._stamp))

    def run(self, tests: Sequence[str]) -> subprocess.CompletedProcess:
        """Run tests until one fails."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        return subprocess.run(command, cwd=self.root, env=self._environment, capture_output=True, text=True)


def _try(copy: _Copy, mutant: Mutant) -> str:
    """Plant a fault and run its tests; return "caught", "survived", or what went wrong."""
    text = (ROOT / mutant.file).read_text()
    copy.write(mutant.file, mutant.apply(ROOT))
    try:
        result = copy.run(mutant.caught_by)
    finally:
        copy.write(mutant.file, text)
    if result.returncode in (0, _TESTS_FAILED):
        return "caught" if result.returncode else "survived"
    return f"tests did not run:\n{result.stdout[-2000:]}{result.stderr[-2000:]}"


def _selected(mutants: Iterable[Mutant], words: Sequence[str]) -> list[Mutant]:
    return [one for one in mutants if not words or any(word in f"{one.file} {one.breaks}" for word in words)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose file or words contain one of these")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    mutants = _selected(load_mutants(), options.words)
    with tempfile.TemporaryDirectory(prefix="firstspike-mutants-") as name:
        copies: SimpleQueue[_Copy] = SimpleQueue()
        for number in range(options.processes):
            copies.put(_Copy(Path(name) / str(number)))
        whole = copies.get()
        tests = sorted({test for one in mutants for test in one.caught_by})
        result = whole.run(tests) if tests else None
        if result is not None and result.returncode:
            print(f"the tests must pass without a fault, but do not:\n{result.stdout[-4000:]}{result.stderr[-2000:]}")
            return 1
        copies.put(whole)

        def judge(mutant: Mutant) -> str:
            copy, start = copies.get(), time.monotonic()
            try:
                verdict = _try(copy, mutant)
            finally:
                copies.put(copy)
            print(f"{verdict:8} {time.monotonic() - start:6.1f} s  {mutant.file}: {mutant.breaks}", flush=True)
            return verdict

        with ThreadPoolExecutor(options.processes) as pool:
            verdicts = list(pool.map(judge, mutants))
    caught = verdicts.count("caught")
    print(f"{caught} of {len(mutants)} planted faults caught")
    return int(caught < len(mutants))


if __name__ == "__main__":
    sys.exit(main())
