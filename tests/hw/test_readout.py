# SPDX-License-Identifier: MIT
"""Read-out behind a core against the golden model."""

import numpy as np
import pytest
from firstspike_arch.result import ResultLayout, result_layout, scores_from_raw
from firstspike_hw.readout import Readout
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.unit_layers import OutputLayer, one_layer
from firstspike_sim.testing.unit_words import tokens_of


@pytest.mark.parametrize("readout, lanes, early_exit, winner", [
    ("first_spike", 13, True, "tree"), ("first_spike", 4, False, "scan"), ("weighted_spikes", 5, False, "tree"),
    ("potential", 3, False, "tree"),
])
def test_output_layer_decides_like_the_golden_model(readout, lanes, early_exit, winner):
    program, spikes = one_layer(lanes, readout=readout, lanes=lanes, early_exit=early_exit, winner=winner,
                                single_spike=readout == "first_spike")
    golden = GoldenModel(program.network).run(spikes)
    assert len(set(golden.classes.tolist())) > 1
    layout = result_layout(program)
    seen = run_unit(OutputLayer(program), "pysim", offers={"source": tokens_of(spikes)}, takes=["result"],
                    cycles=2500, quiet=300, seed=lanes)
    results = [layout.unpack(word) for word in seen["result"]]
    steps = np.array([result[1] for result in results])
    assert [result[0] for result in results] == golden.classes.tolist()
    assert steps.tolist() == golden.steps.tolist()
    assert [result[2] for result in results] == golden.decided_by.tolist()
    scores = scores_from_raw(program, np.array([result[3] for result in results]), steps)
    assert scores.tolist() == golden.scores.tolist()


@pytest.mark.parametrize("readout, lanes, winner, early_exit", [
    ("weighted_spikes", 13, "tree", False), ("weighted_spikes", 4, "scan", False), ("spike_count", 5, "tree", False),
    ("spike_count", 13, "scan", False), ("first_spike", 5, "tree", True),
])
def test_output_layer_counts_magnitudes(readout, lanes, winner, early_exit):
    program, spikes = one_layer(lanes, readout=readout, lanes=lanes, winner=winner, early_exit=early_exit, levels=3)
    golden = GoldenModel(program.network).run(spikes)
    assert len(set(golden.classes.tolist())) > 1 and golden.spikes[1].max() == 3
    layout = result_layout(program)
    seen = run_unit(OutputLayer(program), "pysim", offers={"source": tokens_of(spikes)}, takes=["result"],
                    cycles=2500, quiet=300, seed=1)
    results = [layout.unpack(word) for word in seen["result"]]
    assert results == [
        (*found[:3], found[3].tolist())
        for found in zip(golden.classes, golden.steps, golden.decided_by, golden.scores, strict=True)]


@pytest.mark.parametrize("wrong, message", [
    ({"value_bits": 3}, "value_bits must be 0 or 9, the width of a score, not 3"),
    ({"early_exit": True}, "early_exit must be False where the last step decides, not True with spike_count"),
    ({"tag_bits": 0}, "tag_bits must be an integer of at least 1, not 0"),
])
def test_readout_has_its_arguments_and_refuses_wrong_ones(wrong, message):
    program = one_layer(1, readout="spike_count", lanes=5)[0]
    layout = ResultLayout(classes=13, steps_max=4, score_bits=9)
    arguments = {"network": program.network, "plan": program.cores[0].plan, "layout": layout, "value_bits": 0,
                 "early_exit": False, "scan": False, "tag_bits": 4}
    unit = Readout(**arguments)
    assert all(getattr(unit, name) == value for name, value in arguments.items())
    with pytest.raises(ValueError, match=f"^{message}$"):
        Readout(**{**arguments, **wrong})
