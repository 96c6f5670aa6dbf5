# SPDX-License-Identifier: MIT
"""Transport of the host link over a serial port."""

import time

from firstspike_hw.toolchain import ToolError

__all__ = ["SerialPort"]


class SerialPort:
    """A `firstspike_hw.link.frames.Transport` over pyserial: eight bits, no parity, one stop bit.

    Parameters
    ----------
    port : str
        Device, such as /dev/ttyUSB0 or COM3, or a URL that pyserial understands.
    baud : int
        Bits a second.

    Raises
    ------
    ToolError
        pyserial is not installed.
    OSError
        The port cannot be opened.
    """

    def __init__(self, port: str, baud: int):
        try:
            import serial
        except ImportError:
            raise ToolError("pyserial must be installed to talk to a port: 'pip install firstspike[link]'") from None
        self.octets_per_second = baud / 10
        self._serial = serial.serial_for_url(port, baudrate=baud)

    def write(self, data: bytes) -> None:
        self._serial.write(data)

    def read(self, seconds: float) -> bytes:
        self._serial.timeout = seconds
        return self._serial.read(max(1, self._serial.in_waiting))

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._serial.close()
