# SPDX-License-Identifier: MIT
"""The weight fetcher and its twin, cycle by cycle."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.backend import MemoryTiming
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.events import MARKER
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.compile import compile_network
from firstspike_hw.weight_fetcher import WeightFetcher
from firstspike_sim.backends.external_memory import ExternalMemory
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import stream_buffer, weight_fetcher
from firstspike_sim.timing.spike_lists import codes_of_tokens

QUICK = MemoryTiming(latency=np.array([0, 9, 2]), gaps=np.array([0, 0, 1, 0, 2]), stalls=np.array([0, 3, 0, 1]))
RATES = [(1, 1), (0.6, 0.6), (1, 0.2)]
PAUSES = 64
"""Cycles in which few tokens come, and then as many in which they come at their rate, where they come in bursts."""
STEPS = 4


def spec_of(kind: str) -> CoreSpec:
    random = np.random.default_rng(1)
    net = NetworkBuilder((24,) if kind == "dense" else (5, 3, 4), steps=STEPS, readout="spike_count")
    shape = (7, 24) if kind == "dense" else (5, 5, 3, 3)
    net.layer(random.integers(-3, 6, shape), theta=9, **({"padding": 1} if kind == "map" else {}))
    program = compile_network(net.build(), lanes=5, external=[0], beat_bits=32).program
    if kind == "map in two buffers":  # which are all in use now and then
        program = program.with_config(layers=(replace(program.config.layers[0], external=2),))
    return program.cores[0]


def tokens_of(spec: CoreSpec, density: float) -> np.ndarray:
    """Events of a slice one after the other, in each step."""
    random, fetching = np.random.default_rng(3), spec.fetching
    assert fetching is not None
    count, said = len(fetching.slice_of_neurons), []
    for step in range(STEPS):
        neurons = np.flatnonzero(random.random(count) < density)
        neurons = neurons[np.argsort(fetching.slice_of_neurons[neurons], kind="stable")]
        said += [*fetching.layout.events(neurons, np.ones(len(neurons), int)).tolist(), MARKER | (step == STEPS - 1)]
    return np.array(said)


def compare(
    beside, twin, spec: CoreSpec, often: float, willing: float, density: float = 0.4, bursts: bool = False,
) -> int:
    """Run both; return how many tokens were not taken."""
    twin = callable_twins(twin)
    random, fetching = np.random.default_rng(int(100 * (often + willing))), spec.fetching
    assert fetching is not None
    said = tokens_of(spec, density)
    codes, units = codes_of_tokens(said, fetching.layout), twin.new_fetchers([fetching])
    state, (source, behind) = units.state[0], stream_buffer.new_stream_buffers(2)
    memory, work, at = ExternalMemory(b"", QUICK, 32), deque(), 0

    def cycle(pins):
        nonlocal at
        rate = 0.05 if bursts and pins.cycle // PAUSES % 2 == 0 else often
        source["valid"] = at < len(said) and (source["valid"] or random.random() < rate)
        source["token"] = codes[at] if source["valid"] else 0
        ready, done = random.random() < willing, bool(work) and random.random() < willing
        beat = memory.offered(pins.cycle)
        pins.set(events_valid=source["valid"], events_payload=said[at] if source["valid"] else 0, fetched_ready=ready,
                 done=done, responses_valid=beat is not None, responses_payload=0 if beat is None else beat[1] << 32)
        pins.must_be(fetched_valid=behind["valid"], requests_valid=state["asks"], fault=0)
        asked = bool(state["asks"]) and memory.ready(pins.cycle, True)
        pins.set(requests_ready=asked)
        if behind["valid"]:
            assert pins.get("fetched_payload") & 3 == behind["token"] & 3
            if ready and not behind["token"] & MARKER:
                work.append(1)
        if done:
            work.popleft()
        taken = bool(source["valid"]) and bool(twin.takes(units, 0, source["token"], asked))
        if source["valid"]:
            pins.must_be(events_ready=taken)
        state["is_done"] = done
        twin.step(units, 0, source, taken, asked, beat is not None, beat is not None and beat[1], behind, ready)
        request = (pins.get("requests_payload") & 0xFFFF_FFFF, fetching.beats) if asked else None
        memory.step(pins.cycle, taken=beat is not None, request=request)
        if taken:
            at, source["valid"] = at + 1, False

    beside(WeightFetcher(spec), (1 + bursts) * int(5 * len(said) / min(often, willing)) + STEPS * fetching.slices * (
        2 * fetching.beats + 4), cycle)
    return len(said) - at


@pytest.mark.parametrize("often, willing", RATES)
@pytest.mark.parametrize("kind", ["dense", "map", "map in two buffers"])
def test_twin_equals_unit(beside, kind, often, willing):
    assert compare(beside, weight_fetcher, spec_of(kind), often, willing, bursts=kind == "map in two buffers") == 0


@pytest.mark.parametrize("old, new", [
    ("if fetcher.queued == QUEUE_TOKENS - 1:", "if fetcher.queued == QUEUE_TOKENS - 2:"),
    ("fetcher.used < fetcher.buffers and (asked or not fetcher.asks)", "(asked or not fetcher.asks)"),
    pytest.param("             and not (fetcher.run and fetcher.run_buffer == fetcher.oldest))", "             )",
                 marks=pytest.mark.slow),
    pytest.param("fetchers.filled[number, fetcher.new] = False", "pass", marks=pytest.mark.slow),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    faulty = spoiled(weight_fetcher, old, new)
    with pytest.raises(AssertionError, match="the twin says"):
        for kind, often, willing in (
                ("map in two buffers", 1, 0.2), ("map in two buffers", 1, 1), ("map", 1, 0.2), ("dense", 1, 1),
                ("dense", 0.6, 0.6)):
            compare(beside, faulty, spec_of(kind), often, willing, bursts=kind == "map in two buffers")
