# SPDX-License-Identifier: MIT
"""Delay line: an event leaves a number of steps after it came, which depends on its address."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from firstspike_arch.delaying import Delaying
from firstspike_arch.layer_plan import GROUP_BITS

from .extractor import Extractor
from .stream_buffer import StreamBuffer
from .stream_token import token_stream, token_struct

__all__ = ["DelayLine"]


class DelayLine(wiring.Component):
    """Sends each event `Delaying.delays` steps after it came, in ascending order of the places of a step: of the
    addresses, or, if they are sorted ``by_channel``, of the channels.

    An event sets a bit in a map: in the slot of the step in which it is due, and there at the place of its address.
    Values of the same address and step are added up. A marker has its step's slot read, word by word; an extractor
    sends the events of each word that has some, and the marker behind the last word. What is read is cleared. Events of
    the next step are taken meanwhile.

    Throughput: each cycle reads a word, or sets the bit of an event; words go first. A word that the extractor does not
    take is read again once it takes one, and so are those behind it; until then, words do not go first. Latency: a
    token taken in cycle c sets its bit, or starts the reading, in c + 3 or later, and all go in order. A marker whose
    reading starts in cycle c has its first word offered to the extractor in c + 3, and the next marker starts one cycle
    after the last word was taken. The stream buffer behind the extractor adds a cycle.

    What is due after the last step is lost: words have a bit that tells an inference from the one before, and what is
    of that is taken for empty. So the reading of a final marker goes on, without sending anything, with as many slots
    as the inference had steps too few to have read all that the one before left. Events behind a final marker wait for
    the end of its reading. After reset all slots are read like that.

    Parameters
    ----------
    delaying : Delaying

    Members
    -------
    events : In(token_stream(delaying.layout))
    late : Out(token_stream(delaying.layout))
        The same events, later.
    """

    events: stream.Interface
    late: stream.Interface

    def __init__(self, delaying: Delaying):
        self._delaying = delaying
        super().__init__({"events": In(token_stream(delaying.layout)), "late": Out(token_stream(delaying.layout))})

    @property
    def delaying(self) -> Delaying:
        """Delays, layout and sizes."""
        return self._delaying

    def elaborate(self, platform):
        m = Module()
        delaying, slots, words = self._delaying, self._delaying.slots, self._delaying.words
        m.submodules.extractor = extractor = Extractor(
            layout=delaying.word_layout, lanes=delaying.lanes, aligned=True)
        m.submodules.buffer = buffer = StreamBuffer(token_stream(delaying.layout))
        sent, passed = extractor.events.payload, buffer.source.payload
        m.d.comb += [
            buffer.source.valid.eq(extractor.events.valid), extractor.events.ready.eq(buffer.source.ready),
            passed.final.eq(sent.final), passed.marker.eq(sent.marker),
            passed.address.eq(self._turned(sent.address, back=True)), passed.value.eq(sent.value),
        ]
        connect(m, buffer.buffered, flipped(self.late))
        goes = Signal()  # the token that is due is set or starts the reading
        due = self._take(m, goes)

        # The reading of a slot: of the words that are left, ``word`` is next.
        reading, reads, blocked = Signal(init=1), Signal(init=1), Signal()
        final, silent = Signal(init=1), Signal(init=1)
        slot, word = Signal(range(slots)), Signal(range(words))
        left = Signal(range(slots), init=slots - 1)  # slots to be read behind a final marker
        inference = Signal()  # tells an inference from the next
        looks = Signal()
        m.d.comb += [
            looks.eq(reading & reads & ~blocked),
            goes.eq(due.valid & Mux(due.marker, ~reading, ~looks & ~(reading & final))),
        ]

        # A word is read in the cycle of its access, held in a register, changed and written two cycles later.
        layout = data.StructLayout({"inference": 1, "spikes": delaying.lanes,
                                    "values": data.ArrayLayout(delaying.layout.value_bits, delaying.lanes)})
        m.submodules.map = table = Memory(shape=layout, depth=delaying.depth, init=[])
        read, write = table.read_port(), table.write_port()
        access = data.StructLayout({
            "valid": 1, "looks": 1, "follows": 1, "trails": 1, "slot": range(slots), "word": range(words),
            "lane": range(delaying.lanes), "value": len(due.value)})
        new, known, changed = (Signal(access, name=name) for name in ("new", "known", "changed"))
        rejected, ends = Signal(), Signal()
        m.d.comb += [
            new.valid.eq(looks | (goes & ~due.marker)), new.looks.eq(looks), new.slot.eq(Mux(looks, slot, due.slot)),
            new.word.eq(Mux(looks, word, due.word)), new.lane.eq(due.lane), new.value.eq(due.value),
            # The same word as one or two accesses before: what was read of it is too old.
            new.follows.eq(known.valid & (known.slot == new.slot) & (known.word == new.word)),
            new.trails.eq(changed.valid & (changed.slot == new.slot) & (changed.word == new.word)),
            ends.eq(changed.word == words - 1),
        ]
        m.d.sync += [known.eq(new), changed.eq(known)]
        with m.If(rejected):  # read again
            m.d.sync += [known.valid.eq(new.valid & ~looks), changed.valid.eq(known.valid & ~known.looks)]
        held, before, after, last, older = (
            Signal(layout, name=name, reset_less=True) for name in ("held", "before", "after", "last", "older"))
        live = Signal(delaying.lanes)
        m.d.comb += [
            read.addr.eq(self._address(new)), write.addr.eq(self._address(changed)), write.en.eq(changed.valid),
            # Never read the word being written: otherwise synthesis adds logic for what a collision would read.
            read.en.eq(new.valid & ~new.trails), write.data.eq(after),
            before.eq(Mux(changed.follows, last, Mux(changed.trails, older, held))),
            live.eq(before.spikes & (before.inference == inference).replicate(delaying.lanes)),
        ]
        m.d.sync += [held.eq(read.data), last.eq(after), older.eq(last)]

        # Setting the bit of an event, with its value.
        bits = delaying.layout.value_bits
        m.d.comb += [after.inference.eq(inference), after.values.eq(before.values)]
        with m.If(changed.looks):
            m.d.comb += after.spikes.eq(Mux(rejected, live, 0))
        with m.Else():
            m.d.comb += after.spikes.eq(live | (Const(1) << changed.lane)[:delaying.lanes])
            if bits:
                kept = live.bit_select(changed.lane, 1).replicate(bits)
                total = (before.values[changed.lane] & kept) + changed.value
                m.d.comb += after.values[changed.lane].eq(total[:bits])

        # Sending a word.
        sends = Signal()
        out = extractor.words.payload
        m.d.comb += [
            sends.eq(changed.valid & changed.looks & ~silent & (live.any() | ends)),
            rejected.eq(sends & ~extractor.words.ready),
            extractor.words.valid.eq(sends), out.final.eq(final), out.last.eq(ends), out.spikes.eq(live),
            out.base.eq(changed.word * delaying.lanes), out.values.eq(before.values),
            out.occupied.eq(Cat(
                live[start:start + GROUP_BITS].any() for start in range(0, delaying.lanes, GROUP_BITS))),
        ]
        self._read_on(
            m, due=due, starts=goes & due.marker, looks=looks, rejected=rejected, slot=slot, word=word, reads=reads,
            ends=changed.valid & changed.looks & ends & ~rejected, at=changed.word, reading=reading, silent=silent,
            final=final, left=left, inference=inference)
        with m.If(rejected):
            m.d.sync += blocked.eq(1)
        with m.Elif(extractor.words.ready):
            m.d.sync += blocked.eq(0)
        return m

    def _take(self, m: Module, goes: Value) -> data.View:
        """Take tokens, and find in which slot, and where in it, an event is due; of a marker, the slot of its step."""
        delaying, token = self._delaying, self.events.payload
        slots = delaying.slots
        taken, looked_up = (Signal(token_struct(delaying.layout), name=name) for name in ("taken", "looked_up"))
        taken_valid, looked_up_valid = Signal(), Signal()
        delay = Signal(range(delaying.longest + 1))
        due = Signal(data.StructLayout({
            "valid": 1, "marker": 1, "final": 1, "slot": range(slots), "word": range(delaying.words),
            "lane": range(delaying.lanes), "value": max(1, delaying.layout.value_bits)}))
        moves, now = Signal(), Signal(range(slots))
        m.d.comb += [moves.eq(~due.valid | goes), self.events.ready.eq(moves)]
        if delaying.equal:
            found: Value = Const(delaying.longest)
        else:
            m.submodules.delays = delays = Memory(
                shape=delaying.delay_bits, depth=delaying.places, init=delaying.table.tolist())
            port = delays.read_port()
            m.d.comb += [port.addr.eq(self._turned(token.address)), port.en.eq(moves)]
            found = port.data
        total = Signal(range(2 * slots))
        m.d.comb += total.eq(now + delay)
        address = self._turned(looked_up.address)
        lane_bits = (delaying.lanes - 1).bit_length()
        with m.If(moves):
            m.d.sync += [
                taken_valid.eq(self.events.valid), taken.eq(token), looked_up_valid.eq(taken_valid),
                looked_up.eq(taken), delay.eq(Mux(taken.marker, 0, found)),
                due.valid.eq(looked_up_valid), due.marker.eq(looked_up.marker), due.final.eq(looked_up.final),
                due.slot.eq(Mux(total >= slots, total - slots, total)),
                due.lane.eq(address[:lane_bits]), due.word.eq(address[lane_bits:] if delaying.words > 1 else 0),
                due.value.eq(looked_up.value if delaying.layout.value_bits else 1),
            ]
            with m.If(looked_up_valid & looked_up.marker):
                m.d.sync += now.eq(Mux(now == slots - 1, 0, now + 1))
        return due

    def _read_on(
        self, m: Module, *, due: data.View, starts: Value, looks: Value, rejected: Value, ends: Value, at: Value,
        slot: Signal, word: Signal, reads: Signal, reading: Signal, silent: Signal, final: Signal, left: Signal,
        inference: Signal,
    ) -> None:
        """Step through the words of a slot, and end its reading, or go on with the next slot."""
        last_slot, last_word = self._delaying.slots - 1, self._delaying.words - 1
        with m.If(rejected):
            m.d.sync += [word.eq(at), reads.eq(1)]
        with m.Elif(looks):
            m.d.sync += [word.eq(word + 1), reads.eq(word != last_word)]
        with m.If(ends):
            m.d.sync += word.eq(0)
            with m.If(final & (left != 0)):
                m.d.sync += [slot.eq(Mux(slot == last_slot, 0, slot + 1)), reads.eq(1), silent.eq(1), left.eq(left - 1)]
            with m.Else():
                m.d.sync += reading.eq(0)
                with m.If(final):
                    m.d.sync += [inference.eq(~inference), left.eq(self._delaying.longest)]
        with m.If(starts):
            m.d.sync += [slot.eq(due.slot), word.eq(0), reads.eq(1), reading.eq(1), silent.eq(0), final.eq(due.final)]
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)

    def _turned(self, address: Value, back: bool = False) -> Value:
        """The place of an address; ``back``: the address of a place."""
        if not self._delaying.by_channel:
            return address
        layout = self._delaying.layout
        whole = Cat(address, Const(0, layout.address_bits - len(address)))  # places of a single channel have fewer bits
        return whole.rotate_left(layout.field_bits[0]) if back else whole.rotate_right(layout.field_bits[0])

    def _address(self, access: data.View) -> Value:
        """The address in the map of a slot's word."""
        return Cat(access.slot, access.word) if self._delaying.slot_first else Cat(access.word, access.slot)
