# SPDX-License-Identifier: MIT
"""From float networks to programs: exact folding and rounding, lanes, reports, and refusals in a sentence."""

import re
from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.fixed import nearest_leak, standardise, threshold_above, threshold_at_least
from firstspike_arch.model import FloatLayer, FloatNetwork
from firstspike_compiler.compile import compile_network, reload_weights
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.choose_scales import choose_scales
from firstspike_compiler.passes.fold_normalisation import fold_normalisation
from firstspike_compiler.passes.map_lanes import map_lanes
from firstspike_compiler.passes.quantise import quantise
from firstspike_sim.golden import GoldenModel

RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(6, 20)), RNG.normal(size=(3, 6))


def network_of(*layers, **changes) -> FloatNetwork:
    values = {"name": "net", "steps": 5, "layers": layers, "readout": "first_spike"}
    return FloatNetwork(**{**values, **changes})


def layer_of(weight=WEIGHTS[0], **changes) -> FloatLayer:
    values = {"weight": weight, "theta": np.ones(len(weight)), "single_spike": True, "weight_bits": 4}
    return FloatLayer(**{**values, **changes})


def two_layers(**changes) -> FloatNetwork:
    return network_of(layer_of(), layer_of(WEIGHTS[1]), **changes)


def test_normalisation_folds_to_the_trained_formula():
    gain, shift = RNG.normal(size=6), RNG.normal(size=6)
    folded = fold_normalisation(network_of(layer_of(gain=gain, shift=shift))).layers[0]
    centred = WEIGHTS[0] - WEIGHTS[0].mean(1, keepdims=True)
    expected = gain[:, None] * np.sqrt(5 / 20) * centred / (WEIGHTS[0].std(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(folded.weight, expected, rtol=1e-12)
    np.testing.assert_array_equal(folded.weight, gain[:, None] * standardise(WEIGHTS[0], 5))
    np.testing.assert_array_equal(folded.bias, shift)
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


def test_chosen_scales_make_a_shared_threshold_whole():
    chosen = choose_scales(fold_normalisation(two_layers()), 3)
    for layer in chosen.layers:
        assert layer.weight_bits == 3
        assert abs(1 / layer.weight_scale - round(1 / layer.weight_scale)) < 1e-9


def test_leaks_are_the_nearest_fraction():
    assert nearest_leak(1.0, 8) == (1, 0)
    assert nearest_leak(0.5, 8) == (1, 1)
    assert nearest_leak(0.9, 4) == (7, 3)
    assert nearest_leak(0.9, 8) == (115, 7)
    assert nearest_leak(0.0, 8) == (0, 0)


def test_lanes_are_shared_out_to_the_busiest():
    network = compile_network(two_layers()).program.network
    assert map_lanes(network, lanes=4) == (4, 3)
    assert map_lanes(network, lanes=(2, 3)) == (2, 3)
    assert map_lanes(network)[0] == 6
    assert sum(map_lanes(network, lane_budget=5)) <= 5
    best = min(
        max(20 * -(-6 // a), 6 * -(-3 // b)) for a in range(1, 7) for b in range(1, 4) if a + b <= 5
    )
    a, b = map_lanes(network, lane_budget=5)
    assert max(20 * -(-6 // a), 6 * -(-3 // b)) == best


def test_a_compilation_can_be_read_and_run():
    compilation = compile_network(two_layers(), lanes=2, port="image", early_exit=True, headroom_bits=1)
    program = compilation.program
    assert [plan.lanes for plan in program.config.layers] == [2, 2]
    assert [plan.membrane_bits for plan in program.config.layers] == [proof.bits + 1 for proof in compilation.proofs]
    assert [item.name for item in compilation.passes] == [
        "lower_max_pools", "fold_normalisation", "choose_scales", "quantise", "prove_widths", "map_lanes",
    ]
    report = compilation.report()
    for word in ("20→6", "6→3", "saturated", "v − theta", "early exit on"):
        assert word in report
    images = RNG.integers(0, 256, (4, 20)).astype(np.uint8)
    assert GoldenModel(program.network).run(images).classes.shape == (4,)
    assert set(program.images()) == {"core0_weights", "core1_weights"}
    again = compile_network(program.network, lanes=2)
    assert [item.name for item in again.passes] == ["prove_widths", "map_lanes"]


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


def broken(value) -> np.ndarray:
    weight = WEIGHTS[0].copy()
    weight[1, 2] = value
    return weight


REFUSALS = [
    (network_of(layer_of(weight=broken(np.nan))), {}, "layer 0: weight must be finite, not nan"),
    (network_of(layer_of(weight=broken(np.inf))), {}, "layer 0: weight must be finite, not inf"),
    (network_of(layer_of(weight=np.zeros(3))), {}, "layer 0: weight must have shape (neurons, fan-in), not (3,)"),
    (network_of(layer_of(weight=np.zeros((3, 4)))), {}, "layer 0: weight must not be zero everywhere"),
    (network_of(layer_of(weight_scale=1e3)), {},
     "layer 0 (dense0): weights must not all be zero; use more weight bits or a smaller scale"),
    (network_of(layer_of(weight_scale=0.0)), {}, "layer 0: weight_scale must be a positive number, not 0.0"),
    (network_of(layer_of(theta=np.zeros(6))), {}, "layer 0: theta must be > 0, not 0.0"),
    (network_of(layer_of(theta=np.ones(5))), {}, "layer 0: theta must have shape (6,) or (6, levels), not (5,)"),
    (network_of(layer_of(theta=np.full(6, np.nan))), {}, "layer 0: theta must be finite, not nan"),
    (network_of(layer_of(gain=np.ones(5))), {}, "layer 0: gain must have shape (6,), not (5,)"),
    (network_of(layer_of(bias=np.full(6, 1e6))), {}, None),
    (network_of(layer_of(leak=1.5)), {}, "layer 0: leak must be 0…1, not 1.5"),
    (network_of(layer_of(weight_bits=9)), {}, "layer 0: weight_bits must be 2…8, not 9"),
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
    (two_layers(), {"winner": "lottery"}, "winner must be 'tree' or 'scan', not 'lottery'"),
    (two_layers(), {"register_rows": 1}, "register_rows must be at least 2, not 1"),
]


@pytest.mark.parametrize("network, options, sentence", REFUSALS)
def test_refusals_are_one_sentence(network, options, sentence):
    with pytest.raises(CompileError, match=None if sentence is None else f"^{re.escape(sentence)}$") as caught:
        compile_network(network, **options)
    assert "\n" not in str(caught.value) and "must" in str(caught.value)
