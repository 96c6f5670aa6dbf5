# SPDX-License-Identifier: MIT
"""Queue of captured spike words, between a core and its extractor."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from firstspike_arch.connectivity import size_of
from firstspike_arch.events import TokenLayout
from firstspike_arch.fixed import ceil_div
from firstspike_arch.layer_plan import GROUP_BITS, LayerPlan, spike_queue_depth

from .capture import CaptureInterface, capture_signature
from .collisions import UNUSED

__all__ = ["SpikeQueue", "word_struct"]


def word_struct(layout: TokenLayout, lanes: int) -> data.StructLayout:
    """Return the layout of a spike word: the spikes of one row and what the extractor needs to know about them.

    That is their magnitudes, which groups have spikes, the address of the first lane, and whether the row ends a step
    and an inference.
    """
    return data.StructLayout({
        "final": 1, "last": 1, "base": layout.address_bits, "occupied": ceil_div(lanes, GROUP_BITS),
        "spikes": lanes, "values": data.ArrayLayout(layout.value_bits, lanes),
    })


class SpikeQueue(wiring.Component):
    """Queue of up to `spike_queue_depth` spike words: rows with a spike, and the last row of every step.

    A word captured in cycle c is offered from c + 1 on if the queue is one register, from c + 2 on if it is a memory.
    A row is granted its capture if the words held and the word being captured leave room. A word that is taken makes
    room for a capture in the next cycle if the queue is a register, one cycle later if it is a memory.

    Members
    -------
    capture : In(capture_signature(rows, elements, 0, value_bits, …))
        Spikes of the core's rows.
    words : Out(stream.Signature(word_struct(layout, word_lanes)))
        Spike words, in the order of their capture.
    """

    capture: CaptureInterface
    words: stream.Interface

    def __init__(self, *, layout: TokenLayout, plan: LayerPlan):
        if size_of(layout.shape) != plan.neurons:
            raise ValueError(f"layout must be that of the plan's {plan.neurons} neurons, not of shape {layout.shape}")
        self._layout, self._plan = layout, plan
        super().__init__({
            "capture": In(capture_signature(plan.rows, plan.elements, 0, layout.value_bits,
                                            plan if plan.options.skips else None)),
            "words": Out(stream.Signature(word_struct(layout, plan.word_lanes))),
        })

    @property
    def layout(self) -> TokenLayout:
        """Bits of the events that the spikes become."""
        return self._layout

    @property
    def plan(self) -> LayerPlan:
        """Rows, lanes and banks of the layer."""
        return self._plan

    def elaborate(self, platform):
        m = Module()
        capture, lanes = self.capture, self._plan.word_lanes
        layout = word_struct(self._layout, lanes)
        depth = spike_queue_depth(self._plan)
        word, spikes = Signal(layout), self._filled_up(capture.spikes, 1)
        m.d.comb += [
            word.final.eq(capture.final), word.last.eq(capture.last), word.base.eq(self._base(m)),
            word.spikes.eq(spikes),
            word.occupied.eq(Cat(
                spikes[start:start + GROUP_BITS].any() for start in range(0, lanes, GROUP_BITS)
            )),
        ]
        if self._layout.value_bits:
            magnitudes = capture.magnitudes.as_value()
            m.d.comb += word.values.eq(self._filled_up(magnitudes, self._layout.value_bits))
        taken = self.words.valid & self.words.ready
        comes, goes_on = capture.valid, capture.coming
        if depth == 1:  # every row is the last of its step, and stored
            count = Signal()
            m.d.sync += count.eq(count + comes - taken)
            m.d.comb += capture.grant.eq(~(comes | goes_on | (count & ~taken)))
            held = Signal(layout, reset_less=True)
            with m.If(comes):
                m.d.sync += held.eq(word)
            m.d.comb += [self.words.valid.eq(count != 0), self.words.payload.eq(held)]
        else:
            # Every row is written. Whether it is kept is known late, so that follows one cycle later.
            size, row = 2 * GROUP_BITS, capture.spikes
            parts = [row[start:start + size] for start in range(0, len(row), size)]
            parts[-1] = Cat(parts[-1], comes & word.last)  # that row is kept, too
            some, kept, least, most = Signal(len(parts)), Signal(), Signal(), Signal()
            # Whether a word is taken is known late, too, and has a register before it is counted.
            count, gave = Signal(range(depth + 2)), Signal()
            m.d.sync += [some.eq(Cat(part.any() for part in parts)), gave.eq(taken), count.eq(count + kept - gave)]
            room = [Mux(gave, count <= depth - more, count < depth - more) for more in range(4)]
            m.d.comb += [
                kept.eq(some.any()),
                least.eq(kept | comes | goes_on), most.eq(kept & comes & goes_on),
                capture.grant.eq(Mux(most, room[3], Mux(
                    (kept & comes) | (kept & goes_on) | (comes & goes_on), room[2], Mux(least, room[1], room[0])))),
            ]
            m.submodules.words = words = Memory(shape=layout, depth=depth, init=[], attrs=UNUSED)
            write, read = words.write_port(), words.read_port()
            # The word behind the one that is offered is next: no path goes from ready through its address. What waits
            # still counts the word that went on in the cycle before.
            place, behind, following = Signal(range(depth)), Signal(range(depth), init=1), Signal(range(depth))
            waiting, went, loads, found = Signal(range(depth + 2)), Signal(), Signal(), Signal()
            m.d.comb += [loads.eq(~self.words.valid | taken), found.eq((waiting != went) | kept)]
            m.d.sync += [place.eq(write.addr), went.eq(loads & found), waiting.eq(waiting + kept - went)]
            with m.If(kept):
                m.d.sync += behind.eq(behind + 1)
            with m.If(loads):
                m.d.sync += [self.words.valid.eq(found), following.eq(following + found)]
            m.d.comb += [
                write.addr.eq(Mux(kept, behind, place)), read.addr.eq(following),
                read.en.eq(loads), write.en.eq(comes), write.data.eq(word), self.words.payload.eq(read.data),
            ]
        return m

    def _filled_up(self, row, bits: int):
        """Return the lanes of a row, ``bits`` each, with those of every bank filled up to whole groups."""
        plan = self._plan
        each = plan.lanes * bits
        fill = Const(0, (plan.word_lanes // plan.bank_count - plan.lanes) * bits)
        return Cat((row[bank * each:(bank + 1) * each], fill) for bank in range(plan.bank_count))

    def _base(self, m: Module):
        """Return the address of the first lane (of the first bank) of the row being captured: it is counted, as rows
        come in order, unless some are skipped."""
        layout, plan, capture = self._layout, self._plan, self.capture
        firsts = plan.channels_of_rows()[:, 0].tolist()
        row = Signal(range(plan.position_rows))
        channel = row * plan.lanes if plan.groups == 1 else Array(firsts)[row]
        if plan.options.skips:
            field, x, y = (Signal(bits) for bits in layout.field_bits)
            m.d.comb += [row.eq(capture.group), field.eq(channel), x.eq(capture.tile.x * plan.banks[1]),
                         y.eq(capture.tile.y * plan.banks[0])]
            return Cat(field, x, y)
        position_ends = row == plan.position_rows - 1
        with m.If(capture.valid):
            m.d.sync += row.eq(Mux(position_ends, 0, row + 1))
        if len(layout.shape) == 1:
            return channel
        channel_bits, x_bits, y_bits = layout.field_bits
        x, y = Signal(x_bits), Signal(y_bits)
        (down, across), (tiles_down, tiles_across) = plan.banks, plan.tiles
        with m.If(capture.valid & position_ends):
            line_ends = x == (tiles_across - 1) * across
            m.d.sync += x.eq(Mux(line_ends, 0, x + across))
            with m.If(line_ends):
                m.d.sync += y.eq(Mux(y == (tiles_down - 1) * down, 0, y + down))
        field = Signal(channel_bits)
        m.d.comb += field.eq(channel)
        return Cat(field, x, y)
