# SPDX-License-Identifier: MIT
"""Recordings of event cameras and of sound: reading, checking, and binning into steps, when they are taken."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.connectivity import Shape
from firstspike_arch.shown import shown

from .event_files import NMNIST_SHAPE, read_aedat2, read_aedat3, read_nmnist
from .glides import GLIDES_CLASSES, GLIDES_SHAPE, glides
from .official_files import DataError, data_folder
from .shd_file import SHD_CLASSES, SHD_SHAPE, ShdFile
from .splits import check_split, part_of

__all__ = [
    "DVS128_SHAPE", "RECORDINGS", "RecordingSet", "Recordings", "bin_events", "load_cifar10_dvs", "load_dvs_gesture",
    "load_glides", "load_nmnist", "load_recordings", "load_shd", "read_trials",
]

DVS128_SHAPE = (2, 128, 128)
"""Sizes of polarity, y and x."""

CIFAR10_DVS_TEST = 100
"""Number of recordings of each class, the first, for testing. No split is published; this one is widely used."""

VALIDATION_SHARE = 10
"""One training recording in so many is for validation. No data set defines a validation split."""

Read = Callable[[], np.ndarray]
"""Reads the events of a recording, int64[K, 4], as `bin_events` takes them."""


class Recordings:
    """Recordings on disk, like an array of their counts, uint8[B, T, N]; those that are taken are read and binned then.

    An index takes one recording, [T, N]; a slice or an array of indices several, [K, T, N]. All at once are
    ``np.asarray(recordings)``, which may need much memory: the 10,000 of N-MNIST in 300 steps 6.5 GiB.

    Parameters
    ----------
    reads : sequence of callable
        Reads the events of each recording.
    steps, step_us : int
        Number of steps, and length of a step in µs.
    shape : (C, H, W)
        Sizes of polarity, y and x; of sound, (1, 1, channels).
    count_max : int
        Largest count; higher ones are reduced to it.

    Raises
    ------
    DataError
        A file is missing or altered, or an address has too many events in a step; raised when it is taken.
    """

    def __init__(self, reads: Sequence[Read], steps: int, step_us: int, shape: Shape, count_max: int = 255) -> None:
        self._reads, self._steps, self._step_us, self._map = list(reads), steps, step_us, shape
        self._count_max = count_max
        self.shape = (len(self._reads), steps, int(np.prod(shape)))
        self.ndim, self.dtype = 3, np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self._reads)

    def __getitem__(self, chosen: int | np.integer | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        picked = np.arange(len(self))[chosen]
        if picked.ndim == 0:
            return self._binned(int(picked))
        try:
            found = np.empty((len(picked), *self.shape[1:]), dtype=self.dtype)
        except MemoryError:
            size = len(picked) * self.shape[1] * self.shape[2] / 2**30
            raise DataError(f"{len(picked)} recordings of {self._steps} steps must fit memory, as an array of "
                            f"{size:.1f} GiB; take fewer of them") from None
        for place, index in enumerate(picked):
            found[place] = self._binned(int(index))
        return found

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self._binned, range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def max(self) -> int:
        """Return the largest count of all; every recording is read once."""
        return max((int(one.max()) for one in self), default=0)

    def part(self, chosen: np.ndarray, count_max: int) -> "Recordings":
        """Select recordings by their numbers, with another largest count."""
        return Recordings([self._reads[index] for index in chosen], self._steps, self._step_us, self._map, count_max)

    def _binned(self, index: int) -> np.ndarray:
        counts = bin_events(self._reads[index](), self._steps, self._step_us, self._map)
        return np.minimum(counts, self._count_max, dtype=self.dtype)


def bin_events(events: np.ndarray, steps: int, step_us: int, shape: Shape = NMNIST_SHAPE) -> np.ndarray:
    """Count the events of each address in each step, uint8[T, N]. Events after ``steps`` steps are left out.

    Parameters
    ----------
    events : int64[K, 4]
        Events in any order: time in µs from 0, polarity, y, x.

    Raises
    ------
    DataError
        An address has more than 255 events in a step, or a time is negative.
    """
    if events[:, 0].min(initial=0) < 0:
        raise DataError(f"events must not come before the recording begins, not at {int(events[:, 0].min())} µs")
    step = events[:, 0] // step_us
    kept = events[step < steps]
    address = np.ravel_multi_index((kept[:, 1], kept[:, 2], kept[:, 3]), shape)
    counts = np.zeros((steps, int(np.prod(shape))), dtype=np.int64)
    np.add.at(counts, (step[step < steps], address), 1)
    if counts.max(initial=0) > 255:
        raise DataError(f"an address must have at most 255 events in a step of {step_us} µs, not {int(counts.max())}")
    return counts.astype(np.uint8)


def load_nmnist(split: str, steps: int, step_us: int = 1000) -> tuple[Recordings, np.ndarray]:
    """Find all recordings under FIRSTSPIKE_DATA/nmnist: counts, uint8[B, T, 2312], and labels, int64[B].

    Recordings are ordered by class and number, and read when they are taken.

    Parameters
    ----------
    split : "train" or "test"

    Raises
    ------
    DataError
        There are none.
    """
    _check_split(split)
    folder = data_folder(f"nmnist/{split.capitalize()}") / "nmnist" / split.capitalize()
    found: list[tuple[Read, int]] = [
        (partial(read_nmnist, file), int(file.parent.name)) for file in sorted(folder.glob("[0-9]/*.bin"))]
    return _gathered(found, steps, step_us, NMNIST_SHAPE,
                     f"{folder}: must hold recordings as 0/*.bin … 9/*.bin; put the official files there")


def read_trials(path: Path) -> list[tuple[int, int, int]]:
    """Read the gestures of a DVS-Gesture recording from its USER_LIGHT_labels.csv.

    Each gesture has a label 0 … 10, its first µs, and the first µs after it.

    Raises
    ------
    DataError
        The file is missing or malformed.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: must be the list of gestures of a recording: {error}") from None
    trials = []
    for number, line in enumerate(lines[1:], 2):
        try:
            gesture, start, end = (int(part) for part in line.split(","))
        except ValueError:
            raise DataError(
                f"{path}: line {number} must be class,startTime_usec,endTime_usec, not {shown(line)}") from None
        if not (1 <= gesture <= 11 and 0 <= start < end):
            raise DataError(f"{path}: line {number} must have a class 1…11 and a time that runs on, not {shown(line)}")
        trials.append((gesture - 1, start, end))
    return trials


def load_dvs_gesture(split: str, steps: int, step_us: int) -> tuple[Recordings, np.ndarray]:
    """Find all gestures under FIRSTSPIKE_DATA/dvs-gesture/DvsGesture: counts, uint8[B, T, 32768], and labels, int64[B].

    Each gesture is binned from its own beginning, and read when it is taken. trials_to_train.txt and trials_to_test.txt
    define the split.

    Raises
    ------
    DataError
        A list of recordings or gestures is missing or altered.
    """
    _check_split(split)
    folder = data_folder("dvs-gesture/DvsGesture") / "dvs-gesture" / "DvsGesture"
    listed = folder / f"trials_to_{split}.txt"
    try:
        names = listed.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listed}: must be the official list of recordings: {error}") from None

    read = lru_cache(1)(lambda path: read_aedat3(path, DVS128_SHAPE))  # a file holds several gestures

    def gesture(path: Path, start: int, end: int) -> np.ndarray:
        events = read(path)
        return events[(events[:, 0] >= start) & (events[:, 0] < end)] - np.array([start, 0, 0, 0])

    found: list[tuple[Read, int]] = [
        (partial(gesture, path, start, end), label)
        for path in (folder / name for name in names)
        for label, start, end in read_trials(path.with_name(f"{path.stem}_labels.csv"))]
    return _gathered(found, steps, step_us, DVS128_SHAPE, f"{listed}: must name recordings")


def load_cifar10_dvs(split: str, steps: int, step_us: int) -> tuple[Recordings, np.ndarray]:
    """Find the recordings FIRSTSPIKE_DATA/cifar10-dvs/<class>/cifar10_<class>_<number>.aedat.

    Returns counts, uint8[B, T, 32768], and labels, int64[B]. Each recording is binned from its first event, when it is
    taken. Numbers 0 … 99 are for testing.

    Raises
    ------
    DataError
        There are none, or a file has another name.
    """
    _check_split(split)
    folder = data_folder("cifar10-dvs/airplane") / "cifar10-dvs"
    classes = sorted(path for path in folder.glob("*") if path.is_dir())

    def read(path: Path) -> np.ndarray:
        events = read_aedat2(path, DVS128_SHAPE)
        return events - np.array([events[:, 0].min() if len(events) else 0, 0, 0, 0])

    found: list[tuple[Read, int]] = [
        (partial(read, path), label) for label, place in enumerate(classes)
        for path in sorted(place.glob("*.aedat"), key=_number)
        if (_number(path) < CIFAR10_DVS_TEST) == (split == "test")]
    return _gathered(found, steps, step_us, DVS128_SHAPE,
                     f"{folder}: must hold a folder of .aedat files for each class")


def load_shd(split: str, steps: int, step_us: int) -> tuple[Recordings, np.ndarray]:
    """Find the spoken digits in FIRSTSPIKE_DATA/shd/shd_train.h5 or shd_test.h5: counts, uint8[B, T, 700], and labels,
    int64[B].

    Recordings are read when they are taken.

    Raises
    ------
    DataError
        The file is missing or altered, or h5py is not installed.
    """
    _check_split(split)
    file = ShdFile(data_folder(f"shd/shd_{split}.h5") / "shd" / f"shd_{split}.h5")
    found = [(partial(file.events, index), int(label)) for index, label in enumerate(file.labels)]
    return _gathered(found, steps, step_us, SHD_SHAPE, "shd: must hold recordings")


def load_glides(split: str, steps: int, step_us: int) -> tuple[Recordings, np.ndarray]:
    """Make the glides, see `firstspike_train.glides`: counts, uint8[B, T, 20], and labels, int64[B]. They need no
    files."""
    _check_split(split)
    reads, labels = glides(split)
    return Recordings(reads, steps, step_us, GLIDES_SHAPE), labels


def _number(path: Path) -> int:
    number = path.stem.rpartition("_")[2]
    if not number.isdecimal():
        raise DataError(f"{path}: must be named cifar10_<class>_<number>.aedat")
    return int(number)


def _gathered(
    found: Sequence[tuple[Read, int]], steps: int, step_us: int, shape: Shape, rule: str,
) -> tuple[Recordings, np.ndarray]:
    if not found:
        raise DataError(rule)
    reads, labels = zip(*found, strict=True)
    return Recordings(reads, steps, step_us, shape), np.array(labels, dtype=np.int64)


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise DataError(f"split must be train or test, not {shown(split)}")


@dataclass(frozen=True, kw_only=True)
class RecordingSet:
    """A data set of recordings.

    Parameters
    ----------
    shape : (C, H, W)
    classes : int
    read : callable
        ``read(split, steps, step_us)`` returns recordings, and labels, int64[B], of an official split, "train" or
        "test".
    """

    shape: Shape
    classes: int
    read: Callable[[str, int, int], tuple[Recordings, np.ndarray]]


RECORDINGS = {
    "nmnist": RecordingSet(shape=NMNIST_SHAPE, classes=10, read=load_nmnist),
    "dvs-gesture": RecordingSet(shape=DVS128_SHAPE, classes=11, read=load_dvs_gesture),
    "cifar10-dvs": RecordingSet(shape=DVS128_SHAPE, classes=10, read=load_cifar10_dvs),
    "shd": RecordingSet(shape=SHD_SHAPE, classes=SHD_CLASSES, read=load_shd),
    "glides": RecordingSet(shape=GLIDES_SHAPE, classes=GLIDES_CLASSES, read=load_glides),
}


def load_recordings(
    name: str, split: str, steps: int, step_us: int, count_max: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Load event counts of each address in each step, uint8[B, T, C·H·W], and labels, int64[B].

    Parameters
    ----------
    name : str
        One of `RECORDINGS`.
    split : "train", "validation" or "test"
        Part of the data. "validation" is a fixed, seeded tenth of the official training set, and "train" is the rest.
    steps, step_us : int
        Number of steps, and length of a step in µs.
    count_max : int
        Largest count; higher ones are reduced to it.

    Raises
    ------
    DataError
        The name or split is unknown, or a file is missing or altered.
    """
    if name not in RECORDINGS:
        raise DataError(f"dataset must be one of {', '.join(RECORDINGS)}, not {shown(name)}")
    check_split(split)
    counts, labels = RECORDINGS[name].read("test" if split == "test" else "train", steps, step_us)
    chosen = part_of(name, split, len(counts), max(1, len(counts) // VALIDATION_SHARE))
    return counts.part(chosen, count_max)[:], labels[chosen]
