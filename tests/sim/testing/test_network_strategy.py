# SPDX-License-Identifier: MIT
"""Random programs as a strategy: all options are chosen, and what has one of them shrinks to little else."""


import numpy as np
import pytest
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.testing.network_options import OPTIONS, options
from firstspike_sim.testing.network_strategy import ONE_BY_ONE, ChosenNumbers, cases, programs
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

QUIET = {"database": None, "deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def test_most_options_are_chosen_in_few_programs():
    found: set[str] = set()

    @settings(max_examples=40, phases=[Phase.generate], **QUIET)
    @given(programs())
    def draw(program):
        found.update(options(program))

    draw()
    assert found <= OPTIONS and len(found) > 0.7 * len(OPTIONS), sorted(OPTIONS - found)


def test_the_simplest_program_has_one_layer_of_one_neuron_and_no_option():
    first = settings(max_examples=1, phases=[Phase.generate], **QUIET)  # Hypothesis begins with the simplest
    program = find(programs(), lambda program: True, settings=first)
    (layer,) = program.network.layers
    assert (layer.neurons, program.network.inputs, program.network.steps_max) == (1, 1, 1)
    assert options(program) <= {"input latency", "read-out first_spike", "read-out potential", "dense",
                                "2 weight bits", "reset subtract"}


@pytest.mark.slow
def test_a_program_with_an_option_shrinks_to_one_layer_of_one_neuron():
    program = find(programs(layers_max=2, neurons_max=3), lambda program: "reset zero" in options(program),
                   settings=settings(max_examples=60, **QUIET))
    (layer,) = program.network.layers
    assert (layer.neurons, program.network.inputs, program.network.steps_max) == (1, 1, 1)
    assert np.abs(layer.weights).max() == 1 and not layer.branches


@given(st.data())
@settings(max_examples=30, **QUIET)
def test_chosen_numbers_keep_to_ranges_and_shapes(data):
    rng = ChosenNumbers(data.draw)
    for shape in (None, 3, (2, 4), (0, 3), (ONE_BY_ONE + 1,)):
        whole, real = rng.integers(-2, 5, shape), rng.random(shape)
        assert np.shape(whole) == np.shape(real) == ((shape,) if isinstance(shape, int) else shape or ())
        assert np.all((np.asarray(whole) >= -2) & (np.asarray(whole) < 5))
        assert np.all((np.asarray(real) > 0) & (np.asarray(real) < 1))
    assert rng.choice(3) in range(3) and rng.choice(["a", "b"]) in ("a", "b") and rng.integers(4) in range(4)


@given(cases(layers_max=2, neurons_max=3))
@settings(max_examples=5, phases=[Phase.generate], **QUIET)
def test_the_models_take_every_case(case):
    prediction = predict_inputs(case.program, case.inputs, waits=case.waits)
    assert np.array_equal(prediction.trace.classes, GoldenModel(case.program.network).run(case.inputs).classes)
