# SPDX-License-Identifier: MIT
"""The build folder: all results of a compilation, written completely or not at all, and checked when read."""

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from firstspike_arch.checkpoint import load_network, network_bytes
from firstspike_arch.external import BEATS_BITS, REQUEST_ADDRESS_BITS
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.memory_image import MemoryImage, contents_at
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.output_folder import digest_of, is_file_name, read_record, write_folder
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import COUNTERS, FAULTS_ADDRESS, PARITY_ADDRESSES, PARITY_COUNT_MAX, PROGRAM_WORD
from firstspike_arch.versions import versions_of
from firstspike_hw.verilog_files import TOP, external_file, hex_image, image_file, writer_of

if TYPE_CHECKING:
    from firstspike_compiler.compile import Compilation

__all__ = [
    "BuildError", "list_build", "made_with", "read_build", "recorded_accuracy", "recorded_source", "write_build",
]

PROGRAM_FILE = "program.fsp"
NETWORK_FILE = "network.safetensors"
"""The network that was compiled, as it came; one of integers is in the program."""

MANIFEST_FILE = "manifest.json"
MADE_BY = "firstspike compile"
MADE_WITH = ("amaranth", "jinja2", "numpy", "pydantic", "safetensors", "torch")
"""Packages that had a hand in a build, beside firstspike, Python and the yosys that wrote the Verilog."""


class BuildError(ValueError):
    """A build folder is missing, incomplete or altered."""


def write_build(compilation: "Compilation", folder: str | Path, *, name: str = TOP) -> dict:
    """Write Verilog, memory images, program, manifest, report and project files; return the manifest.

    They replace an older build in ``folder``; what else is in it stays there (`write_folder`).

    Parameters
    ----------
    name : str
        Name of the top module and beginning of those of all others; another than `TOP` is also that of the memory
        images, so that several accelerators can be parts of one design.

    Raises
    ------
    FolderError
        The folder holds something else under the name of a file of the build.
    OSError
        A file cannot be written.
    VerilogError
        The name is none that Verilog allows.
    """
    files, facts = _files(compilation, name)
    return write_folder(Path(folder), files, record=MANIFEST_FILE, made_by=MADE_BY, facts=facts)


def read_build(folder: str | Path) -> tuple[Program, str]:
    """Read program and Verilog of a build folder.

    Every file is checked against its digest in the manifest, every memory image against the program.

    Raises
    ------
    BuildError, ProgramError, MemoryImageError
        The folder is no build, or a file is missing, truncated, altered or of another build.
    """
    folder = Path(folder)
    try:
        manifest = _read_manifest(folder)
    except OSError:
        raise BuildError(f"{folder}: must be a build folder ('firstspike compile' makes one)") from None
    if manifest is None:
        raise BuildError(f"{folder / MANIFEST_FILE}: is truncated or altered; compile into another folder")
    for name, digest in manifest["files"].items():
        path = folder / name
        if not is_file_name(name) or not path.is_file() or digest_of(path.read_bytes()) != digest:
            raise BuildError(f"{path}: must be the file that was compiled; it is missing, truncated or altered")
    program = Program.load(folder / PROGRAM_FILE)
    top = manifest["top"]
    needed = {f"{top}.v", PROGRAM_FILE, *(image_file(shape, top) for shape in program.memories())}
    if program.digest() != manifest["digest"] or not needed <= set(manifest["files"]):
        raise BuildError(f"{folder / MANIFEST_FILE}: is truncated or altered, or of another version of firstspike; "
                         "compile again")
    images = program.images()
    for shape in program.memories():
        path = folder / image_file(shape, top)
        if path.read_bytes() != hex_image(images[shape.name], shape).encode():
            raise BuildError(f"{path}: must be the image of the program in this folder; compile again")
    if program.external:
        path = folder / external_file(top)
        if MemoryImage.load(path, digest=program.digest()) != program.external_image():
            raise BuildError(f"{path}: must be the external weights of the program in this folder; compile again")
    return program, (folder / f"{top}.v").read_text("utf-8")


def _external(program: Program, name: str) -> dict:
    """What the manifest tells of the external memory."""
    return {
        "file": external_file(name), "octets": program.external_octets,
        "contents_at": contents_at(len(program.external)), "beat_bits": program.config.beat_bits,
        "faults_address": FAULTS_ADDRESS,
        "request": {"address": REQUEST_ADDRESS_BITS, "beats": BEATS_BITS},
        "response": {"data": program.config.beat_bits, "last": 1, "error": 1},
        "layers": [
            {"layer": core.index, "name": core.layer.name, "segment": part.name, "address": one.base,
             "slices": one.slices, "slice_octets": one.octets, "slice_beats": one.beats, "word_beats": one.word_beats,
             "words": one.words, "buffers": one.buffers,
             "slice": "input channel" if one.by_channel else "input address"}
            for core, part in zip(program.external, program.external_segments, strict=True)
            if (one := core.fetching) is not None],
    }


def recorded_accuracy(folder: str | Path) -> dict[str, float]:
    """Return the accuracies that training recorded in the network of a build, such as "float_test"; {}: there are none,
    or this is no build.
    """
    found = (_read_manifest(Path(folder)) or {}).get("accuracy") if Path(folder).is_dir() else None
    return {name: value for name, value in found.items() if isinstance(value, float)} if isinstance(found, dict) else {}


def recorded_source(folder: Path) -> tuple[FloatNetwork | IntegerNetwork, dict, str]:
    """Return what a build was made from: the network, the options of `compile_network`, and the name of the top module.

    Raises
    ------
    BuildError, CheckpointError, ProgramError
        The folder is no build, its manifest does not say it, or the network is missing or altered.
    """
    from firstspike_compiler.plain_options import from_plain

    try:
        manifest = _read_manifest(folder)
    except OSError:
        raise BuildError(f"{folder}: must be a build folder ('firstspike compile' makes one)") from None
    source = (manifest or {}).get("made_from")
    if manifest is None or not isinstance(source, dict) or source.get("network") not in (PROGRAM_FILE, NETWORK_FILE):
        raise BuildError(f"{folder / MANIFEST_FILE}: must be the manifest of '{MADE_BY}' and say what the build was "
                         "made from (made_from); it is another's, of an older version, or altered: compile again")
    path = folder / source["network"]
    if not path.is_file() or digest_of(path.read_bytes()) != manifest["files"].get(path.name):
        raise BuildError(f"{path}: must be the file that was compiled; it is missing, truncated or altered")
    try:
        options = from_plain(source.get("options"))
    except ValueError as error:
        raise BuildError(f"{folder / MANIFEST_FILE}: made_from: {error}") from None
    network = Program.load(path).network if path.name == PROGRAM_FILE else load_network(path)
    return network, options, manifest["top"]


def list_build(folder: str | Path) -> tuple[dict[str, str], list[dict]]:
    """List the state of each file, and the layers in the manifest, of a build that may be broken."""
    folder = Path(folder)
    try:
        manifest = _read_manifest(folder) or {}
    except OSError:
        manifest = {}
    files = {name: digest for name, digest in manifest.get("files", {}).items() if is_file_name(name)}
    states = {path.name: "not part of the build" for path in sorted(folder.iterdir())}
    states |= {name: "missing" if not (folder / name).is_file() else
               "as compiled" if digest_of((folder / name).read_bytes()) == digest else "truncated or altered"
               for name, digest in files.items()}
    if MANIFEST_FILE in states:
        states[MANIFEST_FILE] = "readable" if manifest else "truncated or altered"
    layers = manifest.get("layers")
    return states, [one for one in layers if isinstance(one, dict)] if isinstance(layers, list) else []


def _read_manifest(folder: Path) -> dict | None:
    """Read the manifest; None if the file is not a manifest of firstspike. Raises OSError if there is no such file."""
    found = read_record(folder, MANIFEST_FILE, MADE_BY)
    return found if found and all(isinstance(found.get(name), str) for name in ("top", "digest")) else None


def _files(compilation: "Compilation", name: str) -> tuple[dict[str, bytes | str], dict]:
    """Make all files of a build but the manifest, by name, and what the manifest tells of them."""
    from firstspike_compiler.plain_options import to_plain
    from firstspike_hw.accelerator import Accelerator
    from firstspike_hw.verilog import verilog
    from jinja2 import Environment, StrictUndefined

    program = compilation.program
    memories, images = program.memories(), program.images()
    text = verilog(Accelerator(program), memories, header=f"// firstspike: {program.network.name}\n", top=name)
    written: dict[str, bytes | str] = {
        f"{name}.v": text, PROGRAM_FILE: program.to_bytes(), "report.txt": compilation.report(),
        **{image_file(shape, name): hex_image(images[shape.name], shape) for shape in memories}}
    if program.external:
        written[external_file(name)] = program.external_image().to_bytes()
    source = compilation.source
    if not isinstance(source, IntegerNetwork):
        written[NETWORK_FILE] = network_bytes(source, Path(NETWORK_FILE))
    layout = result_layout(program)
    network, token = program.network, program.network.input_layout
    real = next((one.result for one in compilation.passes if isinstance(one.result, FloatNetwork)), None)
    facts = {
        "format": 1,
        "network": program.network.name,
        "accuracy": {} if real is None else real.accuracy,
        "digest": program.digest(),
        "top": name,
        "clock": "clk",
        "reset": "rst, synchronous, active high",
        "ports": _ports(text, name),
        "input": {"port": program.config.port, "kind": network.input_kind, "shape": network.input_shape,
                  "addresses": network.inputs, "lowest": token.low, "highest": token.high, "steps": network.steps,
                  "steps_max": network.steps_max, "endless": network.endless,
                  "timeout_cycles": program.config.timeout, "ordered": program.config.ordered,
                  "token": {"final": 1, "marker": 1, "address_fields": token.field_bits, "value": token.value_bits,
                            "signed": token.signed}},
        "result": {"class_bits": layout.class_bits, "step_bits": layout.step_bits, "decided_by_bits": 2,
                   "score_bits": layout.score_bits, "classes": layout.classes},
        "early_exit": program.config.early_exit, "winner": program.config.winner,
        "read_back": program.config.read_back,
        "program_word": PROGRAM_WORD,
        "counters": list(COUNTERS),
        **({"parity": {"addresses": PARITY_ADDRESSES, "errors_most": PARITY_COUNT_MAX}} if program.has_parity else {}),
        **({"external": _external(program, name)} if program.external else {}),
        "memories": [
            {"name": shape.name, "file": image_file(shape, name), "depth": shape.depth, "width": shape.width,
             "used_bits": shape.used_bits, "chunks": shape.chunks,
             **({"parity_bits": shape.stored_bits - shape.used_bits} if shape.parity else {}),
             "single_port": shape.single_port, "read_ports": shape.read_ports} for shape in memories
        ],
        "layers": [
            {"name": core.layer.name, "from": [one.source for one in core.inputs],
             "in_shape": core.layer.in_shape, "out_shape": core.layer.out_shape,
             "weight_bits": core.layer.weight_bits, "membrane_bits": core.plan.membrane_bits,
             "levels": core.layer.neuron.levels, "lanes": core.plan.lanes, "banks": core.plan.banks,
             "rows": core.plan.rows, "scale": core.layer.scale,
             **({"delay_max": [one.delaying.longest if one.delaying else 0 for one in core.inputs]}
                if any(one.delaying for one in core.inputs) else {}),
             "constants": ["theta", "v_init", "reset_step", "v_reset", "clamps"]}
            for core in program.cores
        ],
        "made_from": {"network": PROGRAM_FILE if isinstance(source, IntegerNetwork) else NETWORK_FILE,
                      "options": to_plain(compilation.options)},
        "made_with": made_with(text),
    }
    # The templates make plain text, not HTML: nothing must be escaped.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = files("firstspike") / "templates"
    blocks = environment.overlay(trim_blocks=True)
    for template, output, rules in (
        ("instance.v.j2", f"{name}_inst.v", environment), ("typed.sv.j2", f"{name}_typed.sv", blocks),
        ("firstspike.core.j2", f"{name}.core", environment), ("edam.yml.j2", f"{name}.eda.yml", environment),
        ("waivers.vlt.j2", f"{name}.vlt", environment), ("vivado.tcl.j2", "vivado.tcl", environment),
    ):
        written[output] = rules.from_string((templates / template).read_text("utf-8")).render(facts)
    return written, facts


def made_with(text: str) -> dict[str, str]:
    """Return the versions of all that made a folder with this Verilog."""
    return versions_of(MADE_WITH) | {"yosys": writer_of(text)}


def _ports(text: str, name: str) -> list[dict]:
    """List the ports of the top module, as declared in its Verilog."""
    top = re.search(rf"^module {name}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    assert top, "the exported Verilog has its top module"
    ports = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", top.group(0), re.MULTILINE)
    return [{"name": name, "direction": direction, "width": int(high or 0) + 1} for direction, high, name in ports]
