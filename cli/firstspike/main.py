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

from .sentence import USER_ERRORS, sentence
from .verbs import Verbs

__all__ = ["app", "run"]

NOTES = (CompileWarning, FolderWarning)
"""Warnings for a user of the command."""

app = typer.Typer(cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


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
