# SPDX-License-Identifier: MIT
"""From a fault to the least case that shows it, on disk, and back."""

import shlex
from dataclasses import replace

import numpy as np
import pytest
from firstspike import api
from firstspike.failing_case import DivergenceError, check
from firstspike.verifiable import Verifiable
from firstspike_arch.fixed import largest_weight
from firstspike_arch.program import Program
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.testing.network_strategy import cases
from hypothesis import HealthCheck, given, settings


@pytest.mark.slow
def test_a_fault_ends_in_the_least_case_that_has_it_kept_to_run_again(tmp_path, monkeypatch, command):
    """Hardware with a planted fault, for which the models of another network stand: where a layer has v_max, its
    weights are negated."""
    predict, asked = predict_inputs, []

    def noted(program, inputs, **options):
        asked[:] = [(program, inputs, options)]
        return predict(program, inputs, **options)

    def wrong(self, stimulus):
        ((program, inputs, options),) = asked
        layers = tuple(layer if layer.neuron.v_max is None else replace(layer, weights=np.maximum(
            -layer.weights, -largest_weight(layer.weight_bits))) for layer in program.network.layers)
        other = Program(network=replace(program.network, layers=layers), config=program.config)
        return predict(other, inputs, **options).trace

    monkeypatch.setattr(api, "predict_inputs", noted)
    monkeypatch.setattr(PysimBackend, "run", wrong)

    @settings(max_examples=100, database=None, deadline=None, derandomize=True,
              suppress_health_check=list(HealthCheck))
    @given(cases(layers_max=2, neurons_max=3, inferences_max=2))
    def verify(case):
        check(Verifiable(program=case.program), case.inputs, folder=tmp_path / "case", backend="pysim",
              waits=case.waits)

    with pytest.raises(DivergenceError) as found:
        verify()
    kept = Program.load(tmp_path / "case" / "program.fsp")
    (layer,) = kept.network.layers
    # Neurons and inputs without weights may be left, as fewer of them would shift all later choices.
    assert layer.neuron.v_max is not None and np.count_nonzero(layer.weights) == 1 and layer.weights.size <= 32
    assert kept.network.steps == 1
    assert np.load(tmp_path / "case" / "inputs.npy").shape[0] == 1
    *arguments, _, _ = shlex.split(found.value.command)[1:]
    again = command(*arguments, "--backend", "pysim")
    assert again.status == 1 and f"differ first at: {found.value.outcome.first}" in again.err
