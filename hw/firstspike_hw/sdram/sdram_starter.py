# SPDX-License-Identifier: MIT
"""Starts an SDRAM after reset: what a processor would write into LiteDRAM's registers."""

from collections.abc import Sequence
from typing import Protocol

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .sdram_core import StartStep

__all__ = ["ControlInterface", "SdramStarter", "control_bus"]

REGISTER_BITS = 30
"""Bits of a register's address on the control bus."""


class ControlInterface(Protocol):
    """Members of `control_bus`."""

    adr: Signal
    dat_w: Signal
    sel: Signal
    cyc: Signal
    stb: Signal
    we: Signal
    ack: Signal
    signature: wiring.Signature


def control_bus() -> wiring.Signature:
    """The part of LiteDRAM's Wishbone bus that writes to registers need."""
    return wiring.Signature({"adr": Out(REGISTER_BITS), "dat_w": Out(32), "sel": Out(4), "cyc": Out(1), "stb": Out(1),
                             "we": Out(1), "ack": In(1)})


class SdramStarter(wiring.Component):
    """Makes the writes one after the other, and waits behind each for as many cycles as it says.

    Latency: the first write is offered in the first cycle after reset; behind a write that is taken in cycle c, with a
    wait of w cycles, the next is offered in c + 2 + w, and ``done`` rises in that cycle behind the last.

    Parameters
    ----------
    steps : sequence of StartStep

    Members
    -------
    bus : Out(control_bus())
    done : Out(1)
    """

    bus: ControlInterface
    done: Signal

    def __init__(self, steps: Sequence[StartStep]):
        if not steps:
            raise ValueError("steps must be at least one, not none")
        self._steps = tuple(steps)
        super().__init__({"bus": Out(control_bus()), "done": Out(1)})

    @property
    def steps(self) -> Sequence[StartStep]:
        """The writes."""
        return self._steps

    def elaborate(self, platform):
        m = Module()
        bus, steps = self.bus, self._steps
        place, wait = Signal(range(len(steps) + 1)), Signal(range(max(one.wait for one in steps) + 2))
        behind = Signal.like(wait)
        with m.Switch(place):
            for number, one in enumerate(steps):
                with m.Case(number):
                    m.d.comb += [bus.adr.eq(one.register), bus.dat_w.eq(one.data), behind.eq(one.wait + 1)]
        offers = Signal()
        m.d.comb += [offers.eq((wait == 0) & ~self.done), bus.sel.eq(0b1111), bus.we.eq(1), bus.cyc.eq(offers),
                     bus.stb.eq(offers), self.done.eq((wait == 0) & (place == len(steps)))]
        m.d.sync += wait.eq(Mux(wait == 0, 0, wait - 1))
        with m.If(offers & bus.ack):
            m.d.sync += [place.eq(place + 1), wait.eq(behind)]
        return m
