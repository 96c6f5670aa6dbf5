# SPDX-License-Identifier: MIT
"""Recordings of the official format, written here: read back, binned, and refused when something is wrong with them."""

import re

import numpy as np
import pytest
from firstspike_train.data import DataError
from firstspike_train.recordings import bin_events, load_nmnist, read_recording

EVENTS = np.array([[5, 0, 1, 2], [999, 1, 33, 33], [1000, 0, 1, 2], [1500, 0, 1, 2], [70_000, 1, 0, 0]])


def packed(events) -> bytes:
    return b"".join(bytes([x, y, polarity << 7 | time >> 16, time >> 8 & 255, time & 255])
                    for time, polarity, y, x in np.asarray(events).tolist())


def test_events_come_back_and_are_counted(tmp_path):
    (tmp_path / "a.bin").write_bytes(packed(EVENTS))
    events = read_recording(tmp_path / "a.bin")
    assert np.array_equal(events, EVENTS)
    counts = bin_events(events, 3, 1000)
    assert counts.shape == (3, 2312) and counts.sum() == 4
    assert counts[0, 34 + 2] == 1 and counts[1, 34 + 2] == 2 and counts[0, 34 * 34 + 33 * 34 + 33] == 1


@pytest.mark.parametrize(("raw", "sentence"), [
    (packed(EVENTS)[:-2], "must hold events of 5 bytes, not 23 bytes; it is truncated"),
    (b"", "must hold events of 5 bytes, not 0 bytes; it is truncated"),
    (packed([[5, 0, 1, 2], [6, 1, 2, 34]]), "event 1 must lie within polarity, y, x < (2, 34, 34), not at (1, 2, 34)"),
    (packed([[5, 0, 1, 2], [4, 1, 2, 3]]), "event 1 must not be earlier than the one before, not 4 µs after 5 µs"),
])
def test_a_bad_recording_is_refused(tmp_path, raw, sentence):
    (tmp_path / "a.bin").write_bytes(raw)
    with pytest.raises(DataError, match=f"a.bin: {re.escape(sentence)}$"):
        read_recording(tmp_path / "a.bin")


def test_a_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"must hold recordings as 0/\*\.bin"):
        load_nmnist("test", 3)
    for label in (3, 1):
        folder = tmp_path / "nmnist" / "Test" / str(label)
        folder.mkdir(parents=True)
        (folder / "00001.bin").write_bytes(packed(EVENTS))
    counts, labels = load_nmnist("test", 3)
    assert counts.shape == (2, 3, 2312) and labels.tolist() == [1, 3]
    with pytest.raises(DataError, match="split must be train or test, not 'all'"):
        load_nmnist("all", 3)
    monkeypatch.delenv("FIRSTSPIKE_DATA")
    with pytest.raises(DataError, match="FIRSTSPIKE_DATA must be set"):
        load_nmnist("test", 3)


def test_too_many_events_in_a_step():
    events = np.tile([[0, 0, 1, 2]], (256, 1))
    with pytest.raises(DataError, match="at most 255 events in a step of 1000 µs, not 256"):
        bin_events(events, 1, 1000)
