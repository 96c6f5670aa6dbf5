# SPDX-License-Identifier: MIT
"""All benchmarks, one script a table, each in a process of its own; then the README's table and the pictures."""

import json
import subprocess
import sys
from pathlib import Path

from firstspike_arch.program import write_atomically
from table import RESULTS

TABLES = (
    "cycles", "zoo", "seeds", "training", "schedules", "convolution", "bound", "nmnist", "frameworks", "scales",
    "leaks", "scale", "area", "lut_model", "fmax", "bitstreams", "link", "speed", "timing", "command",
)
BY_NAME_ONLY = {"seeds"}
"""Hours of training."""
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- results: written by make bench -->\n", "<!-- end of results -->"


def write_readme() -> None:
    """Put every stored row into the README, between its two marks."""
    lines = ["| what | floor | measured |", "|---|---|---|"]
    for name in TABLES:
        path = RESULTS / f"{name}.json"
        if path.exists():
            lines += [
                f"| {row['what']} | {row['floor']} | {row['measured']}{'' if row['met'] else ' (**missed**)'} |"
                for row in json.loads(path.read_text())
            ]
    before, rest = README.read_text().split(BEGIN)
    write_atomically(README, before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1])


def main() -> None:
    wanted = sys.argv[1:] or [*(name for name in TABLES if name not in BY_NAME_ONLY), "figures"]
    here = Path(__file__).parent
    failed = [name for name in wanted if subprocess.run([sys.executable, here / f"{name}.py"], check=False).returncode]
    write_readme()
    if failed:
        sys.exit(f"benchmarks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
