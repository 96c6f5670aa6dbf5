# SPDX-License-Identifier: MIT
"""The comparison itself: every kind of difference is found, counted, and named by place and cycle."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_sim.compare import aliveness, compare, first_divergence, to_json, to_junit

NETWORK = IntegerNetwork(
    name="n", readout="spike_count", steps=2, steps_max=2, input_kind="events", layers=tuple(
        Layer(name=name, weights=np.ones((8, 8), int), weight_bits=2, neuron=Neuron(
            bias=np.zeros(8, int), theta=np.ones(8, int), v_init=np.zeros(8, int))) for name in ("a", "b")))
WORDS = np.array([3 << ADDRESS_SHIFT, MARKER, FINAL_MARKER, 1 << ADDRESS_SHIFT, MARKER, FINAL_MARKER])
STIMULUS = Stimulus(words=WORDS, starts=np.array([0, 3, 6]))
TRACE = Trace(
    accepted=np.arange(6), classes=np.array([1, 0]), steps=np.array([1, 1]), decided_by=np.array([0, 2]),
    scores=np.array([[2, 5], [4, 4]]), decided=np.array([12, 15]), taken=np.array([12, 18]),
    edge_tokens=(WORDS, np.array([MARKER, 7 << ADDRESS_SHIFT, FINAL_MARKER, MARKER, FINAL_MARKER])),
    edge_cycles=(np.arange(6), np.array([5, 7, 8, 10, 11])),
)


def changed(name, at, value):
    """The trace with one value replaced; ``name`` may be a (field, edge) pair."""
    name, edge = name if isinstance(name, tuple) else (name, None)
    old = getattr(TRACE, name)
    array = (old if edge is None else old[edge]).copy()
    array[at] = value
    return replace(TRACE, **{name: array if edge is None else (*old[:edge], array, *old[edge + 1:])})


def test_a_trace_equals_itself():
    checks = compare(NETWORK, STIMULUS, TRACE, TRACE)
    assert [check.compared for check in checks] == [2, 2, 2, 4, 2, 2, 6, 6, 5]
    assert not any(check.different or check.first or check.cycle for check in checks)
    assert first_divergence(checks) is None


@pytest.mark.parametrize(("name", "at", "value", "sentence", "cycle"), [
    ("classes", 1, 1, "inference 1: class is 1, expected 0", 15),
    ("steps", 0, 0, "inference 0: decision step is 0, expected 1", 12),
    ("decided_by", 1, 3, "inference 1: deciding rule is silent, expected tie_by_index", 15),
    ("scores", (1, 0), 3, "inference 1, class 0: score is 3, expected 4", 15),
    ("decided", 1, 14, "inference 1: cycle of the decision is 14, expected 15", 14),
    ("taken", 0, 13, "inference 0: cycle of the result's transfer is 13, expected 12", 12),
    ("accepted", 4, 9, "inference 1, input word 1: cycle of acceptance is 9, expected 4", 4),
    (("edge_cycles", 0), 3, 4, "input spikes into layer 0, inference 1, step 0: neuron 1 in cycle 4, "
                               "expected neuron 1 in cycle 3", 3),
    (("edge_tokens", 1), 1, 6 << ADDRESS_SHIFT, "spikes of layer 0 into layer 1, inference 0, step 1: neuron 6 in "
                                                "cycle 7, expected neuron 7 in cycle 7", 7),
    (("edge_tokens", 1), 3, FINAL_MARKER, "spikes of layer 0 into layer 1, inference 1, step 0: end of inference in "
                                          "cycle 10, expected end of step in cycle 10", 10),
])
def test_every_single_difference_is_named(name, at, value, sentence, cycle):
    (check,) = (one for one in compare(NETWORK, STIMULUS, TRACE, changed(name, at, value)) if one.different)
    assert (check.different, check.first, check.cycle) == (1, sentence, cycle)


def test_every_value_of_every_kind_is_compared():
    """Also the last class, the last inference, and the cycles of markers."""
    fields = [*((name, None) for name in ("classes", "steps", "decided_by", "scores", "decided", "taken", "accepted")),
              *((name, edge) for name in ("edge_tokens", "edge_cycles") for edge in range(2))]
    for name, edge in fields:
        array = getattr(TRACE, name) if edge is None else getattr(TRACE, name)[edge]
        for at in np.ndindex(array.shape):
            other = changed(name if edge is None else (name, edge), at, array[at] ^ 1)
            for one, two in ((TRACE, other), (other, TRACE)):
                assert [check.different for check in compare(NETWORK, STIMULUS, one, two) if check.different] == [1], (
                    name, edge, at)


@pytest.mark.parametrize("missing", [1, 2])
def test_missing_tokens_count_and_are_named(missing):
    cut = replace(TRACE, edge_tokens=(TRACE.edge_tokens[0], TRACE.edge_tokens[1][:-missing]),
                  edge_cycles=(TRACE.edge_cycles[0], TRACE.edge_cycles[1][:-missing]))
    (check,) = (one for one in compare(NETWORK, STIMULUS, TRACE, cut) if one.different)
    assert check.different == missing and ": nothing, expected end of" in check.first
    (check,) = (one for one in compare(NETWORK, STIMULUS, cut, TRACE) if one.different)
    assert check.different == missing and check.first.endswith("expected nothing")


def test_a_missing_result_is_a_difference():
    short = replace(TRACE, classes=TRACE.classes[:1])
    (check,) = (one for one in compare(NETWORK, STIMULUS, TRACE, short) if one.different)
    assert (check.different, check.first) == (2, "classes: 1 values where 2 were expected")


def test_the_first_divergence_is_the_first_in_time():
    """A wrong hidden spike makes a wrong class later: the spike is what to look at."""
    wrong = replace(changed(("edge_tokens", 1), 1, 6 << ADDRESS_SHIFT), classes=np.array([0, 0]))
    checks = compare(NETWORK, STIMULUS, TRACE, wrong)
    assert [check.name for check in checks if check.different] == ["classes", "spikes of layer 0 into layer 1"]
    first = first_divergence(checks)
    assert first is not None and first.first.startswith("spikes of layer 0 into layer 1, inference 0, step 1: neuron 6")
    assert (first.inference, first.step, first.edge) == (0, 1, 1)


def test_reports_are_readable_by_machines():
    checks = compare(NETWORK, STIMULUS, TRACE, changed("classes", 1, 1))
    assert json.loads(json.dumps(to_json(checks)))[0] == {
        "name": "classes", "compared": 2, "different": 1, "first": "inference 1: class is 1, expected 0", "cycle": 15,
        "inference": None, "step": None, "edge": None}
    suite = ElementTree.fromstring(to_junit(checks, "two <layers>"))
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("two <layers>", "9", "1")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "1 of 2 differ" and failure.text == "inference 1: class is 1, expected 0"


def test_aliveness_is_the_share_of_neuron_steps():
    assert aliveness((np.array([[[0, 2], [0, 0]]]), np.ones((1, 2, 3)))) == [0.25, 1.0]
