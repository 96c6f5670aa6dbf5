# SPDX-License-Identifier: MIT
"""firstspike export-axi BUILD -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .build_folder import read_build
from .options import Build, Name
from .progress import shown_stage


def export_axi(
    build: Build, output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    name: Name = None,
) -> None:
    """Write the accelerator as an AXI peripheral: Verilog, memory images, a script for Vivado's IP packager, and what
    its processor needs (firstspike_run, C)."""
    from firstspike_hw.verilog_files import top_of

    from .axi_export import write_axi

    program, text = read_build(build)
    console = Console(highlight=False)
    with shown_stage(console, "writing Verilog and memory images"):
        written = write_axi(program, output, name=name or top_of(text))["files"]
    console.print(f"written to {output}: {', '.join(written)}", markup=False, soft_wrap=True)
