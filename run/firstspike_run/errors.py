# SPDX-License-Identifier: MIT
"""Errors of the driver. All are DeviceError, but what the caller gave wrong is a ValueError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Answers

__all__ = ["DeviceError", "DeviceTimeoutError", "ExportError", "MemoryReadError", "ParityError", "StreamError",
           "WrongDeviceError"]


class ExportError(ValueError):
    """A folder that is not as `firstspike export-axi` wrote it."""


class DeviceError(RuntimeError):
    """The device does not do what it must."""


class WrongDeviceError(DeviceError):
    """The device was built for another network, or holds another program."""


class StreamError(DeviceError):
    """The engine that moves inputs and results has stopped, or moved other than it was told to."""


class MemoryReadError(DeviceError):
    """External weights could not be read.

    Attributes
    ----------
    inferences : list of int
        Inferences of the batch whose results are not to be trusted: those of transfers in which a read failed. All
        others are right.
    answers : Answers or None
        Results of the whole batch; None: nothing was run.
    """

    def __init__(self, message: str, inferences: Sequence[int] = (), answers: Answers | None = None):
        super().__init__(message)
        self.inferences, self.answers = list(inferences), answers


class ParityError(DeviceError):
    """Words in the memories of the device no longer were what was written; `Accelerator.load` writes weights anew.

    Attributes
    ----------
    inferences : list of int
        Inferences of the batch whose results are not to be trusted: those of transfers in which such a word was read.
        All others are right.
    answers : Answers
        Results of the whole batch.
    """

    def __init__(self, message: str, inferences: Sequence[int], answers: Answers):
        super().__init__(message)
        self.inferences, self.answers = list(inferences), answers


class DeviceTimeoutError(DeviceError):
    """Nothing has moved for longer than the caller wants to wait."""
