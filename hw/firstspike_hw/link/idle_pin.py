# SPDX-License-Identifier: MIT
"""A pin that is high while nothing is sent."""

from amaranth.lib.wiring import Flow, Member

__all__ = ["idle_high"]


def idle_high(flow: Flow) -> Member:
    """A port of one bit whose value is 1 after reset and where nothing drives it."""
    return flow(1, init=1)  # pyright: ignore[reportCallIssue]  # amaranth-stubs still has the older name, reset
