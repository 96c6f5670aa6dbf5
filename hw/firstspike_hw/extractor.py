# SPDX-License-Identifier: MIT
"""Extractor: words of spikes become a stream of events and step markers."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import ceil_div
from firstspike_arch.layer_plan import GROUP_BITS

from .emitter import Emitter
from .first_one import at_most, at_most_one, lowest_one, without_lowest
from .integer_argument import integer_argument
from .spike_queue import word_struct
from .stream_token import token_stream

__all__ = ["Extractor"]

_FEW_GROUPS = 6
"""Groups that are counted in the same cycle; of more, a register says whether few are left. A memory of spike words is
slow, and nothing but a register may be behind it."""


class Extractor(wiring.Component):
    """Sends the events of each word in ascending order, and after the last word of a step its marker.

    A word without spikes is not allowed, unless it is the last of its step.

    Two registers stand before the emitter, so that no path sees more than one group or one bit a group: a word with a
    bit for each group that has a spike, then a word with the number of its next such group. Throughput: each passes one
    group a cycle and takes the next word in the cycle in which its last group moves on, so that there are no bubbles
    between groups, words or steps. Latency: the first token of a word is offered three cycles after the word is taken.
    With two events a token, each passes two groups a cycle, the first two of those that are left in the word.

    Parameters
    ----------
    layout : TokenLayout
        Layout of the events.
    lanes : int
        Spike bits of a word.
    banks : (int, int)
        The word has that many equal parts, of neighbouring positions down and across; each is a number of whole groups.
    aligned : bool
        Every word begins at a multiple of `GROUP_BITS`, see `Emitter`.

    Members
    -------
    words : In(stream.Signature(word_struct(layout, lanes)))
    events : Out(token_stream(layout))
    """

    words: stream.Interface
    events: stream.Interface

    def __init__(self, *, layout: TokenLayout, lanes: int, banks: tuple[int, int] = (1, 1), aligned: bool = False):
        self._layout, self._lanes, self._aligned = layout, integer_argument("lanes", lanes, 1), aligned
        down, across = banks
        self._banks = integer_argument("banks down", down, 1), integer_argument("banks across", across, 1)
        if down * across > 1 and (lanes % (down * across * GROUP_BITS) or len(layout.shape) == 1):
            raise ValueError(
                f"banks must divide the {lanes} lanes of a map into whole groups of {GROUP_BITS}, not {banks!r}")
        super().__init__({
            "words": In(stream.Signature(word_struct(layout, lanes))), "events": Out(token_stream(layout)),
        })

    @property
    def layout(self) -> TokenLayout:
        """Layout of the events."""
        return self._layout

    @property
    def lanes(self) -> int:
        """Spike bits of a word."""
        return self._lanes

    @property
    def banks(self) -> tuple[int, int]:
        """Equal parts of the word, down and across."""
        return self._banks

    @property
    def aligned(self) -> bool:
        """Whether words begin at multiples of the size of a group."""
        return self._aligned

    def elaborate(self, platform):
        m = Module()
        m.submodules.emitter = emitter = Emitter(layout=self._layout, aligned=self._aligned)
        connect(m, emitter.events, flipped(self.events))
        count = ceil_div(self._lanes, GROUP_BITS)
        layout = word_struct(self._layout, self._lanes)

        # A word, and which of its groups are still to be sent.
        word, word_valid = Signal(layout, reset_less=True), Signal()
        occupied, ends = Signal(count), Signal()  # ends: no group is left but those that move on now
        left, fresh = Signal(count), Signal()  # left: what is occupied, unless the word is fresh
        pick_ready, most = Signal(), self._layout.slots
        few_groups = count <= _FEW_GROUPS
        new, rest = self.words.payload, without_lowest(occupied)
        later = rest if most == 1 else without_lowest(rest)
        m.d.comb += self.words.ready.eq(~word_valid | (pick_ready & ends))
        with m.If(self.words.ready):
            m.d.sync += [word.eq(new), word_valid.eq(self.words.valid), fresh.eq(1)]
        with m.Elif(pick_ready):
            m.d.sync += [left.eq(later), fresh.eq(0)]
        if few_groups:
            m.d.comb += [occupied.eq(Mux(fresh, word.occupied, left)), ends.eq(at_most(most, occupied))]
        else:
            m.d.comb += occupied.eq(left)
            with m.If(self.words.ready):
                m.d.sync += [left.eq(new.occupied), ends.eq(at_most(most, new.occupied))]
            with m.Elif(pick_ready):
                m.d.sync += ends.eq(at_most(2 * most, occupied))

        # The word again, and the group or groups to be sent now.
        picked, pick_valid = Signal(layout, reset_less=True), Signal()
        group, marker = Signal(range(count)), Signal()
        few = Signal(count)  # groups with at most one spike; none if a marker follows a spike
        groups = [slice(start, start + GROUP_BITS) for start in range(0, self._lanes, GROUP_BITS)]
        followed = ends & word.last & occupied.any()
        m.d.comb += pick_ready.eq(~pick_valid | emitter.groups.ready)
        with m.If(pick_ready):
            m.d.sync += [
                pick_valid.eq(word_valid), picked.eq(word), group.eq(lowest_one(occupied)),
                marker.eq(ends & word.last),
                few.eq(Mux(followed, 0, Cat(at_most_one(word.spikes[part]) for part in groups))),
            ]
        out = emitter.groups.payload
        sent, fits = [group], few.bit_select(group, 1)
        spikes = Array(picked.spikes[part] for part in groups)
        m.d.comb += out.base.eq(self._base(picked.base, group, count))
        if most == 2:
            second, two = Signal(range(count)), Signal()
            fewer = Signal(count)  # groups with at most two spikes; none if a marker follows a spike
            with m.If(pick_ready):
                m.d.sync += [two.eq(rest.any()), second.eq(lowest_one(rest)),
                             fewer.eq(Mux(followed, 0, Cat(at_most(2, word.spikes[part]) for part in groups)))]
            sent.append(second)
            fits = Mux(two, fits & few.bit_select(second, 1), fewer.bit_select(group, 1))
            m.d.comb += [
                out.bits.eq(Cat(spikes[group], Mux(two, spikes[second], 0))),
                out.second_base.eq(self._base(picked.base, second, count)),
            ]
        else:
            m.d.comb += out.bits.eq(spikes[group])
        m.d.comb += [
            emitter.groups.valid.eq(pick_valid), out.marker.eq(marker), out.single.eq(fits),
            out.final.eq(marker & picked.final),
        ]
        if self._layout.value_bits:
            bits, values = self._layout.value_bits, picked.values.as_value()
            parts = Array(values[part.start * bits:part.stop * bits] for part in groups)
            m.d.comb += out.values.eq(Cat(parts[one] for one in sent))
        return m

    def _base(self, base: Value, group: Value, count: int) -> Value:
        """The address of the first neuron of a group of the word at ``base``."""
        down, across = self._banks
        if down * across == 1:
            return base + group * GROUP_BITS
        channel_bits, x_bits, _ = self._layout.field_bits
        each = count // (down * across)
        places = [(index // each % across, index // each // across) for index in range(count)]
        channel = base[:channel_bits] + Array(index % each * GROUP_BITS for index in range(count))[group]
        x = base[channel_bits:channel_bits + x_bits] + Array(x for x, _ in places)[group]
        y = base[channel_bits + x_bits:] + Array(y for _, y in places)[group]
        return Cat(channel[:channel_bits], x[:x_bits], y)

