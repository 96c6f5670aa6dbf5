# SPDX-License-Identifier: MIT
"""A hardware unit and its twin side by side, cycle by cycle; twins with a fault planted."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator


class Pins:
    """Ports of a unit in Amaranth's simulator, by name: ``source_valid``."""

    def __init__(self, unit: Component, ctx):
        self.cycle = 0
        self._ctx = ctx
        self._values = {"_".join(map(str, path)): Value.cast(value) for path, _, value in unit.signature.flatten(unit)}

    def set(self, **values) -> None:
        for name, value in values.items():
            self._ctx.set(self._values[name], int(value))

    def get(self, name: str) -> int:
        return self._ctx.get(self._values[name])

    def must_be(self, **values) -> None:
        """What the twin says of ports; the sentence names the first that differs."""
        for name, value in values.items():
            found = self.get(name)
            assert found == int(value), f"cycle {self.cycle}: {name} is {found}, the twin says {int(value)}"


@dataclass(frozen=True, kw_only=True)
class Lists:
    """`SpikeLists`, of one sender, with nothing but what the twins ask for."""

    codes: np.ndarray
    places: np.ndarray
    offsets: np.ndarray
    first_step: np.ndarray


@pytest.fixture(scope="session")
def beside() -> Callable[..., None]:
    """``beside(unit, cycles, compare)``: ``compare(pins)`` in each cycle from reset on; it sets inputs, says what the
    outputs must be, and moves the twin on."""

    def run(unit: Component, cycles: int, compare: Callable[[Pins], None]) -> None:
        async def bench(ctx):
            pins = Pins(unit, ctx)
            for pins.cycle in range(cycles):
                compare(pins)
                await ctx.tick()

        simulator = Simulator(unit)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()

    return run


@pytest.fixture(scope="session")
def spoiled() -> Callable[[ModuleType, str, str], ModuleType]:
    """``spoiled(module, old, new)``: the module with that place of its text changed."""

    def change(module: ModuleType, old: str, new: str) -> ModuleType:
        text = Path(str(module.__file__)).read_text()
        assert text.count(old) == 1, f"{old!r} must be in {module.__name__} once, not {text.count(old)} times"
        other = ModuleType(f"{module.__name__}_spoiled")
        other.__package__, other.__file__ = module.__package__, module.__file__
        sys.modules[other.__name__] = other  # the compiler looks for globals there
        exec(compile(text.replace(old, new), str(module.__file__), "exec"), other.__dict__)
        return other

    return change


@pytest.fixture(scope="session")
def lists_of() -> Callable[[np.ndarray, np.ndarray], Lists]:
    """``lists_of(spikes[B, T, N], places[N])``: spikes in the order of their places; codes are numbers."""

    def make(spikes: np.ndarray, places: np.ndarray) -> Lists:
        count, steps, _ = spikes.shape
        order = np.argsort(places)
        where, at = np.nonzero(spikes[:, :, order].reshape(count * steps, -1))
        return Lists(codes=order[at], places=places[order][at],
                     offsets=np.searchsorted(where, np.arange(count * steps + 1)),
                     first_step=np.arange(count + 1) * steps)

    return make
