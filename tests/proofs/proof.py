# SPDX-License-Identifier: MIT
"""Proof: a unit of the hardware, what may come to it, and what then holds in every cycle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from amaranth.hdl import Assert, Assume, ClockDomain, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream

__all__ = ["Fault", "Proof"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault to be planted: in the source of a module, the text that stands there exactly once, and the fault."""

    module: str
    find: str
    replace: str


class Proof(Elaboratable):
    """Base of all proofs: a module around one unit. Whatever `free` returns may be anything, in every cycle.

    A subclass builds the unit in `build`, says by `assume` what may come to it, and by `hold` what must then be so.

    Attributes
    ----------
    unit : str
        Name of the unit, with what it is made for, if there are several.
    cycles : int or None
        None: what holds is proved for ever, by induction (IC3, or PDR). Else it is proved for so many cycles after
        reset.
    faults : dict
        For each property a fault that must break it: a proof that cannot fail proves nothing.
    """

    unit: ClassVar[str]
    cycles: ClassVar[int | None] = None
    faults: ClassVar[Mapping[str, Fault]]

    def __init__(self, only: str | None = None):
        """With ``only``, that property alone is to be proved."""
        self._only = only
        self.inputs: list[Signal] = []
        self.names: list[str] = []

    def build(self, m: Module) -> None:
        """Add the unit to the module, with all that is assumed and held of it."""
        raise NotImplementedError

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True)
        self.inputs.append(domain.clk)
        self._m = m
        self.build(m)
        if self._only is not None and self._only not in self.names:
            raise ValueError(f"property must be one of {self.names}, not {self._only!r}")
        return m

    def free(self, shape, name: str) -> Signal:
        """A signal that has any value in any cycle."""
        self.inputs.append(Signal(shape, name=name))
        return self.inputs[-1]

    def fixed(self, shape, name: str) -> Signal:
        """A signal that has any value, but always the same."""
        first, kept, signal = Signal(init=1), Signal(shape), Signal(shape, name=f"{name}_fixed")
        self._m.d.sync += [first.eq(0), kept.eq(signal)]
        self._m.d.comb += signal.eq(Mux(first, self.free(shape, name), kept))
        return signal

    def assume(self, condition: Value) -> None:
        """What comes to the unit satisfies this."""
        self._m.d.comb += Assume(condition)

    def hold(self, name: str, condition: Value) -> None:
        """The unit ensures this, in every cycle. Several conditions of one name are one property."""
        if name not in self.names:
            self.names.append(name)
        if self._only in (None, name):
            self._m.d.comb += Assert(condition)

    def past(self, value, init: int = 0) -> Value:
        """The value of the cycle before; ``init`` in the first."""
        value = Value.cast(value)
        before = Signal(value.shape(), init=init)
        self._m.d.sync += before.eq(value)
        return before

    def offer(self, port: stream.Interface, name: str, *, patient: bool = True) -> None:
        """Offer anything at a stream's input; what is offered stays until it is taken, if ``patient``."""
        valid, payload = self.free(1, f"{name}_valid"), self.free(Value.cast(port.payload).shape(), f"{name}_payload")
        self._m.d.comb += [port.valid.eq(valid), Value.cast(port.payload).eq(payload)]
        if patient:
            self.assume(self._stays(port))

    def take(self, port: stream.Interface, name: str) -> None:
        """Take what a stream's output offers whenever it pleases."""
        self._m.d.comb += port.ready.eq(self.free(1, f"{name}_ready"))

    def hold_stays(self, port: stream.Interface) -> None:
        """The unit does not take back, nor change, what it offers."""
        self.hold("what waits stays as it is", self._stays(port))

    def _stays(self, port: stream.Interface) -> Value:
        waits = self.past(port.valid & ~port.ready)
        return ~waits | (port.valid & (self.past(port.payload) == Value.cast(port.payload)))

    def hold_order(
        self, *, enters: Value, given, leaves: stream.Interface, shown=None, room: int, limits: bool = True,
    ) -> Value:
        """What enters leaves in the same order and as it was, all of it, and nothing else; returns how much is inside.

        Any one of all that enter is followed: its place behind those before it, and what it is. ``shown`` is what is
        compared with what was ``given``: the payload, if not given. There is never more inside than ``room``, which
        is a property of its own if the unit ``limits`` it.
        """
        m, given = self._m, Value.cast(given)
        shown = Value.cast(leaves.payload if shown is None else shown)
        passes = leaves.valid & leaves.ready
        inside, ahead, follows, gone = (Signal(range(room + 2)), Signal(range(room + 2)), Signal(), Signal())
        kept, chosen = Signal(given.shape()), self.free(1, "chosen")
        m.d.sync += inside.eq(inside + enters - passes)
        with m.If(enters & chosen & ~follows):
            m.d.sync += [follows.eq(1), kept.eq(given), ahead.eq(inside - passes)]
        with m.Elif(passes & follows):
            m.d.sync += [ahead.eq(Mux(ahead == 0, 0, ahead - 1)), gone.eq(gone | (ahead == 0))]
        self.hold("all leave in order, as they came",
                  ~(follows & ~gone & (ahead == 0) & leaves.valid) | (shown == kept))
        self.hold("nothing leaves that did not come", ~leaves.valid | (inside != 0))
        if limits:
            self.hold("no more inside than there is room", inside <= room)
        return inside

    def hold_soon(self, name: str, condition: Value, cycles: int) -> None:
        """What is given does not stay so for more than so many cycles in a row."""
        waited = Signal(range(cycles + 2))
        self._m.d.sync += waited.eq(Mux(condition, Mux(waited > cycles, waited, waited + 1), 0))
        self.hold(name, waited <= cycles)
