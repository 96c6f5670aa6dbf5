# SPDX-License-Identifier: MIT
"""Extractor: the events of each word in ascending order, and behind the last word of a step its marker."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from firstspike_arch.events import TokenLayout
from firstspike_arch.layer_plan import GROUP_BITS
from firstspike_hw.extractor import Extractor
from proof import Fault, Proof

_UNIT = "firstspike_hw.extractor"
_ROOM = 3
"""Words inside: one whose groups are found, one whose group is picked, one whose events are sent."""


class ExtractorProof(Proof):
    unit = "extractor"
    lanes: ClassVar = 9
    faults: ClassVar = {
        "the next event is the lowest left of the first word": Fault(
            module=_UNIT, find="group.eq(lowest_one(occupied))", replace="group.eq(0)"),
        "the marker is behind the events of the last word": Fault(
            module=_UNIT, find="out.final.eq(marker & picked.final)", replace="out.final.eq(marker & word.final)"),
        "nothing leaves that did not come": Fault(
            module=_UNIT, find="pick_valid.eq(word_valid)", replace="pick_valid.eq(1)"),
        "no more words inside than there is room": Fault(
            module=_UNIT, find="self.words.ready.eq(~word_valid | (pick_ready & ends))",
            replace="self.words.ready.eq(1)"),
        "what waits stays as it is": Fault(
            module="firstspike_hw.emitter", find="with m.Elif(move):\n            # Behind",
            replace="with m.Else():\n            # Behind"),
        "there is a token in every cycle": Fault(
            module=_UNIT, find="pick_valid.eq(word_valid)", replace="pick_valid.eq(word_valid & ends)"),
    }

    def build(self, m: Module) -> None:
        layout = TokenLayout(shape=(16,))
        m.submodules.unit = unit = Extractor(layout=layout, lanes=self.lanes)
        words, events = unit.words, unit.events
        given, token = words.payload, events.payload
        self.offer(words, "words", patient=False)
        self.take(events, "events")
        groups = [given.spikes[start:start + GROUP_BITS] for start in range(0, self.lanes, GROUP_BITS)]
        self.assume(given.occupied == Cat(part.any() for part in groups))
        self.assume(given.last | given.spikes.any())

        # The words that are inside, the first of which the events that are left.
        inside, taken, passes = Signal(range(_ROOM + 2)), words.valid & words.ready, events.valid & events.ready
        kept = [Signal.like(given, name=f"kept{place}") for place in range(_ROOM)]
        first = kept[0]
        lowest = first.spikes & ~(first.spikes - 1)
        rest = first.spikes & (first.spikes - 1)
        goes = passes & Mux(first.last, first.spikes == 0, rest == 0)
        after = [Signal.like(given, name=f"after{place}") for place in range(_ROOM)]
        left = inside - goes
        for place in range(_ROOM):
            behind = kept[place + 1] if place + 1 < _ROOM else given
            m.d.comb += after[place].eq(Mux(goes, behind, kept[place]))
            if place == 0:
                with m.If(passes & ~goes):
                    m.d.comb += after[0].spikes.eq(rest)
            m.d.sync += kept[place].eq(Mux(taken & (left == place), given, after[place]))
        m.d.sync += inside.eq(left + taken)
        number = Signal(range(self.lanes))
        for lane in range(self.lanes):
            with m.If(lowest[lane]):
                m.d.comb += number.eq(lane)
        some = first.spikes != 0
        self.hold("the next event is the lowest left of the first word", ~(events.valid & (inside != 0) & some) | (
            ~token.marker & (token.address == (first.base + number)[:len(token.address)])))
        self.hold("the marker is behind the events of the last word",
                  ~(events.valid & (inside != 0) & ~some) | (token.marker & (token.final == first.final)))
        self.hold("nothing leaves that did not come", ~events.valid | (inside != 0))
        self.hold("no more words inside than there is room", inside <= _ROOM)
        self.hold_stays(events)
        # Words that come without a gap leave so, three cycles later.
        comes = words.valid
        for _ in range(3):
            comes = words.valid & self.past(comes)
        self.hold("there is a token in every cycle", ~comes | events.valid)
