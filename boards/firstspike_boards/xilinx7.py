# SPDX-License-Identifier: MIT
"""AMD 7 series, Zynq-7000 included: projects for Vivado, and yosys's cell counts.

Ref: AMD DS181, DS187 (data sheets, speed grade −1), UG472 (clocking).
"""

from amaranth.hdl import Const, Instance, Module, Signal, Value
from amaranth.lib import io

from .family import Family
from .pll import PllLimits, PllSetting

__all__ = ["XILINX7"]

_MHZ = 1_000_000


def _clock(m: Module, pin, setting: PllSetting) -> tuple[Value, Value]:
    clock, made, loop, locked = Signal(), Signal(), Signal(), Signal()
    m.submodules.clock_pin = buffer = io.Buffer(io.Direction.Input, pin)
    m.submodules.pll = Instance(
        "PLLE2_BASE", p_CLKIN1_PERIOD=1e9 / setting.input_hz, p_DIVCLK_DIVIDE=setting.reference,
        p_CLKFBOUT_MULT=setting.feedback, p_CLKOUT0_DIVIDE=setting.output, i_CLKIN1=buffer.i, i_RST=Const(0),
        i_PWRDWN=Const(0), i_CLKFBIN=loop, o_CLKFBOUT=loop, o_CLKOUT0=made, o_LOCKED=locked,
    )
    m.submodules.clock_net = Instance("BUFG", i_I=made, o_O=clock)
    return clock, locked


XILINX7 = Family(
    name="7 series",
    pll=PllLimits(
        name="PLLE2", input_hz=(19 * _MHZ, 800 * _MHZ), detector_hz=(19 * _MHZ, 450 * _MHZ),
        vco_hz=(800 * _MHZ, 1600 * _MHZ), output_hz=(6_250_000, 464 * _MHZ), reference=range(1, 57),
        feedback=range(2, 65), output=range(1, 129), divided_feedback=False,
    ),
    clock=_clock,
    synthesis="synth_xilinx -flatten",
    flow=None,
)
