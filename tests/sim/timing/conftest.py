# SPDX-License-Identifier: MIT
"""A hardware unit and its twin side by side, cycle by cycle; twins with a fault planted."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.events import tokens_from_spikes
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.random_network import random_banks, random_inputs, random_network, random_rotates
from firstspike_sim.testing.unit_words import second_events
from firstspike_sim.timing.spike_lists import codes_of_tokens

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the faults planted in a twin, which is compiled anew for each of them, the quick tests try the first; but all
    must still apply."""
    tried = set()
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE and item.name.startswith("test_a_fault"):
            params = item.callspec.params if hasattr(item, "callspec") else {}
            twins = [params["module"]] if "module" in params else [
                one for one in vars(item.module).values()
                if isinstance(one, ModuleType) and one.__name__.startswith("firstspike_sim.timing.")]
            texts = [Path(str(one.__file__)).read_text() for one in twins]
            if "old" in params and not any(text.count(params["old"]) == 1 for text in texts):
                raise pytest.UsageError(f"{item.nodeid}: {params['old']!r} must be in one of its twins, once")
            function = item.nodeid.split("[")[0]
            if function in tried:
                item.add_marker(pytest.mark.slow)
            tried.add(function)


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


@dataclass(frozen=True, kw_only=True)
class Work:
    """A core of a random program, with what its streams say: as the hardware's tokens and as the twin's; its spikes."""

    program: Program
    spec: CoreSpec
    tokens: list[np.ndarray]
    codes: list[np.ndarray]
    spikes: np.ndarray


def work_of(program: Program, inputs: np.ndarray) -> list[Work]:
    """The cores of a program, and what the inputs mean for each."""
    spikes = GoldenModel(program.network).run(inputs).spikes
    work = []
    for spec in program.cores:
        tokens = [tokens_from_spikes(np.asarray(spikes[one.source + 1]), one.layout)[0] for one in spec.inputs]
        if spec.pairs:
            tokens = [spec.layouts[0].join(tokens[0], second_events(np.random.default_rng(0), tokens[0]))]
        codes = [codes_of_tokens(said, one.layout) for said, one in zip(tokens, spec.inputs, strict=True)]
        work.append(Work(program=program, spec=spec, tokens=tokens, codes=codes,
                         spikes=np.asarray(spikes[spec.index + 1])))
    return work


def _undelayed(network: IntegerNetwork) -> IntegerNetwork:
    """The network without delays, which are no part of a core."""
    return replace(network, layers=tuple(
        replace(layer, delays=None, branches=tuple(replace(branch, delays=None) for branch in layer.branches))
        for layer in network.layers))


@pytest.fixture(scope="session")
def random_work() -> Callable[[int], list[Work]]:
    """``random_work(seed)``: the cores of a random program, and what five inferences mean for each."""

    def draw(seed: int) -> list[Work]:
        rng = np.random.default_rng(seed)
        network = _undelayed(random_network(rng, maps=bool(seed % 2)))
        program = compile_network(
            network, lanes=[int(rng.integers(1, layer.channels // layer.groups + 1)) for layer in network.layers],
            register_rows=int(rng.choice([2, 8])), banks=random_banks(rng, network),
            bit_serial=network.bit_by_bit and bool(rng.random() < 0.7), events_per_cycle=1 + (seed % 3 > 0),
            rotates=random_rotates(rng, network),
        ).program
        return work_of(program, random_inputs(rng, network, 5))

    return draw


@pytest.fixture(scope="session")
def banked_work() -> Callable[[int], list[Work]]:
    """``banked_work(seed)``: a convolution with banks, whose events take several visits or rows; perhaps with dilation,
    perhaps with a branch."""

    def draw(seed: int) -> list[Work]:
        rng, dilation = np.random.default_rng(seed), 1 + seed % 2
        net = NetworkBuilder((2, 5, 6), steps=3, readout="spike_count")
        net.layer(rng.integers(-3, 6, (4, 2, 3, 3)), theta=9, padding=(dilation, 1), dilation=(dilation, 1))
        if seed % 3 == 0:
            net.branch(rng.integers(-3, 6, (4, 2, 1, 1)), source=-1)
        banks = [(1, 2), (3, 1), (1, 3), (3, 2)][seed % 4]
        program = compile_network(net.build(), lanes=1 + seed // 4 % 2, banks=[banks]).program
        return work_of(program, (rng.random((4, 3, 60)) < 0.3).astype(np.uint8))

    return draw


@pytest.fixture(scope="session")
def skipping_work() -> Callable[[int], list[Work]]:
    """``skipping_work(seed)``: a convolution that skips rows; with one bank or several, perhaps with a branch."""

    def draw(seed: int) -> list[Work]:
        rng = np.random.default_rng(seed)
        net = NetworkBuilder((2, 5, 6), steps=4, readout="spike_count")
        net.layer(rng.integers(-3, 6, (4, 2, 3, 3)), theta=9, reset="zero", padding=1, v_min=-9 if seed % 2 else None)
        if seed % 3 == 0:
            net.branch(rng.integers(-3, 6, (4, 2, 1, 1)), source=-1)
        net.layer(rng.integers(-3, 6, (2, 120)), theta=20)
        banks = [(1, 1), (3, 3), (1, 2), (2, 2)][seed % 4]
        program = compile_network(net.build(), lanes=1 + seed // 4 % 3, banks=[banks, (1, 1)], skips=True).program
        return work_of(program, (rng.random((8, 4, 60)) < 0.06).astype(np.uint8))[:1]

    return draw


class Streams:
    """Offers of a core's streams, with random waits: ``registers`` for the twin, `CoreInput` by `CoreInput`."""

    def __init__(self, work: Work, random: np.random.Generator, often: float):
        self.registers = np.zeros(len(work.tokens), [("valid", np.bool_), ("token", np.int64)])
        self._work, self._random, self._often = work, random, often
        self._at = [0] * len(work.tokens)

    def offer(self, pins: Pins) -> None:
        for place, (said, codes) in enumerate(zip(self._work.tokens, self._work.codes, strict=True)):
            at, register = self._at[place], self.registers[place]
            register["valid"] = at < len(said) and (register["valid"] or self._random.random() < self._often)
            register["token"] = codes[at] if register["valid"] else 0
            pins.set(**{f"events{place}_valid": register["valid"],
                        f"events{place}_payload": said[at] if register["valid"] else 0})

    def check(self, pins: Pins, ready: np.ndarray) -> None:
        """The streams that offer something must be as ``ready`` as the twin says."""
        for place, register in enumerate(self.registers):
            if register["valid"]:
                pins.must_be(**{f"events{place}_ready": ready[place]})
                if ready[place]:
                    self._at[place], register["valid"] = self._at[place] + 1, False

    @property
    def taken(self) -> float:
        """Share of all tokens that were taken."""
        return sum(self._at) / sum(len(said) for said in self._work.tokens)


class Drop:
    """Names the inference at hand, sometimes: after a marker of it was done, until its final marker is far behind."""

    def __init__(self, random: np.random.Generator, often: float):
        self.valid, self.inference, self.count = False, 0, 0
        self._random, self._often, self._behind = random, often, 0

    def decide(self, state) -> None:
        """With the state of the sequencer's twin, before each cycle."""
        if self.valid:
            self._behind += int(state["inference"] > self.inference)
            self.valid = self._behind < 3
        elif not state["opening"] and self._random.random() < self._often:
            self.valid, self.inference, self._behind = True, int(state["inference"]), 0
            self.count += 1


SEEDS = (0, 3, 5, 7, 10, 28, 31, 35, 52, 63, 67, 69, 76, 87, 97, 103)
"""Of random programs whose cores have every option at least twice."""


@pytest.fixture(scope="session")
def seeds() -> tuple[int, ...]:
    return SEEDS


@pytest.fixture(params=SEEDS)
def seed(request) -> int:
    """One of ``seeds`` after the other."""
    return request.param


@pytest.fixture(scope="session")
def streams() -> type[Streams]:
    return Streams


@pytest.fixture(scope="session")
def drops() -> type[Drop]:
    return Drop
