# SPDX-License-Identifier: MIT
"""All benchmarks, one script a table, each in a process of its own; then docs/results.md and the README's headlines."""

import subprocess
import sys
from pathlib import Path

from firstspike_arch.program import write_atomically
from table import published

TABLES = (
    "cycles", "zoo", "seeds", "training", "schedules", "convolution", "delays", "loihi", "bound", "nmnist",
    "frameworks", "scales", "leaks", "scale", "external", "area", "gates", "upsets", "protection", "peers", "lut_model",
    "fmax", "sdram", "sdram_board", "bitstreams", "link", "driver", "speed", "timing", "command", "option_pairs",
    "pages", "explore",
)
BY_NAME_ONLY = {"seeds", "peers"}
"""Hours of training, and a design that the yosys of constraints.txt cannot synthesise."""
ROOT = Path(__file__).parents[1]
HEADLINES = (
    ("MNIST 784-128-10, 10,000 test images, Verilog in Verilator against both models", "cycles",
     "128 lanes: RTL against golden and timing model, 10000 images"),
    ("… its accuracy in hardware; weights of 5 bits, T = 8", "cycles", "accuracy of the integer network, in RTL"),
    ("… cycles from image to image; 128 lanes, two events a cycle", "cycles", "… mean interval, cycles"),
    ("… clock and cells on an ECP5-85F of speed 6, by open tools; 64 lanes", "fmax",
     "MNIST on ECP5-85F speed 6, 64 lanes, median of 3 seeds"),
    ("CIFAR-10, 462 thousand weights, mapped to an Artix-7 100T", "zoo", "zoo/cifar10_chip"),
)
"""Rows of the README: what and under which conditions, table, and how the row of that table begins."""


def write_tables() -> None:
    """Put every stored row into docs/results.md, and the headlines into the README, each between its two marks."""
    lines = ["| what | floor | measured |", "|---|---|---|"]
    for name in TABLES:
        lines += [f"| {row.what} | {row.floor} | {row.measured}{'' if row.met else ' (**missed**)'} |"
                  for row in published(name)]
    _write_between(ROOT / "docs" / "results.md", "results", lines)
    lines = ["| what | measured |", "|---|---|"]
    for what, name, begins in HEADLINES:
        found = next((row.measured for row in published(name) if row.what.startswith(begins)), "-")
        lines.append(f"| {what} | {found} |")
    _write_between(ROOT / "README.md", "headlines", lines)


def _write_between(path: Path, what: str, lines: list[str]) -> None:
    begin, end = f"<!-- {what}: written by make bench -->\n", f"<!-- end of {what} -->"
    before, rest = path.read_text().split(begin)
    write_atomically(path, before + begin + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1])


def main() -> None:
    wanted = sys.argv[1:] or [*(name for name in TABLES if name not in BY_NAME_ONLY), "figures"]
    here = Path(__file__).parent
    failed = [name for name in wanted if subprocess.run([sys.executable, here / f"{name}.py"], check=False).returncode]
    write_tables()
    if failed:
        sys.exit(f"benchmarks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
