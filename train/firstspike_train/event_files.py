# SPDX-License-Identifier: MIT
"""Reading of event-camera files: N-MNIST, and AEDAT 3.1 (DVS-Gesture) and 2.0 (CIFAR10-DVS)."""

from pathlib import Path

import numpy as np

from .official_files import DataError

__all__ = ["NMNIST_SHAPE", "read_aedat2", "read_aedat3", "read_nmnist"]

NMNIST_SHAPE = (2, 34, 34)
"""Sizes of polarity, y and x."""

POLARITY_EVENT = 1
_HEADER_BYTES = 28
_EVENT_BYTES = 8
_NMNIST_EVENT_BYTES = 5
_END = b"#!END-HEADER\r\n"


def read_nmnist(path: Path) -> np.ndarray:
    """Read the events of an N-MNIST file in their order, int64[K, 4]: time in µs, polarity, y, x.

    Raises
    ------
    DataError
        The file cannot be read, is truncated, or has events out of range or out of order.
    """
    # Ref: Orchard et al. 2015, "Converting static image datasets to spiking neuromorphic datasets": 40 bits an event,
    # x, y, one bit of polarity, 23 bits of time.
    raw = _read(path)
    if not raw or len(raw) % _NMNIST_EVENT_BYTES:
        raise DataError(f"{path}: must hold events of {_NMNIST_EVENT_BYTES} bytes, not {len(raw)} bytes; "
                        "it is truncated")
    parts = np.frombuffer(raw, dtype=np.uint8).reshape(-1, _NMNIST_EVENT_BYTES).astype(np.int64)
    time = (parts[:, 2] & 127) << 16 | parts[:, 3] << 8 | parts[:, 4]
    events = np.stack([time, parts[:, 2] >> 7, parts[:, 1], parts[:, 0]], axis=1)
    late = np.flatnonzero(np.diff(time) < 0)
    if late.size:
        place = int(late[0]) + 1
        raise DataError(f"{path}: event {place} must not be earlier than the one before, not {int(time[place])} µs "
                        f"after {int(time[place - 1])} µs")
    return _checked(path, events, NMNIST_SHAPE)


def read_aedat3(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Read the valid polarity events of an AEDAT 3.1 file in their order, int64[K, 4]: time in µs, polarity, y, x.

    Raises
    ------
    DataError
        The file cannot be read, has no such header, is truncated, or has events out of range.
    """
    # Ref: inivation's "AEDAT file formats", version 3.1: little-endian packets of a 28-byte head (type, source, size of
    # an event, offset of its time, overflows, capacity, events, valid ones) and events of 8 bytes: bit 0 valid, 1
    # polarity, 2 … 16 y, 17 … 31 x; then the lower 31 bits of the time.
    raw = _read(path)
    if not raw.startswith(b"#!AER-DAT3.1\r\n") or _END not in raw:
        raise DataError(f"{path}: must be an AEDAT file of version 3.1, with a header up to #!END-HEADER")
    place, found = raw.index(_END) + len(_END), []
    while place < len(raw):
        head = raw[place : place + _HEADER_BYTES]
        if len(head) < _HEADER_BYTES:
            raise DataError(f"{path}: must end with a whole packet; it is truncated at byte {place}")
        kind = int.from_bytes(head[0:2], "little")
        size, overflow, capacity, count = (int.from_bytes(head[at : at + 4], "little") for at in (4, 12, 16, 20))
        end = place + _HEADER_BYTES + size * capacity
        if end > len(raw) or count > capacity or (kind == POLARITY_EVENT and size != _EVENT_BYTES):
            raise DataError(f"{path}: packet at byte {place} must be whole, with {count} events of {size} bytes; "
                            "the file is truncated or altered")
        if kind == POLARITY_EVENT:
            words = np.frombuffer(raw, dtype="<u4", count=2 * count, offset=place + _HEADER_BYTES).astype(np.int64)
            bits, time = words[::2], words[1::2] + (overflow << 31)
            events = np.stack([time, bits >> 1 & 1, bits >> 2 & 0x7FFF, bits >> 17], axis=1)
            found.append(events[(bits & 1) == 1])
        place = end
    return _checked(path, np.concatenate(found) if found else np.zeros((0, 4), dtype=np.int64), shape)


def read_aedat2(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Read the events of an AEDAT 2.0 file of a DVS128 in their order, int64[K, 4]: time in µs, polarity, y, x.

    The layout is that of CIFAR10-DVS: bit 0 of an address is the polarity, bits 1 … 7 and 8 … 14 are coordinates. Both
    are counted from the far corner, and exchanged, so that images are upright.

    Raises
    ------
    DataError
        The file cannot be read, has no such header, is truncated, or has events out of range.
    """
    # Ref: inivation's "AEDAT file formats", version 2.0: lines that start with #, then big-endian pairs of an address
    # and a time of 32 bits each. The layout of the address follows other readers of the data set (SpikingJelly,
    # datasets/cifar10_dvs.py).
    raw = _read(path)
    if not raw.startswith(b"#!AER-DAT2.0"):
        raise DataError(f"{path}: must be an AEDAT file of version 2.0")
    place = 0
    while raw[place : place + 1] == b"#":
        end = raw.find(b"\n", place)
        if end < 0:
            raise DataError(f"{path}: must have events behind its header; it is truncated")
        place = end + 1
    if (len(raw) - place) % _EVENT_BYTES:
        raise DataError(f"{path}: must hold events of {_EVENT_BYTES} bytes, not {len(raw) - place} bytes; "
                        "it is truncated")
    words = np.frombuffer(raw, dtype=">u4", offset=place).astype(np.int64)
    address, time = words[::2], words[1::2]
    x, y = 127 - (address >> 8 & 127), 127 - (address >> 1 & 127)
    return _checked(path, np.stack([time, 1 - (address & 1), y, x], axis=1), shape)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _checked(path: Path, events: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    outside = np.flatnonzero((events[:, 1:] >= np.array(shape)).any(axis=1))
    if outside.size:
        place = int(outside[0])
        raise DataError(f"{path}: event {place} must lie within polarity, y, x < {shape}, not at "
                        f"{tuple(events[place, 1:].tolist())}")
    return events
