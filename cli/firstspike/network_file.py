# SPDX-License-Identifier: MIT
"""Files of networks: checkpoints and NIR."""

from pathlib import Path

from firstspike_arch.checkpoint import load_network
from firstspike_arch.file_kind import HDF5, file_kind
from firstspike_arch.float_network import FloatNetwork
from firstspike_compiler.frontends.nir_file import load_nir

__all__ = ["is_nir", "load"]


def load(path: str | Path, **options) -> FloatNetwork:
    """Load a trained network from a checkpoint, or from a NIR file (HDF5) with the options of `load_nir`.

    Raises
    ------
    CheckpointError, CompileError, ValueError
        The file cannot be read or mapped, or options are given for a checkpoint.
    """
    if is_nir(path):
        return load_nir(path, **options)
    if options:
        raise ValueError(f"{path}: {', '.join(options)} must be given only for a NIR file: a checkpoint has them")
    return load_network(path)


def is_nir(path: str | Path) -> bool:
    """Whether a file is to be read as NIR: by its name, or because it is HDF5 whatever it is called."""
    return Path(path).suffix.lower() in (".nir", ".h5", ".hdf5") or file_kind(path) == HDF5
