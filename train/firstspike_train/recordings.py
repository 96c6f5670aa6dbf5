# SPDX-License-Identifier: MIT
"""Recordings of event cameras: read, checked, and binned into steps."""

import os
from pathlib import Path

import numpy as np

from .data import DATA_VARIABLE, DataError

__all__ = ["NMNIST_SHAPE", "bin_events", "load_nmnist", "read_recording"]

NMNIST_SHAPE = (2, 34, 34)
"""Polarity, y, x."""

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
    if split not in ("train", "test"):
        raise DataError(f"split must be train or test, not {split!r}")
    root = os.environ.get(DATA_VARIABLE)
    if not root:
        raise DataError(f"{DATA_VARIABLE} must be set to the folder that holds nmnist/{split.capitalize()}")
    folder = Path(root) / "nmnist" / split.capitalize()
    files = sorted(folder.glob("[0-9]/*.bin"))
    if not files:
        raise DataError(f"{folder}: must hold recordings as 0/*.bin … 9/*.bin; put the official files there")
    counts = np.stack([bin_events(read_recording(file), steps, step_us) for file in files])
    return counts, np.array([int(file.parent.name) for file in files])
