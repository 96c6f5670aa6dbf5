# SPDX-License-Identifier: MIT
"""What the compiler says when it refuses, and what it says when it goes on."""

__all__ = ["CompileError", "CompileWarning"]


class CompileError(ValueError):
    """A network or a request that breaks a rule; the sentence names the layer and the rule."""


class CompileWarning(UserWarning):
    """What was assumed of a network, or looks like a mistake; commands print it as a note."""
