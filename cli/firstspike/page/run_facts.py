# SPDX-License-Identifier: MIT
"""Facts of a run: accuracy and confusion, cycles, busy cores, and the spikes of chosen inferences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from firstspike_arch.backend import DecidedBy, Trace
from firstspike_arch.events import FINAL_MARKER, MARKER
from firstspike_arch.network import INPUT
from firstspike_arch.program import Program
from firstspike_sim.models.prediction import Prediction, predict_inputs

from ..api import latencies
from ..quantising import labels_of_results

__all__ = ["Runs", "accuracy_facts", "busy_facts", "cycle_facts", "neurons_of_tokens", "raster_facts"]

TIMELINE = 8
"""Inferences, back to back, over which the work of the cores is shown window by window."""

MISTAKEN = 6
"""Pairs of classes that are listed because one is taken for the other."""

SPIKES_SHOWN = 6000
"""Spikes of a layer in a raster; of more, every so many is left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """Predictions of one or more runs, and the traces of the hardware, if it ran; inputs one run after the other."""

    predictions: Sequence[Prediction]
    hardware: Sequence[Trace] | None = None

    @property
    def traces(self) -> list[Trace]:
        """Traces of the hardware, else of the models."""
        return list(self.hardware) if self.hardware is not None else [one.trace for one in self.predictions]

    def results(self, name: str) -> np.ndarray:
        """Join a result of all traces."""
        return np.concatenate([getattr(trace, name) for trace in self.traces])

    def cycles(self, measure) -> np.ndarray:
        """Join what a measure, such as `latencies`, gives for each run."""
        return np.concatenate([measure(one.stimulus, trace)
                               for one, trace in zip(self.predictions, self.traces, strict=True)])


def accuracy_facts(runs: Runs, labels: np.ndarray | None, recorded: dict[str, float]) -> dict | None:
    """Shares of right classes, and how often each label got each class; None: there are no labels."""
    if labels is None:
        return None
    integer = np.concatenate([one.golden.classes for one in runs.predictions])
    wanted = labels_of_results(labels, integer)
    seen = runs.results("classes")
    size = int(max(wanted.max(), seen.max(), integer.max())) + 1
    confusion = np.zeros((size, size), dtype=int)
    np.add.at(confusion, (wanted, seen), 1)
    return {"recorded": recorded, "integer": float((integer == wanted).mean()),
            "hardware": None if runs.hardware is None else float((seen == wanted).mean()),
            "confusion": confusion.tolist(), "mistaken": _mistaken(confusion)}


def _mistaken(confusion: np.ndarray) -> list[dict]:
    """The pairs of classes that are mistaken most often."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argsort(-wrong, axis=None, kind="stable")[:MISTAKEN]
    return [{"label": int(label), "class": int(got), "count": int(wrong[label, got])}
            for label, got in zip(*np.unravel_index(places, wrong.shape), strict=True) if wrong[label, got]]


def cycle_facts(program: Program, runs: Runs) -> dict:
    """Distributions of latency and interval, in cycles, and of the decision step."""
    found = {"latency": runs.cycles(latencies), "interval": runs.results("intervals"), "step": runs.results("steps")}
    return {"steps": program.network.steps_max if program.network.endless else program.network.steps,
            **{name: _distribution(values) for name, values in found.items()}}


def _distribution(values: np.ndarray) -> dict | None:
    if not len(values):
        return None
    seen, counts = np.unique(values, return_counts=True)
    return {"min": int(values.min()), "mean": float(values.mean()), "p95": float(np.percentile(values, 95)),
            "max": int(values.max()), "values": seen.tolist(), "counts": counts.tolist()}


def busy_facts(program: Program, runs: Runs, inputs: np.ndarray) -> dict:
    """Work of the cores by the timing model, which the hardware equals."""
    busy = np.sum([np.asarray(one.trace.busy) for one in runs.predictions], axis=0)
    total = sum(int(one.trace.taken[-1]) + 1 for one in runs.predictions)
    few = predict_inputs(program, inputs[:TIMELINE], memory=runs.predictions[0].stimulus.memory)
    windows, span = few.trace.busy_windows, few.trace.window_cycles
    assert windows is not None
    longer = -(-windows.shape[1] // 240)  # windows that a screen can show
    joined = np.add.reduceat(windows, np.arange(0, windows.shape[1], longer), axis=1)
    return {
        "layers": [layer.name for layer in program.network.layers], "cycles": total,
        "busy": busy.tolist(), "share": (busy / total).tolist(), "limit": int(busy.argmax()),
        "timeline": {"inferences": few.stimulus.inferences, "window": span * longer, "busy": joined.tolist(),
                     "starts": few.trace.accepted[few.stimulus.starts[:-1]].tolist(),
                     "decided": few.trace.decided.tolist()},
    }


def raster_facts(program: Program, runs: Runs, labels: np.ndarray | None) -> list[dict]:
    """Spikes of inferences that tell something: one like most, the slowest, a wrong one, and one with a tie."""
    latency, classes = runs.cycles(latencies), runs.results("classes")
    per = len(classes) // sum(one.stimulus.inferences for one in runs.predictions)  # results of an inference
    decided_by = runs.results("decided_by")
    chosen = {"as most": int(np.abs(latency - np.median(latency)).argmin()), "the slowest": int(latency.argmax())}
    ties = np.flatnonzero((decided_by == DecidedBy.TIE_BY_MEMBRANE) | (decided_by == DecidedBy.TIE_BY_INDEX))
    if len(ties):
        chosen["a tie"] = int(ties[0])
    if labels is not None:
        wrong = np.flatnonzero(classes != labels_of_results(labels, classes))
        if len(wrong):
            chosen["a wrong one"] = int(wrong[0])
    first: dict[int, str] = {}
    for why, result in chosen.items():
        first.setdefault(result // per, why)
    return [_raster(program, runs, index, why, None if labels is None else int(labels[index]))
            for index, why in first.items()]


def _raster(program: Program, runs: Runs, index: int, why: str, label: int | None) -> dict:
    inference, number = index, 0
    while inference >= runs.predictions[number].stimulus.inferences:
        inference -= runs.predictions[number].stimulus.inferences
        number += 1
    stimulus, trace = runs.predictions[number].stimulus, runs.traces[number]
    per = stimulus.results // stimulus.inferences
    results = slice(inference * per, (inference + 1) * per)
    start = int(trace.accepted[stimulus.starts[inference]])
    layers = []
    for edge, tokens, cycles, layout in zip(program.network.edges(), trace.edge_tokens, trace.edge_cycles,
                                            program.edge_layouts, strict=True):
        if edge.source == edge.target or any(edge.source == one["source"] for one in layers):
            continue  # recurrent spikes, and streams that another layer takes, too, are shown once
        ends = np.flatnonzero(tokens == FINAL_MARKER)
        first = ends[inference - 1] + 1 if inference else 0
        last = ends[inference] + 1 if inference < len(ends) else None
        tokens, cycles = tokens[first:last], cycles[first:last] - start
        spikes = (tokens & MARKER) == 0
        every = max(1, -(-int(spikes.sum()) // SPIKES_SHOWN))
        neurons = neurons_of_tokens(layout.single, tokens[spikes])
        name = "input" if edge.source == INPUT else program.network.layers[edge.source].name
        layers.append({"source": edge.source, "name": name, "neurons": int(np.prod(layout.shape)),
                       "count": int(spikes.sum()), "every": every, "marks": cycles[~spikes].tolist(),
                       "spikes": np.stack([cycles[spikes], neurons], 1)[::every].tolist()})
    return {"index": index, "why": why, "label": label, "class": int(trace.classes[results][-1]),
            "step": int(trace.steps[results][-1]), "decided": (trace.decided[results] - start).tolist(),
            "decided_by": DecidedBy(int(trace.decided_by[results][-1])).name.lower().replace("_", " "),
            "layers": layers}


def neurons_of_tokens(layout, tokens: np.ndarray) -> np.ndarray:
    """Numbers of the neurons, in torch's order, of events, int64[K]; addresses that no neuron has give −1."""
    addresses = layout.addresses()
    order = np.argsort(addresses)
    wanted, _ = layout.split(tokens)
    place = np.minimum(np.searchsorted(addresses[order], wanted), len(order) - 1)
    return np.where(addresses[order][place] == wanted, order[place], -1)
