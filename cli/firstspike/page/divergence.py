# SPDX-License-Identifier: MIT
"""The first divergence: spikes of models and hardware around it, membranes, and a waveform with a view of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.backend import Trace
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout
from firstspike_arch.network import INPUT
from firstspike_arch.program import Program
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog_files import top_of
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import Check, compare, first_divergence
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import Prediction, predict_inputs
from firstspike_sim.waveform import Waveform, captured_membranes, view_file

from ..api import Verification
from .run_facts import neurons_of_tokens

__all__ = ["divergence_facts"]

AROUND = 40
"""Cycles before and behind the divergence whose spikes are shown."""


def divergence_facts(
    program: Program, outcome: Verification, inputs: np.ndarray, verilog: str, *, waves: Path | None,
) -> dict | None:
    """Describe the first divergence of a verification; None: there is none.

    With ``waves``, the inference is simulated again in Verilator, behind the one before it, and its waveform written
    there, with a view for GTKWave beside it. If it is equal this time, so are all before it in its run.
    """
    start = 0
    for prediction, trace in zip(outcome.predictions, outcome.traces, strict=True):
        count = prediction.stimulus.inferences
        check = first_divergence(compare(program.network, prediction.stimulus, prediction.trace, trace))
        if check:
            break
        start += count
    else:
        return None
    inference = _inference(check, prediction, trace)
    layer, neuron = _neuron(program, check, prediction.trace, trace)
    found: dict[str, Any] = {
        "text": check.first, "input": start + inference, "cycle": check.cycle,
        "layer": None if layer is None else program.network.layers[layer].name, "neuron": neuron, "place": None,
        "streams": _streams(program, check, prediction.trace, trace), "membranes": None, "waves": None, "view": None,
        "note": "",
    }
    if layer is not None and neuron is not None:
        shape = program.network.layers[layer].out_shape
        found["place"] = [int(one) for one in np.unravel_index(neuron, shape)]
        found["membranes"] = _golden(program, inputs[start + inference], layer, neuron)
    if waves is None:
        found["note"] = "no waveform: it is taken with --backend verilator"
        return found
    for first in (max(0, inference - 1), 0):  # the one before puts the hardware in the state that it was in
        part = inputs[start + first : start + inference + 1]
        again, seen = _simulate(program, part, verilog, waves)
        check = first_divergence(compare(program.network, again.stimulus, again.trace, seen))
        if check:
            break
    else:
        found["note"] = "the inference was equal when it was simulated again; the waveform is of that run"
    try:
        wave = Waveform(waves, top_of(verilog))
    except ToolError as error:
        found["note"] = str(error)
        return found | {"waves": waves.name}
    view = waves.with_suffix(".gtkw")
    view.write_text(view_file(wave, program, view, cycle=check.cycle if check and check.cycle is not None else 0))
    if layer is not None and neuron is not None:
        _add_captured(found["membranes"], program, wave, layer, neuron, inference - first, int(seen.taken[-1]) + 1)
    return found | {"waves": waves.name, "view": view.name}


def _inference(check: Check, prediction: Prediction, trace: Trace) -> int:
    """Inference, of its run, in which the values differ."""
    if check.inference is not None:
        return min(check.inference, prediction.stimulus.inferences - 1)
    if check.name == "accepted":
        word = int(np.argmax(prediction.trace.accepted != trace.accepted))
        return int(np.searchsorted(prediction.stimulus.starts, word, side="right")) - 1
    windows = prediction.stimulus.results // prediction.stimulus.inferences
    return _result(check, prediction.trace, trace) // windows


def _result(check: Check, expected: Trace, actual: Trace) -> int:
    """Number of the first result, of an inference or of one of its windows, in which the values differ."""
    return int(np.argwhere(np.asarray(getattr(expected, check.name)) != np.asarray(getattr(actual, check.name)))[0][0])


def _neuron(program: Program, check: Check, expected: Trace, actual: Trace) -> tuple[int | None, int | None]:
    """Layer and neuron whose membrane tells of the divergence; None: a cycle differs, but no value, or the input's."""
    edges = program.network.edges()
    if check.edge is None:
        if check.name not in ("classes", "scores", "steps", "decided_by"):
            return None, None
        result = _result(check, expected, actual)
        differs = np.flatnonzero(expected.scores[result] != actual.scores[result])
        return len(program.network.layers) - 1, int(differs[0] if len(differs) else expected.classes[result])
    source = edges[check.edge].source
    if source == INPUT:
        return None, None
    assert check.inference is not None and check.step is not None
    sets = [_of_step(program, one, check.edge, check.inference, check.step) for one in (expected, actual)]
    return source, min((neuron for neuron, _ in sets[0] ^ sets[1] if neuron >= 0), default=None)


def _of_step(program: Program, trace: Trace, edge: int, inference: int, step: int) -> set[tuple[int, int]]:
    """Neurons that spike on an edge in a step of an inference, with the magnitudes of their spikes."""
    tokens, layout = trace.edge_tokens[edge], program.edge_layouts[edge].single
    ends = np.flatnonzero(tokens == FINAL_MARKER)
    tokens = tokens[ends[inference - 1] + 1 if inference else 0 : ends[inference] if inference < len(ends) else None]
    marks = (tokens & MARKER) != 0
    return set(_spikes(layout, tokens[(np.cumsum(marks) == step) & ~marks]))


def _spikes(layout: TokenLayout, tokens: np.ndarray) -> Iterator[tuple[int, int]]:
    """Neuron and magnitude of each event."""
    return zip(neurons_of_tokens(layout, tokens).tolist(), layout.split(tokens)[1].tolist(), strict=True)


def _streams(program: Program, check: Check, expected: Trace, actual: Trace) -> list[dict]:
    """Spikes around the divergence, as [cycle, neuron, magnitude], on every edge: of both, only expected, and only in
    hardware."""
    found, seen = [], set()
    for number, edge in enumerate(program.network.edges()):
        if edge.source in seen or edge.source == edge.target:
            continue
        seen.add(edge.source)
        layout, sets = program.edge_layouts[number].single, []
        for trace in (expected, actual):
            tokens, cycles = trace.edge_tokens[number], trace.edge_cycles[number]
            near = (tokens & MARKER) == 0
            if check.cycle is not None:
                near &= np.abs(cycles - check.cycle) <= AROUND
            spikes = zip(cycles[near].tolist(), _spikes(layout, tokens[near]), strict=True)
            sets.append({(cycle, *spike) for cycle, spike in spikes})
        found.append({
            "name": "input" if edge.source == INPUT else program.network.layers[edge.source].name,
            "neurons": int(np.prod(layout.shape)),
            "both": sorted(sets[0] & sets[1]), "expected": sorted(sets[0] - sets[1]),
            "hardware": sorted(sets[1] - sets[0])})
    return found


def _golden(program: Program, values: np.ndarray, layer: int, neuron: int) -> dict:
    """Membrane of the golden model, v − theta (of the step; of several thresholds the lowest) at the end of each step
    before the reset; with early exit, up to the decision. From step ``held`` on, a neuron that fires once holds it.
    ``thresholds`` are above the lowest by so much."""
    one = program.network.layers[layer]
    theta = np.zeros((one.neurons, 0), dtype=np.int64) if one.neuron.theta is None else one.spread(one.neuron.theta.T).T
    result = GoldenModel(program.network).run(values[None], membranes=True)
    assert result.membranes is not None
    offset = one.spread(np.asarray(one.neuron.first_theta, dtype=np.int64))[neuron]
    falls = 0 if one.neuron.theta_fall is None else np.asarray(one.neuron.theta_fall, dtype=np.int64)
    steps = result.membranes[layer].shape[1]
    if program.config.early_exit:
        steps = int(result.steps[0]) + 1
    fired = np.flatnonzero(result.spikes[layer + 1][0, :, neuron])
    return {"expected": (result.membranes[layer][0, :, neuron] - offset + falls)[:steps].tolist(), "hardware": None,
            "thresholds": (theta[neuron] - offset).tolist(), "fired": fired[fired < steps].tolist(), "different": [],
            "held": int(fired[0]) + 1 if one.neuron.single_spike and len(fired) else steps}


def _simulate(program: Program, inputs: np.ndarray, verilog: str, waves: Path) -> tuple[Prediction, Trace]:
    backend = VerilatorBackend(waves=waves, optimise=False)
    backend.load(program, verilog)
    prediction = predict_inputs(program, inputs)
    return prediction, backend.run(prediction.stimulus)


def _add_captured(
    membranes: dict, program: Program, wave: Waveform, layer: int, neuron: int, inference: int, cycles: int,
) -> None:
    """Add what the hardware captured in the steps of the inference; None: it captured nothing."""
    captured = {one.step: one for one in captured_membranes(wave, program.cores[layer], neuron, cycles)
                if one.inference == inference}
    steps = range(len(membranes["expected"]))
    membranes["hardware"] = [captured[step].value if step in captured else None for step in steps]
    membranes["different"] = [
        step for step, (wanted, seen) in enumerate(zip(membranes["expected"], membranes["hardware"], strict=True))
        if seen is not None and seen != wanted and step < membranes["held"]]
    membranes["cycles"] = [captured[step].cycle if step in captured else None for step in steps]
