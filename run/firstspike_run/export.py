# SPDX-License-Identifier: MIT
"""What `firstspike export-axi` wrote: all that the driver knows of a device, its registers and layouts included."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ExportError
from .memory_file import read_memory_file

__all__ = ["Export"]

MANIFEST_FILE = "manifest.json"


class Export:
    """A network on AXI.

    Parameters
    ----------
    facts : dict
        What the manifest has under "driver", as `firstspike_hw.axi.driver_facts` makes it.
    port_words : uint64[K]
        All words of the program port, in the order in which they are written.
    memory : bytes
        What the external memory must hold; empty: the network has none.
    """

    def __init__(self, facts: dict[str, Any], port_words: np.ndarray, memory: bytes = b""):
        self.facts, self.port_words, self.memory = facts, port_words, memory

    @classmethod
    def read(cls, folder: str | Path) -> Export:
        """Read the folder of an export: its manifest and its weights, those for an external memory, too.

        Raises
        ------
        ExportError
            The folder is no export, one of an older version, or its weights are missing, truncated or altered.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
            facts = manifest["driver"]
            name = facts["words_file"]
            digest = manifest["files"][name]
            memory_file = facts["memory_file"] if "memory" in facts else None
        except OSError:
            raise ExportError(f"{folder}: must be a folder of 'firstspike export-axi'") from None
        except (ValueError, KeyError, TypeError):
            raise ExportError(f"{folder / MANIFEST_FILE}: must be what this version of 'firstspike export-axi' writes; "
                              "export again") from None
        path = folder / name
        octets = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(octets).hexdigest() != digest:
            raise ExportError(f"{path}: must be the weights that were exported; the file is missing, truncated or "
                              "altered")
        memory = b"" if memory_file is None else read_memory_file(folder / memory_file, facts["memory"])
        return cls(facts, np.frombuffer(octets, dtype="<u8"), memory)

    @property
    def network(self) -> str:
        """Name of the network."""
        return self.facts["network"]

    @property
    def architecture(self) -> str:
        """First digits of the digest of all that the hardware depends on."""
        return self.identity_field(self.identity, "architecture").hex()

    @property
    def program(self) -> str:
        """First digits of the digest of network, weights and configuration."""
        return self.identity_field(self.identity, "program").hex()

    @property
    def identity(self) -> bytes:
        """The octets that a device with this program has in its identity registers."""
        return bytes.fromhex(self.facts["identity"]["octets"])

    def identity_field(self, octets: bytes, name: str) -> bytes:
        """Return a field ("architecture", "program" or "name") of identity registers."""
        start, end = self.facts["identity"][name]
        return octets[start:end]
