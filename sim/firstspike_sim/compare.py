# SPDX-License-Identifier: MIT
"""Exact comparison of two traces, and the first place where they differ."""

from dataclasses import asdict, dataclass
from xml.etree import ElementTree

import numpy as np
from firstspike_arch.backend import DecidedBy, Stimulus, Trace
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout, neuron_name
from firstspike_arch.network import INPUT, IntegerNetwork

__all__ = ["ALIVE", "Check", "QUANTITIES", "aliveness", "compare", "first_divergence", "to_json", "to_junit"]

ALIVE = (0.02, 0.70)
"""Least and largest share of neuron-steps that fire in each layer, for a comparison to be meaningful."""

QUANTITIES = {
    "classes": "class", "steps": "decision step", "decided_by": "deciding rule", "scores": "score",
    "decided": "cycle of the decision", "taken": "cycle of the result's transfer", "accepted": "cycle of acceptance",
}
"""What the parts of a trace hold, by their names; checks of spikes have names that say it."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The comparison of one kind of value.

    Parameters
    ----------
    name : str
    compared, different : int
        Number of values compared, and number of those that differ.
    first : str
        Description of the first difference; "" if nothing differs.
    cycle : int or None
        Cycle of the first difference, expected or actual, whichever is earlier. None: nothing differs, or the two
        traces have different numbers of values.
    inference, step : int or None
        Place of the first difference among spikes.
    edge : int or None
        Number of the edge, among those of the network, whose spikes were compared.
    """

    name: str
    compared: int
    different: int
    first: str = ""
    cycle: int | None = None
    inference: int | None = None
    step: int | None = None
    edge: int | None = None


def compare(
    network: IntegerNetwork, stimulus: Stimulus, expected: Trace, actual: Trace,
) -> list[Check]:
    """Compare every class, evidence, spike and cycle, without tolerance.

    ``stimulus`` tells to which inference an input word belongs, ``network`` which layers the edges connect.
    """
    checks, unit = [], "inference" if stimulus.opens is None else "window"
    for name, what in QUANTITIES.items():
        if name == "accepted":
            continue  # of words, below
        # A value of an inference is known when its result is first offered.
        cycles = (expected.taken, actual.taken) if name == "taken" else (expected.decided, actual.decided)
        checks.append(_array(name, what, getattr(expected, name), getattr(actual, name), cycles, unit=unit))
    owner = np.searchsorted(stimulus.starts, np.arange(len(stimulus.words)), side="right") - 1
    places = [f"inference {image}, input word {word - stimulus.starts[image]}" for word, image in
              _first_places(expected.accepted, actual.accepted, owner)]
    cycles = (expected.accepted, actual.accepted)
    checks.append(_array("accepted", QUANTITIES["accepted"], *cycles, cycles, places))
    pairs = zip(expected.edge_tokens, expected.edge_cycles, actual.edge_tokens, actual.edge_cycles, strict=True)
    for number, (edge, parts) in enumerate(zip(network.edges(), pairs, strict=True)):
        sender = "input spikes" if edge.source == INPUT else f"spikes of layer {edge.source}"
        checks.append(_edge(number, f"{sender} into layer {edge.target}", network.layout_of(edge.source), *parts))
    return checks


def first_divergence(checks: list[Check]) -> Check | None:
    """Return the check with the earliest difference: the place where a fault began, rather than its consequences.

    If several differ in the same cycle, the first in ``checks`` is taken. Checks without a known cycle come last.
    """
    different = [check for check in checks if check.different]
    return min(different, key=lambda check: (check.cycle is None, check.cycle or 0), default=None)


def aliveness(spikes: tuple[np.ndarray, ...]) -> list[float]:
    """Return the share of neuron-steps that fire, for the input and each layer, from spikes[B, T, N]."""
    return [float(np.mean(np.asarray(layer) != 0)) for layer in spikes]


def to_junit(checks: list[Check], suite: str) -> str:
    """Return JUnit XML with one test case for each check."""
    root = ElementTree.Element("testsuite", name=suite, tests=str(len(checks)),
                               failures=str(sum(check.different > 0 for check in checks)))
    for check in checks:
        case = ElementTree.SubElement(root, "testcase", classname=suite, name=check.name)
        if check.different:
            failure = ElementTree.SubElement(case, "failure", message=f"{check.different} of {check.compared} differ")
            failure.text = check.first
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def to_json(checks: list[Check]) -> list[dict]:
    """Return the checks as plain JSON values."""
    return [asdict(check) for check in checks]


def _first_places(expected: np.ndarray, actual: np.ndarray, owner: np.ndarray) -> list[tuple[int, int]]:
    if expected.shape != actual.shape:
        return []
    return [(int(word), int(owner[word])) for word in np.nonzero(expected != actual)[0][:1]]


def _array(
    name: str, quantity: str, expected: np.ndarray, actual: np.ndarray, cycles: tuple[np.ndarray, np.ndarray],
    places: list[str] | None = None, *, unit: str = "inference",
) -> Check:
    if expected.shape != actual.shape:
        return Check(name=name, compared=expected.size, different=expected.size,
                     first=f"{name}: {len(actual)} values where {len(expected)} were expected")
    differs = expected != actual
    first, cycle = "", None
    if differs.any():
        place = tuple(int(index) for index in np.argwhere(differs)[0])
        inference = place[0]
        where = places[0] if places else f"{unit} {inference}" + (f", class {place[1]}" if len(place) > 1 else "")
        values = [array[place] for array in (expected, actual)]
        if name == "decided_by":
            values = [DecidedBy(int(value)).name.lower() for value in values]
        first = f"{where}: {quantity} is {values[1]}, expected {values[0]}"
        cycle = min(int(array[inference]) for array in cycles if inference < len(array))
    return Check(name=name, compared=expected.size, different=int(differs.sum()), first=first, cycle=cycle)


def _edge(
    number: int, name: str, layout: TokenLayout, tokens: np.ndarray, cycles: np.ndarray, seen_tokens: np.ndarray,
    seen_cycles: np.ndarray,
) -> Check:
    shared = min(len(tokens), len(seen_tokens))
    differs = (tokens[:shared] != seen_tokens[:shared]) | (cycles[:shared] != seen_cycles[:shared])
    different = int(differs.sum()) + abs(len(tokens) - len(seen_tokens))
    first, cycle, inference, step = "", None, None, None
    if different:
        at = int(np.argmax(differs)) if differs.any() else shared
        ends = np.nonzero(tokens[:at] == FINAL_MARKER)[0]
        start, inference = ends[-1] + 1 if len(ends) else 0, len(ends)
        step = int(((tokens[start:at] & MARKER) != 0).sum())
        first = (
            f"{name}, inference {inference}, step {step}: "
            f"{_event(layout, seen_tokens, seen_cycles, at)}, expected {_event(layout, tokens, cycles, at)}"
        )
        cycle = min(int(array[at]) for array in (cycles, seen_cycles) if at < len(array))
    return Check(
        name=name, compared=max(len(tokens), len(seen_tokens)), different=different, first=first, cycle=cycle,
        inference=inference, step=step, edge=number,
    )


def _event(layout: TokenLayout, tokens: np.ndarray, cycles: np.ndarray, at: int) -> str:
    if at >= len(tokens):
        return "nothing"
    token = int(tokens[at])
    event = f"neuron {neuron_name(token, layout)}" if not token & MARKER else (
        "end of inference" if token == FINAL_MARKER else "end of step")
    return f"{event} in cycle {int(cycles[at])}"
