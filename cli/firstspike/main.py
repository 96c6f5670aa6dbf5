# SPDX-License-Identifier: MIT
"""The firstspike command: trained spiking networks become verified FPGA accelerators."""

import io
import logging
import sys
import warnings
from typing import Annotated, Any

import typer
from firstspike_arch.output_folder import FolderWarning
from firstspike_arch.versions import VERSION
from firstspike_compiler.errors import CompileWarning
from rich.console import Console

from . import (
    verb_build,
    verb_compile,
    verb_data,
    verb_demo,
    verb_doctor,
    verb_estimate,
    verb_explore,
    verb_export_axi,
    verb_export_nir,
    verb_inspect,
    verb_monitor,
    verb_pack,
    verb_quantise,
    verb_report,
    verb_robustness,
    verb_run,
    verb_simulate,
    verb_study,
    verb_train,
    verb_upsets,
    verb_verify,
)
from .sentence import USER_ERRORS, sentence

__all__ = ["app", "run"]

NOTES = (CompileWarning, FolderWarning)
"""Warnings for a user of the command."""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"firstspike {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option(
        "--verbose", help="Tell on standard error which tools are called, and how long each takes.")] = False,
    version: Annotated[bool, typer.Option(
        "--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Trained spiking networks become verified FPGA accelerators."""
    tools, handler = logging.getLogger("firstspike_hw.toolchain"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("firstspike: %(message)s"))
    tools.handlers = [handler] if verbose else []
    tools.setLevel(logging.INFO if verbose else logging.NOTSET)


app.command("train")(verb_train.train)
app.command("compile")(verb_compile.compile_)
app.command("build")(verb_build.build)
app.command("inspect")(verb_inspect.inspect)
app.command("quantise")(verb_quantise.quantise)
app.command("pack")(verb_pack.pack)
app.command("verify")(verb_verify.verify)
app.command("simulate")(verb_simulate.simulate)
app.command("estimate")(verb_estimate.estimate)
app.command("explore")(verb_explore.explore)
app.command("export-nir")(verb_export_nir.export_nir)
app.command("export-axi")(verb_export_axi.export_axi)
app.command("run")(verb_run.run)
app.command("monitor")(verb_monitor.monitor)
app.command("report")(verb_report.report)
app.command("robustness")(verb_robustness.robustness)
app.command("upsets")(verb_upsets.upsets)
app.command("data")(verb_data.data)
app.command("study")(verb_study.study)
app.command("demo")(verb_demo.demo)
app.command("doctor")(verb_doctor.doctor)


def run() -> None:
    """Run the console script. An error of the user ends in one sentence on stderr and exit status 1."""
    for printed in (sys.stdout, sys.stderr):
        if isinstance(printed, io.TextIOWrapper):  # in a locale without ≤, a report with ? is better than none
            printed.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            for kind in NOTES:
                warnings.simplefilter("always", kind)
            warnings.showwarning = _warn
            app()
    except USER_ERRORS as error:
        _say(sentence(error))
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)


def _warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print what the compiler assumed, or a file that is kept, as a sentence, and any other warning as Python does."""
    if issubclass(category, NOTES):
        _say(f"note: {message}", style="yellow")
    else:
        print(warnings.formatwarning(message, category, *where[:2]), end="", file=sys.stderr)


def _say(message: str, style: str = "red") -> None:
    """Print a message on stderr, in colour on a terminal."""
    Console(stderr=True).print(f"firstspike: {message}", style=style, markup=False, highlight=False, soft_wrap=True)
