# SPDX-License-Identifier: MIT
"""A network whose weights lie in the SDRAM of a ULX3S: clock and size of the whole bitstream, by open tools.

The placed design stays in ``build/sdram_board`` and is used again as long as nothing but weights has changed.
"""

from pathlib import Path

import firstspike as fs
from firstspike.verb_demo import shipped
from firstspike_boards.bitstream import build_bitstream
from firstspike_boards.ulx3s import ULX3S
from table import Row, publish

FOLDER = Path(__file__).parents[1] / "build" / "sdram_board"
CELLS = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD")
FLOOR_MHZ = 50


def main() -> None:
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    program = fs.compile(network, lanes=8, early_exit=True, external=[0]).program
    report = build_bitstream(ULX3S, program, FOLDER, seeds=(1,))
    used = ", ".join(f"{cell} {number} of {available}" for cell, (number, available) in report["utilisation"].items()
                     if cell in CELLS)
    mhz = report["clock"]["mhz"]
    publish("sdram_board", [
        Row(what=f"digits, 8 lanes, {program.external_octets:,} octets of weights in SDRAM, on {ULX3S.title}, whole "
                 "board, open tools", floor=f"timing met at ≥ {FLOOR_MHZ} MHz",
            measured=f"{mhz:g} MHz (reached {report['fmax_mhz']:.1f}), {used}",
            met=report["fmax_mhz"] >= mhz >= FLOOR_MHZ),
    ])


if __name__ == "__main__":
    main()
