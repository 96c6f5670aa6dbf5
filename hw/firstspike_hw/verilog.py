# SPDX-License-Identifier: MIT
"""Verilog back end: readable text whose memories load their contents from hex files."""

import gc
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from amaranth import tracer
from amaranth._toolchain import ToolNotFound  # pyright: ignore[reportAttributeAccessIssue] - a gap of the stubs
from amaranth._toolchain.yosys import YosysError, find_yosys
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue] - likewise
from amaranth.hdl import Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Component, In
from firstspike_arch.memory import MemoryShape
from firstspike_arch.shown import shown

from .signal_names import get_var_name
from .verilog_files import TOP, VerilogError, image_file

__all__ = ["memories_of", "verilog"]


def verilog(
    component: Component, memories: Iterable[MemoryShape], *, header: str = "", block_words: int | None = None,
    large: Iterable[MemoryShape] = (), top: str = TOP,
) -> str:
    """Convert a component to Verilog text. The text does not depend on the contents of memories that can be written.

    Every memory in ``memories`` gets ``initial $readmemh(FILE, NAME)``, where FILE is its `image_file`. Identical input
    gives identical bytes.

    Parameters
    ----------
    block_words : int or None
        If given, synthesis must put ``memories`` into block RAM, and their depth is rounded up to a multiple of so many
        words, so that their contents can be found in a placed design. None: synthesis chooses.
    large : iterable of MemoryShape
        Memories with one port and no contents that synthesis must put into the device's large RAMs.
    top : str
        Name of the top module, by which those of all others begin.

    Raises
    ------
    VerilogError
        Verilog does not allow the name of the top module; yosys is missing or failed, or a memory is not in the text
        exactly once.
    """
    if not re.fullmatch(r"[A-Za-z]\w{0,63}", top, re.ASCII):
        raise VerilogError(f"name must be a letter and up to 63 letters, digits and underscores, not {shown(top)}")
    # Initial values of memories would take half of the time and become part of the text; registers keep theirs, and so
    # do tables, which nothing writes.
    emit = rtlil.ModuleEmitter.emit_memory
    with patch.object(tracer, "get_var_name", get_var_name), patch.object(
            rtlil.ModuleEmitter, "emit_memory", lambda emitter, index, cell: (
                None if emitter.memories[index].write_port_ids else emit(emitter, index, cell))), _no_collections():
        text = rtlil.convert(component, name=top, emit_src=False, ports=_ports(component))
    script = f"read_rtlil <<rtlil\n{text}\nrtlil\nproc -nomux -norom\nmemory_collect\nwrite_verilog -norename\n"
    try:
        # yosys warns that it cannot translate every process, but Amaranth emits only processes that it can.
        body = find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script, ignore_warnings=True)
    except (YosysError, ToolNotFound) as error:
        last = (str(error).strip().splitlines() or ["no message"])[-1]
        raise VerilogError(f"yosys must convert the design to Verilog, but ended with: {last}") from None
    # All other attributes are of no use to synthesis.
    body = re.sub(r"^ *\(\* (?!ram_style|no_rw_check).*\*\)\n", "", body, flags=re.MULTILINE)
    if not re.search(rf"^module {top}\(", body, re.MULTILINE):
        raise VerilogError(f"name must be none that Verilog reserves, not {shown(top)}")
    for shape in memories:
        body = _load_from_file(body, shape, block_words, image_file(shape, top))
    for shape in large:
        declared = _declaration(body, shape)
        body = body.replace(declared, f'  (* ram_style = "huge" *)\n{declared}')
    return header + _tidied(body)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Pause Python's search for cycles of unused objects. Amaranth makes millions of objects that are all in use; to go
    through them again and again takes a third of the export."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _tidied(body: str) -> str:
    """Remove signals of width 0, which Verilog would read as two bits, and add a default to every case."""
    lines, defaults = [], []
    for line in body.splitlines(keepends=True):
        word = line.strip()
        if re.match(r"wire \[-1:0\] ", word):
            continue
        if word.startswith("casez"):
            defaults.append(False)
        elif word == "default:":
            defaults[-1] = True
        elif word == "endcase" and not defaults.pop():
            lines.append(f"{line[: line.index(word)]}  default: ;\n")
        lines.append(line)
    return "".join(lines)


def _ports(component: Component) -> dict:
    """Return the ports under names that every tool accepts unchanged: source_valid, not source__valid."""
    ports = {}
    for path, member, value in component.signature.flatten(component):
        direction = PortDirection.Input if member.flow == In else PortDirection.Output
        ports["_".join(map(str, path))] = (Value.cast(value), direction)
    return ports


def _declaration(body: str, shape: MemoryShape) -> str:
    found = re.findall(rf"^  reg \[{shape.width - 1}:0\] {re.escape(shape.name)} ?\[{shape.depth - 1}:0\];\n", body,
                       re.MULTILINE)
    if len(found) != 1:
        raise VerilogError(f"memory {shape.name} must be declared once in the Verilog, not {len(found)} times")
    return found[0]


def _load_from_file(body: str, shape: MemoryShape, block_words: int | None, file: str) -> str:
    found = declared = _declaration(body, shape)
    load = f'  initial $readmemh("{file}", {shape.name});\n'
    if block_words is not None:
        depth = -(-shape.depth // block_words) * block_words
        declared = f'  (* ram_style = "block" *)\n{found.replace(f"[{shape.depth - 1}:0]", f"[{depth - 1}:0]")}'
    return body.replace(found, declared + load)


def memories_of(text: str) -> list[MemoryShape]:
    """List every memory that is declared in Verilog text."""
    return [MemoryShape(name=name, depth=int(last) + 1, used_bits=int(high) + 1, lut_ram="distributed" in style)
            for style, high, name, last in re.findall(
                r"^(?:  \(\* ram_style = (.*) \*\)\n)?  reg \[(\d+):0\] (\w+) ?\[(\d+):0\];\n", text,
                re.MULTILINE)]
