# SPDX-License-Identifier: MIT
"""What a row memory and a program port refuse, and what they say of themselves."""

import pytest
from firstspike_hw.program_port import ProgramPort
from firstspike_hw.row_memory import RowMemory


def test_arguments_can_be_read_back():
    memory = RowMemory(rows=3, width=4, registers=True, init=[1, 2, 3])
    assert (memory.rows, memory.width, memory.registers) == (3, 4, True)


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"rows": 0, "width": 4, "registers": True}, r"rows and width must be at least 1, not 0 and 4"),
    ({"rows": 3, "width": 4, "registers": True, "init": [1]},
     r"init must be a value for each of 3 rows in registers, or none, not 1"),
    ({"rows": 3, "width": 4, "registers": True, "parity": True}, r"parity must be off for rows in registers"),
    ({"rows": 3, "width": 4, "registers": False, "init": [1, 2, 3]},
     r"init must be a value for each of 3 rows in registers, or none, not 3"),
])
def test_wrong_arguments_are_said(arguments, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        RowMemory(**arguments)


def test_a_program_port_reaches_a_core():
    with pytest.raises(ValueError, match=r"^cores must be at least one, not none$"):
        ProgramPort([])
