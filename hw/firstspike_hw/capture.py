# SPDX-License-Identifier: MIT
"""Capture: interface by which the spikes of a row leave a core."""

from typing import Protocol

from amaranth.hdl import Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.layer_plan import LayerPlan

__all__ = ["CaptureInterface", "capture_signature", "tile_struct"]


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
    tile: data.View
    group: Signal
    signature: wiring.Signature


def tile_struct(plan: LayerPlan) -> data.StructLayout:
    """Return the layout of the place of a row's tile on the map."""
    return data.StructLayout({"y": range(plan.tiles[0]), "x": range(plan.tiles[1])})


def capture_signature(
    rows: int, lanes: int, value_bits: int, magnitude_bits: int, skipping: LayerPlan | None = None,
) -> wiring.Signature:
    """Return the signature for the spikes of one row, which a core captures when a step marker passes.

    A row raises ``request``, and waits until it gets ``grant``; two cycles later it is ``valid`` for one cycle, and can
    no longer be refused. ``coming`` announces ``valid`` one cycle before. ``opening``: the requesting row is the first
    of its step. ``last``: the valid row is the last of its step; ``final``: it is one of its inference's last step.
    ``spikes`` are 0 if no row is valid. ``values`` are the membranes before reset, ``magnitudes`` those of the spikes.
    Where rows are skipped, ``tile`` and ``group`` are the valid row's tile, and its place among the rows there.

    Parameters
    ----------
    rows, lanes : int
    value_bits : int
        Width of the membranes handed out; 0: none.
    magnitude_bits : int
        Width of the magnitudes; 0: every spike has magnitude 1.
    skipping : LayerPlan, optional
        Plan of a layer that skips rows; None: all rows come in their order.
    """
    members = {
        "request": Out(1), "opening": Out(1), "grant": In(1), "coming": Out(1),
        "valid": Out(1), "row": Out(range(rows)), "last": Out(1), "final": Out(1), "spikes": Out(lanes),
    }
    if value_bits:
        members["values"] = Out(data.ArrayLayout(signed(value_bits), lanes))
    if magnitude_bits:
        members["magnitudes"] = Out(data.ArrayLayout(magnitude_bits, lanes))
    if skipping is not None:
        members |= {"tile": Out(tile_struct(skipping)), "group": Out(range(skipping.position_rows))}
    return wiring.Signature(members)
