# SPDX-License-Identifier: MIT
"""firstspike export-nir FOLDER -o FILE"""

from pathlib import Path
from typing import Annotated

import typer
from firstspike_arch.shown import shown
from rich.console import Console

from .build_folder import read_build
from .options import Build


def export_nir(
    build: Build, output: Annotated[Path, typer.Option("-o", "--output", help="NIR file to write.")],
) -> None:
    """Write the integer network of a build as a NIR file, for other tools."""
    from firstspike_compiler.nir_export import save_nir

    program, _ = read_build(build)
    options = save_nir(program.network, output)
    console = Console(highlight=False)
    needed = ", ".join(f"{name}={shown(value)}" for name, value in options.items())
    console.print(f"written to {output}; NIR cannot hold these: {needed}", markup=False, soft_wrap=True)
