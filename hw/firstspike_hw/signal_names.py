# SPDX-License-Identifier: MIT
"""Names of signals after the variables that they are assigned to, the same on every Python.

Amaranth 0.5 reads them from the bytecode behind the call of Signal(). From 3.13 on, Python joins two instructions on
local variables into one, which it does not know; those signals had no name, and the Verilog was another.
"""

import sys
from collections.abc import Sequence
from opcode import opname
from types import CodeType
from typing import Any

from amaranth import tracer

__all__ = ["get_var_name", "name_behind"]

_AMARANTH = tracer.get_var_name
_CALLS = ("CALL", "CALL_KW", "CALL_FUNCTION_EX")
_STORES = ("STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST")
_LOADS = ("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW")
_PASSED = ("CACHE", "COPY", "BUILD_LIST", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "LOAD_FAST", "LOAD_FAST_BORROW",
           "LOAD_DEREF", *_LOADS)
"""What may stand between the call and the store, as in Amaranth, and two loads in one."""


def get_var_name(depth: int = 2, default: Any = tracer._raise_exception) -> Any:  # pyright: ignore
    """As `amaranth.tracer.get_var_name`, in whose place `firstspike_hw.verilog` puts it."""
    frame = sys._getframe(depth)
    return name_behind(frame.f_code, frame.f_lasti) or _AMARANTH(depth + 1, default)


def name_behind(code: CodeType, call: int, names: Sequence[str] = opname) -> str | None:
    """Return the variable that gets the result of the call at an offset of bytecode, if an instruction for two local
    variables is involved; else None, as Amaranth knows all others.

    ``names`` are those of the instructions, by number.
    """
    octets, joined = code.co_code, False
    while call > 0 and names[octets[call]] == "CACHE":
        call -= 2
    if names[octets[call]] not in _CALLS:
        return None
    # Ref: CPython, Doc/library/dis.rst, STORE_FAST_LOAD_FAST: the upper four bits are the variable that is stored first
    for place in range(call + 2, len(octets), 2):
        name, argument = names[octets[place]], octets[place + 1]
        if name in _STORES:
            return code.co_varnames[argument >> 4]
        if name not in _PASSED:
            table = {"STORE_ATTR": code.co_names, "STORE_FAST": code.co_varnames}.get(name)
            return table[argument] if joined and table else None
        joined |= name in _LOADS
    return None
