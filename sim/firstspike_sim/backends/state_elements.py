# SPDX-License-Identifier: MIT
"""What holds state in exported Verilog: every register and memory, as a simulator can reach it."""

import re
from dataclasses import dataclass

__all__ = ["StateElement", "public_state", "state_elements"]

_MODULE = re.compile(r"^module (\S+) ?\(.*?^endmodule\n", re.MULTILINE | re.DOTALL)
_CLOCKED = re.compile(r"^  always @\(posedge clk\)(?: begin\n.*?^  end\n|\n.*?;\n)", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"^ *(?:if \([^\n]*\)\n? *|else *)*(\\\S+ |\w+)(?:\[[^\]\n]*\])* ?<= ", re.MULTILINE)
_DECLARED = re.compile(r"^  reg (?:\[(\d+):0\] )?(\\\S+ |\w+) ?(?:\[(\d+):0\])?(?= = |;)", re.MULTILINE)
_PUBLIC = " /*verilator public_flat_rw*/"


@dataclass(frozen=True, kw_only=True)
class StateElement:
    """A register, or a memory.

    Parameters
    ----------
    unit : str
        Path of the module instance that it is in, without the top module, such as "core0.membranes"; "": the top.
    name : str
        Its name there.
    width, depth : int
        Bits of a word, and number of words; 1 for a register.
    member : str
        Member of the Verilated model.
    """

    unit: str
    name: str
    width: int
    depth: int
    member: str

    @property
    def bits(self) -> int:
        return self.width * self.depth


def state_elements(text: str) -> list[StateElement]:
    """List the registers and memories of Verilog that `firstspike_hw.verilog` wrote, in order."""
    def member(module: str, name: str) -> str:
        return "__DOT__".join(map(_encoded, [*module.split("."), name]))

    return [StateElement(unit=module.partition(".")[2], name=name, width=width, depth=depth,
                         member=member(module, name))
            for module, name, width, depth, _ in _found(text)]


def public_state(text: str) -> str:
    """Return the Verilog with comments by which Verilator lets all state be changed. Nothing else changes."""
    places = [place for *_, place in _found(text)]
    parts = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    return _PUBLIC.join(parts)


def _found(text: str) -> list[tuple[str, str, int, int, int]]:
    """Module, name, width and depth of each element, and where in the text its declared name ends."""
    found = []
    for module in _MODULE.finditer(text):
        clocked = {name.strip() for block in _CLOCKED.findall(module[0]) for name in _TARGET.findall(block)}
        for one in _DECLARED.finditer(module[0]):
            high, name, last = one.groups()
            if name.strip() in clocked:
                found.append((module[1].removeprefix("\\"), name.strip().removeprefix("\\"), int(high or 0) + 1,
                              int(last or 0) + 1, module.start() + one.end()))
    return found


def _encoded(name: str) -> str:
    """A name as Verilator writes it in C++.

    # Ref: Verilator, AstNode::encodeName.
    """
    return re.sub(r"__|^\d|\W", lambda one: "___05F" if one[0] == "__" else f"__0{ord(one[0]):02x}", name,
                  flags=re.ASCII)
