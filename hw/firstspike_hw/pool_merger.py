# SPDX-License-Identifier: MIT
"""Pool merger: the spikes of one pool window in one step become one event, whose value is their sum."""

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.connectivity import pool_sides
from firstspike_arch.fixed import bits_for_unsigned
from firstspike_arch.merging import Merging

from .stream_buffer import StreamBuffer
from .stream_token import token_stream

__all__ = ["PoolMerger"]


class PoolMerger(wiring.Component):
    """Merges the spikes of each pool window: the events of a step in a window become one, with the sum of their values.

    There are two halves, each with a sum for every window of a band of the map (`Merging`). One is open and takes
    events; the other is emptied into the stream ``merged``, window by window in the order of their first events. An
    event of another band closes the open half and waits; a marker closes it and is taken. Pixels outside the pooled map
    are taken without effect.

    Throughput: a token is taken in each cycle in which no event waits. If the open half is closed in cycle c, its
    windows are read from c + 2 on, one a cycle, and its end, with its marker, in the cycle after the last of them. What
    is read in cycle r is offered in r + 5; nothing is read, and nothing that was read goes on, while a token has no
    room in the buffer of two tokens in front of ``merged``. If the end is read in cycle e, the other half, which is now
    open, can be closed from e + 1 on, and the emptied one takes events from e + 4 on.

    A sum is cleared when it is read. After reset all are cleared, in `Merging.places` cycles in which nothing is taken.

    Parameters
    ----------
    merging : Merging

    Members
    -------
    events : In(token_stream(merging.spikes))
        Spikes.
    merged : Out(token_stream(merging.layout))
        Events of the pooled map.
    """

    events: stream.Interface
    merged: stream.Interface

    def __init__(self, merging: Merging):
        self._merging = merging
        super().__init__({"events": In(token_stream(merging.spikes)), "merged": Out(token_stream(merging.layout))})

    @property
    def merging(self) -> Merging:
        """Windows, layouts and sizes."""
        return self._merging

    def elaborate(self, platform):
        m = Module()
        merging, token = self._merging, self.events.payload
        m.submodules.buffer = buffer = StreamBuffer(token_stream(merging.layout))
        connect(m, buffer.buffered, flipped(self.merged))
        sums = [Memory(shape=_sum_struct(merging), depth=merging.places, init=[]) for _ in (0, 1)]
        m.submodules.sums0, m.submodules.sums1 = sums
        reads, writes = [one.read_port() for one in sums], [one.write_port() for one in sums]
        m.submodules.places = places = Memory(shape=merging.place_layout.address_bits, depth=merging.entries, init=[])
        keep, read_place = places.write_port(), places.read_port()

        # The half that is emptied, or was last. It changes in the cycle after the open one was closed, in which the
        # last event of that one is still added.
        half, begins, takes_half = Signal(), Signal(), Signal()
        sweeps = Signal(init=1)  # after reset, sums are cleared
        reads_places = Signal()
        dirty = Signal(2)  # halves that were closed, and have sums that are not yet read
        m.d.comb += takes_half.eq(half ^ ~begins)
        m.d.sync += half.eq(half ^ begins)

        # Taking: events enter the open half; a marker, or an event of another band, closes it.
        place, band, inside = self._place(token.address)
        usable, elsewhere, closes, enters, is_open = (
            Signal(name=name) for name in ("usable", "elsewhere", "closes", "enters", "is_open"))
        bands = Array(Signal(range(merging.bands), name=f"band{number}") for number in (0, 1))
        closed = Signal(data.StructLayout({"marker": 1, "final": 1}))  # how the half was closed
        m.d.comb += [
            usable.eq(~sweeps & ~dirty.bit_select(takes_half, 1)),
            elsewhere.eq(~token.marker & inside & is_open & (band != bands[takes_half])),
            closes.eq(self.events.valid & usable & ~begins & ~reads_places & (token.marker | elsewhere)),
            enters.eq(self.events.valid & usable & ~token.marker & inside & ~elsewhere),
            self.events.ready.eq(Mux(token.marker, closes, usable & ~elsewhere)),
        ]
        m.d.sync += begins.eq(closes)
        with m.If(closes):
            m.d.sync += [is_open.eq(0), closed.marker.eq(token.marker), closed.final.eq(token.final)]
        with m.If(enters):
            m.d.sync += [is_open.eq(1), bands[takes_half].eq(band)]

        # Adding. The place of a window is kept with its first event. What is read of a half goes to a register first.
        held = [Signal(_sum_struct(merging), name=f"held{number}", reset_less=True) for number in (0, 1)]
        added, before, total = self._add(m, enters=enters, place=place, held=Mux(half, held[0], held[1]), begins=begins)
        count, windows = (Signal(range(merging.windows + 1), name=name) for name in ("count", "windows"))
        index = Signal(range(max(merging.places, merging.windows + 1)))  # of the place that is read, or swept
        low = slice(0, bits_for_unsigned(merging.windows - 1))
        m.d.comb += [keep.en.eq(added.valid & ~before.seen), keep.addr.eq(Cat(count[low], ~half)),
                     keep.data.eq(added.place)]

        # Emptying: a place is read, and loaded into a register; its sum is read, loaded into a register while it is
        # cleared, and offered.
        stage = data.StructLayout({"window": 1, "end": 1, "marker": 1, "final": 1, "half": 1,
                                   "place": len(read_place.data)})
        place_read, fetched, summed, offered = (
            Signal(stage, name=name) for name in ("place_read", "fetched", "summed", "offered"))
        moves, ends = Signal(), Signal()
        m.d.comb += [
            moves.eq(~(offered.window | offered.marker) | buffer.source.ready), ends.eq(index == windows),
            read_place.addr.eq(Cat(index[low], half)), read_place.en.eq(reads_places & ~ends & moves),
        ]
        with m.If(moves):
            m.d.sync += [
                place_read.window.eq(reads_places & ~ends), place_read.end.eq(reads_places & ends),
                place_read.marker.eq(reads_places & ends & closed.marker), place_read.final.eq(closed.final),
                place_read.half.eq(half), fetched.eq(place_read), fetched.place.eq(read_place.data),
                summed.eq(fetched), offered.eq(summed),
            ]
        m.d.sync += count.eq(count + keep.en)
        with m.If(begins):
            m.d.sync += [windows.eq(count + keep.en), count.eq(0), reads_places.eq(1), index.eq(0)]
        with m.Elif(sweeps):
            m.d.sync += [index.eq(index + 1), sweeps.eq(index != merging.places - 1)]
        with m.Elif(reads_places & moves):
            m.d.sync += [index.eq(index + 1), reads_places.eq(~ends)]
        for number, (read, write) in enumerate(zip(reads, writes, strict=True)):
            with m.If(closes & (takes_half == number)):
                m.d.sync += dirty[number].eq(1)
            with m.Elif(summed.end & (summed.half == number) & moves):
                m.d.sync += dirty[number].eq(0)
            takes, clears, offers = (one.window & (one.half == number) for one in (fetched, summed, offered))
            with m.If(moves | ~offers):
                m.d.sync += held[number].eq(read.data)
            m.d.comb += [
                # Never read the word being written: otherwise synthesis adds logic for what a collision would read.
                read.addr.eq(Mux(takes, fetched.place, place)),
                read.en.eq((moves | ~(takes | clears)) & ~(write.en & (write.addr == read.addr))),
                write.en.eq(sweeps | clears | (added.valid & (half != number))),
                write.addr.eq(Mux(sweeps, index, Mux(clears, summed.place, added.place))),
                write.data.eq(Mux(sweeps | clears, 0, total)),
            ]
        self._offer(m, buffer.source, offered, Mux(offered.half, held[1], held[0]), bands)
        return m

    def _place(self, address: Value) -> tuple[Value, Value, Value]:
        """Return the place of an event's window in a half, its band, and whether it has a window."""
        merging = self._merging
        _, height, width = merging.layout.shape
        channel_bits, x_bits, _ = merging.spikes.field_bits
        channel, x, y = address[:channel_bits], address[channel_bits:][:x_bits], address[channel_bits + x_bits:]
        lines, columns = (np.arange(size) // side for size, side in zip(
            merging.spikes.shape[1:], pool_sides(merging.pool), strict=True))
        _, across_bits, down_bits = merging.place_layout.field_bits
        place = Cat(channel, _look_up(columns, x)[:across_bits], _look_up(lines % merging.lines, y)[:down_bits])
        return (place, _look_up(lines // merging.lines, y),
                _look_up(columns < width, x) & _look_up(lines < height, y))

    def _add(
        self, m: Module, *, enters: Value, place: Value, held: Value, begins: Value,
    ) -> tuple[data.View, data.View, data.View]:
        """Add the value of an event to its sum two cycles after it entered; return the event, and the sum before and
        after."""
        value = self.events.payload.value if self._merging.spikes.value_bits else Const(1, 1)
        event = data.StructLayout({"valid": 1, "follows": 1, "trails": 1, "place": len(place), "value": value.shape()})
        known, added = Signal(event, name="known"), Signal(event, name="added")
        before, total, last, older = (
            Signal(_sum_struct(self._merging), name=name) for name in ("before", "total", "last", "older"))
        m.d.comb += [
            before.eq(Mux(added.follows, last, Mux(added.trails, older, held))),
            total.sum.eq(before.sum + added.value), total.seen.eq(1),
        ]
        m.d.sync += [
            added.eq(known), last.eq(total), older.eq(last),
            known.valid.eq(enters), known.place.eq(place), known.value.eq(value),
            # The window of the event of the cycle before, or of the one before that: its sum is read too early. In the
            # cycle after a half was closed, that one was in the other half.
            known.follows.eq(known.valid & (known.place == place)),
            known.trails.eq(added.valid & (added.place == place) & ~begins),
        ]
        return added, before, total

    def _offer(self, m: Module, source: stream.Interface, offered: data.View, sums: Value, bands: Array) -> None:
        """Offer the token of a stage whose sum has been read."""
        merging, token = self._merging, source.payload
        channel_bits, across_bits, _ = merging.place_layout.field_bits
        below = offered.place[channel_bits + across_bits:]
        line = _look_up(np.arange(merging.bands) * merging.lines, bands[offered.half]) + below
        address = Cat(offered.place[:channel_bits + across_bits], line)
        m.d.comb += [source.valid.eq(offered.window | offered.marker), token.marker.eq(offered.marker),
                     token.final.eq(offered.marker & offered.final)]
        with m.If(offered.window):
            m.d.comb += [token.address.eq(address), token.value.eq(data.View(_sum_struct(merging), sums).sum)]


def _sum_struct(merging: Merging) -> data.StructLayout:
    """The sum of a window, and whether it had an event."""
    return data.StructLayout({"sum": merging.layout.value_bits, "seen": 1})


def _look_up(table: np.ndarray, coordinate: Value) -> Value:
    return Array(Const(int(value), bits_for_unsigned(int(table.max()))) for value in table)[coordinate]
