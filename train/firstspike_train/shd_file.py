# SPDX-License-Identifier: MIT
"""Reading of the Spiking Heidelberg Digits: spoken digits as spikes of 700 channels, one HDF5 file a split."""

from pathlib import Path
from typing import Any

import numpy as np

from .official_files import DataError

__all__ = ["SHD_CLASSES", "SHD_SHAPE", "ShdFile"]

SHD_SHAPE = (1, 1, 700)
"""Channels, from high to low frequencies, as x of a map of one line."""

SHD_CLASSES = 20
"""Ten digits in English, then ten in German."""

_ARRAYS = ("spikes/times", "spikes/units", "labels")


class ShdFile:
    """The recordings of a file such as shd_train.h5: ``labels``, int64[B], and the events of each, when they are taken.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        The file is missing or is not such a file, or h5py is not installed.
    """

    # Ref: B. Cramer et al., "The Heidelberg spiking data sets for the systematic evaluation of spiking neural
    # networks", 2020: spikes/times (seconds) and spikes/units of each recording, of a length of their own; labels; and
    # extra (speakers, names of the classes), which is not needed here.

    def __init__(self, path: Path) -> None:
        try:
            import h5py
        except ImportError:
            raise DataError(f"{path}: h5py must be installed to read it: pip install 'firstspike[train]'") from None
        self._path = path
        try:
            self._file: Any = h5py.File(path, "r")
        except OSError as error:
            why = "is missing; put the official file there" if not path.exists() else (
                f"must be an HDF5 file: {' '.join(str(error).split())}")
            raise DataError(f"{path}: {why}") from None
        self._times, self._units, labels = (self._array(h5py, name) for name in _ARRAYS)
        if not len(self._times) == len(self._units) == len(labels):
            raise DataError(f"{path}: spikes/times, spikes/units and labels must be of as many recordings, not of "
                            f"{len(self._times)}, {len(self._units)} and {len(labels)}")
        self.labels = np.asarray(self._taken("labels", labels, slice(None)), dtype=np.int64)
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= SHD_CLASSES))
        if wrong.size:
            raise DataError(f"{path}: labels must be 0…{SHD_CLASSES - 1}, not {int(self.labels[wrong[0]])} of "
                            f"recording {int(wrong[0])}")

    def _array(self, h5py: Any, name: str) -> Any:
        """A dataset of the file, with its kind checked: numbers, or for spikes, numbers of any length."""
        found = self._opened(name)
        if not isinstance(found, h5py.Dataset) or found.ndim != 1:
            raise DataError(f"{self._path}: {name} must be there, one for each recording, as in shd_train.h5")
        kind = found.dtype if name == "labels" else h5py.check_vlen_dtype(found.dtype)
        wanted, what = ("f", "real numbers") if name == "spikes/times" else ("iu", "integers")
        if kind is None or kind.kind not in wanted:
            many = "" if name == "labels" else "lists of "
            raise DataError(f"{self._path}: {name} must be {many}{what}, not {found.dtype if kind is None else kind}")
        return found

    def _opened(self, name: str) -> Any:
        try:
            return self._file.get(name)
        except (OSError, KeyError, RuntimeError):  # of a damaged file
            return None

    def _taken(self, name: str, array: Any, chosen: int | slice) -> np.ndarray:
        try:
            return array[chosen]
        except (OSError, RuntimeError) as error:
            raise DataError(f"{self._path}: {name} cannot be read: {' '.join(str(error).split())}") from None

    def __len__(self) -> int:
        return len(self.labels)

    def events(self, index: int) -> np.ndarray:
        """Read the events of a recording, int64[K, 4]: time in µs, 0, 0, channel.

        Raises
        ------
        DataError
            There is not one channel for each time, or one of them is out of range.
        """
        where = f"{self._path}: recording {index}"
        times = self._taken("spikes/times", self._times, index).astype(np.float64)
        units = self._taken("spikes/units", self._units, index).astype(np.int64)
        if len(times) != len(units):
            raise DataError(f"{where} must have a unit for each time, not {len(units)} for {len(times)}")
        wrong = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
        if wrong.size:
            raise DataError(f"{where}: times must be finite and at least 0 s, not {times[wrong[0]]:g}")
        wrong = np.flatnonzero((units < 0) | (units >= SHD_SHAPE[2]))
        if wrong.size:
            raise DataError(f"{where}: units must be 0…{SHD_SHAPE[2] - 1}, not {int(units[wrong[0]])}")
        events = np.zeros((len(times), 4), dtype=np.int64)
        events[:, 0], events[:, 3] = np.rint(times * 1e6), units
        return events
