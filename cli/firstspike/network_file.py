# SPDX-License-Identifier: MIT
"""Files of networks: checkpoints, NIR, and what lava-dl exports."""

from pathlib import Path

from firstspike_arch.checkpoint import load_network
from firstspike_arch.file_kind import HDF5, file_kind
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.real_network import real_network

__all__ = ["is_lava", "is_nir", "load"]


def load(path: str | Path, **options) -> FloatNetwork:
    """Load a trained network from a checkpoint; from a NIR file (HDF5), with the options of `load_nir`; or from a file
    of lava-dl (``.net``), with those of `load_lava`.

    Raises
    ------
    CheckpointError, CompileError, ValueError
        The file cannot be read or mapped, or options are given for a checkpoint.
    """
    if is_lava(path):
        from firstspike_compiler.frontends.lava_file import load_lava

        return real_network(load_lava(path, **options))
    if is_nir(path):
        from firstspike_compiler.frontends.nir_file import load_nir

        return load_nir(path, **options)
    if options:
        raise ValueError(f"{path}: {', '.join(options)} must be given only for a NIR or lava-dl file: a checkpoint has "
                         "them")
    return load_network(path)


def is_lava(path: str | Path) -> bool:
    """Whether a file is to be read as a network of lava-dl, by its name."""
    return Path(path).suffix.lower() == ".net"


def is_nir(path: str | Path) -> bool:
    """Whether a file is to be read as NIR: by its name, or because it is HDF5 whatever it is called, but for
    ``.net``."""
    return Path(path).suffix.lower() in (".nir", ".h5", ".hdf5") or (file_kind(path) == HDF5 and not is_lava(path))
