# SPDX-License-Identifier: MIT
"""firstspike export-axi BUILD -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from firstspike_arch.program import write_atomically
from rich.console import Console

from .build_folder import read_build
from .options import Build


def export_axi(
    build: Build, output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
) -> None:
    """Write the accelerator as an AXI peripheral: Verilog, memory images, and a script for Vivado's IP packager."""
    from .axi_export import axi_files

    program, _ = read_build(build)
    written = axi_files(program)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        write_atomically(output / name, text)
    Console(highlight=False).print(f"written to {output}: {', '.join(written)}", markup=False, soft_wrap=True)
