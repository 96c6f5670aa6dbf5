# SPDX-License-Identifier: MIT
"""Stand-ins for yosys, nextpnr-ice40, icepack and iceunpack: their options, and files of their formats.

``fake_tools.py TOOL ACTION arguments…``. An option that the real tool lacks, or one of the wrong type, is an error.
Nothing is synthesised: contents of block RAM come from the memory images beside the netlist, the frequency that is
reached from ``$FAKE_FMAX`` (MHz for each seed, by comma), and the rest of the report from
``nextpnr_ice40_report.json``, an excerpt of one that nextpnr-ice40 0.11 wrote. ``$FAKE_LOG`` gets a line a placement.
`test_real_tools` has the real ones.
"""

import json
import os
import re
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

YOSYS = ArgumentParser("yosys", allow_abbrev=False)
YOSYS.add_argument("-q", action="store_true")
YOSYS.add_argument("-p", required=True)

NEXTPNR = ArgumentParser("nextpnr-ice40", allow_abbrev=False)
for flag in ("--up5k", "--hx8k", "--timing-allow-fail", "-q"):
    NEXTPNR.add_argument(flag, action="store_true")
for flag in ("--package", "--pcf", "--asc", "--json", "--report"):
    NEXTPNR.add_argument(flag, required=True)
NEXTPNR.add_argument("--seed", type=int, required=True)
NEXTPNR.add_argument("--freq", required=True)

ICEPACK = ArgumentParser("icepack", allow_abbrev=False)
ICEPACK.add_argument("given", type=Path)
ICEPACK.add_argument("made", type=Path)


def yosys(arguments: Namespace) -> None:
    netlist = {"modules": {"top": {"attributes": {"top": "1"}, "cells": {}, "ports": {}}}, "script": arguments.p}
    Path(re.findall(r"-json (\S+)", arguments.p)[0]).write_text(json.dumps(netlist))


def nextpnr(arguments: Namespace) -> None:
    """Each bit of each image in a column of a block RAM of its own, 256 words at a time."""
    import numpy as np
    from firstspike_boards.ice40 import ICE40

    json.loads(Path(arguments.json).read_text())
    columns = []
    for path in sorted(Path().glob("*.hex")):
        words = [int(line, 16) for line in path.read_text().split()]
        columns += [[word >> bit & 1 for word in words[start:start + 256]]
                    for start in range(0, len(words), 256) for bit in range(4 * len(path.read_text().split()[0]))]
    text, blocks = ".comment fake\n", {}
    for place in range(0, len(columns), 16):
        name = f"{place // 16} 1"
        blocks[name] = np.zeros(4096, bool)
        for column, bits in enumerate(columns[place:place + 16]):
            blocks[name][ICE40.flow.blocks.slices[column]] = bits
        text += f".ram_data {name}\n" + f"{0:064x}\n" * 16
    Path(arguments.asc).write_text(ICE40.flow.blocks.write(text, blocks))
    reached = [float(part) for part in os.environ["FAKE_FMAX"].split(",")]
    recorded = json.loads(Path(__file__).with_name("nextpnr_ice40_report.json").read_text())
    fmax = {"achieved": reached[arguments.seed - 1], "constraint": float(arguments.freq)}
    Path(arguments.report).write_text(json.dumps({**recorded, "fmax": {"clk": fmax}}))
    with Path(os.environ["FAKE_LOG"]).open("a") as log:
        log.write(f"{arguments.freq} {arguments.seed}\n")


def copy(arguments: Namespace) -> None:
    arguments.made.write_bytes(arguments.given.read_bytes())


def copy_with_an_error(arguments: Namespace) -> None:
    """Turns over the first bit of every block RAM."""
    from firstspike_boards.ice40 import ICE40

    text = arguments.given.read_text()
    blocks = ICE40.flow.blocks.read(text)
    for bits in blocks.values():
        bits[0] ^= True
    arguments.made.write_text(ICE40.flow.blocks.write(text, blocks))


def nothing(arguments: Namespace) -> None:
    """Status 0 and no result, as yosys 0.70 at times."""


if __name__ == "__main__":
    tool, action, *given = sys.argv[1:]
    if "--version" in given:
        print("0.69")
    else:
        parser = {"yosys": YOSYS, "nextpnr-ice40": NEXTPNR, "icepack": ICEPACK, "iceunpack": ICEPACK}[tool]
        globals()[action](parser.parse_args(given))
