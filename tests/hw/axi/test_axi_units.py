# SPDX-License-Identifier: MIT
"""Units of the AXI accelerator: their arguments. tests/sim/backends/test_axi.py runs them, against models of others."""

import pytest
from firstspike_hw.axi.axi_lite import AxiLiteSubordinate
from firstspike_hw.axi.axi_stream import InputPackets, ResultPackets


@pytest.mark.parametrize("unit, arguments, wrong, message", [
    (AxiLiteSubordinate, {"address_bits": 12}, {"address_bits": 2},
     "address_bits must be an integer of at least 3, not 2"),
    (InputPackets, {"beat_bits": 16, "word_bits": 11, "image_words": 0}, {"word_bits": 17},
     "word_bits must be an integer of 1…16, not 17"),
    (InputPackets, {"beat_bits": 64, "word_bits": 64, "image_words": 3}, {"image_words": -1},
     "image_words must be an integer of at least 0, not -1"),
    (ResultPackets, {"result_bits": 65}, {"result_bits": 0}, "result_bits must be an integer of at least 1, not 0"),
])
def test_a_unit_has_its_arguments_and_refuses_wrong_ones(unit, arguments, wrong, message):
    made = unit(**arguments)
    assert {name: getattr(made, name) for name in arguments} == arguments
    with pytest.raises(ValueError, match=f"^{message}$"):
        unit(**{**arguments, **wrong})
