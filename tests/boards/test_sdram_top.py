# SPDX-License-Identifier: MIT
"""Test of a board's SDRAM: its files for synthesis, with every pin, and the levels of the pins that are inverted."""

import re

from firstspike_boards.sdram_top import sdram_test_files
from firstspike_boards.ulx3s import ULX3S
from firstspike_hw.sdram.sdram_core import CORE, SdramChip, SdramCore, StartStep

CHIP = SdramChip(module="IS42S16160")


def test_the_files_have_the_controller_the_clock_and_every_pin():
    core = SdramCore(chip=CHIP, clk_hz=50_000_000, text="// the controller\n", steps=(StartStep(register=0, data=1),))
    files = sdram_test_files(ULX3S, ULX3S.family.pll.fastest(ULX3S.input_hz, core.clk_hz), core)
    assert files[f"{CORE}.v"] == core.text
    placed = dict(re.findall(r'LOCATE COMP "(sdram_0__\w+?)(?:__io|__p)?(?:\[\d+\])?" SITE "(\w+)"', files["top.lpf"]))
    pins = re.findall(r'LOCATE COMP "sdram_0__\S+" SITE "(\w+)"', files["top.lpf"])
    assert len(pins) == len(set(pins)) == 13 + 2 + 16 + 2 + 6 and {"F19", "J16", "J17"} <= set(pins)
    assert {name.removeprefix("sdram_0__") for name in placed} == {
        "clk", "clk_en", "cs", "we", "ras", "cas", "ba", "a", "dq", "dqm"}
    design = files["top.il"]
    # Controller and pins of chip select, write enable and strobes are both low when active: nothing inverts them.
    cell = re.search(rf"cell \\{CORE} .*?\n  end", design, re.DOTALL)
    assert cell and re.search(r"connect \\sdram_dq \\sdram_0__dq__io", cell[0])
    for name, pin in (("cs_n", "cs"), ("ras_n", "ras"), ("cas_n", "cas"), ("we_n", "we"), ("cke", "clk_en")):
        buffer = re.search(rf"\nmodule \\top\.pin_{pin}\n.*?\nend\n", design, re.DOTALL)
        assert buffer and re.search(r"cell \$xor .*?connect \\B 1'0\n", buffer[0], re.DOTALL)
        assert re.search(rf"connect \\sdram_{name} ", cell[0])
