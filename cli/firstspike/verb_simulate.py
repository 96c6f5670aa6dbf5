# SPDX-License-Identifier: MIT
"""firstspike simulate FOLDER --data DATA --index I"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from firstspike_arch.backend import DecidedBy
from firstspike_arch.events import MARKER, neuron_name
from firstspike_arch.network import INPUT
from rich.console import Console

from .build_folder import read_build
from .options import Backend, Build, Data, Split, load_for
from .progress import shown_stage


def simulate(
    build: Build, data: Data, index: Annotated[int, typer.Option(min=0, help="Index of the input.")] = 0,
    split: Split = "test", backend: Backend = "verilator",
    waves: Annotated[Path | None, typer.Option(help="Write an FST waveform (verilator).")] = None,
) -> None:
    """Simulate one inference in detail."""
    from . import api

    program, _ = read_build(build)
    inputs, labels = load_for(program.network, data, split, index + 1)
    if index >= len(inputs):
        raise ValueError(f"--index must be below {len(inputs)}, the number of inputs, not {index}")
    console = Console(highlight=False)
    with shown_stage(console, "building the simulator, and one inference in it"):
        trace = api.simulate(program, inputs[index:index + 1], backend=backend, waves=waves)
    network = program.network
    for edge, tokens, cycles in zip(network.edges(), trace.edge_tokens, trace.edge_cycles, strict=True):
        if edge.place and edge.source != edge.target:
            continue  # this edge carries a stream that is already shown for another target
        layout = network.layout_of(edge.source)
        name = "input" if edge.source == INPUT else network.layers[edge.source].name
        step, line = 0, []
        for token, cycle in zip(tokens.tolist(), cycles.tolist(), strict=True):
            if token & MARKER:
                console.print(f"{name:8} step {step:3} ends in cycle {cycle:5}: {len(line):3} spikes {_short(line)}")
                step, line = step + 1, []
            else:
                line.append(neuron_name(token, layout))
    for result in range(len(trace.classes)):
        scores = ", ".join(str(score) for score in trace.scores[result])
        console.print(
            f"{f'window {result}: ' * network.endless}class {trace.classes[result]} at step {trace.steps[result]}, "
            f"decided in cycle {trace.decided[result]}, "
            f"{DecidedBy(int(trace.decided_by[result])).name.lower().replace('_', ' ')}; scores {scores}")
    if labels is not None:
        console.print(f"label {labels[index]}")
    if waves:
        console.print(f"waveform written to {waves}")


def _short(neurons: list[str]) -> str:
    shown = " ".join(neurons[:16])
    return f"{shown} …" if len(neurons) > 16 else shown


def distribution(values: np.ndarray) -> str:
    """Format minimum, mean, 95th percentile and maximum."""
    if not len(values):
        return "-"
    return (f"min {values.min()}, mean {values.mean():.1f}, 95 % ≤ {np.percentile(values, 95):.0f}, max {values.max()}")
