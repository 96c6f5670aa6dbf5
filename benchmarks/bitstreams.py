# SPDX-License-Identifier: MIT
"""Bitstreams of open tools for whole boards, UART and host link included; and other weights patched into them.

Placed designs stay in ``build/bitstreams`` and are used again as long as nothing but weights has changed.
"""

from pathlib import Path

import firstspike as fs
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards.bitstream import build_bitstream
from firstspike_boards.board import Board
from firstspike_boards.icebreaker import ICEBREAKER
from firstspike_boards.tang_nano_9k import TANG_NANO_9K
from firstspike_boards.ulx3s import ULX3S
from table import Row, publish

FOLDER = Path(__file__).parents[1] / "build" / "bitstreams"
CELLS = ("ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_SPRAM", "TRELLIS_COMB", "DP16KD", "LUT4", "BSRAM")


def rows_of(board: Board, program: Program, what: str, floor_mhz: float, seeds: range) -> list[Row]:
    """Clock and size of a bitstream, and how much faster than place and route it takes other weights."""
    report = build_bitstream(board, program, FOLDER / f"{board.name}-{program.network.name}", seeds=seeds)
    used = ", ".join(f"{cell} {number} of {available}" for cell, (number, available) in report["utilisation"].items()
                     if cell in CELLS)
    mhz, seconds = report["clock"]["mhz"], report["seconds"]
    times = seconds["place_and_route"] / seconds["patch_and_pack"]
    bits = sum(memory["words"] * memory["bits"] for memory in report["memories"])
    blocks = sum(memory["blocks"] for memory in report["memories"])
    seen = "the unpacked bitstream" if board.family.flow.unpacker else "what was packed"
    return [
        Row(what=f"{what} on {board.title}, whole board, open tools", floor=f"timing met at ≥ {floor_mhz:g} MHz",
            measured=f"{mhz:g} MHz (reached {report['fmax_mhz']:.1f}), {used}",
            met=report["fmax_mhz"] >= mhz >= floor_mhz),
        Row(what=f"… other weights: place and route over patch and pack; bits of {seen} against the images",
            floor="≥ 5 ×, 0 differences",
            measured=f"{times:.0f} × ({seconds['patch_and_pack']:.1f} s), 0 differences in {bits} bits of {blocks} "
                     "block RAMs", met=times >= 5),
    ]


def main() -> None:
    small = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    digits = fs.compile(small, lanes=8, early_exit=True, winner="scan", register_rows=2).program
    large = fs.load(shipped("zoo", "mnist_ettfs.safetensors"))
    mnist = fs.compile(large, lanes=64, port="image", early_exit=True).program
    narrow = fs.compile(large, lanes=[12, 10], early_exit=True, winner="scan", register_rows=2, single_port=[0]).program
    publish("bitstreams", [
        *rows_of(ICEBREAKER, digits, "digits, 8 lanes,", 24, range(1, 4)),
        *rows_of(ICEBREAKER, narrow, "MNIST 784-128-10, 12 lanes, hidden weights in SPRAM,", 24, range(1, 3)),
        *rows_of(TANG_NANO_9K, digits, "digits, 8 lanes,", 24, range(1, 2)),
        *rows_of(ULX3S, mnist, "MNIST 784-128-10, 64 lanes,", 80, range(1, 3)),
    ])


if __name__ == "__main__":
    main()
