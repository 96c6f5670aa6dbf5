# SPDX-License-Identifier: MIT
"""The host's end of the link against a device in Python, on good wires and on bad ones."""

import zlib
from dataclasses import replace

import pytest
from cobs import cobs
from firstspike_boards.link import Link, LinkError
from firstspike_boards.serial_port import SerialPort
from firstspike_hw.link.frames import (
    RESPONSE,
    FrameError,
    Identity,
    Kind,
    Reason,
    frame_body,
    parse_body,
)
from firstspike_hw.toolchain import ToolError
from firstspike_sim.boards.faulty_transport import FaultyTransport
from hypothesis import given, settings
from hypothesis import strategies as st

IDENTITY = Identity(port=0, word_bytes=8, buffer_bytes=200, clk_hz=0, inputs=64, steps_max=8, classes=10,
                    result_bits=50, architecture="01" * 8, program="23" * 8, name="device")


class Device:
    """Answers an INFER with the CRC of its payload, in order, 50 octets after it came; time passes with octets."""

    octets_per_second = 1000.0

    def __init__(self, *, identity: Identity = IDENTITY, breaks: tuple[int, ...] = (), deaf: bool = False):
        self.identity, self.breaks, self.deaf = identity, list(breaks), deaf
        self.given, self.queue, self.time = bytearray(), [], 0.0
        self.carried_out, self.held, self.writes, self.closed = [], 0, 0, False

    def write(self, data: bytes) -> None:
        self.writes += 1
        if self.writes in self.breaks:
            raise OSError(5, "unplugged")
        self.given += data
        *frames, rest = bytes(self.given).split(b"\0")
        self.given = bytearray(rest)
        for frame in filter(None, frames):
            self.queue.append((frame, self._answer(frame)))
        held = sum(len(frame) - 1 for frame, _ in self.queue)
        self.held = max(self.held, held)

    def _answer(self, frame: bytes) -> bytes:
        try:
            kind, sequence, payload = parse_body(cobs.decode(frame))
        except (cobs.DecodeError, FrameError):
            return frame_body(Kind.ERROR | RESPONSE, 0, bytes([Reason.CORRUPT]))
        if kind == Kind.IDENTIFY:
            return frame_body(kind | RESPONSE, sequence, self.identity.pack())
        if kind == Kind.INFER:
            self.carried_out.append(payload)
            return frame_body(kind | RESPONSE, sequence, zlib.crc32(payload).to_bytes(4, "big"))
        return frame_body(Kind.ERROR | RESPONSE, sequence, bytes([Reason.UNKNOWN_KIND]))

    def read(self, seconds: float) -> bytes:
        if not self.queue or self.deaf:
            self.time += seconds
            return b""
        frame, answer = self.queue.pop(0)
        self.time += (len(frame) + 50) / self.octets_per_second
        return cobs.encode(answer) + b"\0"

    def now(self) -> float:
        return self.time

    def close(self) -> None:
        self.closed = True


def requests(count: int) -> list[tuple[Kind, bytes]]:
    return [(Kind.INFER, bytes([number, 0, 255 - number]) * (1 + number % 20)) for number in range(count)]


def wanted(count: int) -> list[bytes]:
    return [zlib.crc32(payload).to_bytes(4, "big") for _, payload in requests(count)]


@pytest.mark.parametrize("first", [0, 1, 60_000, 65_530, 65_534, 65_535])
def test_sequence_numbers_are_1_to_65535_and_begin_again(first, monkeypatch):
    """Number 0 is that of answers to frames that a device could not read."""
    monkeypatch.setattr("firstspike_boards.link.os.urandom", lambda size: first.to_bytes(size, "little"))
    device, numbers = Device(), []

    def noted(frame):
        numbers.append(parse_body(cobs.decode(frame))[1])
        return Device._answer(device, frame)

    monkeypatch.setattr(device, "_answer", noted)
    link = Link(lambda: device)
    assert link.exchange(requests(20)) == wanted(20)
    assert numbers == [(first + place) % 65_535 + 1 for place in range(21)] and not link.resent


def test_answers_come_in_order_and_within_the_devices_buffer():
    device, seen = Device(), []
    link = Link(lambda: device)
    assert link.identity == IDENTITY
    assert link.exchange(requests(50), lambda done, total: seen.append((done, total))) == wanted(50)
    assert device.carried_out == [payload for _, payload in requests(50)]
    assert 100 < device.held <= 200 and link.resent == link.unreadable == 0
    assert seen[-1] == (50, 50) and seen == sorted(seen)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 30), st.sampled_from([1e-3, 1e-2, 4e-2]))
def test_no_request_is_lost_without_report(seed, share):
    device = Device()
    faults = FaultyTransport(device, flip=share, drop=share, repeat=share, cut=share / 4, seed=seed)
    try:
        link = Link(lambda: faults, attempts=12)
    except LinkError as error:
        assert "must be answered" in str(error)
        return
    try:
        assert link.exchange(requests(30)) == wanted(30)
    except LinkError as error:
        assert "none of 12 attempts was" in str(error) and len(error.answers) == 30
        assert all(answer in (None, right) for answer, right in zip(error.answers, wanted(30), strict=True))
        assert None in error.answers


class Spoiling:
    """Inverts a bit of one octet in the middle of some writes and reads, numbered from 0."""

    def __init__(self, device: Device, *, writes: tuple[int, ...] = (), reads: tuple[int, ...] = ()):
        self._device, self._spoilt, self._count = device, {"write": writes, "read": reads}, {"write": 0, "read": 0}
        self.octets_per_second, self.now, self.close = device.octets_per_second, device.now, device.close

    def write(self, data: bytes) -> None:
        self._device.write(self._spoil("write", data))

    def read(self, seconds: float) -> bytes:
        return self._spoil("read", self._device.read(seconds))

    def _spoil(self, way: str, data: bytes) -> bytes:
        number, self._count[way] = self._count[way], self._count[way] + 1
        middle = len(data) // 2
        inverted = data[middle : middle + 1].translate(bytes(value ^ (2 if value == 1 else 1) for value in range(256)))
        return data[:middle] + inverted + data[middle + 1 :] if number in self._spoilt[way] else data


@pytest.mark.parametrize(("spoilt", "again"), [
    ({"writes": (6,)}, 1), ({"reads": (6,)}, 1), ({"writes": (6, 7, 20)}, 3), ({"reads": (6, 8), "writes": (12,)}, 3),
    ({"writes": (31,)}, 1),  # the last
])
def test_only_what_is_lost_is_sent_again(spoilt, again):
    device = Device(identity=Identity(**{**IDENTITY.__dict__, "buffer_bytes": 1000}))
    link = Link(lambda: Spoiling(device, **spoilt), timeout=10.0)
    assert link.exchange(requests(30)) == wanted(30)
    assert link.resent == again
    assert len(device.carried_out) == 30 + len(spoilt.get("reads", ()))
    assert device.time < 10  # nothing waited for the timeout


class OnTheWay(Device):
    """Frames arrive, and are answered, when all octets have had the time; ``cut`` writes lose their last octet."""

    def __init__(self, *, cut: tuple[int, ...] = (), **options):
        super().__init__(**options)
        self.cut, self.free, self.arrivals = cut, 0.0, []

    def write(self, data: bytes) -> None:
        before = len(self.queue)
        super().write(data[: len(data) - (self.writes in self.cut)])
        self.free = max(self.free, self.time) + len(data) / self.octets_per_second
        self.arrivals += [self.free] * (len(self.queue) - before)

    def read(self, seconds: float) -> bytes:
        if not self.queue or self.arrivals[0] > self.time + seconds:
            self.time += seconds
            return b""
        self.time = max(self.time, self.arrivals.pop(0))
        return cobs.encode(self.queue.pop(0)[1]) + b"\0"


def test_a_request_is_not_given_up_while_it_is_on_its_way():
    """Sending takes 0.19 s; the time-out of 0.05 s begins when all has been sent."""
    device = OnTheWay()
    link = Link(lambda: device, timeout=0.05)
    for payload in (bytes(180), bytes(range(180))):
        assert link.exchange([(Kind.INFER, payload)]) == [zlib.crc32(payload).to_bytes(4, "big")]
    assert link.resent == 0 and device.time > 0.38


def test_what_a_lost_end_leaves_behind_does_not_spoil_the_request_that_is_sent_again():
    for cut in range(2, 8):
        device = OnTheWay(cut=(cut,))  # the first two writes are a zero and IDENTIFY
        link = Link(lambda device=device: device, timeout=0.05)
        for number, (kind, payload) in enumerate(requests(6)):
            assert link.exchange([(kind, payload)]) == wanted(6)[number : number + 1]
        assert link.resent == 1, cut


def test_faults_cost_little_time():
    device = Device()
    link = Link(lambda: FaultyTransport(device, flip=1e-3, seed=5), timeout=10.0)
    start = device.time
    assert link.exchange(requests(200)) == wanted(200)
    assert link.resent > 5
    # Nearly all are found by what comes next, not by waiting.
    assert device.time - start < 40


def test_a_deaf_device_is_reported():
    device = Device(deaf=True)
    with pytest.raises(LinkError, match=r"^request 0 \(IDENTIFY\) must be answered, but none of 3 attempts was$"):
        Link(lambda: device, attempts=3)
    assert device.closed and 3 <= device.time < 5


def test_a_request_must_fit_the_buffer():
    link = Link(Device)
    with pytest.raises(ValueError, match=r"^request 1 \(INFER\) must fit the device's buffer of 200 bytes, not need "
                                         r"201$"):
        link.exchange([(Kind.INFER, bytes(193)), (Kind.INFER, bytes(194))])


def test_what_the_device_does_not_know_is_reported():
    link = Link(Device)
    with pytest.raises(LinkError, match=r"^request 0 \(STATUS\) must be accepted by the device, but it answered "
                                        r"UNKNOWN_KIND$"):
        link.exchange([(Kind.STATUS, b"")])
    assert link.exchange(requests(3)) == wanted(3)


def test_a_connection_that_breaks_comes_back():
    devices = [Device(breaks=(9,)), Device(breaks=(1,)), Device()]
    opened = []

    def connect():
        opened.append(devices[len(opened)])
        return opened[-1]

    link = Link(connect, timeout=0.01)
    assert link.exchange(requests(30)) == wanted(30)
    assert [device.closed for device in devices] == [True, True, False] and len(opened) == 3


def test_another_device_after_a_break_is_refused():
    other = Identity(**{**IDENTITY.__dict__, "program": "45" * 8})
    devices = [Device(breaks=(5,)), Device(identity=other)]
    link = Link(lambda: devices.pop(0), timeout=0.01)
    with pytest.raises(LinkError, match=r"^the device must be the same after the connection broke, device "
                                        r"\(2323232323232323\), not device \(4545454545454545\)$"):
        link.exchange(requests(30))


def test_a_connection_that_stays_away_is_reported():
    devices = [Device(breaks=(5,)), *(Device(breaks=(1,)) for _ in range(3))]
    link = Link(lambda: devices.pop(0), timeout=0.01, attempts=3)
    with pytest.raises(LinkError, match=r"^the connection must come back within 3 attempts, but did not: .*plug"):
        link.exchange(requests(30))


def test_a_device_with_a_buffer_that_no_request_fits_is_refused():
    device = Device(identity=replace(IDENTITY, buffer_bytes=63))
    with pytest.raises(LinkError, match=r"^the device must have a buffer of at least 64 octets, not 63$"):
        Link(lambda: device)
    assert device.closed


def test_another_protocol_is_refused():
    class Foreign(Device):
        def _answer(self, frame: bytes) -> bytes:
            _, sequence, _ = parse_body(cobs.decode(frame))
            return frame_body(Kind.IDENTIFY | RESPONSE, sequence, b"\7\0")

    with pytest.raises(LinkError, match=r"^the device must speak version 1 of the protocol, not 7 \(2 bytes\)$"):
        Link(Foreign)


def test_a_serial_port_carries_octets():
    port = SerialPort("loop://", 1_000_000)
    try:
        assert port.octets_per_second == 100_000
        port.write(b"there and back\0")
        data = b""
        while len(data) < 15:
            data += port.read(1.0)
        assert data == b"there and back\0"
        start = port.now()
        assert port.read(0.01) == b"" and port.now() > start
    finally:
        port.close()


def test_a_missing_serial_port_is_named():
    with pytest.raises(OSError, match="/dev/there_is_none"):
        SerialPort("/dev/there_is_none", 115_200)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(ToolError, match=r"^pyserial must be installed to talk to a port: 'pip install "
                                        r"firstspike\[link\]'$"):
        SerialPort("loop://", 9600)
