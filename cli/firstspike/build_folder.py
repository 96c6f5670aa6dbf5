# SPDX-License-Identifier: MIT
"""The build folder: all results of a compilation, written completely or not at all, and checked when read."""

import hashlib
import json
import re
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import COUNTERS, PROGRAM_WORD
from firstspike_hw.verilog_files import TOP, hex_image

if TYPE_CHECKING:
    from firstspike_compiler.compile import Compilation

__all__ = ["BuildError", "list_build", "read_build", "write_build"]

PROGRAM_FILE = "program.fsp"
MANIFEST_FILE = "manifest.json"


class BuildError(ValueError):
    """A build folder is missing, incomplete or altered."""


def write_build(compilation: "Compilation", folder: str | Path) -> dict:
    """Write Verilog, memory images, program, manifest, report and project files; return the manifest.

    An older build in ``folder`` is replaced by two renames, and restored if the second fails. A folder that holds a
    file which no build wrote is refused.

    Raises
    ------
    BuildError
        The folder is the current one, or holds other files.
    OSError
        A file cannot be written.
    """
    folder = Path(folder)
    if folder.resolve() == Path.cwd():
        raise BuildError(f"{folder}: must be another folder than the current one, which is in use")
    _refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.")).absolute()
    try:
        manifest = _write_files(compilation, staged)
        staged.chmod(0o755)
        _put_in_place(staged, folder)
    except OSError as error:
        if not Path(error.filename or staged).is_relative_to(staged):
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error  # name the folder that the user asked for
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return manifest


def read_build(folder: str | Path) -> tuple[Program, str]:
    """Read program and Verilog of a build folder.

    Every file is checked against its digest in the manifest, every memory image against the program.

    Raises
    ------
    BuildError, ProgramError
        The folder is no build, or a file is missing, truncated or altered.
    """
    folder = Path(folder)
    try:
        manifest = _read_manifest(folder)
    except OSError:
        raise BuildError(f"{folder}: must be a build folder ('firstspike compile' makes one)") from None
    if manifest is None:
        raise BuildError(f"{folder / MANIFEST_FILE}: is truncated or altered; compile again")
    for name, digest in manifest["files"].items():
        path = folder / name
        if Path(name).name != name or not path.is_file() or _digest(path) != digest:
            raise BuildError(f"{path}: must be the file that was compiled; it is missing, truncated or altered")
    program = Program.load(folder / PROGRAM_FILE)
    needed = {f"{TOP}.v", PROGRAM_FILE, *(f"{shape.name}.hex" for shape in program.memories())}
    if program.digest() != manifest["digest"] or not needed <= set(manifest["files"]):
        raise BuildError(f"{folder / MANIFEST_FILE}: is truncated or altered; compile again")
    images = program.images()
    for shape in program.memories():
        path = folder / f"{shape.name}.hex"
        if path.read_bytes() != hex_image(images[shape.name], shape).encode():
            raise BuildError(f"{path}: must be the image of the program in this folder; compile again")
    return program, (folder / f"{TOP}.v").read_text()


def list_build(folder: str | Path) -> tuple[dict[str, str], list[dict]]:
    """List the state of each file, and the layers in the manifest, of a build that may be broken."""
    folder = Path(folder)
    try:
        manifest = _read_manifest(folder) or {}
    except OSError:
        manifest = {}
    files = {name: digest for name, digest in manifest.get("files", {}).items() if Path(name).name == name}
    states = {path.name: "not part of the build" for path in sorted(folder.iterdir())}
    states |= {name: "missing" if not (folder / name).is_file() else
               "as compiled" if _digest(folder / name) == digest else "truncated or altered"
               for name, digest in files.items()}
    if MANIFEST_FILE in states:
        states[MANIFEST_FILE] = "readable" if manifest else "truncated or altered"
    layers = manifest.get("layers")
    return states, [one for one in layers if isinstance(one, dict)] if isinstance(layers, list) else []


def _read_manifest(folder: Path) -> dict | None:
    """Read the manifest; None if the file is not a manifest of firstspike. Raises OSError if there is no such file."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
    except ValueError:
        return None
    ours = isinstance(manifest, dict) and manifest.get("top") == TOP and isinstance(manifest.get("digest"), str)
    return manifest if ours and isinstance(manifest.get("files"), dict) else None


def _refuse_foreign(folder: Path) -> None:
    """Raise BuildError unless the folder is new, empty, or holds nothing but a build."""
    if not folder.exists():
        return
    entries = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else [folder.name]
    manifest = _read_manifest(folder) if MANIFEST_FILE in entries else None
    own = {MANIFEST_FILE, *manifest["files"]} if manifest else set()
    foreign = [name for name in entries if name not in own or (folder / name).is_dir()]
    if foreign:
        raise BuildError(f"{folder}: must be a new or empty folder, or an older build; it holds something else: "
                         f"{', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}")


def _put_in_place(staged: Path, folder: Path) -> None:
    if not folder.exists():
        staged.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    folder.rename(aside / "build")
    try:
        staged.rename(folder)
    except BaseException:
        (aside / "build").rename(folder)
        aside.rmdir()
        raise
    shutil.rmtree(aside)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_files(compilation: "Compilation", folder: Path) -> dict:
    from firstspike_hw.accelerator import Accelerator
    from firstspike_hw.verilog import verilog
    from jinja2 import Environment, StrictUndefined

    program = compilation.program
    memories = program.memories()
    text = verilog(Accelerator(program), memories, header=f"// firstspike: {program.network.name}\n")
    (folder / f"{TOP}.v").write_text(text)
    images = program.images()
    for shape in memories:
        (folder / f"{shape.name}.hex").write_text(hex_image(images[shape.name], shape))
    program.save(folder / PROGRAM_FILE)
    (folder / "report.txt").write_text(compilation.report())
    layout = result_layout(program)
    network, token = program.network, program.network.input_layout
    facts = {
        "format": 1,
        "network": program.network.name,
        "digest": program.digest(),
        "top": TOP,
        "clock": "clk",
        "reset": "rst, synchronous, active high",
        "ports": _ports(text),
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
        "memories": [
            {"name": shape.name, "file": f"{shape.name}.hex", "depth": shape.depth, "width": shape.width,
             "used_bits": shape.used_bits, "chunks": shape.chunks,
             "single_port": shape.single_port, "read_ports": shape.read_ports} for shape in memories
        ],
        "layers": [
            {"name": core.layer.name, "from": [one.source for one in core.inputs],
             "in_shape": core.layer.in_shape, "out_shape": core.layer.out_shape,
             "weight_bits": core.layer.weight_bits, "membrane_bits": core.plan.membrane_bits,
             "levels": core.layer.neuron.levels, "lanes": core.plan.lanes, "banks": core.plan.banks,
             "rows": core.plan.rows, "scale": core.layer.scale,
             "constants": ["theta", "v_init", "reset_step", "v_reset", "clamps"]}
            for core in program.cores
        ],
    }
    # The templates make plain text, not HTML: nothing must be escaped.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = files("firstspike") / "templates"
    for name, output in (("instance.v.j2", f"{TOP}_inst.v"), ("firstspike.core.j2", f"{TOP}.core"),
                         ("vivado.tcl.j2", "vivado.tcl")):
        (folder / output).write_text(environment.from_string((templates / name).read_text()).render(facts))
    facts["files"] = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST_FILE).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def _ports(text: str) -> list[dict]:
    """List the ports of the top module, as declared in its Verilog."""
    top = re.search(rf"^module {TOP}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    assert top, "the exported Verilog has its top module"
    ports = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", top.group(0), re.MULTILINE)
    return [{"name": name, "direction": direction, "width": int(high or 0) + 1} for direction, high, name in ports]
