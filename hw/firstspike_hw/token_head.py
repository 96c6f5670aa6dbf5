# SPDX-License-Identifier: MIT
"""Token heads: the next token of each input stream of a core, decoded to the beginning of its walk."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Array, Const, Module, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.walk import Walk

from .stream_token import input_stream

__all__ = ["TokenDecoder", "axes_of", "head_struct", "turns", "value_shape"]


_TABLE_BITS = 6
"""Most bits of a number whose multiples are looked up: a table of 64 entries is four small LUTs a bit."""


def value_shape(layouts: Sequence[TokenLayout]) -> Shape:
    """Return the shape that holds the values of the events of several streams, and 1."""
    signed = any(layout.signed for layout in layouts)
    return Shape(max(layout.value_bits + (signed and not layout.signed) for layout in layouts), signed)


def head_struct(spec: CoreSpec, walks: Sequence[Walk]) -> data.StructLayout:
    """Return the layout of a decoded token, wide enough for any of the walks.

    ``valid`` is high if there is a token, and ``marker``, ``final`` and ``value`` are the token's. ``misses`` is high
    for an event that reaches nothing. ``row`` and ``word`` are the first of its walk; ``x_last`` and ``y_last`` the
    numbers of further visits along x and y. With several banks, ``x_tiles`` and ``y_tiles`` tell how many tiles further
    the row of each bank is, and ``x_opens``, ``x_closes``, … whether each is reached in the first and in the last visit
    along the axis. If there is only one, ``x_opens`` says it all. Where words are rotated, ``x_turn`` and ``y_turn``
    tell by how many banks.
    """
    plan = spec.plan
    across, down = (
        max(1 if axis is None else int(axis.count.max(initial=1)) for axis in axes)
        for axes in ([walk.x for walk in walks], [walk.y for walk in walks]))
    banks = {}
    for name, count in zip("yx", plan.banks if plan.bank_count > 1 else (), strict=False):
        axes = axes_of(spec, name)
        banks[f"{name}_tiles"] = data.ArrayLayout(range(1 + max(int(one.window.tiles.max()) for one in axes)), count)
        banks[f"{name}_opens"] = count
        if max(one.count.max() for one in axes) > 1:
            banks[f"{name}_closes"] = count
    return data.StructLayout({
        "valid": 1, "marker": 1, "final": 1, "misses": 1, "value": value_shape(spec.layouts),
        "row": range(plan.walk_rows), "word": range(spec.memory.depth), "x_last": range(across), "y_last": range(down),
        **banks, **turns(plan),
    })


def turns(plan: LayerPlan) -> dict[str, range]:
    """Return name and values of by how many banks a word of weights is rotated, for each axis along which it is."""
    return {f"{name}_turn": range(banks)
            for name, banks, rotates in zip("yx", plan.banks, plan.rotates, strict=True) if rotates}


def axes_of(spec: CoreSpec, name: str) -> list[Any]:
    """Return the `Axis` named "y" or "x" of the walk of each stream."""
    return [getattr(walk, name) for walk in spec.walks]


class TokenDecoder(wiring.Component):
    """Decodes the tokens of one stream into a register: the beginning of a walk is a sum of table entries for x and y.

    A token taken from the stream in cycle c is the head from c + 1 on, until it is ``taken``; the next token can be
    taken from the stream in that same cycle: the throughput is one token a cycle. The stream of the layer's own spikes
    is one step late, so its first marker is the head from the beginning.

    Parameters
    ----------
    spec : CoreSpec
    place : int
        Number of the stream.

    Members
    -------
    events : In(input_stream(spec.inputs[place]))
        Stream.
    taken : In(1)
        The head is taken in this cycle.
    head : Out(head_struct(spec, [walk]))
        Decoded token.
    """

    events: stream.Interface
    taken: Signal
    head: data.View

    def __init__(self, spec: CoreSpec, place: int):
        if not 0 <= place < len(spec.inputs):
            raise ValueError(f"place must be 0…{len(spec.inputs) - 1}, not {place!r}")
        self._spec, self._place = spec, place
        super().__init__({
            "events": In(input_stream(spec.inputs[place])), "taken": In(1),
            "head": Out(head_struct(spec, [spec.inputs[place].walk])),
        })

    @property
    def place(self) -> int:
        """Number of the stream."""
        return self._place

    @property
    def spec(self) -> CoreSpec:
        """The core that it belongs to."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        one, token, head = self._spec.inputs[self._place], self.events.payload, self.head
        load = ~head.valid | self.taken
        m.d.comb += self.events.ready.eq(load)
        nexts = [
            (head.valid, self.events.valid, one.recurrent), (head.marker, token.marker, one.recurrent),
            (head.final, token.final, 0), (head.value, token.value if len(token.value) else Const(1), 0),
            *((field, value, 0) for field, value in self._beginning(token.address)),
        ]
        # A register for each field: synthesis drops bits that are never used or never change.
        for number, (field, value, init) in enumerate(nexts):
            held = Signal(field.shape(), name=f"held{number}", init=int(init))
            m.d.comb += field.eq(held)
            with m.If(load):
                m.d.sync += held.eq(value)
        return m

    def _beginning(self, address: Value) -> list[tuple[Any, Value]]:
        """Return fields of the head, with where the walk of the event at an address begins."""
        one, head = self._spec.inputs[self._place], self.head
        walk = one.walk
        if walk.x is None or walk.y is None:
            return [(head.word, walk.base + address * walk.channel_words)]
        channel_bits, x_bits, _ = one.layout.field_bits
        channel, x, y = (address[:channel_bits], address[channel_bits:channel_bits + x_bits],
                         address[channel_bits + x_bits:])
        start = _look_up(walk.channel_row, channel) if walk.channel_row.any() else Const(0)
        rows = 1 << len(head.row)
        fields = [
            (head.row, _look_up(walk.y.row % rows, y) + _look_up(walk.x.row % rows, x) + start),
            (head.word, walk.base + _look_up(walk.y.word, y) + _look_up(walk.x.word, x)
             + _multiple(self.events.payload.buffer if one.fetching else channel, walk.channel_words)),
            (head.x_last, _look_up(walk.x.count - 1, x)), (head.y_last, _look_up(walk.y.count - 1, y)),
            (head.misses, _look_up(walk.x.count == 0, x) | _look_up(walk.y.count == 0, y)),
        ]
        members = head.shape().members
        for name, axis, coordinate in (("y", walk.y, y), ("x", walk.x, x)):
            if f"{name}_tiles" not in members:
                continue
            fields += [(tiles, _look_up(column, coordinate)) for tiles, column in zip(
                head[f"{name}_tiles"], axis.window.tiles.T, strict=True)]
            hits = {"opens": axis.window.first, "closes": axis.window.last}
            if f"{name}_closes" not in members:
                hits = {"opens": axis.window.first & axis.window.last}
            for field, table in hits.items():
                fields += [(hit, _look_up(column, coordinate))
                           for hit, column in zip(head[f"{name}_{field}"], table.T, strict=True)]
            if f"{name}_turn" in members:
                fields.append((head[f"{name}_turn"], _look_up(axis.window.turn, coordinate)))
        return fields


def _multiple(number: Value, step: int) -> Value:
    """Return a number times a constant: from a table if the number has few bits, as a multiplier block is slow."""
    if len(number) > _TABLE_BITS or step.bit_count() == 1:
        return number * step
    return _look_up(step * np.arange(1 << len(number)), number)


def _look_up(table: np.ndarray, coordinate: Value) -> Value:
    """Look a coordinate up in a table of non-negative numbers. A negative entry means that any value will do."""
    return Array(max(int(value), 0) for value in table)[coordinate]
