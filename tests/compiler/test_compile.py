# SPDX-License-Identifier: MIT
"""From float networks to programs: exact folding and rounding, lanes, reports, and refusals in a sentence."""

import re
from dataclasses import fields, replace

import numpy as np
import pytest
from firstspike_arch.array import kernel_banks
from firstspike_arch.connectivity import Conv2d, Dense, Window
from firstspike_arch.fixed import nearest_leak, standardise, threshold_above, threshold_at_least
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork
from firstspike_arch.network import Branch, IntegerNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.work import marker_cycles
from firstspike_compiler.compile import compile_network, reload_weights, remap
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.choose_scales import choose_scales
from firstspike_compiler.passes.fold_normalisation import fold_normalisation
from firstspike_compiler.passes.map_layers import MEMORY_FACTOR
from firstspike_compiler.passes.quantise import quantise
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel

RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(6, 20)), RNG.normal(size=(3, 6))


def network_of(*layers, **changes) -> FloatNetwork:
    values = {"name": "net", "steps": 5, "layers": layers, "readout": "first_spike"}
    return FloatNetwork(**{**values, **changes})


def layer_of(weight=WEIGHTS[0], **changes) -> FloatLayer:
    values = {"weight": weight, "theta": np.ones(len(weight)), "single_spike": True, "weight_bits": 4}
    values |= changes
    neuron = {item.name: values.pop(item.name) for item in fields(FloatNeuron) if item.name in values}
    return FloatLayer(neuron=FloatNeuron(**neuron), **values)


def two_layers(**changes) -> FloatNetwork:
    return network_of(layer_of(), layer_of(WEIGHTS[1]), **changes)


def test_normalisation_folds_to_the_trained_formula():
    gain, shift = RNG.normal(size=6), RNG.normal(size=6)
    folded = fold_normalisation(network_of(layer_of(gain=gain, shift=shift))).layers[0]
    centred = WEIGHTS[0] - WEIGHTS[0].mean(1, keepdims=True)
    expected = gain[:, None] * np.sqrt(5 / 20) * centred / (WEIGHTS[0].std(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(folded.weight, expected, rtol=1e-12)
    np.testing.assert_array_equal(folded.weight, gain[:, None] * standardise(WEIGHTS[0], 5))
    np.testing.assert_array_equal(folded.neuron.bias, shift)
    assert folded.gain is None and folded.shift is None


def test_a_trained_threshold_of_whole_steps_stays_whole():
    for steps in range(1, 5000):
        assert threshold_at_least(1.0, 1 / steps) == steps
        assert threshold_above(1.0, 1 / steps) == steps + 1


def test_thresholds_round_up_to_the_same_firing():
    for theta, scale in RNG.uniform(0.01, 3, (200, 2)):
        v = np.arange(-5, 400)
        assert np.array_equal(v * scale >= theta, v >= threshold_at_least(theta, scale))
        assert np.array_equal(v * scale > theta, v >= threshold_above(theta, scale))


def test_a_network_that_is_already_whole_is_quantised_without_loss():
    whole = RNG.integers(-7, 8, (6, 20))
    whole[0, 0] = 7
    layer = layer_of(weight=whole / 49, weight_scale=1 / 49, bias=np.arange(6) / 49, single_spike=False, strict=True)
    integer, (rounding,) = quantise(fold_normalisation(network_of(layer)))
    dense, = integer.layers
    np.testing.assert_array_equal(dense.weights, whole)
    np.testing.assert_array_equal(dense.neuron.bias, np.arange(6))
    np.testing.assert_array_equal(dense.neuron.theta, 50)  # fire at K + 1 …
    np.testing.assert_array_equal(dense.neuron.reset_step, 49)  # … subtract K
    assert rounding.saturated == 0 and rounding.reset_error < 1e-9 and rounding.weight_error < 1e-9


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_numbers_of_a_membrane_are_rounded_to_the_nearest(scale):
    numbers = np.array([-2.7, -2.3, 0.5, 1.5, 2.3, 2.7])
    nearest = [-3, -2, 0, 2, 2, 3]
    for place, (low, high) in enumerate(zip([-2.7, -2.3, -2.5, -3.5], [2.7, 2.3, 2.5, 3.5], strict=True)):
        layer = layer_of(np.eye(6) * scale, weight_scale=scale, single_spike=False, bias=numbers * scale,
                         v_init=numbers[::-1] * scale, v_reset=numbers * scale, reset="zero", v_min=low * scale,
                         v_max=high * scale, theta=np.full(6, 9 * scale))
        neuron = quantise(network_of(layer))[0].layers[0].neuron
        assert neuron.bias.tolist() == neuron.v_reset.tolist() == nearest == neuron.v_init.tolist()[::-1]
        assert (neuron.v_min, neuron.v_max) == ([-3, -2, -2, -4][place], [3, 2, 2, 4][place])


@pytest.mark.parametrize("strict", [False, True])
def test_several_thresholds_are_rounded_each_on_its_own(strict):
    theta = np.array([[0.5, 1.0, 1.4], [0.25, 0.25, 2.0], [0.3, 0.6, 0.9]])
    layer = layer_of(weight=np.eye(3), theta=theta, weight_scale=0.25, single_spike=False, strict=strict)
    integer, (rounding,) = quantise(fold_normalisation(network_of(layer)))
    neuron = integer.layers[0].neuron
    v = np.arange(-4, 20)[:, None, None]
    assert neuron.levels == 3
    np.testing.assert_array_equal(v * 0.25 > theta if strict else v * 0.25 >= theta, v >= neuron.theta)
    first = np.round(theta[:, 0] / 0.25)
    np.testing.assert_array_equal(neuron.first_theta if neuron.reset_step is None else neuron.reset_step, first)
    assert rounding.reset_error == pytest.approx(0.2)
    assert rounding.theta_error == pytest.approx(0 if strict else 0.8)


def test_falling_thresholds_are_rounded_step_by_step():
    fall = np.array([0, 0.1, 0.35, 0.5, 0.95])
    for strict in (False, True):
        layer = layer_of(theta=np.ones(6), theta_fall=fall, bias_once=True, weight_scale=0.125, strict=strict)
        network = network_of(layer, layer_of(WEIGHTS[1]), input_kind="direct")
        neuron = quantise(choose_scales(fold_normalisation(network)))[0].layers[0].neuron
        v = np.arange(-4, 20)[:, None]
        reached = v >= neuron.first_theta[0] - neuron.theta_fall
        np.testing.assert_array_equal(reached, v * 0.125 > 1 - fall if strict else v * 0.125 >= 1 - fall)


def residual(**changes) -> FloatNetwork:
    """Two dense layers; the second also takes the input, averaged 2 × 2, and its own spikes."""
    pooled = Dense(in_shape=(5, 2, 2), neurons=3, pool=2)
    first = layer_of(np.round(WEIGHTS[0] * 4) / 4, connectivity=Dense(in_shape=(5, 2, 2), neurons=6),
                     weight_scale=0.25, weight_bits=6)
    branches = (
        FloatBranch(source=-1, weight=np.arange(-7, 8).reshape(3, 5) / 4, connectivity=pooled,
                    **{"average_pool": True, **changes}),
        FloatBranch(source=1, weight=np.eye(3) / 2, connectivity=Dense(in_shape=(3,), neurons=3)),
    )
    last = layer_of(np.round(WEIGHTS[1] * 4) / 4, weight_scale=1 / 16, weight_bits=8, branches=branches)
    return network_of(first, last)


def test_branches_share_one_scale_and_an_average_is_a_sum_of_quarters():
    integer, roundings = quantise(fold_normalisation(residual()))
    layer = integer.layers[1]
    pooled, own = layer.branches
    assert (pooled.source, own.source) == (-1, 1) and layer.scale == 1 / 16
    np.testing.assert_array_equal(layer.weights, np.round(WEIGHTS[1] * 4) * 4)
    np.testing.assert_array_equal(pooled.weights, np.arange(-7, 8).reshape(3, 5))
    np.testing.assert_array_equal(own.weights, np.eye(3) * 8)
    np.testing.assert_array_equal(layer.neuron.theta, 16)
    assert roundings[1].weight_error == 0 and roundings[1].saturated == 0
    summed, _ = quantise(fold_normalisation(residual(average_pool=False)))
    np.testing.assert_array_equal(summed.layers[1].branches[0].weights, np.arange(-7, 8).reshape(3, 5) * 4)


def test_a_scale_is_chosen_for_all_weights_of_a_membrane():
    network = residual()
    layer = replace(network.layers[1], weight_scale=None)
    large = replace(layer.branches[1], weight=np.eye(3) * 100)
    for branches, least in (((), 0), ((*layer.branches[:1], large), 100 / 2 / 127)):
        changed = replace(network, layers=(network.layers[0], replace(layer, branches=branches)))
        assert choose_scales(fold_normalisation(changed)).layers[1].weight_scale > least


def test_the_unit_of_a_direct_input_goes_into_the_first_weights():
    whole = RNG.integers(-7, 8, (6, 20))
    layer = layer_of(weight=whole / 8, weight_scale=1 / 8, theta=np.full(6, 2.0), bias=np.full(6, 0.25))
    network = network_of(layer, layer_of(WEIGHTS[1]), input_kind="direct", in_min=-128, in_max=127,
                         input_scale=1 / 128)
    folded = fold_normalisation(network)
    assert folded.input_scale == 1 and folded.layers[0].weight_scale == 1 / 1024
    np.testing.assert_array_equal(folded.layers[1].weight, WEIGHTS[1])
    integer, roundings = quantise(choose_scales(folded))
    np.testing.assert_array_equal(integer.layers[0].weights, whole)
    np.testing.assert_array_equal(integer.layers[0].neuron.theta, 2048)
    np.testing.assert_array_equal(integer.layers[0].neuron.bias, 256)
    assert roundings[0].weight_error == 0 and (integer.in_min, integer.in_max) == (-128, 127)
    with pytest.raises(CompileError, match=r"^network net: input_scale must be 1 for latency input, whose spikes are 1"
                                           r", not 0\.0078125$"):
        fold_normalisation(replace(network, input_kind="latency", in_min=0))


def test_the_unit_of_numbers_in_every_step_goes_into_all_weights_for_the_input():
    deep = layer_of(WEIGHTS[1], branches=(
        FloatBranch(source=-1, weight=np.ones((3, 20)), connectivity=Dense(in_shape=(20,), neurons=3)),
        FloatBranch(source=0, weight=np.ones((3, 6)), connectivity=Dense(in_shape=(6,), neurons=3))))
    network = network_of(layer_of(WEIGHTS[0]), deep, input_kind="events", in_min=-128, in_max=127, input_scale=1 / 4)
    folded = fold_normalisation(network)
    np.testing.assert_array_equal(folded.layers[0].weight, WEIGHTS[0] / 4)
    np.testing.assert_array_equal(folded.layers[1].weight, WEIGHTS[1])
    assert [np.unique(branch.weight).tolist() for branch in folded.layers[1].branches] == [[0.25], [1.0]]
    numbers = np.random.default_rng(4).integers(-128, 128, (3, 5, 20))
    for one, other in zip(run_float(network, numbers).membranes, run_float(folded, numbers).membranes, strict=True):
        np.testing.assert_array_equal(one, other)


def test_leaks_are_the_nearest_fraction():
    assert nearest_leak(1.0, 8) == (1, 0)
    assert nearest_leak(0.5, 8) == (1, 1)
    assert nearest_leak(0.9, 4) == (7, 3)
    assert nearest_leak(0.9, 8) == (115, 7)
    assert nearest_leak(0.0, 8) == (0, 0)


def leaky(leak, theta=80.0, **options):
    """Two quantised neurons with this leak, or these, and their rounding."""
    layer = layer_of(weight=np.array([[0.1, 0.05], [0.025, 0.1]]), single_spike=False, theta=np.full(2, theta),
                     weight_scale=0.001, weight_bits=8, leak=leak)
    integer, (rounding,) = quantise(fold_normalisation(network_of(layer)), **options)
    return integer.layers[0].neuron, rounding


@pytest.mark.parametrize(("leak", "num", "shift"), [
    (0.9, 115, 7), (0.95, 243, 8), (0.99, 4055, 12), (1 - 1 / 600, 16357, 14), (1 - 2**-15, 2**15 - 1, 15),
    (2731 / 4096, 2731, 12), (1.0, 1, 0), (0.0, 0, 0), (np.array([0.5, 0.9]), [64, 115], 7),
    (np.array([1.0, 0.99]), [4096, 4055], 12), (np.array([0.75, 0.75]), 3, 2),
])
def test_a_leak_gets_the_shift_that_its_time_constant_needs(leak, num, shift):
    neuron, rounding = leaky(leak)
    assert np.array_equal(neuron.leak_num, num) and neuron.leak_shift == shift and not rounding.warnings
    off = np.abs(neuron.leak - leak)
    assert (off <= 0.02 * (1 - np.asarray(leak))).all() and abs(rounding.leak_error) == off.max()


@pytest.mark.parametrize(("leak", "theta", "options", "sentence"), [
    (1 - 1 / 400, 8.0, {"leak_shift_max": 8},
     "leak 0.9975, a time constant of 400 steps, became 255/256: 256 steps; leak_shift_max must be 14 to come near"),
    (np.array([0.5, 1 - 1 / 600]), 8.0, {"leak_shift_max": 8}, "leak 0.9983333, a time constant of 600 steps, became "
     "2/2: none at all; leak_shift_max must be 14 to come near"),
    (1 - 1e-5, 8000.0, {}, "leak 0.99999, a time constant of 1e+05 steps, became 1/1: none at all"),
])
def test_a_leak_that_is_another_in_integers_is_told(leak, theta, options, sentence):
    assert leaky(leak, theta, **options)[1].warnings == (sentence,)
    network = network_of(layer_of(weight=np.eye(2), theta=np.ones(2), weight_scale=0.001, leak=0.9975))
    assert "warning: dense0: leak 0.9975, a" in compile_network(network, leak_shift_max=8).report()
    assert "warning: dense0: leak" not in compile_network(network).report()


def lanes_of(network, **options) -> tuple[int, ...]:
    return tuple(plan.lanes for plan in compile_network(network, **options).program.config.layers)


def test_lanes_are_shared_out_to_the_busiest():
    network = compile_network(two_layers()).program.network
    assert lanes_of(network, lanes=4) == (4, 3)
    assert lanes_of(network, lanes=(2, 3)) == (2, 3)
    assert lanes_of(network)[0] == 6
    events = [20, 6]

    def busiest(lanes) -> int:
        """Events and markers of the busiest layer, each as many cycles as there are rows."""
        program = compile_network(network, lanes=list(lanes)).program
        return max(count * core.plan.rows + marker_cycles(core).final + (network.steps - 1) * marker_cycles(core).step
                   for count, core in zip(events, program.cores, strict=True))

    assert lanes_of(network, lane_budget=9, events=[20, 20]) == (6, 3)  # to the last one
    for budget in range(2, 10):
        fits = [(a, b) for a in range(1, 7) for b in range(1, 4) if a + b <= budget]
        assert busiest(lanes_of(network, lane_budget=budget, events=events)) == min(map(busiest, fits))


def test_a_compilation_can_be_read_and_run():
    compilation = compile_network(two_layers(), lanes=2, port="image", early_exit=True, headroom_bits=1)
    program = compilation.program
    assert [plan.lanes for plan in program.config.layers] == [2, 2]
    assert [plan.membrane_bits for plan in program.config.layers] == [proof.bits + 1 for proof in compilation.proofs]
    assert [item.name for item in compilation.passes] == [
        "lower_max_pools", "take_scales", "fold_normalisation", "choose_scales", "quantise", "round_leaks",
        "prove_widths", "map_layers", "assemble",
    ]
    report = compilation.report()
    for word in ("20→6", "6→3", "saturated", "v − theta", "early exit on"):
        assert word in report
    images = RNG.integers(0, 256, (4, 20)).astype(np.uint8)
    assert GoldenModel(program.network).run(images).classes.shape == (4,)
    assert set(program.images()) == {"core0_weights", "core1_weights"}
    again = compile_network(program.network, lanes=2)
    assert [item.name for item in again.passes] == ["prove_widths", "map_layers", "assemble"]


def test_weights_are_reloaded_if_the_proof_allows():
    program = compile_network(two_layers(), lanes=2).program
    layer = program.network.layers[0]

    def with_first(**changes):
        return replace(program.network, layers=(replace(layer, **changes), program.network.layers[1]))

    mirrored = reload_weights(program, with_first(weights=layer.weights[:, ::-1]))
    assert mirrored.config == program.config
    np.testing.assert_array_equal(mirrored.network.layers[0].weights, layer.weights[:, ::-1])
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): membranes must fit the \d+ bits as built, not \d+: "):
        reload_weights(program, with_first(weights=np.full_like(layer.weights, -7)))
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): neurons must be as built"):
        reload_weights(program, with_first(neuron=replace(layer.neuron, theta=layer.neuron.theta + 1)))
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): neurons must be as built"):
        reload_weights(program, with_first(neuron=replace(layer.neuron, bias=layer.neuron.bias + 9)))
    with pytest.raises(CompileError, match=r"^layer 0 \(dense0\): weights must be \(6, 20\) of 4 bits as built"):
        reload_weights(program, with_first(weight_bits=5))
    with pytest.raises(CompileError, match=r"^readout must be 'first_spike' as built, not 'spike_count'$"):
        reload_weights(program, replace(program.network, readout="spike_count"))


def convolutions(**changes) -> IntegerNetwork:
    """Three kinds of layers: a convolution that has banks, one of a single pixel, a dense one."""
    first = Conv2d(in_shape=(1, 6, 6), channels=2, kernel=(3, 2))
    second = Conv2d(in_shape=first.out_shape, channels=2, kernel=(1, 1))
    last = Dense(in_shape=second.out_shape, neurons=3)
    real = network_of(*(layer_of(RNG.normal(size=one.weight_shape), connectivity=one)
                        for one in (first, second, last)))
    integer = compile_network(real).program.network
    return replace(integer, layers=(replace(integer.layers[0], **changes), *integer.layers[1:]))


def test_kernel_parallel_layers_are_those_that_can_be():
    network = convolutions()

    def banks(wanted):
        program = compile_network(network, lanes=1, kernel_parallel=wanted).program
        return [options.banks for options in program.config.layers]

    assert banks(False) == [(1, 1)] * 3
    assert banks(True) == banks([True, False, False]) == [(3, 2), (1, 1), (1, 1)]
    report = compile_network(network, lanes=1, kernel_parallel=True).report()
    assert "3×2×1" in report


CANNOT = ("kernel_parallel must be false: it takes a convolution whose events reach several outputs, at distances that "
          "share no factor with their number, without a pool of currents")


@pytest.mark.parametrize(("changes", "wanted", "sentence"), [
    ({}, [True], "kernel_parallel must be true or false, or that for each of the 3 layers, not [True]"),
    ({}, [1, 0, 0], "kernel_parallel must be true or false, or that for each of the 3 layers, not [1, 0, 0]"),
    ({}, [False, True, False], f"layer 1 (conv2d1): {CANNOT}"),
    ({}, [False, False, True], f"layer 2 (dense2): {CANNOT}"),
    ({"current_pool": Window(kernel=(1, 1), stride=(1, 1))}, [True, False, False], f"layer 0 (conv2d0): {CANNOT}"),
])
def test_kernel_parallel_is_refused_in_one_sentence(changes, wanted, sentence):
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
        compile_network(convolutions(**changes), kernel_parallel=wanted)


def test_banks_are_those_that_are_given():
    network = convolutions()
    compilation = compile_network(network, lanes=1, banks=[(1, 2), (1, 1), (1, 1)])
    assert [options.banks for options in compilation.program.config.layers] == [(1, 2), (1, 1), (1, 1)]
    assert "1×2×1 " in compilation.report() and "rotated" not in compilation.report()
    rotated = remap(compilation, rotates=True).program
    assert rotated.cores[0].plan.rotates == (False, True) and "1×2×1 rotated across " in remap(
        compilation, rotates=[(True, True), False, True]).report()
    assert rotated.cores[0].bias_word * 2 == compilation.program.cores[0].bias_word
    assert rotated.architecture() != compilation.program.architecture()
    assert remap(compilation, banks=[(3, 2), (1, 1), (1, 1)]).program.cores[0].plan.bank_count == 6
    branch = Branch(source=-1, weights=np.ones((2, 1, 3, 2), dtype=np.int64), connectivity=Conv2d(
        in_shape=(1, 6, 6), channels=2, kernel=(3, 2)))
    assert kernel_banks(replace(network.layers[0], branches=(branch,))) == (3, 2)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"banks": [(1, 2)]}, "banks must be a pair of numbers of at least 1 for each of the 3 layers, not [(1, 2)]"),
    ({"banks": [(0, 2), (1, 1), (1, 1)]},
     "banks must be a pair of numbers of at least 1 for each of the 3 layers, not [(0, 2), (1, 1), (1, 1)]"),
    ({"banks": [3, 2, 1]}, "banks must be a pair of numbers of at least 1 for each of the 3 layers, not [3, 2, 1]"),
    ({"banks": [(4, 2), (1, 1), (1, 1)]}, "layer 0 (conv2d0): banks must be (1, 1) to (3, 2), not (4, 2)"),
    ({"banks": [(3, 2), (1, 1), (1, 2)]}, "layer 2 (dense2): banks must be (1, 1), not (1, 2)"),
    ({"banks": [(1, 1)] * 3, "kernel_parallel": True},
     "banks must not be given together with kernel_parallel, which chooses them"),
    ({"rotates": [True]},
     "rotates must be true or false, or that, or a pair of that, for each of the 3 layers, not [True]"),
    ({"rotates": [1, (True, False), False]}, "rotates must be true or false, or that, or a pair of that, for each of "
     "the 3 layers, not [1, (True, False), False]"),
])
def test_banks_that_cannot_be_are_refused_in_one_sentence(options, sentence):
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
        compile_network(convolutions(), lanes=1, **options)


def test_two_events_a_cycle_are_for_layers_that_can():
    def events(network, **options):
        compilation = compile_network(network, lanes=1, **options)
        return [one.events_per_cycle for one in compilation.program.config.layers], compilation.report()

    assert events(two_layers(), events_per_cycle=2)[0] == [2, 2] == [core.memory.read_ports for core in compile_network(
        two_layers(), lanes=1, events_per_cycle=2).program.cores]
    assert events(two_layers())[0] == events(two_layers(), events_per_cycle=1)[0] == [1, 1]
    chosen, report = events(two_layers(), events_per_cycle=[1, 2])
    assert chosen == [1, 2] and report.count("two events a cycle") == 1 and "dense1: 3 neurons on 1 lane, two" in report
    assert events(two_layers(), events_per_cycle=2, single_port=[0])[0] == [1, 2]
    assert events(convolutions(), events_per_cycle=2)[0] == [1, 1, 1]  # the dense layer takes a map
    assert events(residual(), events_per_cycle=2)[0] == [1, 1]  # two streams, and an input that goes to both layers


@pytest.mark.parametrize(("network", "options", "sentence"), [
    (two_layers, {"events_per_cycle": 3}, "events_per_cycle must be 1 or 2, or that for each of the 2 layers, not 3"),
    (two_layers, {"events_per_cycle": True},
     "events_per_cycle must be 1 or 2, or that for each of the 2 layers, not True"),
    (two_layers, {"events_per_cycle": [2]},
     "events_per_cycle must be 1 or 2, or that for each of the 2 layers, not [2]"),
    (two_layers, {"events_per_cycle": [2, 1], "single_port": [0]},
     "layer 0 (dense0): events_per_cycle must be 1 with single_port, not 2"),
    (convolutions, {"events_per_cycle": [1, 1, 2]},
     "layer 2 (dense2): events_per_cycle must be 1: 2 takes a dense layer whose only input is a vector, of spikes or "
     "of values of 0…16 or −1…1, that goes to no other layer"),
    (residual, {"events_per_cycle": [2, 1]},
     "layer 0 (dense0): events_per_cycle must be 1: 2 takes a dense layer whose only input is a vector, of spikes or "
     "of values of 0…16 or −1…1, that goes to no other layer"),
])
def test_two_events_a_cycle_are_refused_in_one_sentence(network, options, sentence):
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
        compile_network(network(), lanes=1, **options)


def test_weights_of_branches_are_reloaded():
    program = compile_network(residual(), lanes=2, headroom_bits=1).program
    layer = program.network.layers[1]
    pooled, own = layer.branches

    def with_last(**changes):
        return replace(program.network, layers=(program.network.layers[0], replace(layer, **changes)))

    mirrored = replace(pooled, weights=pooled.weights[:, ::-1])
    changed = reload_weights(program, with_last(branches=(mirrored, own)))
    assert changed.config == program.config and changed.images() != program.images()
    sentence = r"^layer 1 \(dense1\): synapses must be as built \(sources, shapes, strides, padding, groups, pools\)$"
    for branches in ((), (pooled,), (own, pooled)):
        with pytest.raises(CompileError, match=sentence):
            reload_weights(program, with_last(branches=branches))
    with pytest.raises(CompileError, match=r"^layer 1 \(dense1\): neurons must be as built"):
        reload_weights(program, with_last(neuron=replace(layer.neuron, theta=np.repeat(layer.neuron.theta, 2, 1))))


def broken(value) -> np.ndarray:
    weight = WEIGHTS[0].copy()
    weight[1, 2] = value
    return weight


OWN = FloatBranch(source=0, weight=np.ones((6, 5)), connectivity=Dense(in_shape=(6,), neurons=6))
REFUSALS = [
    (network_of(layer_of(weight=broken(np.nan))), {}, "layer 0: weight must be finite, not nan"),
    (network_of(layer_of(weight=broken(np.inf))), {}, "layer 0: weight must be finite, not inf"),
    (network_of(layer_of(weight=np.zeros(3))), {}, "layer 0: weight must have shape (neurons, fan-in), not (3,)"),
    (network_of(layer_of(weight=np.zeros((3, 4)))), {}, "layer 0: weight must not be zero everywhere"),
    (network_of(layer_of(weight_scale=1e3)), {},
     "layer 0: weights must not all be rounded to zero; use more weight bits or a smaller scale"),
    (network_of(layer_of(weight_scale=0.0)), {}, "layer 0: weight_scale must be a positive number, not 0.0"),
    (network_of(layer_of(theta=np.zeros(6))), {}, "layer 0: theta must be > 0, or above v_init, not 0.0"),
    (network_of(layer_of(theta=np.ones(5))), {}, "layer 0: theta must have shape (6,) or (6, levels), not (5,)"),
    (network_of(layer_of(theta=np.full(6, np.nan))), {}, "layer 0: theta must be finite, not nan"),
    (network_of(layer_of(theta=np.ones((6, 2, 2)))), {},
     "layer 0: theta must have shape (6,) or (6, levels), not (6, 2, 2)"),
    (network_of(layer_of(theta=np.zeros((6, 0)))), {},
     "layer 0: theta must have shape (6,) or (6, levels), not (6, 0)"),
    (network_of(layer_of(theta=np.tile([2.0, 1.0], (6, 1)), weight_scale=0.1)), {},
     "layer 0 (dense0): theta must ascend from one level to the next"),
    (network_of(layer_of(theta=np.tile([1.0, -1.0], (6, 1)))), {},
     "layer 0: theta must be > 0, or above v_init, not -1.0"),
    (network_of(layer_of(theta=np.arange(1.0, 7) / 3, theta_fall=np.arange(5) / 7, bias_once=True)), {},
     "layer 0: theta must be the same for all neurons of a layer with theta_fall, or be whole steps, as theta_fall"),
    (network_of(layer_of(theta_fall=np.zeros(5), bias_once=True)), {},
     "layer 0 (dense0): theta_fall must be of the first layer, of a direct input, before another layer"),
    (replace(two_layers(), input_kind="direct", input_scale=0.0), {},
     "network net: input_scale must be a positive number, not 0.0"),
    (replace(two_layers(), input_kind="direct", in_min=-300), {},
     "in_min must be −256…0 for events and direct input and 0 for latency, not -300"),
    (replace(two_layers(), input_kind="direct", in_min=-1, in_max=200), {"port": "image"},
     "port 'image' must have latency input, or a direct input of 0…255 or −128…127, not 'direct' of -1…200"),
    (network_of(layer_of(branches=(OWN,))), {},
     "layer 0: weight of branch 0 must be finite and have shape (6, 6), not (6, 5)"),
    (network_of(layer_of(branches=(replace(OWN, weight=np.full((6, 6), np.inf)),))), {},
     "layer 0: weight of branch 0 must be finite and have shape (6, 6), not (6, 6)"),
    (network_of(layer_of(gain=np.ones(5))), {}, "layer 0: gain must have shape (6,), not (5,)"),
    (network_of(layer_of(bias=np.full(6, 1e13))), {}, None),
    (network_of(layer_of(leak=1.5)), {}, "layer 0: leak must be 0…1, not 1.5"),
    (network_of(layer_of(weight_bits=9)), {}, "layer 0: weight_bits must be 2…8, not 9"),
    (network_of(layer_of(weight_exponent=2000)), {}, "layer 0: weight_exponent must be 0…15, not 2000"),
    (network_of(layer_of(), layer_of()), {},
     "layer 1 (dense1): fan-in must have the shape (6,) of layer 0, not (20,)"),
    (two_layers(steps=0), {}, "network net: steps must be 1…4096, not 0"),
    (two_layers(steps=5000), {}, "network net: steps must be 1…4096, not 5000"),
    (two_layers(), {"steps_max": 3}, "steps must be 1 ≤ steps ≤ steps_max ≤ 4096, not steps=5, steps_max=3"),
    (two_layers(), {"lanes": (7, 1)}, "layer 0 (dense0): lanes must be 1…6 (its neurons), not 7"),
    (two_layers(), {"lanes": 0}, "lanes must be ≥ 1, not 0"),
    (two_layers(), {"lanes": (1,)}, "lanes must be one number, or one for each of the 2 layers, not (1,)"),
    (two_layers(), {"lane_budget": 1}, "lane_budget must be ≥ 2 (one a layer), not 1"),
    (two_layers(), {"lanes": 1, "lane_budget": 9}, "lanes must be given alone, or lane_budget, not both"),
    (two_layers(), {"leak_shift_max": 16}, "leak_shift_max must be 0…15, not 16"),
    (two_layers(), {"headroom_bits": 48}, None),
    (two_layers(readout="spike_count"), {"early_exit": True}, None),
    (two_layers(), {"port": "usb"}, "port must be 'events' or 'image', not 'usb'"),
    (two_layers(), {"timeout": 1 << 32}, "timeout must be 1…2^32 − 1 cycles, or 0 for none, not 4294967296"),
    (two_layers(), {"timeout": 9, "port": "image"}, "timeout must be 0 with port 'image', where an image waits for its "
                                                    "end, not 9"),
    (two_layers(), {"winner": "lottery"}, "winner must be 'tree' or 'scan', not 'lottery'"),
    (two_layers(), {"register_rows": 1}, "register_rows must be at least 2, not 1"),
    (two_layers(), {"single_port": [0, 2]}, "single_port must name layers 0…1, not 2"),
]


@pytest.mark.parametrize("network, options, sentence", REFUSALS)
def test_refusals_are_one_sentence(network, options, sentence):
    with pytest.raises(CompileError, match=None if sentence is None else f"^{re.escape(sentence)}$") as caught:
        compile_network(network, **options)
    assert "\n" not in str(caught.value) and "must" in str(caught.value)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"weight_scale": 1e-300}, "layer 0: weight must be at most 2^53 steps of 1e-300, not "),
    ({"bias": np.full(6, 1e200)}, "layer 0: bias must be at most 2^53 steps of "),
    ({"v_max": 1e200}, "layer 0: v_max must be at most 2^53 steps of "),
])
def test_numbers_beyond_integers_are_refused(change, sentence):
    network = network_of(layer_of(**change), layer_of(WEIGHTS[1]))
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        compile_network(network)


def test_counted_events_share_out_the_lanes():
    """The layer with more events gets the lanes, whether network or caller knows them, and when mapped again."""
    network = network_of(layer_of(RNG.normal(size=(30, 20))), layer_of(RNG.normal(size=(30, 30))))
    assert lanes_of(network, lane_budget=20)[0] < 20

    def counted(*events):
        return replace(network, layers=tuple(
            replace(layer, events=count) for layer, count in zip(network.layers, events, strict=True)))

    few, many = counted(5, 500), counted(500, 5)
    assert lanes_of(few, lane_budget=20) == lanes_of(network, lane_budget=20, events=(5, 500)) == (1, 15)
    assert lanes_of(many, lane_budget=20) == (15, 1)
    assert lanes_of(many, lane_budget=20, events=(5, 500)) == (1, 15)
    again = remap(compile_network(few, lanes=1), lanes=None, lane_budget=20)
    assert tuple(plan.lanes for plan in again.program.config.layers) == (1, 15)


def test_banks_are_chosen_with_the_lanes_within_memory():
    assert [options.banks for options in compile_network(convolutions()).program.config.layers][1:] == [(1, 1)] * 2
    small = Conv2d(in_shape=(2, 9, 9), channels=4, kernel=(5, 5))
    network = network_of(layer_of(RNG.normal(size=small.weight_shape), connectivity=small))
    (core,) = compile_network(network, steps_max=20).program.cores
    assert core.plan.bank_count > 4
    # Copies of a large kernel are too much memory for what is not known to have it.
    large = Conv2d(in_shape=(64, 9, 9), channels=64, kernel=(5, 5))
    network = network_of(layer_of(RNG.normal(size=large.weight_shape), connectivity=large))

    def bits(**options) -> int:
        (core,) = compile_network(network, **options).program.cores
        return sum(memory.depth * memory.used_bits for memory in core.memories)

    assert bits(lanes=1) < bits(lane_budget=10_000) <= MEMORY_FACTOR * bits(lanes=1)
    assert bits(lanes=64, kernel_parallel=True) > 10 * bits(lanes=1)

