# SPDX-License-Identifier: MIT
"""The file with what an external memory must hold, as `firstspike compile` wrote it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from .errors import ExportError

__all__ = ["read_memory_file"]

def read_memory_file(path: Path, facts: dict[str, Any]) -> bytes:
    """Return the contents of the memory, by the "memory" part of an export's facts.

    Raises
    ------
    ExportError
        The file is missing, something else, truncated, altered or of another build.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    magic, digest = bytes.fromhex(facts["magic"]), bytes.fromhex(facts["digest"])
    if not raw.startswith(magic):
        raise ExportError(f"{path}: must be an image of an external memory, but does not begin as one")
    size = facts["contents_at"] + facts["octets"]
    if len(raw) != size:
        raise ExportError(f"{path}: must have {size} bytes, not {len(raw)}: it is truncated, or of another build")
    said = int.from_bytes(raw[facts["crc_at"] : facts["digest_at"]], "little")
    found = zlib.crc32(raw[facts["digest_at"] :])
    if said != found:
        raise ExportError(f"{path}: CRC-32 must be {said:08x}, as it says, not {found:08x}: it was altered")
    made_for = raw[facts["digest_at"] : facts["digest_at"] + len(digest)]
    if made_for != digest:
        raise ExportError(f"{path}: must be of the program {digest.hex()[:16]}…, not of {made_for.hex()[:16]}…: it "
                          "belongs to another build")
    return raw[facts["contents_at"] :]
