# SPDX-License-Identifier: MIT
"""Recordings of event cameras: reading, checking, and binning into steps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from firstspike_arch.connectivity import Shape

from .event_files import NMNIST_SHAPE, read_aedat2, read_aedat3, read_nmnist
from .official_files import DataError, data_folder
from .splits import check_split, part_of

__all__ = [
    "DVS128_SHAPE", "RECORDINGS", "RecordingSet", "bin_events", "load_cifar10_dvs", "load_dvs_gesture", "load_nmnist",
    "load_recordings", "read_trials",
]

DVS128_SHAPE = (2, 128, 128)
"""Sizes of polarity, y and x."""

CIFAR10_DVS_TEST = 100
"""Number of recordings of each class, the first, for testing. No split is published; this one is widely used."""

VALIDATION_SHARE = 10
"""One training recording in so many is for validation. No data set defines a validation split."""

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


def load_nmnist(split: str, steps: int, step_us: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Load all recordings under FIRSTSPIKE_DATA/nmnist: counts, uint8[B, T, 2312], and labels, int64[B].

    Recordings are ordered by class and number.

    Parameters
    ----------
    split : "train" or "test"

    Raises
    ------
    DataError
        A file is missing or altered, or an address has too many events in a step.
    """
    _check_split(split)
    folder = data_folder(f"nmnist/{split.capitalize()}") / "nmnist" / split.capitalize()
    recordings = ((read_nmnist(file), int(file.parent.name)) for file in sorted(folder.glob("[0-9]/*.bin")))
    return _binned(recordings, steps, step_us, NMNIST_SHAPE,
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
            raise DataError(f"{path}: line {number} must be class,startTime_usec,endTime_usec, not {line!r}") from None
        if not (1 <= gesture <= 11 and 0 <= start < end):
            raise DataError(f"{path}: line {number} must have a class 1…11 and a time that runs on, not {line!r}")
        trials.append((gesture - 1, start, end))
    return trials


def load_dvs_gesture(split: str, steps: int, step_us: int) -> tuple[np.ndarray, np.ndarray]:
    """Load all gestures under FIRSTSPIKE_DATA/dvs-gesture/DvsGesture: counts, uint8[B, T, 32768], and labels, int64[B].

    Each gesture is binned from its own beginning. trials_to_train.txt and trials_to_test.txt define the split.

    Raises
    ------
    DataError
        A file is missing or altered, or an address has too many events in a step.
    """
    _check_split(split)
    folder = data_folder("dvs-gesture/DvsGesture") / "dvs-gesture" / "DvsGesture"
    listed = folder / f"trials_to_{split}.txt"
    try:
        names = listed.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listed}: must be the official list of recordings: {error}") from None

    def trials() -> Iterable[tuple[np.ndarray, int]]:
        for name in names:
            path = folder / name
            events = read_aedat3(path, DVS128_SHAPE)
            for label, start, end in read_trials(path.with_name(f"{path.stem}_labels.csv")):
                found = events[(events[:, 0] >= start) & (events[:, 0] < end)]
                yield found - np.array([start, 0, 0, 0]), label

    return _binned(trials(), steps, step_us, DVS128_SHAPE, f"{listed}: must name recordings")


def load_cifar10_dvs(split: str, steps: int, step_us: int) -> tuple[np.ndarray, np.ndarray]:
    """Load the recordings FIRSTSPIKE_DATA/cifar10-dvs/<class>/cifar10_<class>_<number>.aedat.

    Returns counts, uint8[B, T, 32768], and labels, int64[B]. Each recording is binned from its first event. Numbers
    0 … 99 are for testing.

    Raises
    ------
    DataError
        A file is missing or altered, or an address has too many events in a step.
    """
    _check_split(split)
    folder = data_folder("cifar10-dvs/airplane") / "cifar10-dvs"
    classes = sorted(path for path in folder.glob("*") if path.is_dir())

    def recordings() -> Iterable[tuple[np.ndarray, int]]:
        for label, place in enumerate(classes):
            for path in sorted(place.glob("*.aedat"), key=_number):
                if (_number(path) < CIFAR10_DVS_TEST) == (split == "test"):
                    events = read_aedat2(path, DVS128_SHAPE)
                    yield events - np.array([events[:, 0].min() if len(events) else 0, 0, 0, 0]), label

    return _binned(recordings(), steps, step_us, DVS128_SHAPE,
                   f"{folder}: must hold a folder of .aedat files for each class")


def _number(path: Path) -> int:
    number = path.stem.rpartition("_")[2]
    if not number.isdecimal():
        raise DataError(f"{path}: must be named cifar10_<class>_<number>.aedat")
    return int(number)


def _binned(
    recordings: Iterable[tuple[np.ndarray, int]], steps: int, step_us: int, shape: Shape, rule: str,
) -> tuple[np.ndarray, np.ndarray]:
    counts, labels = [], []
    for events, label in recordings:
        counts.append(bin_events(events, steps, step_us, shape))
        labels.append(label)
    if not counts:
        raise DataError(rule)
    return np.stack(counts), np.array(labels, dtype=np.int64)


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise DataError(f"split must be train or test, not {split!r}")


@dataclass(frozen=True, kw_only=True)
class RecordingSet:
    """A data set of recordings.

    Parameters
    ----------
    shape : (2, H, W)
    classes : int
    read : callable
        ``read(split, steps, step_us)`` returns counts, uint8[B, T, N], and labels, int64[B], of an official split,
        "train" or "test".
    """

    shape: Shape
    classes: int
    read: Callable[[str, int, int], tuple[np.ndarray, np.ndarray]]


RECORDINGS = {
    "nmnist": RecordingSet(shape=NMNIST_SHAPE, classes=10, read=load_nmnist),
    "dvs-gesture": RecordingSet(shape=DVS128_SHAPE, classes=11, read=load_dvs_gesture),
    "cifar10-dvs": RecordingSet(shape=DVS128_SHAPE, classes=10, read=load_cifar10_dvs),
}


def load_recordings(
    name: str, split: str, steps: int, step_us: int, count_max: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Load event counts of each address in each step, uint8[B, T, 2·H·W], and labels, int64[B].

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
        raise DataError(f"dataset must be one of {', '.join(RECORDINGS)}, not {name!r}")
    check_split(split)
    counts, labels = RECORDINGS[name].read("test" if split == "test" else "train", steps, step_us)
    chosen = part_of(name, split, len(counts), max(1, len(counts) // VALIDATION_SHARE))
    return np.minimum(counts[chosen], count_max), labels[chosen]
