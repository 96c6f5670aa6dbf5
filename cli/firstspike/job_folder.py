# SPDX-License-Identifier: MIT
"""Results of jobs on disk, a file each, from which a campaign goes on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.output_folder import record_text
from firstspike_arch.program import write_atomically
from firstspike_arch.versions import VERSION

__all__ = ["JobFolder", "digest_of_input"]

JOBS, RECORD = "jobs", "campaign.json"


class JobFolder:
    """The folder ``jobs`` of an output folder: ``KEY.json`` for the result of each job that is done, ``KEY.log`` for
    how it went, and ``campaign.json``, which says of which campaign they are. Every file is written whole.

    Nothing is written before the first result.

    Parameters
    ----------
    folder : Path
        The output folder.
    facts : mapping
        All that the results follow from, beside the version of firstspike, as JSON has it.

    Raises
    ------
    ValueError
        The folder ``jobs`` holds another campaign, or something else.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]):
        self.folder, self._output, self._facts = folder / JOBS, folder, {"firstspike": VERSION, **facts}
        record = self.folder / RECORD
        if record.is_file():
            kept = _read(record)
            other = [name for name, value in self._facts.items() if kept.get(name) != value]
            if other:
                raise ValueError(f"{record}: must be of the same campaign to go on, but differs in "
                                 f"{', '.join(other)}; give another folder with -o")
        elif self.folder.is_file() or (self.folder.is_dir() and any(self.folder.iterdir())):
            raise ValueError(f"{self.folder}: must be a folder for results of jobs, but something else is there; give "
                             "another folder with -o")

    def results(self) -> dict[str, Any]:
        """Results of the jobs that are done, by key, in the order of keys.

        Raises
        ------
        ValueError
            A file is truncated or altered.
        """
        if not (self.folder / RECORD).is_file():
            return {}
        paths = [path for path in sorted(self.folder.glob("*.json")) if path.name != RECORD]
        return {path.stem: _read(path) for path in paths}

    def keep(self, key: str, result: Any, log: str) -> None:
        """Keep what a job came to: ``result`` as JSON has it, or None of a job that failed, and its log."""
        record = self.folder / RECORD
        if not record.is_file():
            write_atomically(record, record_text(self._facts))
        write_atomically(self.folder / f"{key}.log", log)
        if result is not None:  # behind the log: a job with a result is done
            write_atomically(self.folder / f"{key}.json", json.dumps(result, separators=(",", ":")) + "\n")

    def __str__(self) -> str:
        return str(self._output)


def digest_of_input(*parts: np.ndarray | str | None) -> str:
    """SHA-256 of texts and arrays, with their types and shapes, in hexadecimal: what a campaign is told apart by."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape} ".encode() + np.ascontiguousarray(part).tobytes())
        else:
            digest.update(f"{len(part or '')} {part} ".encode())
    return digest.hexdigest()


def _read(path: Path) -> Any:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: is truncated or altered; remove it, and give the command again")
    return found
