# SPDX-License-Identifier: MIT
"""Bits and scales on sample data: what they cost, which are chosen, and what the command says."""

from dataclasses import replace

import firstspike as fs
import numpy as np
import pytest
from firstspike.quantising import BITS, Quantised
from firstspike.verb_demo import shipped
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.choose_scales import choose_scales
from firstspike_sim.models.float_reference import run_float
from firstspike_train.data import load


@pytest.fixture(scope="module")
def calibration() -> fs.Calibration:
    images, labels = load("digits", "validation")
    return fs.calibrate(fs.load(shipped("zoo", "digits_ettfs.safetensors")), images, labels)


def test_more_bits_are_nearer_to_float(calibration):
    coarse, fine = (fs.quantise_at(calibration, bits, powers=calibration.powers) for bits in (2, 8))
    assert coarse.agreement < fine.agreement and fine.agreement >= 99
    assert coarse.weight_bits * 4 == fine.weight_bits
    assert fine.score == pytest.approx(calibration.score(calibration.classes), abs=1)


def test_the_fewest_bits_within_a_budget(calibration):
    least = calibration.score(calibration.classes) - 1.0
    chosen = fs.choose_bits(calibration, 1.0)
    uniform = [fs.quantise_at(calibration, bits) for bits in BITS if bits < max(chosen.bits)]
    assert chosen.score >= least and all(one.score < least for one in uniform)
    assert fs.quantise_at(calibration, chosen.bits) == chosen
    with pytest.raises(CompileError, match=r"accuracy budget must be a number of points ≥ 0, not -1"):
        fs.choose_bits(calibration, -1)
    beyond = replace(calibration, classes=calibration.labels)
    with pytest.raises(CompileError, match=r"accuracy budget must be at least \d+\.\d\d points for this network"):
        fs.choose_bits(beyond, 0.0)


@pytest.mark.parametrize("budget, wanted", [
    (0.0, (6, 6)), (0.5, (6, 6)), (1.0, (5, 6)), (2.0, (5, 5)), (3.0, (4, 5)), (4.0, (4, 4)), (12.0, (2, 2)),
])
def test_a_budget_is_spent_to_its_end_on_the_largest_layer_first(budget, wanted, monkeypatch):
    """Each bit below six costs a point, in either layer; the first has more weights."""
    layers = tuple(FloatLayer(weight=np.ones((3, size)), neuron=FloatNeuron(theta=np.ones(3))) for size in (40, 3))
    network = FloatNetwork(name="n", steps=2, readout="spike_count", input_kind="events", layers=layers)
    calibration = fs.Calibration(network=network, inputs=np.zeros((1, 2, 40)), labels=None, classes=np.zeros(1, int),
                                 powers=())

    def quantised(_, bits, **options):
        bits = (bits, bits) if isinstance(bits, int) else tuple(bits)
        cost = sum(max(0, 6 - one) for one in bits)
        return Quantised(bits=bits, score=100.0 - cost, agreement=0.0, saturated=0, weight_bits=0)

    monkeypatch.setattr("firstspike.quantising.quantise_at", quantised)
    assert fs.choose_bits(calibration, budget).bits == wanted


def test_without_labels_the_class_in_float_counts():
    images, _ = load("digits", "validation")
    found = fs.calibrate(fs.load(shipped("zoo", "digits_ettfs.safetensors")), images[:20])
    assert found.score(found.classes) == 100
    with pytest.raises(CompileError, match="inputs must be at least one sample, not 0"):
        fs.calibrate(found.network, images[:0])


def maps(rng: np.random.Generator) -> FloatNetwork:
    """Channels of very different sizes, a pool, groups, and recurrent synapses."""
    conv = Conv2d(in_shape=(2, 6, 6), channels=4, kernel=(3, 3), groups=2, pool=1)
    dense = Dense(in_shape=(4, 4, 4), neurons=5, pool=2)
    spread = np.array([0.01, 0.1, 1.0, 4.0])
    return FloatNetwork(name="maps", steps=4, readout="spike_count", input_kind="events", layers=(
        FloatLayer(weight=rng.normal(size=conv.weight_shape) * spread.reshape(-1, 1, 1, 1), connectivity=conv,
                   neuron=FloatNeuron(theta=2 * spread, bias=spread / 2, reset="subtract")),
        FloatLayer(weight=rng.normal(size=dense.weight_shape), connectivity=dense,
                   neuron=FloatNeuron(theta=np.ones(5), reset="zero"),
                   branches=(FloatBranch(source=1, weight=rng.normal(size=(5, 5)), connectivity=Dense(
                       in_shape=(5,), neurons=5)),)),
        FloatLayer(weight=rng.normal(size=(3, 5)),
                   neuron=FloatNeuron(theta=np.array([1.0, 2.0, 3.0]), reset="zero"))))


def test_powers_are_mean_squares_of_what_comes_in():
    rng = np.random.default_rng(0)
    network = maps(rng)
    inputs = rng.integers(0, 2, (70, 4, 72))
    powers = fs.calibrate(network, inputs).powers
    spikes = run_float(network, inputs).spikes
    by_channel = np.square(spikes[0].reshape(-1, 2, 36)).mean((0, 2))
    assert np.allclose(powers[0][0].ravel(), np.repeat(by_channel, 2))
    sums = spikes[1].reshape(-1, 4, 2, 2, 2, 2).sum((3, 5)).reshape(-1, 16)
    assert np.allclose(powers[1][0], np.square(sums).mean(0)) and powers[1][1].shape == (1, 5)


def test_a_scale_for_each_channel_but_not_at_the_output():
    rng = np.random.default_rng(1)
    network = maps(rng)
    inputs = rng.integers(0, 2, (20, 4, 72))
    first, second, last = choose_scales(network, 4, per_channel=True).layers
    assert np.shape(first.weight_scale) == (4,) and np.shape(second.weight_scale) == (5,)
    assert isinstance(last.weight_scale, float)
    steps = np.asarray(first.neuron.theta) / np.asarray(first.weight_scale)
    assert (np.abs(steps - np.rint(steps)) < 0.02 * steps).all()  # what a soft reset takes off is hardly rounded

    def same(**options) -> float:
        golden = fs.infer(fs.compile(network, lanes=1, weight_bits=4, **options).program, inputs)
        return float(np.mean([np.mean(one == other) for one, other in zip(
            golden.spikes[1:], run_float(network, inputs).spikes[1:], strict=True)]))

    assert same(per_channel=True) > same() + 0.02
    clamped = replace(network, layers=(
        replace(network.layers[0], neuron=replace(network.layers[0].neuron, v_min=-5.0)), *network.layers[1:]))
    assert isinstance(choose_scales(clamped, per_channel=True).layers[0].weight_scale, float)


def test_a_percentile_of_what_weights_receive():
    weight = np.array([[1.0, 2.0, 10.0, 100.0]])
    network = FloatNetwork(name="x", steps=1, readout="potential", layers=(FloatLayer(weight=weight),))

    def largest(percentile, powers=None) -> float:
        return choose_scales(network, 8, percentile=percentile, powers=powers).layers[0].weight_scale * 127

    assert largest(100) == pytest.approx(100) and largest(75) == pytest.approx(10)
    assert largest(90, [[np.array([[1.0, 1.0, 9.0, 0.0]])]]) == pytest.approx(10)
    for wrong in (49, 101, "all"):
        with pytest.raises(CompileError, match="percentile must be 50…100"):
            largest(wrong)
    with pytest.raises(CompileError, match="weight_bits must be one number or one for each of the 1 layers"):
        choose_scales(network, [8, 8])


def test_the_commands(command, tmp_path):
    network = shipped("zoo", "digits_ettfs.safetensors")
    images, labels = load("digits", "validation")
    np.savez(tmp_path / "x.npz", inputs=images[:60], labels=labels[:60])
    out = command("quantise", network, "--data", tmp_path / "x.npz", "--accuracy-budget", 5).out
    assert "60 samples" in out and "within 5.0 points: --weight-bits " in out
    out = command("compile", network, "--data", tmp_path / "x.npz", "--weight-bits", "auto", "--accuracy-budget", 5,
                  "--lanes", 8, "--scales", "channel", "-o", tmp_path / "b").out
    assert "bits: " in out and "by channel at" in out and (tmp_path / "b" / "firstspike.v").is_file()
    for arguments, sentence in (
        (("--weight-bits", "some"), "--weight-bits must be a number or a list of numbers"),
        (("--weight-bits", "4,4,4"), "weight_bits must be one number or one for each of the 2 layers"),
        (("--weight-scale", "0.1;0.1"), "--weight-scale must be a number or a list of numbers, one (or auto) a layer"),
        (("--weight-scale", "auto,0"), "layer 1: weight_scale must be a positive number, not 0.0"),
        (("--scales", "some"), "--scales must be layer or channel"), (("--steps", "3"), "steps must be given only for"),
    ):
        said = command("compile", network, "-o", tmp_path / "c", *arguments).err
        assert sentence in said and not (tmp_path / "c").exists()
    assert "0.25 at 4 bits (kept)" in command("compile", network, "--weight-bits", 4, "--weight-scale", "auto,0.25",
                                              "--lanes", 8, "-o", tmp_path / "d").out
    np.savez(tmp_path / "y.npz", inputs=images[:6], labels=labels[:5])
    said = command("quantise", network, "--data", tmp_path / "y.npz").err
    assert "y.npz: labels must be one for each of the 6 inputs, not (5,)" in said
