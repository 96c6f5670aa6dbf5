# SPDX-License-Identifier: MIT
"""Lattice iCE40 UltraPlus.

Ref: Lattice FPGA-TN-02052 (sysCLOCK PLL), FPGA-DS-02008 (UltraPlus data sheet); Project IceStorm, `.asc` format.
"""

import re

import numpy as np
from amaranth.hdl import Const, Instance, Module, Signal, Value

from .family import BlockFormat, Family, OpenFlow
from .pll import PllLimits, PllSetting

__all__ = ["ICE40"]

_MHZ = 1_000_000
_FILTER_ABOVE = (17, 26, 44, 66, 101)
"""Phase detector frequencies in MHz from which the next wider loop filter is used (range 1 below the first)."""


def _clock(m: Module, pin, setting: PllSetting) -> tuple[Value, Value]:
    clock, locked = Signal(), Signal()
    detector_mhz = setting.input_hz / setting.reference / _MHZ
    # The board's clock is on the PLL's own pad, whose input can drive nothing but the PLL.
    m.submodules.pll = Instance(
        "SB_PLL40_PAD", p_FEEDBACK_PATH="SIMPLE", p_DIVR=Const(setting.reference - 1, 4),
        p_DIVF=Const(setting.feedback - 1, 7), p_DIVQ=Const(setting.output.bit_length() - 1, 3),
        p_FILTER_RANGE=Const(1 + sum(detector_mhz >= edge for edge in _FILTER_ABOVE), 3),
        i_PACKAGEPIN=pin.io, i_RESETB=Const(1), i_BYPASS=Const(0), o_PLLOUTGLOBAL=clock, o_LOCK=locked,
    )
    return clock, locked


class _Asc(BlockFormat):
    """Sections ``.ram_data X Y`` of IceStorm's .asc: 16 lines of 16 words of 16 bits, the first word rightmost.

    In every width, a bit of 256 consecutive words of a memory lies in one of the 16 columns.
    """

    slices = np.arange(16)[:, None] + 16 * np.arange(256)

    def read(self, text: str) -> dict[str, np.ndarray]:
        return {match[1]: np.concatenate([_bits(line) for line in match[2].split()]) for match in _RAM.finditer(text)}

    def write(self, text: str, blocks: dict[str, np.ndarray]) -> str:
        def replaced(match: re.Match) -> str:
            lines = blocks[match[1]].reshape(16, 256)
            return f".ram_data {match[1]}\n" + "".join(
                f"{int.from_bytes(np.packbits(line, bitorder='little').tobytes(), 'little'):064x}\n" for line in lines)

        return _RAM.sub(replaced, text)


_RAM = re.compile(r"^\.ram_data (\d+ \d+)\n((?:[0-9a-f]{64}\n){16})", re.MULTILINE)


def _bits(digits: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits)[::-1], np.uint8), bitorder="little").astype(bool)


ICE40 = Family(
    name="iCE40",
    pll=PllLimits(
        name="SB_PLL40", input_hz=(10 * _MHZ, 133 * _MHZ), detector_hz=(10 * _MHZ, 133 * _MHZ),
        vco_hz=(533 * _MHZ, 1066 * _MHZ), output_hz=(16 * _MHZ, 275 * _MHZ), reference=range(1, 17),
        feedback=range(1, 129), output=[2 ** power for power in range(1, 7)], divided_feedback=False,
    ),
    clock=_clock,
    synthesis="synth_ice40 -abc9 -device u",  # mapped by the UltraPlus's delays: a fifth faster than without
    flow=OpenFlow(
        placer="nextpnr-ice40", place=("--pcf", "top.pcf", "--asc", "{name}.asc"),
        packer="icepack", pack=("{name}.asc", "{name}.bin"), unpacker="iceunpack", unpack=("{name}.bin", "{name}.asc"),
        config="asc", bitstream="bin", improve=lambda netlist: None, blocks=_Asc(),
    ),
)
