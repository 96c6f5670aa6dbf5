# SPDX-License-Identifier: MIT
"""The command in the hand: CPU time of what should answer at once."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from firstspike.verb_demo import shipped
from table import Row, publish

ROUNDS = 5
FLOOR_S = 0.5


def cpu_seconds(*arguments: str | Path) -> float:
    """Return the median CPU time of a command, user and system, in a process of its own."""
    times = []
    for _ in range(ROUNDS):
        before = os.times()
        subprocess.run([sys.executable, "-c", "from firstspike.main import run; run()", *map(str, arguments)],
                       stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        times.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return median(times)


def main() -> None:
    commands = {"firstspike --help": ("--help",), "firstspike compile --help": ("compile", "--help")} | {
        f"firstspike inspect {name}": ("inspect", shipped("zoo", f"{name}.safetensors"))
        for name in ("mnist_ettfs", "cifar10_chip")}
    publish("command", [
        Row(what=f"{name}, CPU time", floor=f"≤ {FLOOR_S} s", measured=f"{seconds:.2f} s", met=seconds <= FLOOR_S)
        for name, seconds in ((name, cpu_seconds(*arguments)) for name, arguments in commands.items())])


if __name__ == "__main__":
    main()
