# SPDX-License-Identifier: MIT
"""What the compiler says when it refuses."""

__all__ = ["CompileError"]


class CompileError(ValueError):
    """A network or a request that breaks a rule; the sentence names the layer and the rule."""
