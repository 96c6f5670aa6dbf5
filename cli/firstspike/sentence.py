# SPDX-License-Identifier: MIT
"""Errors of a user, as one sentence."""

from firstspike_hw.toolchain import ToolError

__all__ = ["USER_ERRORS", "sentence"]

USER_ERRORS = (ValueError, OSError, ToolError)
"""What a wrong input, file or installation raises; anything else is a fault of firstspike."""


def sentence(error: BaseException) -> str:
    """What the error says, without Python's own words about it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
