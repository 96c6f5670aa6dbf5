# SPDX-License-Identifier: MIT
"""Recordings of event cameras: read, checked, and binned into steps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from firstspike_arch.connectivity import Shape

from .aedat import read_aedat2, read_aedat3
from .official_files import DataError, data_folder
from .splits import check_split, part_of

__all__ = [
    "DVS128_SHAPE", "NMNIST_SHAPE", "RECORDINGS", "RecordingSet", "bin_events", "load_cifar10_dvs", "load_dvs_gesture",
    "load_nmnist", "load_recordings", "read_recording", "read_trials",
]

NMNIST_SHAPE = (2, 34, 34)
DVS128_SHAPE = (2, 128, 128)
"""Polarity, y, x."""

CIFAR10_DVS_TEST = 100
"""The first recordings of each class are for testing: no split is published with the set, this one is used widely."""

VALIDATION_SHARE = 10
"""One training recording of so many is for validation; no set says which."""

_EVENT_BYTES = 5


def read_recording(path: Path, shape: tuple[int, int, int] = NMNIST_SHAPE) -> np.ndarray:
    """Events of an N-MNIST file in their order, int64[K, 4]: time in µs, polarity, y, x.

    Raises
    ------
    DataError
        The file cannot be read, is truncated, or has events out of range or out of order.
    """
    # Ref: Orchard et al. 2015, "Converting static image datasets to spiking neuromorphic datasets": 40 bits an event,
    # x, y, one bit of polarity, 23 bits of time.
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not raw or len(raw) % _EVENT_BYTES:
        raise DataError(f"{path}: must hold events of {_EVENT_BYTES} bytes, not {len(raw)} bytes; it is truncated")
    parts = np.frombuffer(raw, dtype=np.uint8).reshape(-1, _EVENT_BYTES).astype(np.int64)
    time = (parts[:, 2] & 127) << 16 | parts[:, 3] << 8 | parts[:, 4]
    events = np.stack([time, parts[:, 2] >> 7, parts[:, 1], parts[:, 0]], axis=1)
    outside = np.flatnonzero((events[:, 1:] >= np.array(shape)).any(axis=1))
    if outside.size:
        place = int(outside[0])
        raise DataError(f"{path}: event {place} must lie within polarity, y, x < {shape}, not at "
                        f"{tuple(events[place, 1:].tolist())}")
    late = np.flatnonzero(np.diff(time) < 0)
    if late.size:
        place = int(late[0]) + 1
        raise DataError(f"{path}: event {place} must not be earlier than the one before, not {int(time[place])} µs "
                        f"after {int(time[place - 1])} µs")
    return events


def bin_events(events: np.ndarray, steps: int, step_us: int, shape: tuple[int, int, int] = NMNIST_SHAPE) -> np.ndarray:
    """Counts of each address in each step, uint8[T, N]; what comes later than ``steps`` steps is left out.

    Raises
    ------
    DataError
        An address has more than 255 events in a step.
    """
    step = events[:, 0] // step_us
    kept = events[step < steps]
    address = np.ravel_multi_index((kept[:, 1], kept[:, 2], kept[:, 3]), shape)
    counts = np.zeros((steps, int(np.prod(shape))), dtype=np.int64)
    np.add.at(counts, (step[step < steps], address), 1)
    if counts.max(initial=0) > 255:
        raise DataError(f"an address must have at most 255 events in a step of {step_us} µs, not {int(counts.max())}")
    return counts.astype(np.uint8)


def load_nmnist(split: str, steps: int, step_us: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """All recordings under FIRSTSPIKE_DATA/nmnist, by class and number: uint8[B, T, 2312] counts and int64[B] labels.

    Parameters
    ----------
    split : "train" or "test"

    Raises
    ------
    DataError
    """
    _check_split(split)
    folder = data_folder(f"nmnist/{split.capitalize()}") / "nmnist" / split.capitalize()
    files = sorted(folder.glob("[0-9]/*.bin"))
    if not files:
        raise DataError(f"{folder}: must hold recordings as 0/*.bin … 9/*.bin; put the official files there")
    counts = np.stack([bin_events(read_recording(file), steps, step_us) for file in files])
    return counts, np.array([int(file.parent.name) for file in files])


def read_trials(path: Path) -> list[tuple[int, int, int]]:
    """Of a recording of DVS-Gesture, USER_LIGHT_labels.csv: label 0 … 10, first µs, and the first µs behind it.

    Raises
    ------
    DataError
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
    """All gestures under FIRSTSPIKE_DATA/dvs-gesture/DvsGesture: uint8[B, T, 32768] counts and int64[B] labels.

    Each gesture is binned from its own beginning; trials_to_train.txt and trials_to_test.txt say what belongs where.

    Raises
    ------
    DataError
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

    return _binned(trials(), steps, step_us, f"{listed}: must name recordings")


def load_cifar10_dvs(split: str, steps: int, step_us: int) -> tuple[np.ndarray, np.ndarray]:
    """All recordings FIRSTSPIKE_DATA/cifar10-dvs/<class>/cifar10_<class>_<number>.aedat: uint8[B, T, 32768], int64[B].

    Each is binned from its first event. Numbers 0 … 99 are for testing.

    Raises
    ------
    DataError
    """
    _check_split(split)
    folder = data_folder("cifar10-dvs/airplane") / "cifar10-dvs"
    classes = sorted(path for path in folder.glob("*") if path.is_dir())

    def recordings() -> Iterable[tuple[np.ndarray, int]]:
        for label, place in enumerate(classes):
            for path in sorted(place.glob("*.aedat"), key=_number):
                if (_number(path) < CIFAR10_DVS_TEST) == (split == "test"):
                    events = read_aedat2(path, DVS128_SHAPE)
                    first = events[0, 0] if len(events) else 0
                    yield events - np.array([first, 0, 0, 0]), label

    return _binned(recordings(), steps, step_us, f"{folder}: must hold a folder of .aedat files for each class")


def _number(path: Path) -> int:
    number = path.stem.rpartition("_")[2]
    if not number.isdecimal():
        raise DataError(f"{path}: must be named cifar10_<class>_<number>.aedat")
    return int(number)


def _binned(
    recordings: Iterable[tuple[np.ndarray, int]], steps: int, step_us: int, rule: str,
) -> tuple[np.ndarray, np.ndarray]:
    counts, labels = [], []
    for events, label in recordings:
        counts.append(bin_events(events, steps, step_us, DVS128_SHAPE))
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
    read : function
        By official split ("train" or "test"), steps and µs of a step: uint8[B, T, N] counts and int64[B] labels.
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
    """Events of each address in each step, at most ``count_max``: uint8[B, T, 2·H·W], and labels, int64[B].

    Parameters
    ----------
    name : one of `RECORDINGS`
    split : "train", "validation" or "test"
        A tenth of the official training set is for validation: fixed, seeded; "train" is the rest.

    Raises
    ------
    DataError
    """
    if name not in RECORDINGS:
        raise DataError(f"dataset must be one of {', '.join(RECORDINGS)}, not {name!r}")
    check_split(split)
    counts, labels = RECORDINGS[name].read("test" if split == "test" else "train", steps, step_us)
    chosen = part_of(name, split, len(counts), max(1, len(counts) // VALIDATION_SHARE))
    return np.minimum(counts[chosen], count_max), labels[chosen]
