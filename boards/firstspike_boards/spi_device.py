# SPDX-License-Identifier: MIT
"""SPI bus of a Linux host, through spidev."""

import re
import time

from firstspike_arch.shown import shown
from firstspike_hw.toolchain import ToolError

__all__ = ["SpiDevice"]


class SpiDevice:
    """A `firstspike_hw.link.spi_chunks.SpiBus` over spidev: mode 0, eight bits, most significant bit first.

    Parameters
    ----------
    port : str
        ``spidev:BUS.DEVICE`` for /dev/spidevBUS.DEVICE.
    sck_hz : int
        Frequency of sck.

    Raises
    ------
    ToolError
        spidev is not installed.
    ValueError
        ``port`` has another form.
    OSError
        The device cannot be opened.
    """

    def __init__(self, port: str, sck_hz: int):
        numbers = re.fullmatch(r"spidev:(\d+)\.(\d+)", port)
        if numbers is None:
            raise ValueError(f"port must be spidev:BUS.DEVICE, such as spidev:0.0, not {shown(port)}")
        try:
            import spidev  # pyright: ignore[reportMissingImports] - only for Linux
        except ImportError:
            raise ToolError("spidev must be installed to talk over SPI: 'pip install firstspike[spi]'") from None
        self.octets_per_second = sck_hz / 8
        self._device = spidev.SpiDev()
        self._device.open(int(numbers[1]), int(numbers[2]))
        self._device.mode, self._device.max_speed_hz = 0, sck_hz

    def transfer(self, octets: bytes) -> bytes:
        return bytes(self._device.xfer2(list(octets)))

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._device.close()
