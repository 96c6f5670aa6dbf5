# SPDX-License-Identifier: MIT
"""Guard: whatever comes from outside, what goes inside is a well-formed token stream."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from firstspike_arch.events import TokenLayout

from .integer_argument import integer_argument
from .stream_token import token_stream

__all__ = ["Guard"]


class Guard(wiring.Component):
    """Passes a well-formed stream on as it is, and repairs any other.

    Latency and throughput: a token passes in the cycle in which it comes, one a cycle. The repairs:

    - An event whose address, or a field of it, or value is out of range, or with a spare bit set, is taken and dropped
      (``bad_address``); with ``once`` also one behind the first marker of an inference, and with ``ordered`` one whose
      neuron, in torch's order, is not behind those of the events that have passed in its step.
    - A marker that would open step ``steps_max``, if there is such a limit, ends the inference instead (``overrun``);
      what follows is taken and dropped up to and with the next final marker.
    - ``restart``, or a silence of ``timeout`` cycles inside an inference, ends it with a final marker (``cut``); what
      comes next starts a new inference. Both also end the dropping after an overrun. A token that waits, or is kept
      out, is no silence.

    Parameters
    ----------
    layout : TokenLayout
        Layout of the tokens.
    steps_max : int
        Most steps of an inference; 0: it need not end.
    timeout : int
        Cycles of silence after which an open inference ends; 0: it waits forever, and nothing counts.
    once : bool
        Events are allowed in the first step only.
    ordered : bool
        The events of a step come in the order of their neurons, at most one of each.
    spare_bits : int
        Bits of an incoming word above its token, which must be 0 in an event.

    Members
    -------
    source : In(token_stream(layout, spare_bits)), events : Out(token_stream(layout))
    kept_out : In(1)
        A token is offered outside, but no inference may enter now.
    restart : In(1)
        High for one cycle: the host starts afresh; an inference that is open ends.
    bad_address, overrun, cut : Out(1)
        High for one cycle at each repair.
    opens : Out(1)
        The first token of an inference passes.
    """

    source: stream.Interface
    events: stream.Interface
    kept_out: Signal
    restart: Signal
    bad_address: Signal
    overrun: Signal
    cut: Signal
    opens: Signal

    def __init__(
        self, *, layout: TokenLayout, steps_max: int, timeout: int, once: bool = False, ordered: bool = False,
        spare_bits: int = 0,
    ):
        self._layout, self._once, self._ordered = layout, once, ordered
        self._spare_bits = integer_argument("spare_bits", spare_bits, 0)
        self._steps_max = integer_argument("steps_max", steps_max, int(once))
        self._timeout = integer_argument("timeout", timeout, 0, unit="cycles")
        super().__init__({
            "source": In(token_stream(layout, spare_bits)), "events": Out(token_stream(layout)), "kept_out": In(1),
            "restart": In(1), "bad_address": Out(1), "overrun": Out(1), "cut": Out(1), "opens": Out(1),
        })

    @property
    def layout(self) -> TokenLayout:
        """Layout of the tokens."""
        return self._layout

    @property
    def steps_max(self) -> int:
        """Most steps of an inference; 0: it need not end."""
        return self._steps_max

    @property
    def timeout(self) -> int:
        """Cycles of silence after which an open inference ends; 0: it waits forever."""
        return self._timeout

    @property
    def once(self) -> bool:
        """Whether events are allowed in the first step only."""
        return self._once

    @property
    def ordered(self) -> bool:
        """Whether the events of a step must come in the order of their neurons."""
        return self._ordered

    @property
    def spare_bits(self) -> int:
        """Bits of an incoming word above its token."""
        return self._spare_bits

    def elaborate(self, platform):
        m = Module()
        token = self.source.payload
        is_open, dropping, ending = Signal(), Signal(), Signal()
        step = Signal(range(max(1, self._steps_max)))
        outside: Value = Const(0)
        layout, fields, low = self._layout, [], 0
        for bits, size in zip(layout.field_bits, layout.field_sizes, strict=True):
            fields.append(token.address[low:low + bits])
            outside, low = outside | (fields[-1] >= size), low + bits
        if self._spare_bits:
            outside = outside | token.spare.any()
        if layout.value_bits:
            outside = outside | (token.value < layout.low) | (token.value > layout.high)
        if self._once:
            outside = outside | (step != 0)
        passed = Signal()
        if self._ordered:
            # The fields of a map's address are channel, x and y from the lowest bit; torch counts x, y, channel.
            neuron, last, follows = Cat(*fields[1:], fields[0]), Signal(layout.address_bits), Signal()
            outside = outside | (follows & (neuron <= last))
            with m.If(passed):
                m.d.sync += [last.eq(neuron), follows.eq(~self.events.payload.marker)]
        bad = ~token.marker & outside
        too_long: Value = Const(0)
        if self._steps_max:
            too_long = token.marker & ~token.final & (step == self._steps_max - 1)
        swallow = dropping | bad
        move, valid, out = self.events.ready, self.events.valid, self.events.payload
        m.d.comb += [
            out.eq(token),  # without the spare bits
            valid.eq(self.source.valid & ~swallow & ~ending),
            self.source.ready.eq((move | swallow) & ~ending),
        ]
        with m.If(too_long):
            m.d.comb += out.final.eq(1)
        with m.If(ending):
            m.d.comb += [valid.eq(1), out.eq(0), out.marker.eq(1), out.final.eq(1)]
        taken = self.source.valid & self.source.ready
        m.d.comb += [
            passed.eq(valid & move), self.opens.eq(passed & ~is_open), self.bad_address.eq(taken & bad & ~dropping),
            self.overrun.eq(passed & too_long & ~ending), self.cut.eq(passed & ending),
        ]
        open_next = Mux(passed, ~(out.marker & out.final), is_open)
        m.d.sync += is_open.eq(open_next)
        with m.If(passed), m.If(out.marker):
            m.d.sync += step.eq(Mux(out.final, 0, step + 1))
        with m.If(self.overrun):
            m.d.sync += dropping.eq(1)
        with m.Elif(taken & dropping & token.marker & token.final):
            m.d.sync += dropping.eq(0)
        breaks: Value = self.restart
        silence = Signal(range(self._timeout + 1))
        if self._timeout:
            breaks = self.restart | (silence == self._timeout)
            m.d.sync += silence.eq(Mux(self.source.valid | self.kept_out | ~(is_open | dropping), 0, silence + 1))
        with m.If(breaks):
            m.d.sync += [dropping.eq(0), ending.eq(open_next), silence.eq(0)]
        with m.If(self.cut):
            m.d.sync += ending.eq(0)
        return m
