# SPDX-License-Identifier: MIT
"""Events with numbers: polarities, counts beyond those of spikes, and signals that change from step to step."""

import firstspike as fs
import numpy as np
import pytest
from firstspike_compiler.errors import CompileError
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.models.golden import GoldenModel

STEPS = 3
RANGES = [(-1, 1), (-2, 1), (-256, 255), (-1, 15), (0, 16), (0, 255), (-8, 3)]


def network_of(low, high, *, seed=0, readout="spike_count"):
    """Convolution, then a dense layer that takes the input, too, and its own spikes."""
    random, unit = np.random.default_rng(seed), max(-low, high)
    builder = fs.NetworkBuilder((2, 4, 3), steps=STEPS, readout=readout, in_min=low, in_max=high)
    builder.layer(random.integers(-8, 8, (3, 2, 3, 2)), theta=[[6 * unit, 12 * unit, 20 * unit]] * 3, leak=0.75,
                  padding=1)
    builder.layer(random.integers(-8, 8, (5, 48)), theta=20 + 4 * unit, reset="zero")
    builder.branch(random.integers(-8, 8, (5, 24)), source=-1)
    builder.branch(random.integers(-8, 8, (5, 5)), source=1)
    return builder.build()


def inputs_of(low, high, batch=2, seed=1):
    random = np.random.default_rng(seed)
    numbers = random.integers(low, high + 1, (batch, STEPS, 24))
    numbers[0, 0, :4], numbers[0, 1, :4] = low, high
    return np.where(random.random(numbers.shape) < 0.5, numbers, 0)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("lanes", [(3, 5)])
def test_hardware_and_models_agree_on_numbers_in_every_step(agree, low, high, lanes):
    program = fs.compile(network_of(low, high), lanes=lanes).program
    prediction = agree(PysimBackend(), program, inputs_of(low, high), 3)
    assert all(0.02 < float((spikes != 0).mean()) < 0.9 for spikes in prediction.golden.spikes)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_the_golden_model_adds_weight_times_number(low, high):
    numbers = inputs_of(low, high)
    builder = fs.NetworkBuilder(24, steps=STEPS, readout="potential", in_min=low, in_max=high)
    weights = np.random.default_rng(2).integers(-8, 8, (3, 24))
    builder.layer(weights)
    result = GoldenModel(builder.build()).run(numbers)
    np.testing.assert_array_equal(result.scores, numbers.sum(1) @ weights.T)


@pytest.mark.parametrize(("high", "serial"), [(16, True), (255, True), (3, True), (255, False)])
def test_numbers_bit_by_bit_need_no_multiplier(high, serial):
    builder = fs.NetworkBuilder(24, steps=STEPS, readout="spike_count", in_max=high)
    builder.layer(np.random.default_rng(3).integers(-8, 8, (6, 24)), theta=8 * high, leak=0.5)
    program = fs.compile(builder.build(), lanes=2, bit_serial=serial).program
    outcome = fs.verify(program, inputs_of(0, high), backend="pysim")
    assert outcome.equal and not outcome.dead


@pytest.mark.parametrize(("options", "sentence"), [
    ({"in_min": -1}, None), ({}, None), ({"in_max": 2, "branch": True}, None), ({"in_max": 2}, "")])
def test_only_numbers_without_sign_and_branches_go_bit_by_bit(options, sentence):
    branch = options.pop("branch", False)
    builder = fs.NetworkBuilder(4, steps=STEPS, readout="spike_count", **options)
    builder.layer(np.ones((2, 4)), theta=3)
    if branch:
        builder.branch(np.ones((2, 2)), source=0)
    if sentence is None:
        with pytest.raises(CompileError, match=r"^layer 0: bit_serial must be off: it takes an input of numbers, none"
                                                r" of them negative, and no branches$"):
            fs.compile(builder.build(), bit_serial=True)
    else:
        fs.compile(builder.build(), bit_serial=True)


def test_small_counts_have_the_tokens_that_they_always_had():
    for high, bits in ((1, 0), (3, 2), (15, 4)):
        layout = network_of(0, high).input_layout
        assert (layout.low, layout.high, layout.value_bits, layout.signed) == (1, high, bits, False)
    layout = network_of(-1, 1).input_layout
    assert (layout.low, layout.high, layout.value_bits, layout.signed) == (-1, 1, 2, True)


def test_a_proof_covers_both_signs_in_any_order():
    builder = fs.NetworkBuilder(2, steps=1, readout="potential", in_min=-3, in_max=2)
    builder.layer([[5, -7]])
    (proof,) = fs.compile(builder.build()).proofs
    assert (proof.low, proof.high) == (-3 * 5 + 2 * -7, 2 * 5 + -3 * -7)
    assert str(proof).endswith("each input in -3…2 a step")
    extremes = np.array([[[-3, 2]], [[2, -3]]])
    assert GoldenModel(builder.build()).run(extremes).scores.ravel().tolist() == [proof.low, proof.high]
