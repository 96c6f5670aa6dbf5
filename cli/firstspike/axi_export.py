# SPDX-License-Identifier: MIT
"""Files of the accelerator as an AXI peripheral: Verilog, memory images, packaging script, what its bits mean, and what
its processor needs: the driver's part of the manifest, weights as words of the program port, and a C header."""

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from firstspike_arch.events import ADDRESS_SHIFT
from firstspike_arch.memory_image import ALIGNMENT
from firstspike_arch.output_folder import digest_of, read_record, write_folder
from firstspike_arch.program import Program
from firstspike_arch.result import DECIDED_BY_BITS, ResultLayout
from firstspike_hw.axi.axi_accelerator import AxiAccelerator
from firstspike_hw.axi.driver_facts import driver_facts, driver_words
from firstspike_hw.axi.placed_memory import BUS_ADDRESS_BITS
from firstspike_hw.axi.registers import (
    MEMORY_DEAD_BIT,
    MEMORY_OPEN_BIT,
    RESTART_BIT,
    RESULT_BEAT_BITS,
    Register,
    counters_of,
    input_beat_bits,
    registers_of,
    result_beats,
)
from firstspike_hw.link.frames import IDENTITY_BYTES, wire_format
from firstspike_hw.link.linked_accelerator import linked_memories
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, external_file, hex_image, image_file
from jinja2 import Environment, StrictUndefined

from .build_folder import MANIFEST_FILE, PROGRAM_FILE, BuildError, made_with

__all__ = ["MADE_BY", "exported_source", "write_axi"]

MADE_BY = "firstspike export-axi"

WORDS_FILE = "port_words.bin"
"""Everything that the driver writes to the program port to load the network: little-endian words of 64 bits."""

REGISTERS = (
    (Register.CONTROL, "write", f"bit {RESTART_BIT}: restart"),
    (Register.PACKET, "read, write", "number of results in a packet of `m_axis`; 1 after reset"),
    (Register.PROGRAM_ADDRESS, "read, write", "bits 23:0 address, 31:24 memory, of the next word of the program port"),
    (Register.PROGRAM_DATA, "write", "data of that word; the address then advances by one"),
    (Register.MEMORY_LOW, "read, write",
     f"bits 31:0 of the address of the external weights, a multiple of {ALIGNMENT}; a write lets inferences in"),
    (Register.MEMORY_HIGH, "read, write", f"bits {BUS_ADDRESS_BITS - 1}:32 of that address, to be written first"),
    (Register.MEMORY_STATUS, "read", f"bit {MEMORY_OPEN_BIT}: the address was written; {MEMORY_DEAD_BIT}: the memory "
     "did not answer, and is given up until reset"),
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
    text = verilog(AxiAccelerator(program), contents, header=header, top=name)
    written: dict[str, bytes | str] = {f"{name}.v": text, PROGRAM_FILE: program.to_bytes()}
    written |= {image_file(shape, name): hex_image(words, shape) for shape, words in contents.items()}
    driver, own_files = driver_facts(program), {"words_file": WORDS_FILE}
    if program.external:
        own_files["memory_file"] = external_file(name)
        written[external_file(name)] = program.external_image().to_bytes()
    facts = _facts(program, [image_file(shape, name) for shape in contents]) | {
        "top": name, "header": f"{name}_registers.h", "driver": driver, **own_files}
    written[WORDS_FILE] = driver_words(program).astype("<u8").tobytes()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    c_code = environment.overlay(trim_blocks=True)
    for output, template, rules in (("package_ip.tcl", "package_ip.tcl.j2", environment),
                                    ("README.md", "axi_readme.md.j2", environment),
                                    (facts["header"], "registers.h.j2", c_code)):
        source = (files("firstspike") / "templates" / template).read_text("utf-8")
        written[output] = rules.from_string(source).render(facts)
    record = {"format": 1, "network": program.network.name, "digest": program.digest(),
              "architecture": program.architecture(), "top": name, "driver": driver | own_files,
              "made_with": made_with(text)}
    return write_folder(folder, written, record=MANIFEST_FILE, made_by=MADE_BY, facts=record)


def exported_source(folder: Path) -> tuple[Program, str]:
    """Return what an export was made from: the program, and the name of the top module.

    Raises
    ------
    BuildError, ProgramError
        The folder is no export, of an older version, or its program is missing or altered.
    """
    record = read_record(folder, MANIFEST_FILE, MADE_BY)
    if record is None or not isinstance(record.get("top"), str) or PROGRAM_FILE not in record["files"]:
        raise BuildError(f"{folder / MANIFEST_FILE}: must be the manifest of '{MADE_BY}', with the program in the "
                         "folder; it is of an older version, or altered: export again")
    path = folder / PROGRAM_FILE
    if not path.is_file() or digest_of(path.read_bytes()) != record["files"][PROGRAM_FILE]:
        raise BuildError(f"{path}: must be the program that was exported; it is missing, truncated or altered")
    return Program.load(path), record["top"]


def _facts(program: Program, memories: list[str]) -> dict:
    network, wire, token = program.network, wire_format(program), program.network.input_layout
    edges = [ADDRESS_SHIFT]
    for bits in (*token.field_bits, token.value_bits):
        edges.append(edges[-1] + bits)
    spans = [_span(*pair) for pair in pairwise(edges)]
    counters = [(Register.COUNTERS + 4 * place, "read", f"counter `{name}`")
                for place, name in enumerate(counters_of(program))]
    known = [one for one in REGISTERS if one[0] in registers_of(program)]
    registers = [(f"0x00 … 0x{IDENTITY_BYTES - 4:02X}", "read", "identity, as on the host link"), *(
        (f"0x{address:02X}", access, meaning) for address, access, meaning in (*known, *counters))]
    return {
        "network": network.name, "digest": program.digest(), "architecture": program.architecture(),
        "memories": memories, "beat_bits": program.config.beat_bits, "input_bits": input_beat_bits(wire),
        "image_words": wire.image_words,
        "inputs": network.inputs, "steps_max": network.steps_max, "address_fields": spans[:-1],
        "value": spans[-1] if token.value_bits else "", "lowest": token.low, "highest": token.high,
        "result_bits": RESULT_BEAT_BITS, "beats": result_beats(wire), "fields": _result_fields(wire.result),
        "registers": registers,
    }


def _result_fields(layout: ResultLayout) -> list[tuple[str, str]]:
    fields, low = [], 0
    for bits, meaning in ((layout.class_bits, "class"), (layout.step_bits, "step of the decision"),
                          (DECIDED_BY_BITS, "what decided: 0 plain, 1 tie by membrane, 2 tie by index, 3 silent"),
                          *((layout.score_bits, f"score of class {place}") for place in range(layout.classes))):
        if bits:
            fields.append((_span(low, low + bits), meaning))
        low += bits
    return fields


def _span(low: int, end: int) -> str:
    return str(low) if end - low == 1 else f"{end - 1}:{low}"
