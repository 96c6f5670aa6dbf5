# SPDX-License-Identifier: MIT
"""Pairs of options that random networks have together: those of the tests' seeds, and those that Hypothesis chooses."""

import argparse
from collections.abc import Iterator

import numpy as np
from firstspike_arch.program import Program
from firstspike_sim.testing.network_options import options, pairs, possible_pairs
from firstspike_sim.testing.network_strategy import programs
from firstspike_sim.testing.random_program import random_program
from hypothesis import HealthCheck, Phase, given, settings
from table import Row, publish

FLOOR = 0.85
SHOWN = 12


def of_seeds(count: int) -> Iterator[Program]:
    """Programs as tests/conftest.py draws them."""
    for seed in range(count):
        yield random_program(np.random.default_rng(seed), maps=bool(seed % 2), nearest=seed % 3 == 0,
                             pairs=seed % 4 < 2, skips=seed % 5 > 0)


def of_hypothesis(count: int) -> Iterator[Program]:
    found: list[Program] = []
    given(programs())(settings(
        max_examples=count, phases=[Phase.generate], derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck))(lambda program: found.append(program)))()
    yield from found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="programs of each kind")
    count = parser.parse_args().count
    possible, both, rows = possible_pairs(), set(), []
    for what, drawn in (("of the tests' seeds", of_seeds(count)), ("that Hypothesis chooses", of_hypothesis(count))):
        seen = set().union(*(pairs(options(program)) for program in drawn)) & possible
        both |= seen
        rows.append(Row(what=f"pairs of options in {count} random programs {what}, of {len(possible)} possible ones",
                        floor=f"≥ {FLOOR:.0%}", measured=f"{len(seen)}, {len(seen) / len(possible):.1%}",
                        met=len(seen) >= FLOOR * len(possible)))
    missing = sorted(possible - both)
    print(f"in neither: {len(missing)}", *(f"  {one} + {other}" for one, other in missing[:SHOWN]), sep="\n")
    publish("option_pairs", rows)


if __name__ == "__main__":
    main()
