# SPDX-License-Identifier: MIT
"""Random programs as a strategy of Hypothesis, which makes one that fails as small and plain as it can.

A program is drawn by the functions that draw it from a random generator, with choices of Hypothesis instead of random
numbers: what a network may have is said there alone. Of every choice the first or least is the simplest: one layer, one
neuron, weights of 0, and no option.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from firstspike_arch.program import Program
from hypothesis import strategies as st

from .random_network import random_inputs
from .random_program import random_program

__all__ = ["Case", "ChosenNumbers", "cases", "programs"]

ONE_BY_ONE = 32
"""Largest number of elements of an array that are chosen one by one; more come from a seed, as choices are limited."""

SHARES = 20
"""Number of values of a real number in 0 … 1."""


class ChosenNumbers:
    """Stands in for a `numpy.random.Generator` in functions that draw networks.

    Parameters
    ----------
    draw : callable
        ``draw(strategy)``, of a composite strategy.
    """

    def __init__(self, draw: Callable[[st.SearchStrategy], Any]):
        self._draw = draw

    def integers(self, low: Any, high: Any = None, size: Any = None) -> Any:
        """Integers in low … high − 1 as int64, or one; the simplest is 0, or what is nearest to it."""
        low, high = (0, low) if high is None else (low, high)
        return self._array(size, st.integers(int(low), int(high) - 1),
                           lambda random, shape: random.integers(low, high, shape))

    def random(self, size: Any = None) -> Any:
        """Real numbers in 0 … 1, in the middle of equal parts; the simplest is the largest, which most options are
        without."""
        return self._array(size, st.integers(0, SHARES - 1).map(lambda part: 1 - (part + 0.5) / SHARES),
                           lambda random, shape: random.random(shape))

    def choice(self, options: Any) -> Any:
        """One of the options, or of as many integers from 0; the simplest is the first."""
        return self._draw(st.sampled_from(range(options) if isinstance(options, int) else list(options)))

    def spawn(self, count: int) -> list["ChosenNumbers"]:
        """Generators of their own are not needed: every choice stands for itself."""
        return [self] * count

    def _array(self, size: Any, one: st.SearchStrategy, many: Callable[[np.random.Generator, Any], np.ndarray]) -> Any:
        if size is None:
            return self._draw(one)
        shape = (int(size),) if isinstance(size, int | np.integer) else tuple(size)
        count = int(np.prod(shape))
        if count <= ONE_BY_ONE:
            values = [self._draw(one) for _ in range(count)]
            return np.array(values).reshape(shape) if count else many(np.random.default_rng(0), shape)
        return many(np.random.default_rng(self._draw(st.integers(0, (1 << 16) - 1))), shape)


@st.composite
def programs(draw: Any, *, layers_max: int = 3, neurons_max: int = 7) -> Program:
    """Programs with any choice of the options of networks and mappings.

    Parameters
    ----------
    layers_max, neurons_max
        Largest number of layers, and of neurons of a dense one.
    """
    options = {name: draw(st.booleans()) for name in ("maps", "nearest", "pairs", "skips")}
    return random_program(ChosenNumbers(draw), **options, layers_max=layers_max,  # pyright: ignore[reportArgumentType]
                          neurons_max=neurons_max)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A program, inputs for it, and the seed of waits at both ports; None: no waits."""

    program: Program
    inputs: np.ndarray
    waits: int | None

    def __repr__(self) -> str:
        sizes = ", ".join(str(layer.neurons) for layer in self.program.network.layers)
        return f"<layers of {sizes} neurons, inputs {self.inputs.shape}, waits {self.waits}>"


@st.composite
def cases(draw: Any, *, inferences_max: int = 4, **sizes: int) -> Case:
    """Programs with inputs for up to ``inferences_max`` inferences, and waits; ``sizes`` as of `programs`."""
    program = draw(programs(**sizes))
    count = draw(st.integers(1, inferences_max))
    inputs = random_inputs(ChosenNumbers(draw), program.network, count)  # pyright: ignore[reportArgumentType]
    return Case(program=program, inputs=inputs, waits=draw(st.none() | st.integers(0, 99)))
