# SPDX-License-Identifier: MIT
"""Lattice ECP5.

Ref: Lattice FPGA-DS-02012 (data sheet), FPGA-TN-02200 (sysCLOCK PLL); Project Trellis, textual configuration.
"""

import re

import numpy as np
from amaranth.hdl import Const, Instance, Module, Signal, Value
from amaranth.lib import io

from .ecp5_netlist import improve
from .family import BlockFormat, Family, OpenFlow
from .pll import PllLimits, PllSetting

__all__ = ["ECP5"]

_MHZ = 1_000_000


_LOOP_DIVIDER = 2
"""Divider of CLKOP, which closes the loop. The clock is CLKOS: its divider is free, for many more frequencies."""


def _clock(m: Module, pin, setting: PllSetting) -> tuple[Value, Value]:
    clock, loop, locked = Signal(), Signal(), Signal()
    m.submodules.clock_pin = buffer = io.Buffer(io.Direction.Input, pin)
    m.submodules.pll = Instance(
        "EHXPLLL", a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB", p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD",
        p_CLKI_DIV=setting.reference, p_CLKFB_DIV=setting.feedback // _LOOP_DIVIDER, p_FEEDBK_PATH="CLKOP",
        p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=_LOOP_DIVIDER, p_CLKOP_CPHASE=_LOOP_DIVIDER - 1, p_CLKOP_FPHASE=0,
        p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=setting.output, p_CLKOS_CPHASE=setting.output - 1, p_CLKOS_FPHASE=0,
        i_CLKI=buffer.i, i_CLKFB=loop, o_CLKOP=loop, o_CLKOS=clock, o_LOCK=locked,
        **{f"i_{name}": Const(0) for name in (
            "RST", "STDBY", "PHASESEL0", "PHASESEL1", "PHASEDIR", "PHASESTEP", "PHASELOADREG", "PLLWAKESYNC",
            "ENCLKOP")},
    )
    return clock, locked


class _TextConfig(BlockFormat):
    """Sections ``.bram_init N`` of Trellis's textual configuration: 2048 words of 9 bits, eight a line.

    Widths of 1, 2 and 4 bits leave every ninth bit out. In 512 consecutive words of a memory, the places of one bit are
    the width apart.
    """

    slices = np.array([
        [(bit // unit) * 9 + bit % unit for bit in chunk * 512 * width + lane + width * np.arange(512)]
        for width, unit in ((1, 8), (2, 8), (4, 8), (9, 9), (18, 9), (36, 9))
        for chunk in range(2048 * unit // (512 * width)) for lane in range(width)
    ])

    def read(self, text: str) -> dict[str, np.ndarray]:
        return {match[1]: _bits(match[2]) for match in _RAM.finditer(text)}

    def write(self, text: str, blocks: dict[str, np.ndarray]) -> str:
        def replaced(match: re.Match) -> str:
            words = blocks[match[1]].reshape(-1, 9) @ (1 << np.arange(9))
            lines = [" ".join(f"{word:03x}" for word in line) for line in words.reshape(-1, 8).tolist()]
            return f".bram_init {match[1]}\n" + "".join(f"{line}\n" for line in lines)

        return _RAM.sub(replaced, text)


_RAM = re.compile(r"^\.bram_init (\d+)\n((?:[0-9a-f]{3}[ \n]){2048})", re.MULTILINE)


def _bits(words: str) -> np.ndarray:
    values = np.array([int(word, 16) for word in words.split()])
    return (values[:, None] >> np.arange(9) & 1).astype(bool).ravel()


ECP5 = Family(
    name="ECP5",
    pll=PllLimits(
        name="EHXPLLL", input_hz=(8 * _MHZ, 400 * _MHZ), detector_hz=(10 * _MHZ, 400 * _MHZ),
        vco_hz=(400 * _MHZ, 800 * _MHZ), output_hz=(3_125_000, 400 * _MHZ), reference=range(1, 129),
        feedback=range(_LOOP_DIVIDER, 81 * _LOOP_DIVIDER, _LOOP_DIVIDER), output=range(1, 129), divided_feedback=False,
    ),
    clock=_clock,
    # synth_ecp5 maps to LUTs as if a wire took 300 ps. It is rather a nanosecond, so that fewer LUTs in a row pay.
    synthesis="synth_ecp5 -top {top} -run begin:map_luts; abc9 -W 1000; clean; synth_ecp5 -run map_cells:",
    flow=OpenFlow(
        placer="nextpnr-ecp5",
        place=("--lpf", "top.lpf", "--textcfg", "{name}.config"),
        # Four times the weight that timing has beside the length of wires: 3 % faster, at no cost.
        options=("--placer-heap-timingweight", "40"),
        packer="ecppack", pack=("--compress", "--input", "{name}.config", "--bit", "{name}.bit"),
        unpacker="ecpunpack", unpack=("--input", "{name}.bit", "--textcfg", "{name}.config"),
        config="config", bitstream="bit", improve=improve, blocks=_TextConfig(),
    ),
)
