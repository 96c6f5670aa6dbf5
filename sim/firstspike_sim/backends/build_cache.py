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
from pathlib import Path

from firstspike_hw.toolchain import Tool

__all__ = ["LIMIT_BYTES", "build_once", "shared_runtime", "tool_identity"]

LIMIT_BYTES = 1 << 30
RECENT_SECONDS = 3600
"""What was used since is never removed: another process may be about to run it."""

_COMPILERS = ("c++", "g++", "clang++")
"""One of these is what Verilator's makefile calls."""


def tool_identity(tool: Tool) -> tuple[str, ...]:
    """What tells a tool, and the C++ compiler behind it, from any other: paths, version, sizes and times of change."""
    path = tool.environment.get("PATH", os.environ.get("PATH"))
    stamps = [str(tool.version)]
    for name in (tool.command[0], *_COMPILERS):
        found = shutil.which(name, path=path)
        if found:
            program = Path(found).resolve()
            stamps.append(f"{program} {program.stat().st_size} {program.stat().st_mtime_ns}")
    return tuple(stamps)


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
    """
    kept = _place("build", parts)
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="unfinished-") as name:
            staged = Path(name) / "kept"
            work = Path(name) / "work"
            work.mkdir()
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
