# SPDX-License-Identifier: MIT
"""Output folders: files are written completely or not at all, and nothing is lost that another hand has put there."""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["FolderError", "FolderWarning", "digest_of", "is_file_name", "read_record", "record_text",
           "refuse_foreign", "write_folder"]


class FolderError(ValueError):
    """A folder holds something else under the name of a file that is to be written."""


class FolderWarning(UserWarning):
    """A file was changed by another hand after it was written, and is kept under another name."""


def write_folder(folder: Path, files: Mapping[str, bytes | str], *, record: str, made_by: str, facts: Mapping) -> dict:
    """Write files into a folder, with a record of them, in place of those that an older record there lists.

    All other contents of the folder stay as they are. A file of the older record that was changed meanwhile is kept as
    NAME.old, with a `FolderWarning`. If a file cannot be written, the folder is as before.

    Parameters
    ----------
    folder : Path
        May be missing, a link to a folder, a mount point or the current folder.
    files : mapping of str to bytes or str
        Contents by name.
    record : str
        Name of the record, a JSON file: ``facts``, with ``made_by`` and, under "files", the SHA-256 of each file.
    made_by : str
        Command that writes the folder. It replaces only its own files.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    FolderError
        Something else has the name of one of the files.
    OSError
        A file cannot be written; the error names ``folder``.
    """
    contents = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    written = {**facts, "made_by": made_by, "files": {name: digest_of(data) for name, data in contents.items()}}
    contents[record] = record_text(written)
    refuse_foreign(folder, files, record=record, made_by=made_by)
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=folder, prefix=".firstspike."))
        try:
            for part in ("new", "old"):
                (staged / part).mkdir()
            for name, data in contents.items():
                (staged / "new" / name).write_bytes(data)
            _put_in_place(folder, staged, contents, _files_before(folder, record, made_by))
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except BaseException as error:
        for one in missing:
            with suppress(OSError):
                one.rmdir()
        if isinstance(error, OSError):  # name the folder that the user asked for
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise
    return written


def record_text(facts: Mapping) -> bytes:
    """Return the contents of the file of a record."""
    return (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()


def read_record(folder: Path, record: str, made_by: str) -> dict | None:
    """Read the record of a folder; None if it is not one of this command. Raises OSError if there is no such file."""
    try:
        found = json.loads((folder / record).read_bytes())
    except (ValueError, RecursionError):
        return None
    ours = isinstance(found, dict) and found.get("made_by") == made_by and isinstance(found.get("files"), dict)
    return found if ours else None


def is_file_name(name: str) -> bool:
    """Whether a name in a record can be that of a file in the folder, and is no path that leads elsewhere."""
    try:
        return Path(name).name == name and 0 < len(os.fsencode(name)) <= 255 and "\0" not in name
    except ValueError:  # half of a character
        return False


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def refuse_foreign(folder: Path, names: Iterable[str], *, record: str, made_by: str) -> None:
    """Raise FolderError if files of these names cannot be written by `write_folder`, before the work to make them."""
    if os.path.lexists(folder) and not folder.is_dir():
        kind = "a link to nothing" if folder.is_symlink() else "a file"
        raise FolderError(f"{folder}: must be a folder to write, not {kind}")
    before = _files_before(folder, record, made_by)
    foreign = [name for name in sorted({*names, record, *before})
               if (folder / name).is_dir() or (os.path.lexists(folder / name) and name not in before)]
    if foreign:
        some = f"{', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}"
        raise FolderError(f"{folder}: must have room for {some}, but has something of that name which '{made_by}' did "
                          "not write; choose another folder")


def _files_before(folder: Path, record: str, made_by: str) -> dict[str, str | None]:
    """Return the digests of the files that an older record lists, and the record, which has none; {}: there is none."""
    try:
        found = read_record(folder, record, made_by)
    except OSError:
        return {}
    if found is None:
        return {}
    digests = {name: one for name, one in found["files"].items() if is_file_name(name) and isinstance(one, str)}
    return digests | {record: None}


def _put_in_place(folder: Path, staged: Path, names: Iterable[str], before: Mapping[str, str | None]) -> None:
    """Move the older files out and the new ones in, the record first and last; undo all of it if that fails."""
    moves: list[tuple[Path, Path]] = []
    kept: list[tuple[Path, Path]] = []
    for name in reversed([*before]):
        path, aside, digest = folder / name, staged / "old" / name, before[name]
        if not os.path.lexists(path):
            continue
        if digest is not None and not (path.is_file() and digest_of(path.read_bytes()) == digest):
            aside = _free_name(path)
            kept.append((path, aside))
        moves.append((path, aside))
    moves += [(staged / "new" / name, folder / name) for name in names]
    begun: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            begun.append((source, target))
            source.rename(target)
    except BaseException:
        for source, target in reversed(begun):
            if os.path.lexists(target) and not os.path.lexists(source):
                target.rename(source)
        raise
    for path, aside in kept:
        warnings.warn(f"{path} was changed after it was written, and is kept as {aside.name}", FolderWarning,
                      stacklevel=4)


def _free_name(path: Path) -> Path:
    """Return the first of NAME.old, NAME.old2, … that nothing has."""
    number = 1
    while os.path.lexists(free := path.with_name(f"{path.name}.old{number if number > 1 else ''}")):
        number += 1
    return free
