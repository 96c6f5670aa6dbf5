# SPDX-License-Identifier: MIT
"""Leaks that round to the nearest, against exact rational arithmetic."""

import re
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import pytest
from firstspike_arch.checkpoint import load_network, save_network
from firstspike_arch.connectivity import Dense
from firstspike_arch.fixed import leak_origin
from firstspike_arch.float_network import FloatLayer, FloatNetwork, Readout
from firstspike_arch.network import IntegerNetwork, Neuron
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.real_network import real_network
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.nir_file import load_nir
from firstspike_compiler.nir_export import save_nir
from firstspike_compiler.passes.round_leaks import round_leaks, rounded_down
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.random_network import random_layer

HALF = Fraction(1, 2)


def nearest(real: Fraction) -> int:
    """The nearest whole number; of two, the lower."""
    return ceil(real - HALF)


@pytest.mark.parametrize("shift", range(9))
def test_rounding_down_from_the_origin_is_to_the_nearest(shift):
    whole = 1 << shift
    origins = leak_origin(np.arange(whole + 1), shift)
    for num, origin in enumerate(np.asarray(origins).tolist()):
        leak, membranes = Fraction(num, whole), range(-whole, whole)  # every remainder as often
        assert origin == leak_origin(num, shift)
        found = [floor(leak * (v - origin)) + origin for v in membranes]
        off = [one - leak * v for one, v in zip(found, membranes, strict=True)]
        drift, down = (abs(sum(one)) for one in (off, [floor(leak * v) - leak * v for v in membranes]))
        assert drift < down if origin else drift <= down
        if num == whole - 1:
            assert found == [nearest(leak * v) for v in membranes]
        elif origin:
            assert max(map(abs, off)) <= HALF + (1 - leak) / 2
    assert origins[0] == origins[-1] == 0 and (origins[whole // 2 + 1:-1] > 0).all()


def test_origins_follow_the_time_constant():
    assert leak_origin(9, 4) == leak_origin(576, 10) == 1  # 0.5625, however it is written
    assert leak_origin(32761, 15) == 2340 and leak_origin(1, 1) == 0
    assert leak_origin(np.array([128, 127, 96, 0]), 7).tolist() == [0, 63, 1, 0]


def one_layer(seed: int) -> IntegerNetwork:
    """Random neurons, the leaks of which are 1 − 2^−n, or 1."""
    rng = np.random.default_rng(seed)
    layer = random_layer(rng, "x", Dense(in_shape=(5,), neurons=4))
    shift = int(rng.integers(1, 6))
    num = (1 << shift) - 1 + (rng.integers(0, 2, 4) if rng.random() < 0.3 else 0)
    neuron = replace(layer.neuron, leak_num=num, leak_shift=shift)
    return IntegerNetwork(name="one", layers=(replace(layer, neuron=neuron),), readout="spike_count", steps=8,
                          steps_max=8, input_kind="events", in_max=2)


def in_rationals(neuron: Neuron, currents: np.ndarray, index: int) -> list[tuple[int, int]]:
    """Spikes and membranes of a neuron whose leak rounds to the nearest, step by step."""
    leak = Fraction(int(np.broadcast_to(neuron.leak_num, 4)[index]), 1 << neuron.leak_shift)
    levels = [int(one) for one in neuron.theta[index]]
    step = levels[0] if neuron.reset_step is None else int(neuron.reset_step[index])
    left = 0 if neuron.v_reset is None else int(neuron.v_reset[index])
    v, spike, done, found = int(neuron.v_init[index]), 0, False, []

    def after_reset(v: int) -> int:
        taken = spike * (step + rise * neuron.reset_rise)
        return {"subtract": v - taken, "zero": left if spike else v, "none": v}[neuron.reset]

    lasting, rise = Fraction(0), 0
    fall = 1 if neuron.rise_leak is None else Fraction(
        int(np.broadcast_to(neuron.rise_leak_num, len(neuron.bias))[index]), 1 << neuron.rise_leak_shift)
    ratio = None if neuron.current_leak is None else Fraction(
        int(np.broadcast_to(neuron.current_leak_num, len(neuron.bias))[index]), 1 << neuron.current_leak_shift)
    bias = int(neuron.bias[index])
    for t, current in enumerate(currents[:, index].tolist()):
        if ratio is not None:  # it rounds down
            before, lasting = lasting, floor(ratio * lasting) + current + bias * neuron.current_bias
            current = int(before if neuron.current_delay else lasting)
        if not done:
            v = nearest(leak * v)
            v = after_reset(v) if neuron.reset_delay else v
            v += current + (0 if neuron.current_bias or (t and neuron.bias_once) else bias)
        spike = 0 if done else sum(v >= one + rise for one in levels)
        found.append((spike, v))
        done = done or (neuron.single_spike and spike > 0)
        if not done:
            v = v if neuron.reset_delay else after_reset(v)
            v = v if neuron.v_min is None else max(v, neuron.v_min)
            v = v if neuron.v_max is None else min(v, neuron.v_max)
        if neuron.theta_rise is not None:  # it rounds down
            rise = floor(fall * rise) + spike * int(neuron.theta_rise[index])
    return found


def test_golden_spikes_are_those_of_rationals_that_round_to_the_nearest():
    seen, below, compared = set(), 0, 0
    for seed in range(150):
        network = one_layer(seed)
        neuron, (layer,) = network.layers[0].neuron, network.layers
        made, (found,) = round_leaks(network, "nearest")
        if found.rounding != "nearest":
            continue
        inputs = np.random.default_rng(seed).integers(0, 3, (6, 8, 5))
        golden = GoldenModel(made).run(inputs, membranes=True)
        origin = -(made.layers[0].neuron.v_init - neuron.v_init)
        for sample, spikes, membranes in zip(inputs, golden.spikes[1], golden.membranes[0], strict=True):
            for index in range(4):
                expected = in_rationals(neuron, sample @ layer.weights.T * layer.weight_unit, index)
                actual = list(zip(spikes[:, index].tolist(), (membranes[:, index] + origin[index]).tolist(),
                                  strict=True))
                assert actual == expected, f"seed {seed}"
                compared += len({one for one, _ in expected}) > 1
        below += int(made.layers[0].neuron.theta.min()) < 1
        seen |= {neuron.reset, neuron.reset_delay, f"clamped {neuron.clamped}", f"once {neuron.bias_once}",
                 f"single {neuron.single_spike}", f"values {neuron.v_reset is not None}",
                 f"apart {np.ndim(neuron.leak_num)}"}
        back = rounded_down(made.layers[0].neuron)
        if not neuron.v_init.any():
            assert np.array_equal(back.theta, neuron.theta) and not back.v_init.any()
            down = [GoldenModel(replace(network, layers=(replace(layer, neuron=one),))).run(inputs).spikes[1]
                    for one in (back, neuron)]
            assert np.array_equal(*down)
    assert compared > 500 and below > 5 and len(seen) == 3 + 2 + 2 * 5, seen


def network_of(
    leak: float | np.ndarray = 0.95, *, readout: Readout = "spike_count", theta: float | None = 4.0,
    recipe: dict | None = None, weight: np.ndarray | None = None, **changes: Any,
) -> FloatNetwork:
    weight = np.random.default_rng(5).normal(0.1, 1, (20, 40)) if weight is None else weight
    neuron = FloatNeuron(theta=None if theta is None else np.full(len(weight), theta), leak=leak, **changes)
    return FloatNetwork(name="mine", steps=60, readout=readout, input_kind="events", recipe=recipe or {}, layers=(
        FloatLayer(weight=weight, neuron=neuron),))


def rounding_of(network: FloatNetwork, **options) -> str:
    """What the report says."""
    return next(one.text for one in compile_network(network, lanes=1, **options).passes if one.name == "round_leaks")


APART = np.linspace(0.8, 0.95, 20)
CHOICES = [
    (network_of(), {}, "dense0 to the nearest, membranes count from −10"),
    (network_of(np.linspace(0.6, 0.95, 20)), {}, "dense0 to the nearest, membranes count from −1…−10"),
    (network_of(), {"leak_rounding": "floor"}, "dense0 down"),
    (network_of(recipe={"method": 1}), {}, "dense0 down"),
    (network_of(recipe={"method": 1}), {"leak_rounding": "nearest"}, "dense0 to the nearest, membranes count from −10"),
    (replace(network_of(), leak_rounding="floor"), {}, "dense0 down"),
    (replace(network_of(), leak_rounding="floor"), {"leak_rounding": "nearest"},
     "dense0 to the nearest, membranes count from −10"),
    (network_of(0.75), {}, "dense0 to the nearest, membranes count from −1"),
    (network_of(0.7), {}, "dense0 down, which is nearly as near"),
    (network_of(0.7), {"leak_rounding": "nearest"}, "dense0 to the nearest, membranes count from −2"),
    (network_of(0.5), {"leak_rounding": "nearest"}, "dense0 down, which is as near"),
    (network_of(1.0), {}, "dense0 none"),
    (network_of(theta=None, readout="potential"), {}, "dense0 down, all membranes that are compared alike"),
    (network_of(theta=None, readout="potential"), {"leak_rounding": "nearest"},
     "dense0 to the nearest, membranes count from −10"),
    (network_of(APART, readout="first_spike"), {}, "dense0 down, as membranes are compared whose leaks differ"),
    (network_of(APART, v_min=-1.0), {}, "dense0 down, as all channels share the clamps, but not the leak"),
    (network_of(v_init=np.full(20, 5.0)), {}, "dense0 down, as neurons start at their thresholds"),
]


@pytest.mark.parametrize(("network", "options", "text"), CHOICES)
def test_what_is_chosen_is_said(network, options, text):
    assert rounding_of(network, **options) == text


@pytest.mark.parametrize(("leak", "rounding", "sentence"), [
    (1 - 1 / 600, "floor", "a membrane at its threshold of 300 steps leaks 0.49 of a step, and rounding down takes up "
     "to 1"),
    (1 - 1 / 600, "nearest", "a membrane at its threshold of 300 steps leaks 0.49 of a step, which rounds to none: "
     "without a leak, they do nearly the same in fewer cycles"),
    (1 - 1 / 500, "nearest", None),
    (1 - 1 / 200, "floor", None),
])
def test_a_leak_that_rounding_hides_is_told(leak, rounding, sentence):
    network = network_of(leak, theta=0.3, weight=np.array([[0.1, 0.05], [0.025, 0.1]]))
    network = replace(network, layers=(replace(network.layers[0], weight_scale=0.001),))
    report = compile_network(network, leak_rounding=rounding).report()
    end = "; more weight bits, or weights smaller beside the thresholds, are finer"
    assert f"warning: dense0: {sentence}{end}" in report if sentence else "a membrane at its" not in report


@pytest.mark.parametrize("leak", [0.9, 0.95, 0.99, 1 - 1 / 5000])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_more_spikes_are_right(leak, reset):
    network = network_of(leak, reset=reset)
    inputs = (np.random.default_rng(1).random((8, 60, 40)) < 0.1).astype(np.int64)
    expected = run_float(network, inputs).spikes[1]

    def wrong(rounding: str) -> float:
        program = compile_network(network, lanes=1, leak_rounding=rounding).program
        return float(np.mean(GoldenModel(program.network).run(inputs).spikes[1] != expected))

    assert 0 < wrong("nearest") < 0.8 * wrong("floor")


def test_integers_keep_their_rounding(tmp_path):
    """A network whose membranes count from below 0, thresholds too, goes through a file as it is."""
    real = network_of(1 - 1 / 600, theta=1.0)
    network = compile_network(real, lanes=1, leak_rounding="nearest").program.network
    assert network.layers[0].neuron.first_theta.max() < 0
    save_network(tmp_path / "x.safetensors", real_network(network))
    again = compile_network(load_network(tmp_path / "x.safetensors"), lanes=1).program.network.layers[0].neuron
    for name in ("theta", "v_init", "reset_step"):
        assert np.array_equal(getattr(again, name), getattr(network.layers[0].neuron, name))
    for given in ("nearest", "floor"):
        with pytest.raises(CompileError, match=r"^leak_rounding must not be given for an integer network, whose leaks"):
            compile_network(network, leak_rounding=given)


@pytest.mark.parametrize("rounding", ["nearest", "floor", None])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_nir_file_gives_the_same_integers(tmp_path, rounding, reset):
    rng = np.random.default_rng(2)
    hidden = FloatNeuron(theta=np.full(6, 3.0), leak=0.9, reset=reset)
    network = FloatNetwork(name="mine", steps=9, readout="potential", input_kind="events", layers=(
        FloatLayer(weight=rng.normal(size=(6, 8)), neuron=hidden),
        FloatLayer(weight=rng.normal(size=(3, 6)), neuron=FloatNeuron(leak=0.95))))
    made = compile_network(network, lanes=1, leak_rounding=rounding).program.network
    options = save_nir(made, tmp_path / "x.nir")
    assert options.get("leak_rounding") == rounding
    again = compile_network(load_nir(tmp_path / "x.nir", **options), lanes=1).program.network
    for one, other in zip(made.layers, again.layers, strict=True):
        for name in ("theta", "v_init", "bias"):
            assert np.array_equal(getattr(one.neuron, name), getattr(other.neuron, name))
        assert np.array_equal(one.weights, other.weights) and np.array_equal(one.neuron.leak, other.neuron.leak)
    inputs = (rng.random((8, 9, 8)) < 0.5).astype(np.int64)
    one, other = (GoldenModel(network).run(inputs) for network in (made, again))
    assert np.array_equal(one.spikes[1], other.spikes[1]) and one.spikes[1].any()
    assert np.array_equal(one.scores, other.scores)


@pytest.mark.parametrize("rounding", ["nearest", "floor", None])
def test_leaks_toward_zero_stay(rounding, tmp_path):
    save_network(tmp_path / "x.safetensors", network_of(leak_toward_zero=True))
    result = compile_network(load_network(tmp_path / "x.safetensors"), lanes=1, leak_rounding=rounding)
    neuron = result.program.network.layers[0].neuron
    assert neuron.leak_toward_zero and not neuron.v_init.any()
    assert next(one.text for one in result.passes if one.name == "round_leaks") == "dense0 toward 0"
    assert rounded_down(neuron) is neuron
    save_network(tmp_path / "down.safetensors", network_of())
    assert b"leak_toward_zero" not in (tmp_path / "down.safetensors").read_bytes()


def test_what_nir_cannot_say_is_refused(tmp_path):
    network = compile_network(network_of(), lanes=1).program.network
    layer, (other,) = network.layers[0], compile_network(
        network_of(weight=np.eye(20)), lanes=1, leak_rounding="floor").program.network.layers
    both = replace(network, layers=(layer, replace(other, name="last")))
    sentence = "leaks must round all down or all to the nearest to be exported"
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        save_nir(both, tmp_path / "x.nir")


def test_a_wrong_rounding_is_refused():
    sentence = "leak_rounding must be 'nearest' or 'floor', or None, not 'up'"
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
        compile_network(network_of(), leak_rounding="up")
