# SPDX-License-Identifier: MIT
"""Simulators that were built before, found again by a digest of all that they were built from.

They lie in ``$FIRSTSPIKE_CACHE`` (default ``~/.cache/firstspike``), one folder a build. Once they take more than
`LIMIT_BYTES`, those that were not used for longest are removed; the whole folder may be removed at any time.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from firstspike_hw.toolchain import Tool, ToolError

__all__ = ["LIMIT_BYTES", "build_once", "shared_runtime", "tool_identity"]

LIMIT_BYTES = 1 << 30
RECENT_SECONDS = 3600
"""What was used since is never removed: another process may be about to run it."""

_COMPILERS = ("c++", "g++", "clang++")
"""One of these is what Verilator's makefile calls."""


def tool_identity(tool: Tool) -> tuple[str, ...]:
    """What tells a tool, and the C++ compiler behind it, from any other: version, and digests of the programs.

    Neither paths nor times of change: what a CI job builds is found by the next, which has installed its tools anew.
    """
    path = tool.environment.get("PATH", os.environ.get("PATH"))
    stamps = [str(tool.version)]
    for name in (tool.command[0], *_COMPILERS):
        found = shutil.which(name, path=path)
        if found:
            stamps.append(f"{name if name in _COMPILERS else tool.name} {_digest(Path(found).resolve())}")
    return tuple(stamps)


def _digest(program: Path) -> str:
    stat = program.stat()
    return _digest_of_state(program, stat.st_size, stat.st_mtime_ns)


@cache
def _digest_of_state(program: Path, size: int, changed: int) -> str:
    """The digest, computed once a process for each state of a program: one of a hundred megabytes takes 0.1 s."""
    with program.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_once(parts: Iterable[str], build: Callable[[Path], Iterable[Path]]) -> Path:
    """The folder of a build, which is made if it is not in the cache.

    Processes that build the same at once do not meet: each builds in a folder of its own, and the first to end has its
    folder renamed to the one that all use.

    Parameters
    ----------
    parts : iterable of str
        All that the build depends on.
    build : callable
        ``build(folder)`` builds in an empty folder and returns the files to be kept.

    Raises
    ------
    ToolError
        The paths of the cache and of the folder for temporary files have blanks, and make could not build there.
    """
    kept = _place("build", parts)
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="unfinished-") as name, _work_folder(name) as work:
            staged = Path(name) / "kept"
            files = list(build(work))
            staged.mkdir()
            for file in files:
                shutil.move(file, staged / file.name)
            try:
                staged.rename(kept)
            except OSError:  # somebody else was first
                if not kept.exists():
                    raise
        _remove_oldest(kept.parent)
    os.utime(kept)
    return kept


@contextmanager
def _work_folder(place: str) -> Iterator[Path]:
    """An empty folder to build in: in ``place``, unless make cannot build there because its path has blanks."""
    where = next((one for one in (place, tempfile.gettempdir()) if len(one.split()) == 1), None)
    if where is None:
        raise ToolError("$FIRSTSPIKE_CACHE or $TMPDIR must be a path without blanks, for make to build in, not "
                        f"{Path(place).parent} and {tempfile.gettempdir()}")
    with tempfile.TemporaryDirectory(dir=where, prefix="firstspike-") as name:
        yield Path(name)


@contextmanager
def shared_runtime(objects: Path, parts: Iterable[str]) -> Iterator[None]:
    """Verilator's runtime library is compiled once for many builds: most of the time of a small one.

    Its objects are put into ``objects`` before the build; those that it has compiled itself are kept for the next.

    Parameters
    ----------
    objects : Path
        The folder that Verilator makes its files in.
    parts : iterable of str
        All that the objects depend on: the tool and the flags.
    """
    kept = _place("runtime", parts)
    kept.mkdir(exist_ok=True)
    os.utime(kept)
    objects.mkdir(exist_ok=True)
    later = time.time() + 86_400  # newer than the makefile that Verilator is to write, on which they depend for make
    for file in kept.glob("verilated*.o"):
        shutil.copyfile(file, objects / file.name)
        os.utime(objects / file.name, (later, later))
    yield
    for file in objects.glob("verilated*.o"):
        if not (kept / file.name).exists():
            staged = kept / f"{file.name}.{os.getpid()}"
            shutil.copyfile(file, staged)
            staged.rename(kept / file.name)


def _place(kind: str, parts: Iterable[str]) -> Path:
    cache = Path(os.environ.get("FIRSTSPIKE_CACHE") or Path.home() / ".cache" / "firstspike")
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return cache / f"{kind}-{digest.hexdigest()[:24]}"


def _remove_oldest(cache: Path) -> None:
    """Until `LIMIT_BYTES` are kept. Another process may be removing the same."""
    found = []
    with suppress(FileNotFoundError):
        for folder in [*cache.glob("build-*"), *cache.glob("runtime-*")]:
            size = sum(file.stat().st_size for file in folder.iterdir())
            found.append((folder.stat().st_mtime, size, folder))
    total = sum(size for _, size, _ in found)
    for used, size, folder in sorted(found, key=lambda one: one[0]):
        if total <= LIMIT_BYTES or used > time.time() - RECENT_SECONDS:
            break
        shutil.rmtree(folder, ignore_errors=True)
        total -= size
