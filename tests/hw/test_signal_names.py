# SPDX-License-Identifier: MIT
"""Signals are named after their variables, whatever the instructions of this Python."""

from types import SimpleNamespace

import pytest
from amaranth import tracer
from amaranth.hdl import Signal
from firstspike_hw.signal_names import get_var_name, name_behind

NAMES = ["CACHE", "CALL", "STORE_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST", "LOAD_FAST_LOAD_FAST",
         "LOAD_FAST", "STORE_ATTR", "BINARY_OP", "EXTENDED_ARG"]
"""Instructions of Python 3.13, by numbers of the test's own."""


def behind(*instructions: tuple[str, int]) -> str | None:
    """What is named by these instructions behind a call that has two caches."""
    octets = [1, 0, 0, 0, 0, 0]
    for name, argument in instructions:
        octets += [NAMES.index(name), argument]
    code = SimpleNamespace(co_code=bytes(octets), co_varnames=("a", "b", "c"), co_names=("x", "y"))
    return name_behind(code, 4, NAMES)  # in its last cache, as a frame says


@pytest.mark.parametrize(("instructions", "name"), [
    ([("STORE_FAST_LOAD_FAST", 0x20)], "c"),
    ([("STORE_FAST_STORE_FAST", 0x12)], "b"),
    ([("LOAD_FAST_LOAD_FAST", 0x01), ("STORE_ATTR", 1)], "y"),
    ([("LOAD_FAST_LOAD_FAST", 0x01), ("CACHE", 0), ("STORE_FAST", 0)], "a"),
    ([("LOAD_FAST", 2), ("STORE_FAST_LOAD_FAST", 0x10)], "b"),
    ([("LOAD_FAST_LOAD_FAST", 0x01), ("BINARY_OP", 0)], None),
    ([("LOAD_FAST_LOAD_FAST", 0x01), ("EXTENDED_ARG", 1), ("STORE_ATTR", 1)], None),
    ([("STORE_FAST", 1)], None),  # which Amaranth knows
    ([("LOAD_FAST", 0), ("STORE_ATTR", 0)], None),
    ([], None),
])
def test_pairs_of_instructions(instructions, name):
    assert behind(*instructions) == name


def test_what_is_no_call_names_nothing():
    code = SimpleNamespace(co_code=bytes([NAMES.index("LOAD_FAST"), 0, NAMES.index("STORE_FAST_LOAD_FAST"), 0]),
                           co_varnames=("a",), co_names=())
    assert name_behind(code, 0, NAMES) is None


def test_signals_have_their_names(monkeypatch):
    monkeypatch.setattr(tracer, "get_var_name", get_var_name)
    one = Signal()
    two = Signal(3)
    _, last = Signal(), Signal()  # one store of both in Python 3.13
    both = one | two
    self = SimpleNamespace()
    self.three = Signal()
    assert (one.name, two.name, last.name, self.three.name) == ("one", "two", "last", "three") and len(both) == 3
    assert [Signal()][0].name == "$signal"
