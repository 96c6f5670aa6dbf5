# SPDX-License-Identifier: MIT
"""Stand-ins for yosys, nextpnr and icepack: they obey the command lines and write files of the real formats.

``fake_tools.py TOOL arguments…``. Nothing is synthesised: contents of block RAM come from the memory images beside the
netlist, the frequency that is reached from ``$FAKE_FMAX`` (MHz for each seed, by comma), and the rest of the report
from ``nextpnr_ice40_report.json``, an excerpt of one that nextpnr-ice40 0.11 wrote. ``$FAKE_LOG`` gets a line a
placement.
"""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
from firstspike_boards.ice40 import ICE40

RECORDED = json.loads(Path(__file__).with_name("nextpnr_ice40_report.json").read_text())


def after(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def yosys(arguments: list[str]) -> None:
    script = after(arguments, "-p")
    netlist = {"modules": {"top": {"attributes": {"top": "1"}, "cells": {}, "ports": {}}}, "script": script}
    Path(re.findall(r"-json (\S+)", script)[0]).write_text(json.dumps(netlist))


def nextpnr(arguments: list[str]) -> None:
    """Each bit of each image in a column of a block RAM of its own, 256 words at a time."""
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
    Path(after(arguments, "--asc")).write_text(ICE40.flow.blocks.write(text, blocks))
    reached = [float(part) for part in os.environ["FAKE_FMAX"].split(",")]
    report = {**RECORDED, "fmax": {"clk": {"achieved": reached[int(after(arguments, "--seed")) - 1],
                                           "constraint": float(after(arguments, "--freq"))}}}
    Path(after(arguments, "--report")).write_text(json.dumps(report))
    with Path(os.environ["FAKE_LOG"]).open("a") as log:
        log.write(f"{after(arguments, '--freq')} {after(arguments, '--seed')}\n")


def copy(arguments: list[str]) -> None:
    Path(arguments[1]).write_bytes(Path(arguments[0]).read_bytes())


def copy_with_an_error(arguments: list[str]) -> None:
    """Turns over the last bit of the last block RAM's first word."""
    text = Path(arguments[0]).read_text()
    blocks = ICE40.flow.blocks.read(text)
    for bits in blocks.values():
        bits[0] ^= True
    Path(arguments[1]).write_text(ICE40.flow.blocks.write(text, blocks))


def nothing(arguments: list[str]) -> None:
    """Status 0 and no result, as yosys 0.70 at times."""


if __name__ == "__main__":
    tool, *given = sys.argv[1:]
    if "--version" in given:
        print("0.69")
    else:
        globals()[tool](given)
