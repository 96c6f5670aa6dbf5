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
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

__all__ = ["ROOMS", "ROOT", "Mutant", "load_mutants"]

ROOT = Path(__file__).resolve().parents[2]

ROOMS = ("arch", "hw", "compiler", "train", "sim", "boards", "cli", "run")

LIMIT_SECONDS = 600
"""Time after which tests that have not ended are killed."""

_CONTEXT = multiprocessing.get_context("fork")
"""Processes that have the packages below already: importing them takes longer than most tests."""

_PRELOADED = ("torch", "numba", "hypothesis", "pydantic", "safetensors", "typer", "rich", "amaranth.sim",
              "amaranth.lib.wiring", "amaranth.back.rtlil")

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

    @property
    def output(self) -> Path:
        """What the last tests have printed."""
        return self.root / "output.txt"

    def write(self, file: str, text: str) -> None:
        """Write a source, with another time than ever before: Python's caches of bytecode compare nothing else."""
        self._stamp += 10
        (self.root / file).write_text(text)
        os.utime(self.root / file, (self._stamp, self._stamp))

    def start(self, tests: Sequence[str]) -> BaseProcess:
        """Run tests, until one fails, in a process of their own."""
        process = _CONTEXT.Process(target=_run, args=(self.root, self.output, tuple(tests)))
        process.start()
        return process


def _run(root: Path, output: Path, tests: Sequence[str]) -> None:
    """Run tests of a copy in this process, and end with pytest's status."""
    with output.open("wb") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    paths = [str(root / room) for room in ROOMS]
    sys.path[:0] = paths
    os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    os.chdir(root)
    status = int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
    sys.stdout.flush()
    os._exit(status)


@dataclass(kw_only=True)
class _Trial:
    """A planted fault whose tests run."""

    mutant: Mutant
    copy: _Copy
    text: str  # of the source without the fault
    process: BaseProcess
    began: float

    def verdict(self) -> str:
        """Wait for the tests, and restore the source."""
        self.process.join(LIMIT_SECONDS)
        ended = self.process.exitcode is not None
        if not ended:
            self.process.kill()
            self.process.join()
        self.copy.write(self.mutant.file, self.text)
        if not ended:
            return f"tests did not end within {LIMIT_SECONDS} seconds"
        if self.process.exitcode in (0, _TESTS_FAILED):
            return "caught" if self.process.exitcode else "survived"
        return f"tests did not run:\n{self.copy.output.read_text(errors='replace')[-3000:]}"


def _judge(mutants: Sequence[Mutant], copies: Sequence[_Copy]) -> int:
    """Plant each fault, as many at once as there are copies; return how many are caught."""
    waiting, running, free, caught = list(mutants), [], list(copies), 0
    while waiting or running:
        while waiting and free:
            mutant, copy = waiting.pop(0), free.pop()
            text = (copy.root / mutant.file).read_text()
            copy.write(mutant.file, mutant.apply(copy.root))
            running.append(_Trial(mutant=mutant, copy=copy, text=text, process=copy.start(mutant.caught_by),
                                  began=time.monotonic()))
        wait([trial.process.sentinel for trial in running], LIMIT_SECONDS)
        for trial in [one for one in running if one.process.exitcode is not None] or running[:1]:
            verdict = trial.verdict()
            caught += verdict == "caught"
            print(f"{verdict:8} {time.monotonic() - trial.began:6.1f} s  {trial.mutant.file}: {trial.mutant.breaks}",
                  flush=True)
            running.remove(trial)
            free.append(trial.copy)
    return caught


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose file or words contain one of these")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--trust", action="store_true", help="do not first run the tests without a fault")
    options = parser.parse_args()
    mutants = [one for one in load_mutants() if not options.words or any(
        word in f"{one.file} {one.breaks}" for word in options.words)]
    if not mutants:
        words = " ".join(options.words)
        parser.error(f"words must be in the file or the words of a planted fault: {words!r} are in none")
    for name in _PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="firstspike-mutants-") as name:
        copies = [_Copy(Path(name) / str(number)) for number in range(min(options.processes, len(mutants)))]
        if not options.trust:
            whole = copies[0].start(sorted({test for one in mutants for test in one.caught_by}))
            whole.join()
            if whole.exitcode:
                print(f"the tests must pass without a fault, but do not:\n{copies[0].output.read_text()[-5000:]}")
                return 1
        caught = _judge(mutants, copies)
    print(f"{caught} of {len(mutants)} planted faults caught")
    return int(caught < len(mutants))


if __name__ == "__main__":
    sys.exit(main())
