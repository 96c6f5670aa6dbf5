# SPDX-License-Identifier: MIT
"""Making a build again from what it records, and comparing the two, byte for byte."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstspike_arch.output_folder import is_file_name, read_record, record_text
from firstspike_arch.shown import shown

from .build_folder import MADE_BY, MANIFEST_FILE, BuildError, recorded_source, write_build

__all__ = ["Reproduction", "first_difference", "reproduce"]

NOT_COMPARED = ("made_with", "seconds")
"""Parts of a record that may differ where nothing else does: versions, and the time that tools took."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What came of making a build again.

    Parameters
    ----------
    files : int
        Number of files that were compared, the record among them.
    different : list of str
        Names of those that differ.
    first : str
        A sentence about the first difference; "" if there is none.
    versions : dict of str to (str, str)
        Versions that differ, as recorded and now; "" for what is missing.
    """

    files: int
    different: list[str]
    first: str
    versions: dict[str, tuple[str, str]]


def reproduce(folder: Path, progress: Callable[[str], None] = lambda text: None) -> Reproduction:
    """Make a folder again, in a temporary one, and compare every file that its record lists.

    Parameters
    ----------
    folder : Path
        Build folder, by `write_build`, export, by `write_axi`, or board folder, by `build_bitstream` or
        `write_project`.
    progress : callable
        Called with a few words about what is being done.

    Raises
    ------
    BuildError, ValueError
        The folder is no build, or does not say what it was made from.
    """
    from firstspike_boards.bitstream import MADE_BY as MADE_BY_BUILD
    from firstspike_boards.bitstream import REPORT
    from firstspike_boards.rebuild import rebuild
    from firstspike_compiler.compile import compile_network

    from .axi_export import MADE_BY as MADE_BY_EXPORT
    from .axi_export import exported_source, write_axi

    if (folder / REPORT).is_file() and not (folder / MANIFEST_FILE).exists():
        with tempfile.TemporaryDirectory() as again:
            rebuild(folder, Path(again), progress)
            return _compare(folder, Path(again), REPORT, MADE_BY_BUILD)
    if (folder / MANIFEST_FILE).is_file() and read_record(folder, MANIFEST_FILE, MADE_BY_EXPORT) is not None:
        program, name = exported_source(folder)
        with tempfile.TemporaryDirectory() as again:
            progress("exporting again")
            write_axi(program, Path(again), name=name)
            return _compare(folder, Path(again), MANIFEST_FILE, MADE_BY_EXPORT)
    network, options, name = recorded_source(folder)
    with tempfile.TemporaryDirectory() as again:
        progress("compiling again")
        write_build(compile_network(network, **options), again, name=name)
        return _compare(folder, Path(again), MANIFEST_FILE, MADE_BY)


def _compare(folder: Path, again: Path, record: str, made_by: str) -> Reproduction:
    """Compare the files of two folders that the same command wrote."""
    was, now = (read_record(one, record, made_by) for one in (folder, again))
    if was is None or now is None:
        raise BuildError(f"{folder / record}: is truncated or altered")
    names = [*filter(is_file_name, was["files"]), *(name for name in now["files"] if name not in was["files"])]
    found = {name: first_difference(_contents(folder / name), _contents(again / name)) for name in names}
    # With those parts as they were recorded, so that all others are compared.
    same = {part: was.get(part) for part in NOT_COMPARED if part in now}
    found[record] = first_difference((folder / record).read_bytes(), record_text(now | same))
    different = [name for name, difference in found.items() if difference]
    # A line says more than an octet, and the record only repeats what differs.
    different.sort(key=lambda name: (name == record, "octet" in found[name]))
    return Reproduction(files=len(found), different=different,
                        first=f"{different[0]} {found[different[0]]}" if different else "",
                        versions=_other_versions(was.get("made_with"), now.get("made_with")))


def _contents(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def first_difference(was: bytes | None, now: bytes | None) -> str:
    """Describe where the contents of a file, as built and as made again, begin to differ; "": they do not. None: there
    is no such file."""
    if was == now:
        return ""
    if was is None or now is None:
        return "is missing" if was is None else "was built, and does not come out now"
    try:
        if b"\0" in was + now:
            raise UnicodeError
        lines = [part.decode().split("\n") for part in (was, now)]
    except UnicodeError:
        place = next((place for place, (one, other) in enumerate(zip(was, now, strict=False)) if one != other),
                     min(len(was), len(now)))
        return f"differs in octet {place}: {was[place:place + 4].hex() or 'its end'} was built, " \
               f"{now[place:place + 4].hex() or 'its end'} came out"
    before, after = ([*part, None] for part in lines)
    place = next(place for place, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    built, made = ("its end" if one is None else shown(one) for one in (before[place], after[place]))
    return f"differs in line {place + 1}: {built} was built, {made} came out"


def _other_versions(was: Any, now: Any) -> dict[str, tuple[str, str]]:
    before, after = (one if isinstance(one, Mapping) else {} for one in (was, now))
    return {name: (str(before.get(name, "")), str(after.get(name, ""))) for name in sorted({*before, *after})
            if before.get(name) != after.get(name)}
