# SPDX-License-Identifier: MIT
"""The host's end of SPI against a controller in Python."""

import sys
from types import SimpleNamespace

import pytest
from firstspike_boards.spi_device import SpiDevice
from firstspike_boards.spi_port import POLL_OCTETS, TRANSFER_OCTETS, SpiPort
from firstspike_hw.link.spi_chunks import CHUNK_OCTETS, octets_of_chunks
from firstspike_hw.toolchain import ToolError


class Bus:
    """Has something to say; a transfer takes a second."""

    octets_per_second = 1000.0

    def __init__(self, says: bytes = b""):
        self.says, self.heard, self.time, self.sizes, self.closed = says, b"", 0.0, [], False

    def transfer(self, octets: bytes) -> bytes:
        self.time += 1
        self.heard += octets
        self.sizes.append(len(octets))
        answer = b""
        while len(answer) < len(octets):
            chunk = self.says[:CHUNK_OCTETS]
            fits = chunk[: len(octets) - len(answer) - 1]
            answer += bytes([len(chunk)]) + fits
            self.says = self.says[len(fits):]
        return answer

    def now(self) -> float:
        return self.time

    def close(self) -> None:
        self.closed = True


def test_chunks_carry_octets():
    assert octets_of_chunks(b"") == (b"", 0)
    assert octets_of_chunks(b"\0\0\2ab\0\1c\0") == (b"abc", 0)
    assert octets_of_chunks(b"\1a\5bcd") == (b"abcd", 2)
    assert octets_of_chunks(b"\0\3") == (b"", 3)


def test_all_octets_go_both_ways_in_transfers_of_fitting_length():
    says, given = bytes(range(1, 256)) * 3, bytes(range(255, 0, -1)) * 2
    bus = Bus(says)
    port = SpiPort(bus)
    port.write(given[:100])
    port.write(given[100:])
    received = b""
    while len(received) < len(says):
        received += port.read(10.0)
    assert received == says and bus.heard.rstrip(b"\0") == given
    assert bus.sizes[:2] == [TRANSFER_OCTETS, 254] and max(bus.sizes) == TRANSFER_OCTETS
    assert port.read(2.5) == b"" and bus.sizes[-3:] == [POLL_OCTETS] * 3
    assert port.octets_per_second == 1000.0 and port.now() == bus.time
    port.close()
    assert bus.closed


def test_a_long_chunk_makes_the_next_transfer_long():
    bus = Bus(bytes(range(1, 101)))
    port = SpiPort(bus)
    assert port.read(1.0) + port.read(1.0) == bytes(range(1, 101))
    assert bus.sizes == [POLL_OCTETS, 100 - (POLL_OCTETS - 1) + 1]


def test_spidev_is_opened_in_mode_0(monkeypatch):
    done = []

    class Controller:
        def open(self, bus, device):
            done.append((bus, device))

        def xfer2(self, octets):
            return [octet ^ 255 for octet in octets]

        def close(self):
            done.append("closed")

    opened = Controller()
    monkeypatch.setitem(sys.modules, "spidev", SimpleNamespace(SpiDev=lambda: opened))
    device = SpiDevice("spidev:1.2", 8_000_000)
    assert device.transfer(b"\0\1") == b"\xff\xfe" and device.octets_per_second == 1_000_000
    assert (opened.mode, opened.max_speed_hz) == (0, 8_000_000)
    before = device.now()
    assert device.now() >= before
    device.close()
    assert done == [(1, 2), "closed"]


def test_what_is_wrong_with_a_port_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "spidev", None)
    with pytest.raises(ToolError, match=r"^spidev must be installed to talk over SPI: 'pip install "
                                        r"firstspike\[spi\]'$"):
        SpiDevice("spidev:0.0", 1_000_000)
    with pytest.raises(ValueError, match=r"^port must be spidev:BUS.DEVICE, such as spidev:0.0, not 'spidev0.0'$"):
        SpiDevice("spidev0.0", 1_000_000)
