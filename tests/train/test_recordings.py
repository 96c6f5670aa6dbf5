# SPDX-License-Identifier: MIT
"""Recordings of the official format, written here: read back, binned, and refused when something is wrong with them."""

import re
import struct

import numpy as np
import pytest
from firstspike_train.data import DataError
from firstspike_train.event_files import read_aedat2, read_aedat3, read_nmnist
from firstspike_train.recordings import (
    DVS128_SHAPE,
    Recordings,
    bin_events,
    load_cifar10_dvs,
    load_dvs_gesture,
    load_nmnist,
    read_trials,
)

EVENTS = np.array([[5, 0, 1, 2], [999, 1, 33, 33], [1000, 0, 1, 2], [1500, 0, 1, 2], [70_000, 1, 0, 0]])


def packed(events) -> bytes:
    return b"".join(bytes([x, y, polarity << 7 | time >> 16, time >> 8 & 255, time & 255])
                    for time, polarity, y, x in np.asarray(events).tolist())


def test_events_come_back_and_are_counted(tmp_path):
    (tmp_path / "a.bin").write_bytes(packed(EVENTS))
    events = read_nmnist(tmp_path / "a.bin")
    assert np.array_equal(events, EVENTS)
    counts = bin_events(events, 3, 1000)
    assert counts.shape == (3, 2312) and counts.sum() == 4
    assert counts[0, 34 + 2] == 1 and counts[1, 34 + 2] == 2 and counts[0, 34 * 34 + 33 * 34 + 33] == 1


def test_a_step_begins_with_its_first_microsecond_and_ends_before_the_next():
    times = np.array([0, 999, 1000, 1999, 2000, 2999, 3000, 3001, 9999])
    events = np.stack([times, times * 0, times * 0, np.arange(len(times))], axis=1)
    for steps in (1, 2, 3):
        counts = bin_events(events, steps, 1000)
        assert [np.flatnonzero(step).tolist() for step in counts] == [[2 * step, 2 * step + 1] for step in range(steps)]


@pytest.mark.parametrize(("raw", "sentence"), [
    (packed(EVENTS)[:-2], "must hold events of 5 bytes, not 23 bytes; it is truncated"),
    (b"", "must hold events of 5 bytes, not 0 bytes; it is truncated"),
    (packed([[5, 0, 1, 2], [6, 1, 2, 34]]), "event 1 must lie within polarity, y, x < (2, 34, 34), not at (1, 2, 34)"),
    (packed([[5, 0, 1, 2], [4, 1, 2, 3]]), "event 1 must not be earlier than the one before, not 4 µs after 5 µs"),
])
def test_a_bad_recording_is_refused(tmp_path, raw, sentence):
    (tmp_path / "a.bin").write_bytes(raw)
    with pytest.raises(DataError, match=f"a.bin: {re.escape(sentence)}$"):
        read_nmnist(tmp_path / "a.bin")


def test_a_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"must hold recordings as 0/\*\.bin"):
        load_nmnist("test", 3)
    for label in (3, 1):
        folder = tmp_path / "nmnist" / "Test" / str(label)
        folder.mkdir(parents=True)
        (folder / "00001.bin").write_bytes(packed(EVENTS))
    counts, labels = load_nmnist("test", 3)
    assert counts.shape == (2, 3, 2312) == np.asarray(counts).shape and labels.tolist() == [1, 3]
    (folder / "00001.bin").write_bytes(b"")  # of class 1
    assert counts[1].sum() == 4 == counts[[1]].sum() == counts[-1:].sum()
    with pytest.raises(DataError, match=r"1/00001.bin: must hold events of 5 bytes, not 0 bytes; it is truncated$"):
        counts[0]
    with pytest.raises(DataError, match="split must be train or test, not 'all'"):
        load_nmnist("all", 3)
    monkeypatch.delenv("FIRSTSPIKE_DATA")
    with pytest.raises(DataError, match="FIRSTSPIKE_DATA must be set"):
        load_nmnist("test", 3)


def test_recordings_are_read_when_they_are_taken_and_never_all_at_once():
    taken = []

    def reads(number):
        def read():
            taken.append(number)
            return np.repeat(EVENTS, number + 1, axis=0)
        return read

    many = Recordings([reads(number) for number in range(60)], 3, 1000, (2, 34, 34))
    assert many.shape == (60, 3, 2312) and len(many) == 60 and taken == []
    assert many[7].sum() == 8 * 4 and many[2:4].sum((1, 2)).tolist() == [12, 16] and taken == [7, 2, 3]
    assert many[np.array([5, 1])].sum((1, 2)).tolist() == [24, 8] and many.max() == 120 and len(taken) == 65
    few = many.part(np.array([9, 0]), 3)
    assert few.shape == (2, 3, 2312) and few.max() == 3 and np.asarray(few, dtype=int).sum((1, 2)).tolist() == [9, 4]
    huge = Recordings([reads(0)] * 10_000, 1 << 30, 1, (2, 34, 34))
    with pytest.raises(DataError, match=r"^10000 recordings of 1073741824 steps must fit memory, as an array of .* "
                                        r"GiB; take fewer of them$"):
        huge[:]


def test_events_before_the_beginning_are_refused():
    with pytest.raises(DataError, match=r"^events must not come before the recording begins, not at -3 µs$"):
        bin_events(EVENTS - np.array([8, 0, 0, 0]), 3, 1000)


def test_too_many_events_in_a_step():
    events = np.tile([[0, 0, 1, 2]], (256, 1))
    with pytest.raises(DataError, match="at most 255 events in a step of 1000 µs, not 256"):
        bin_events(events, 1, 1000)


AEDAT3_HEAD = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def aedat3(events, kind=1, overflow=0, valid=1, capacity=None) -> bytes:
    """One packet, as DVS-Gesture has them."""
    count = len(events)
    head = struct.pack("<HHIIIIII", kind, 1, 8, 4, overflow, capacity or count, count, count)
    body = b"".join(struct.pack("<II", valid | polarity << 1 | y << 2 | x << 17, time)
                    for time, polarity, y, x in np.asarray(events).tolist())
    return head + body + bytes(8 * ((capacity or count) - count))


def test_packets_of_version_3_1_come_back(tmp_path):
    other = aedat3([[7, 0, 0, 0]], kind=2)
    late = aedat3([[9, 1, 127, 127]], overflow=1, capacity=3)
    (tmp_path / "a.aedat").write_bytes(AEDAT3_HEAD + aedat3(EVENTS) + other + aedat3(EVENTS, valid=0) + late)
    events = read_aedat3(tmp_path / "a.aedat", DVS128_SHAPE)
    assert np.array_equal(events, [*EVENTS.tolist(), [(1 << 31) + 9, 1, 127, 127]])


def aedat2(events) -> bytes:
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    return head + b"".join(struct.pack(">II", (127 - x) << 8 | (127 - y) << 1 | (1 - polarity), time)
                           for time, polarity, y, x in np.asarray(events).tolist())


def test_events_of_version_2_0_come_back(tmp_path):
    (tmp_path / "a.aedat").write_bytes(aedat2(EVENTS))
    assert np.array_equal(read_aedat2(tmp_path / "a.aedat", DVS128_SHAPE), EVENTS)


@pytest.mark.parametrize(("read", "raw", "sentence"), [
    (read_aedat3, b"#!AER-DAT2.0\r\n", "must be an AEDAT file of version 3.1, with a header up to #!END-HEADER"),
    (read_aedat3, AEDAT3_HEAD + aedat3(EVENTS)[:-1], "packet at byte 61 must be whole, with 5 events of 8 bytes"),
    (read_aedat3, AEDAT3_HEAD + aedat3(EVENTS)[:20], "must end with a whole packet; it is truncated at byte 61"),
    (read_aedat3, AEDAT3_HEAD + aedat3([[1, 0, 128, 3]]), "event 0 must lie within polarity, y, x < (2, 128, 128)"),
    (read_aedat2, b"x", "must be an AEDAT file of version 2.0"),
    (read_aedat2, b"#!AER-DAT2.0", "must have events behind its header"),
    (read_aedat2, aedat2(EVENTS)[:-3], "must hold events of 8 bytes, not 37 bytes; it is truncated"),
])
def test_bad_aedat_files_are_refused(tmp_path, read, raw, sentence):
    (tmp_path / "a.aedat").write_bytes(raw)
    with pytest.raises(DataError, match=f"a.aedat: {re.escape(sentence)}"):
        read(tmp_path / "a.aedat", DVS128_SHAPE)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.aedat", DVS128_SHAPE)


def test_gestures_are_cut_out_and_binned(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    folder = tmp_path / "dvs-gesture" / "DvsGesture"
    with pytest.raises(DataError, match=r"trials_to_test.txt: must be the official list of recordings"):
        load_dvs_gesture("test", 2, 1000)
    folder.mkdir(parents=True)
    (folder / "trials_to_test.txt").write_text("user24_led.aedat\n")
    (folder / "user24_led.aedat").write_bytes(AEDAT3_HEAD + aedat3(EVENTS))
    labels = folder / "user24_led_labels.csv"
    labels.write_text("class,startTime_usec,endTime_usec\n2,999,1500\n11,1000,90000\n")
    counts, classes = load_dvs_gesture("test", 2, 400)
    assert counts.shape == (2, 2, 32768) and classes.tolist() == [1, 10]
    assert [one.sum() for one in counts] == [2, 2] and counts[1][0, 128 + 2] == 1 and counts[1][1, 128 + 2] == 1
    labels.write_text("class,startTime_usec,endTime_usec\n12,0,5\n")
    with pytest.raises(DataError, match=r"line 2 must have a class 1…11 and a time that runs on, not '12,0,5'"):
        read_trials(labels)
    labels.write_text("class\n1;2;3\n")
    with pytest.raises(DataError, match="line 2 must be class,startTime_usec,endTime_usec, not '1;2;3'"):
        read_trials(labels)


def test_cifar10_dvs_is_split_by_number(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"must hold a folder of .aedat files for each class"):
        load_cifar10_dvs("test", 2, 1000)
    for name in ("airplane", "automobile"):
        folder = tmp_path / "cifar10-dvs" / name
        folder.mkdir(parents=True)
        for number in (99, 100):
            events = EVENTS[::-1] if number == 100 else EVENTS  # in any order
            (folder / f"cifar10_{name}_{number}.aedat").write_bytes(aedat2(events + np.array([number, 0, 0, 0])))
    for split in ("train", "test"):
        counts, labels = load_cifar10_dvs(split, 2, 1000)
        assert labels.tolist() == [0, 1] and counts[:].sum((1, 2)).tolist() == [4, 4] and counts[0][0].sum() == 3
    (folder / "cifar10_automobile_x.aedat").write_bytes(aedat2(EVENTS))
    with pytest.raises(DataError, match=r"must be named cifar10_<class>_<number>.aedat"):
        load_cifar10_dvs("train", 2, 1000)
