# SPDX-License-Identifier: MIT
"""Dividers: within the data sheets' ranges, exact, and the settings that the vendors' own tools choose."""

import re
from fractions import Fraction

import pytest
from firstspike_boards.boards import BOARDS
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.gowin import GOWIN
from firstspike_boards.ice40 import ICE40
from firstspike_boards.pll import PllError, PllLimits
from firstspike_boards.xilinx7 import XILINX7
from hypothesis import given, settings
from hypothesis import strategies as st

FAMILIES = {family.name: family for family in (ICE40, ECP5, GOWIN, XILINX7)}
MHZ = 1_000_000


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(20 * MHZ, 130 * MHZ), st.integers(17 * MHZ, 260 * MHZ))
def test_a_setting_is_exact_and_within_every_range(name, input_hz, limit_hz):
    limits = FAMILIES[name].pll
    found = limits.fastest(input_hz, limit_hz)
    detector = Fraction(input_hz, found.reference)
    # Ref: the loop equations of FPGA-TN-02052, FPGA-TN-02200, UG286 and UG472.
    if name != "GW1N":
        assert found.vco_hz == detector * found.feedback and found.hz == found.vco_hz / found.output
    else:
        assert found.hz == detector * found.feedback and found.vco_hz == found.hz * found.output
    assert found.hz <= limit_hz
    for value, (low, high) in ((input_hz, limits.input_hz), (detector, limits.detector_hz),
                               (found.vco_hz, limits.vco_hz), (found.hz, limits.output_hz)):
        assert low <= value <= high
    assert found.reference in limits.reference and found.feedback in limits.feedback and found.output in limits.output


def test_nothing_between_the_setting_and_the_limit_is_left_out():
    small = PllLimits(name="small", input_hz=(1, 100), detector_hz=(5, 100), vco_hz=(40, 80), output_hz=(5, 40),
                      reference=range(1, 5), feedback=range(1, 17), output=(2, 4), divided_feedback=False)
    made = sorted({Fraction(20 * feedback, reference * output) for reference in range(1, 5)
                   for feedback in range(1, 17) for output in (2, 4)
                   if 20 / reference >= 5 and 40 <= Fraction(20 * feedback, reference) <= 80})
    assert made[0] == 10 and made[-1] == 40
    assert [small.fastest(20, limit).hz for limit in made] == made
    assert [small.fastest(20, limit - Fraction(1, 100)).hz for limit in made[1:]] == made[:-1]


# icepll -i 12 -o 48 has the same dividers; ecppll, gowin_pll and Vivado make the same frequencies.
@pytest.mark.parametrize(("family", "input_hz", "hz", "reference", "vco_hz"), [
    (ICE40, 12 * MHZ, 48 * MHZ, 1, 768 * MHZ), (ECP5, 25 * MHZ, 125 * MHZ, 1, 750 * MHZ),
    (GOWIN, 27 * MHZ, 54 * MHZ, 1, 864 * MHZ), (XILINX7, 100 * MHZ, 100 * MHZ, 1, 1600 * MHZ),
])
def test_settings_that_are_known(family, input_hz, hz, reference, vco_hz):
    found = family.pll.fastest(input_hz, hz)
    assert (found.hz, found.reference, found.vco_hz) == (hz, reference, vco_hz)


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_every_board_gets_its_clock_exactly(board):
    assert board.family.pll.fastest(board.input_hz, board.clock_hz).hz == board.clock_hz


@pytest.mark.parametrize(("limits", "input_hz", "hz", "sentence"), [
    (ICE40.pll, 12 * MHZ, 12 * MHZ,
     "clock must be ≥ 16.125 MHz, the slowest that SB_PLL40 makes of 12 MHz, not 12 MHz"),
    (ECP5.pll, 500 * MHZ, 100 * MHZ, "input of EHXPLLL must be 8 … 400 MHz, not 500 MHz"),
])
def test_what_cannot_be_made_is_one_sentence(limits, input_hz, hz, sentence):
    with pytest.raises(PllError, match=f"^{re.escape(sentence)}$"):
        limits.fastest(input_hz, hz)
