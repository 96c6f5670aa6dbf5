# SPDX-License-Identifier: MIT
"""Gowin GW1N.

Ref: Gowin DS117 (GW1NR data sheet), UG286 (clock), UG285 (BSRAM); Project Apicula.
"""

import json

import numpy as np
from amaranth.hdl import Const, Instance, Module, Signal, Value
from amaranth.lib import io

from .family import BlockFormat, Family, OpenFlow
from .pll import PllLimits, PllSetting

__all__ = ["GOWIN"]

_MHZ = 1_000_000


def _clock(m: Module, pin, setting: PllSetting) -> tuple[Value, Value]:
    clock, locked = Signal(), Signal()
    m.submodules.clock_pin = buffer = io.Buffer(io.Direction.Input, pin)
    m.submodules.pll = Instance(
        "rPLL", p_DEVICE="GW1NR-9C", p_FCLKIN=f"{setting.input_hz / _MHZ:g}", p_IDIV_SEL=setting.reference - 1,
        p_FBDIV_SEL=setting.feedback - 1, p_ODIV_SEL=setting.output, p_CLKFB_SEL="internal", p_DYN_IDIV_SEL="false",
        p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false", p_DYN_SDIV_SEL=2, p_DYN_DA_EN="false", p_PSDA_SEL="0000",
        p_DUTYDA_SEL="1000", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false", p_CLKOUTD_BYPASS="false",
        p_CLKOUTD_SRC="CLKOUT", p_CLKOUTD3_SRC="CLKOUT", i_CLKIN=buffer.i, o_CLKOUT=clock, o_LOCK=locked,
        **{f"i_{name}": Const(0, width) for name, width in {
            "CLKFB": 1, "RESET": 1, "RESET_P": 1, "FBDSEL": 6, "IDSEL": 6, "ODSEL": 6, "PSDA": 4, "DUTYDA": 4,
            "FDLY": 4}.items()},
    )
    return clock, locked


class _Json(BlockFormat):
    """The placed netlist as nextpnr writes it, in JSON.

    The cell of a block has parameters INIT_RAM_00 … 3F of 256 bits each, or of 288 if its words have parity bits. In
    512 consecutive words of a memory, the places of one bit are the width apart. A block is named after its cell.
    """

    slices = np.array([
        chunk * 512 * width + lane + width * np.arange(512)
        for width, bits in ((1, 16384), (2, 16384), (4, 16384), (8, 16384), (16, 16384), (32, 16384),
                            (9, 18432), (18, 18432), (36, 18432))
        for chunk in range(bits // (512 * width)) for lane in range(width)
    ])

    def read(self, text: str) -> dict[str, np.ndarray]:
        return {name: np.resize(np.concatenate([
            np.frombuffer(parameters[key].encode(), np.uint8)[::-1] == ord("1") for key in _INIT]), 18432)
            for name, parameters in _block_rams(json.loads(text))}

    def write(self, text: str, blocks: dict[str, np.ndarray]) -> str:
        design = json.loads(text)
        for name, parameters in _block_rams(design):
            width = len(parameters[_INIT[0]])
            for place, key in enumerate(_INIT):
                bits = blocks[name][place * width:(place + 1) * width]
                parameters[key] = "".join("01"[bit] for bit in bits[::-1].tolist())
        return json.dumps(design)


_INIT = [f"INIT_RAM_{number:02X}" for number in range(64)]


def _block_rams(design: dict):
    """Yield name and parameters of every block RAM with initial contents."""
    for module in design["modules"].values():
        for name, cell in module["cells"].items():
            if _INIT[0] in cell["parameters"]:
                yield name, cell["parameters"]


GOWIN = Family(
    name="GW1N",
    pll=PllLimits(
        name="rPLL", input_hz=(3 * _MHZ, 400 * _MHZ), detector_hz=(3 * _MHZ, 400 * _MHZ),
        vco_hz=(400 * _MHZ, 1200 * _MHZ), output_hz=(3_125_000, 600 * _MHZ), reference=range(1, 65),
        feedback=range(1, 65), output=(2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128), divided_feedback=True,
    ),
    clock=_clock,
    synthesis="synth_gowin",
    flow=OpenFlow(
        placer="nextpnr-himbaechel-gowin", place=("--vopt", "cst=top.cst", "--write", "{name}.json"),
        packer="gowin_pack", pack=("-o", "{name}.fs", "{name}.json"), unpacker=None, unpack=(),
        config="json", bitstream="fs", improve=lambda netlist: None, blocks=_Json(),
    ),
)
