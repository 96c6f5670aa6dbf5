# SPDX-License-Identifier: MIT
"""Errors of the driver. All are DeviceError, but what the caller gave wrong is a ValueError."""

__all__ = ["DeviceError", "DeviceTimeoutError", "ExportError", "StreamError", "WrongDeviceError"]


class ExportError(ValueError):
    """A folder that is not as `firstspike export-axi` wrote it."""


class DeviceError(RuntimeError):
    """The device does not do what it must."""


class WrongDeviceError(DeviceError):
    """The device was built for another network, or holds another program."""


class StreamError(DeviceError):
    """The engine that moves inputs and results has stopped, or moved other than it was told to."""


class DeviceTimeoutError(DeviceError):
    """Nothing has moved for longer than the caller wants to wait."""
