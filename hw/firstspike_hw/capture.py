# SPDX-License-Identifier: MIT
"""Capture: the spikes of one row, on their way out of a core."""

from typing import Protocol

from amaranth.hdl import Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CaptureInterface", "capture_signature"]


class CaptureInterface(Protocol):
    """Members of `capture_signature`."""

    request: Signal
    opening: Signal
    grant: Signal
    coming: Signal
    valid: Signal
    row: Signal
    last: Signal
    final: Signal
    spikes: Signal
    values: data.View
    magnitudes: data.View
    signature: wiring.Signature


def capture_signature(rows: int, lanes: int, value_bits: int, magnitude_bits: int) -> wiring.Signature:
    """Spikes of one row, as a core captures them when a step marker passes.

    ``valid`` lasts one cycle and cannot be refused, and ``coming`` says it one cycle before. What can be refused is the
    promise for a row whose ``request`` is high two cycles before: with ``grant`` it goes on, and becomes valid.
    ``opening``: the row that asks is the first of its step. ``last``: the valid row is the last of its step; ``final``:
    of its inference's last step. ``values``: pre-reset membranes. ``magnitudes``: of the spikes.

    Parameters
    ----------
    rows, lanes : int
    value_bits : int
        Width of the membranes handed out; 0: none.
    magnitude_bits : int
        Width of the magnitudes; 0: every spike has magnitude 1.
    """
    members = {
        "request": Out(1), "opening": Out(1), "grant": In(1), "coming": Out(1),
        "valid": Out(1), "row": Out(range(rows)), "last": Out(1), "final": Out(1), "spikes": Out(lanes),
    }
    if value_bits:
        members["values"] = Out(data.ArrayLayout(signed(value_bits), lanes))
    if magnitude_bits:
        members["magnitudes"] = Out(data.ArrayLayout(magnitude_bits, lanes))
    return wiring.Signature(members)
