# SPDX-License-Identifier: MIT
"""Files of the accelerator as an AXI peripheral: Verilog, memory images, packaging script, and what its bits mean."""

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from firstspike_arch.events import ADDRESS_SHIFT
from firstspike_arch.output_folder import write_folder
from firstspike_arch.program import Program
from firstspike_arch.result import ResultLayout
from firstspike_arch.status import COUNTERS
from firstspike_hw.axi.axi_accelerator import AxiAccelerator
from firstspike_hw.axi.registers import AXI_COUNTERS, RESULT_BEAT_BITS, Register, input_beat_bits, result_beats
from firstspike_hw.link.frames import IDENTITY_BYTES, wire_format
from firstspike_hw.link.linked_accelerator import linked_memories
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image, image_file
from jinja2 import Environment, StrictUndefined

__all__ = ["write_axi"]

REGISTERS = (
    (Register.CONTROL, "write", "bit 0: restart"),
    (Register.PACKET, "read, write", "number of results in a packet of `m_axis`; 1 after reset"),
    (Register.PROGRAM_ADDRESS, "read, write", "bits 23:0 address, 31:24 memory, of the next word of the program port"),
    (Register.PROGRAM_DATA, "write", "data of that word; the address then advances by one"),
)


def write_axi(program: Program, folder: Path, *, name: str = TOP) -> dict:
    """Write the files into a folder, in place of those of an older export (`write_folder`); return their record.

    Parameters
    ----------
    name : str
        Name of the top module, as for `write_build`; the IP is NAME_axi.

    Raises
    ------
    FolderError, OSError, VerilogError
    """
    contents = linked_memories(program, buffer_bytes=0)
    header = f"// {program.network.name} on AXI\n"
    written = {f"{name}.v": verilog(AxiAccelerator(program), contents, header=header, top=name)}
    written |= {image_file(shape, name): hex_image(words, shape) for shape, words in contents.items()}
    facts = _facts(program, [image_file(shape, name) for shape in contents]) | {"top": name}
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    for output, template in (("package_ip.tcl", "package_ip.tcl.j2"), ("README.md", "axi_readme.md.j2")):
        text = (files("firstspike") / "templates" / template).read_text()
        written[output] = environment.from_string(text).render(facts)
    record = {"format": 1, "network": program.network.name, "digest": program.digest(),
              "architecture": program.architecture(), "top": name}
    return write_folder(folder, written, record="manifest.json", made_by="firstspike export-axi", facts=record)


def _facts(program: Program, memories: list[str]) -> dict:
    network, wire, token = program.network, wire_format(program), program.network.input_layout
    edges = [ADDRESS_SHIFT]
    for bits in (*token.field_bits, token.value_bits):
        edges.append(edges[-1] + bits)
    spans = [_span(*pair) for pair in pairwise(edges)]
    counters = [(Register.COUNTERS + 4 * place, "read", f"counter `{name}`")
                for place, name in enumerate((*COUNTERS, *AXI_COUNTERS))]
    registers = [(f"0x00 … 0x{IDENTITY_BYTES - 4:02X}", "read", "identity, as on the host link"), *(
        (f"0x{address:02X}", access, meaning) for address, access, meaning in (*REGISTERS, *counters))]
    return {
        "network": network.name, "digest": program.digest(), "architecture": program.architecture(),
        "memories": memories, "input_bits": input_beat_bits(wire), "image_words": wire.image_words,
        "inputs": network.inputs, "steps_max": network.steps_max, "address_fields": spans[:-1],
        "value": spans[-1] if token.value_bits else "", "lowest": token.low, "highest": token.high,
        "result_bits": RESULT_BEAT_BITS, "beats": result_beats(wire), "fields": _result_fields(wire.result),
        "registers": registers,
    }


def _result_fields(layout: ResultLayout) -> list[tuple[str, str]]:
    fields, low = [], 0
    for bits, meaning in ((layout.class_bits, "class"), (layout.step_bits, "step of the decision"),
                          (2, "what decided: 0 plain, 1 tie by membrane, 2 tie by index, 3 silent"),
                          *((layout.score_bits, f"score of class {place}") for place in range(layout.classes))):
        if bits:
            fields.append((_span(low, low + bits), meaning))
        low += bits
    return fields


def _span(low: int, end: int) -> str:
    return str(low) if end - low == 1 else f"{end - 1}:{low}"
