# SPDX-License-Identifier: MIT
"""Random programs: random networks, with a random choice for every option of their mapping."""

import numpy as np
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_compiler.passes.round_leaks import round_leaks

from .random_network import random_banks, random_network, random_rotates

__all__ = ["random_program"]


def random_program(
    rng: np.random.Generator, *, maps: bool, nearest: bool, pairs: bool, skips: bool, layers_max: int = 3,
    neurons_max: int = 24,
) -> Program:
    """Draw a program.

    Parameters
    ----------
    maps, layers_max, neurons_max
        See `random_network`.
    nearest : bool
        Whether leaks round to the nearest number.
    pairs : bool
        Whether layers that can take two events a cycle do.
    skips : bool
        Whether layers that can skip rows do.
    """
    network = random_network(rng, layers_max=layers_max, neurons_max=neurons_max, maps=maps)
    if nearest:
        network, _ = round_leaks(network, "nearest")
    bytes_ = network.input_kind == "latency" or (network.input_kind == "direct" and network.in_min in (0, -3) and (
        network.in_max <= 127 or network.in_min == 0))
    return compile_network(
        network, lanes=[int(rng.integers(1, layer.channels // layer.groups + 1)) for layer in network.layers],
        port=str(rng.choice(["events", "image"])) if bytes_ else "events",
        early_exit=network.earliest_decides and not network.endless and bool(rng.random() < 0.6),
        register_rows=int(rng.choice([2, 8])),
        winner=str(rng.choice(["tree", "scan"])), banks=random_banks(rng, network),
        bit_serial=network.bit_by_bit and bool(rng.random() < 0.5),
        merges=bool(rng.spawn(1)[0].random() < 0.5),  # drawn apart, as it came later
        events_per_cycle=1 + pairs, rotates=random_rotates(rng, network), skips=skips,
        forwards=bool(rng.spawn(1)[0].random() < 0.5), multiplies_leaks=bool(rng.spawn(1)[0].random() < 0.7),
    ).program
