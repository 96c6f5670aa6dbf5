# SPDX-License-Identifier: MIT
"""What can be verified: a build folder, a program, or a network, which is compiled first."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .build_folder import read_build
from .network_file import is_lava, is_nir

if TYPE_CHECKING:
    from firstspike_arch.program import Program

__all__ = ["PROGRAM_SUFFIX", "Verifiable", "open_verifiable", "verifiable"]

PROGRAM_SUFFIX = ".fsp"


@dataclass(frozen=True, kw_only=True, eq=False)
class Verifiable:
    """A program to be verified.

    Parameters
    ----------
    program : Program
    verilog : str or None
        Verilog of the build folder that it comes from, which is what must be verified; None: it is exported anew.
    """

    program: "Program"
    verilog: str | None = None

    def text(self) -> str:
        """The Verilog to be verified."""
        from firstspike_hw.accelerator import Accelerator
        from firstspike_hw.verilog import verilog

        return self.verilog or verilog(Accelerator(self.program), self.program.memories())


def open_verifiable(path: Path) -> Verifiable:
    """Read a build folder, a program file (``.fsp``), or a checkpoint, which is compiled without options.

    Raises
    ------
    BuildError, ProgramError, CheckpointError, CompileError, ValueError
        The file cannot be read or compiled, or needs options.
    """
    if is_lava(path) or is_nir(path):
        raise ValueError(f"{path}: must be compiled first, with the options of 'firstspike compile' that say what the "
                         "file does not")
    return verifiable(path)


def verifiable(network: Any, **options: Any) -> Verifiable:
    """Make anything that says how a network runs into what can be verified.

    Parameters
    ----------
    network : Path or str, Program, Compilation, FloatNetwork or IntegerNetwork
        A path is that of a build folder, a program file (``.fsp``), a checkpoint, a NIR or a lava-dl file.
    options
        Those of `compile_network`, and, for a NIR or lava-dl file, those of `load_nir` or `load_lava`.

    Raises
    ------
    ValueError
        The file cannot be read or the network not compiled, or an option is unknown, or is given for a program, which
        is compiled already.
    """
    from firstspike_arch.float_network import FloatNetwork
    from firstspike_arch.network import IntegerNetwork
    from firstspike_arch.program import Program
    from firstspike_compiler.compile import Compilation, compile_network
    from firstspike_compiler.options import Options

    given = network.program if isinstance(network, Compilation) else network
    found = Verifiable(program=given) if isinstance(given, Program) else None
    if isinstance(network, str | Path) and Path(network).suffix == PROGRAM_SUFFIX:
        found = Verifiable(program=Program.load(network))
    elif isinstance(network, str | Path) and Path(network).is_dir():
        program, text = read_build(network)
        found = Verifiable(program=program, verilog=text)
    if found is not None:
        if options:
            raise ValueError(f"{network if isinstance(network, str | Path) else found.program.network.name}: "
                             f"{', '.join(options)} must not be given for a program, which is compiled already")
        return found
    known = {one.name for one in fields(Options)}
    compiling = {name: value for name, value in options.items() if name in known}
    loading = {name: value for name, value in options.items() if name not in known}
    if isinstance(network, str | Path):
        real = _load(Path(network), known, loading)
    elif isinstance(network, FloatNetwork | IntegerNetwork):
        real = network
    else:
        raise ValueError("network must be a path, a network, a compilation or a program, not of the type "
                         f"{type(network).__name__}")
    if loading and real is network:
        raise ValueError(_unknown(real.name, loading, known))
    return Verifiable(program=compile_network(real, **compiling).program)


def _load(path: Path, known: set[str], options: dict[str, Any]) -> Any:
    """Load a file of a network with the options that it needs."""
    from inspect import signature

    from .options import load_file

    if not path.exists():
        raise ValueError(f"{path}: must be a network's file, a program ({PROGRAM_SUFFIX}) or a build folder, but there "
                         "is nothing of that name")
    if is_lava(path):
        from firstspike_compiler.frontends.lava_file import load_lava as loader
    elif is_nir(path):
        from firstspike_compiler.frontends.nir_file import load_nir as loader
    else:
        loader = None
    accepted = set() if loader is None else {
        name for name, one in signature(loader).parameters.items() if one.kind is one.KEYWORD_ONLY}
    if unknown := [name for name in options if name not in accepted]:
        raise ValueError(_unknown(str(path), unknown, known | accepted))
    shape = options.get("input_shape")
    if isinstance(shape, list | tuple):
        options["input_shape"] = ",".join(map(str, shape))
    return load_file(path, **options)


def _unknown(where: str, names: Any, known: set[str]) -> str:
    return f"{where}: {', '.join(names)} must be an option of the compiler or of the file: {', '.join(sorted(known))}"
