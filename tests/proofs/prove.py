# SPDX-License-Identifier: MIT
"""Prove what the units of the hardware promise, for all inputs: `make prove`.

Each ``prove_UNIT.py`` beside this file holds the proofs of a unit, see `proof.Proof`. Arguments choose the proofs whose
unit contains one of the words. ``--faults`` plants a fault for each property instead, which must break it. ``--write``
writes the table of docs/proofs.md.
"""

import argparse
import importlib
import inspect
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from planted import planted
from proof import Proof
from prover import prove

HERE = Path(__file__).parent


def proofs() -> Iterator[type[Proof]]:
    """All proofs, by the names of their files."""
    for file in sorted(HERE.glob("prove_*.py")):
        for one in vars(importlib.import_module(file.stem)).values():
            if inspect.isclass(one) and issubclass(one, Proof) and one.__module__ == file.stem and "unit" in vars(one):
                yield one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only units that contain one of these")
    parser.add_argument("--faults", action="store_true", help="plant a fault for each property, which must break it")
    parser.add_argument("--seconds", type=int, default=300, help="limit of each proof")
    options = parser.parse_args()
    chosen = [one for one in proofs() if not options.words or any(word in one.unit for word in options.words)]
    failed = 0
    for one in chosen:
        if options.faults:
            for name, fault in one.faults.items():
                began = time.monotonic()
                with planted(fault):
                    verdict = prove(one(name), seconds=options.seconds)
                failed += verdict != "broken"
                print(f"{verdict:8} {time.monotonic() - began:6.1f} s  {one.unit}: {name}", flush=True)
        else:
            began = time.monotonic()
            verdict = prove(one(), seconds=options.seconds)
            failed += verdict != "proved"
            print(f"{verdict:8} {time.monotonic() - began:6.1f} s  {one.unit}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
