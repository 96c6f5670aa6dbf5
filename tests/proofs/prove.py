# SPDX-License-Identifier: MIT
"""Prove what the units of the hardware promise, for all inputs: `make prove`.

Each ``prove_UNIT.py`` beside this file holds the proofs of a unit, see `proof.Proof`. Words choose those whose unit
contains one of them. ``--faults`` plants a fault for each property instead, which must break it. ``--write`` writes the
table of docs/proofs.md. The status is 0 if all is proved, or every fault found.
"""

import argparse
import importlib
import inspect
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from firstspike_hw.toolchain import ToolError
from planted import planted
from proof import Proof
from prover import prove

__all__ = ["PAGE", "all_proofs", "table"]

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/proofs.md"
_BEGIN, _END = "<!-- proofs: written by make prove -->\n", "<!-- end of proofs -->"


def all_proofs() -> Iterator[type[Proof]]:
    """All proofs, by the names of their files."""
    for file in sorted(HERE.glob("prove_*.py")):
        yield from (one for one in vars(importlib.import_module(file.stem)).values()
                    if inspect.isclass(one) and issubclass(one, Proof) and one.__module__ == file.stem)


def table() -> str:
    """The table of docs/proofs.md: units, properties, and for how long they hold."""
    lines = ["| unit | property | proved |", "|---|---|---|"]
    for one in all_proofs():
        how = "by induction" if one.cycles is None else f"for {one.cycles} cycles"
        lines += [f"| {one.unit} | {name} | {how} |" for name in one.faults]
    return "\n".join(lines) + "\n"


def _prove_all(one: type[Proof], seconds: int) -> bool:
    """Prove a unit and print the verdict; if a property does not hold, tell which, and in which run."""
    began, found = time.monotonic(), prove(one(), seconds=seconds)
    print(f"{found.verdict:6} {time.monotonic() - began:6.1f} s  {one.unit}", flush=True)
    for name in one.faults if found.verdict == "broken" else ():
        alone = prove(one(name), seconds=seconds)
        if alone.verdict == "broken":
            print(f"  {name}: does not hold")
            for cycle, values in enumerate(alone.run):
                print(f"    cycle {cycle}: {', '.join(f'{signal} {value:#x}' for signal, value in values.items())}")
    return found.verdict == "proved"


def _find_fault(one: type[Proof], name: str, seconds: int) -> bool:
    """Plant the fault of a property, and print whether it breaks it."""
    began = time.monotonic()
    with planted(one.faults[name]):
        found = prove(one(name), seconds=seconds)
    print(f"{found.verdict:6} {time.monotonic() - began:6.1f} s  {one.unit}: {name}", flush=True)
    return found.verdict == "broken"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only units that contain one of these")
    parser.add_argument("--faults", action="store_true", help="plant a fault for each property, which must break it")
    parser.add_argument("--seconds", type=int, default=600, help="limit of each proof")
    parser.add_argument("--write", action="store_true", help="write the table of docs/proofs.md, if all is proved")
    options = parser.parse_args()
    chosen = [one for one in all_proofs() if not options.words or any(word in one.unit for word in options.words)]
    if not chosen:
        parser.error(f"words must name some of these units: {', '.join(one.unit for one in all_proofs())}")
    try:
        if options.faults:
            results = [_find_fault(one, name, options.seconds) for one in chosen for name in one.faults]
            print(f"{sum(results)} of {len(results)} planted faults break their property")
        else:
            results = [_prove_all(one, options.seconds) for one in chosen]
            print(f"{sum(results)} of {len(results)} units proved, "
                  f"{sum(len(one.faults) for one, good in zip(chosen, results, strict=True) if good)} properties")
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    if options.write and not options.faults and not options.words and all(results):
        before, rest = PAGE.read_text().split(_BEGIN)
        PAGE.write_text(before + _BEGIN + table() + _END + rest.split(_END)[1])
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main())
