# SPDX-License-Identifier: MIT
"""firstspike demo: from training to verification, on data that need no download"""

import os
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import load_inputs
from .progress import shown_progress, shown_stage
from .tables import accuracy_table, print_table
from .verb_verify import show, write_verification


def shipped(kind: str, name: str) -> Path:
    """Return the path of a recipe or network that comes with firstspike, in the wheel or in a checkout; or of a network
    that is too large for that, in the folder `$FIRSTSPIKE_ZOO`."""
    package = Path(str(files("firstspike")))
    folders = [package / kind, package.parents[1] / kind]
    if kind == "zoo" and (given := os.environ.get("FIRSTSPIKE_ZOO")):
        folders.append(Path(given))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"{kind}/{name} must come with firstspike; the installation is incomplete")


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Build folder.")] = Path("demo/build"),
) -> None:
    """Train on scikit-learn's digits, compile, write Verilog, simulate in Verilator, verify, and write a page."""
    import firstspike_train

    from . import api
    from .build_folder import read_build
    from .page.command_line import commands_of, given

    console = Console(highlight=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = output.parent / "digits_ettfs.safetensors"
    console.rule("train")
    network = firstspike_train.train(shipped("recipes", "digits_ettfs.toml"), checkpoint)
    print_table(console, accuracy_table(network.accuracy, network.readout))
    console.rule("compile")
    compilation = api.compile(network, early_exit=True)
    api.export(compilation, output)
    console.print(compilation.report(), markup=False, soft_wrap=True)
    console.rule("verify")
    images, labels = load_inputs("digits", "test")
    text = read_build(output)[1]
    with shown_progress(console, "building the simulator and running every test image") as progress:
        outcome = api.verify(compilation.program, images, progress=progress, verilog=text)
    show(console, outcome, labels)
    page = output.parent / "report.html"
    with shown_stage(console, "drawing the page"):
        write_verification(
            compilation.program, outcome, images, labels, page, verilog=text, split="test",
            accuracy=dict(network.accuracy), command=given("verify", output, "digits", "test", None, html=page),
            commands=commands_of(output, "digits", "test", None), waves=page.with_suffix(".fst"))
    if not outcome.equal:
        raise ValueError(f"hardware and models differ first at: {outcome.first}")
    console.print(f"hardware, golden model and timing model agree on everything; Verilog and images are in {output}")
    console.print(f"{page} shows all of it; open it in a browser")
