# SPDX-License-Identifier: MIT
"""Conversion of images or spike counts to input words, and limits for how long a simulator runs them."""

from dataclasses import replace

import numpy as np
from firstspike_arch.backend import IDEAL_MEMORY, MemoryTiming, Stimulus
from firstspike_arch.events import MARKER, tokens_from_spikes
from firstspike_arch.fixed import ceil_div, latency_step
from firstspike_arch.program import Program
from firstspike_arch.work import memory_cycles, quiet_cycles

from .inputs import check_inputs

__all__ = [
    "cycle_limit", "encode_direct", "encode_latency", "make_stimulus", "random_memory", "random_waits",
]

PIXELS_PER_BEAT = 8


def encode_latency(images: np.ndarray, steps: int, cutoff: int) -> np.ndarray:
    """Encode images, uint8[B, N], as spikes, uint8[B, T, N]: one spike for each pixel of at least ``cutoff``."""
    at = np.where(images >= cutoff, latency_step(images.astype(np.int32), steps), -1)
    return (at[:, None, :] == np.arange(steps)[None, :, None]).astype(np.uint8)


def encode_direct(numbers: np.ndarray, steps: int) -> np.ndarray:
    """Encode numbers of a direct input, int[B, N], as int16[B, T, N], in which they are in step 0."""
    spikes = np.zeros((len(numbers), steps, numbers.shape[1]), dtype=np.int16)
    spikes[:, 0] = numbers
    return spikes


def make_stimulus(
    program: Program, inputs: np.ndarray, *, gaps: np.ndarray | None = None, sink_stalls: np.ndarray | None = None,
    spikes: np.ndarray | None = None, memory: MemoryTiming = IDEAL_MEMORY,
) -> Stimulus:
    """Make a stimulus of inferences back to back.

    Parameters
    ----------
    inputs : uint8[B, N], integer[B, N] or integer[B, T, N]
        Images (latency input), numbers (direct input) or spike counts (events); see `check_inputs`.
    gaps, sink_stalls : int64[K], int64[R]
        Waits, see `Stimulus`.
    spikes : integer or bool[B, T, N]
        Spikes of the inputs, if they are already known.
    memory : MemoryTiming
        Waits of the external memory.

    Raises
    ------
    ValueError
        The inputs are none, or have a wrong shape, type or range.
    """
    network = program.network
    inputs, kind = check_inputs(network, inputs, some=True), network.input_kind
    if program.config.port == "image":
        beats = ceil_div(network.inputs, PIXELS_PER_BEAT)
        padded = np.zeros((len(inputs), beats * PIXELS_PER_BEAT), dtype=np.uint8)
        padded[:, : network.inputs] = inputs.astype(np.int16) & 0xFF
        words, starts = padded.view("<u8").reshape(-1), np.arange(len(inputs) + 1) * beats
    else:
        if spikes is None:
            spikes = {"latency": lambda: encode_latency(inputs, network.steps, network.cutoff),
                      "direct": lambda: encode_direct(inputs, network.steps), "events": lambda: inputs}[kind]()
        words, starts = tokens_from_spikes(spikes, network.input_layout)
    opens = None
    if network.endless:
        behind = np.flatnonzero(words & MARKER).reshape(len(inputs), -1) + 1  # each step
        size = network.steps_max
        opens = np.concatenate([starts[:-1, None], behind[:, size - 1 : -1 : size]], axis=1).ravel()
    return Stimulus(words=words, starts=starts, gaps=gaps, sink_stalls=sink_stalls, opens=opens,
                    memory=memory)


def random_waits(
    stimulus: Stimulus, seed: int, *, often: float = 0.3, gap_max: int = 6, stall_max: int = 60,
) -> Stimulus:
    """Return the same words with random idle cycles before some of them, random waits of the results, and of an
    external memory."""
    random = np.random.default_rng(seed)
    count = len(stimulus.words)
    gaps = np.where(random.random(count) < often, random.integers(1, gap_max + 1, count), 0)
    stalls = random.integers(0, stall_max + 1, stimulus.results)
    return replace(stimulus, gaps=gaps, sink_stalls=stalls, memory=random_memory(random.spawn(1)[0]))


def random_memory(random: np.random.Generator) -> MemoryTiming:
    """Return random waits of an external memory: a fast or a slow one, with many gaps or few."""
    slowest, often = int(random.choice([2, 10, 60])), float(random.choice([0, 0.1, 0.5]))
    return MemoryTiming(
        latency=random.integers(0, slowest + 1, 61), gaps=random.integers(1, 8, 97) * (random.random(97) < often),
        stalls=random.integers(1, 9, 53) * (random.random(53) < often))


def cycle_limit(program: Program, stimulus: Stimulus) -> int:
    """Return an upper bound for the cycles of a run: one that takes longer is stuck."""
    waits = sum(int(np.sum(one)) for one in (stimulus.gaps, stimulus.sink_stalls) if one is not None)
    work = len(stimulus.words) + stimulus.inferences * program.network.inputs
    for core in program.cores:
        passes = len(core.microcode.passes) - 1
        steps = program.network.steps_max * stimulus.results
        work += steps * (core.plan.neurons + 2 * passes)
    rows = max(core.plan.rows for core in program.cores)
    fetching = program.network.steps_max * stimulus.results * memory_cycles(program, stimulus.memory)
    return 100_000 + waits + quiet_cycles(program) + fetching + 8 * rows * work
