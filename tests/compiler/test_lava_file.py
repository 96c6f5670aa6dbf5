# SPDX-License-Identifier: MIT
"""Networks of lava-dl: what they do is what lava-dl's own neurons did, and what its arithmetic, restated, says."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.real_network import real_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.lava_file import load_lava
from firstspike_compiler.passes.quantise import quantise
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.lava_arithmetic import cuba, dense, lava_run, write_lava

FILES = Path(__file__).with_name("lava_files")
NAMES = sorted(one.stem for one in FILES.glob("*.net"))


def loaded(name: str) -> tuple[IntegerNetwork, np.ndarray, list[np.ndarray]]:
    """A recorded network, its inputs and what lava-dl fired, each [B, T, N]."""
    recorded = np.load(FILES / f"{name}.npz")
    inputs = recorded["inputs"]
    network = load_lava(FILES / f"{name}.net", steps=inputs.shape[1],
                        readout="potential" if name == "affine" else "spike_count")
    return network, inputs, [recorded[f"spikes{index}"] for index in range(len(network.layers))]


def sooner(network: IntegerNetwork) -> list[int]:
    """How many steps sooner than in lava-dl each layer gets its input: one for each layer before it, unless delays make
    up for it."""
    late, found = 0, []
    for index, layer in enumerate(network.layers):
        late = index if layer.neuron.bias.any() else late
        found.append(index - late)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_spikes_are_those_of_lava_dl(name):
    network, inputs, fired = loaded(name)
    golden = GoldenModel(network).run(inputs, membranes=True)
    assert golden.membranes is not None
    for index, (wanted, by) in enumerate(zip(fired, sooner(network), strict=True)):
        stop = inputs.shape[1] - by
        found = golden.membranes[index] if name == "affine" and index else golden.spikes[index + 1]
        assert np.array_equal(found[:, :stop], wanted[:, by:]) and 0.05 < (found != 0).mean() < 1


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_real_numbers_gives_the_same_integers(name):
    network, inputs, _ = loaded(name)
    again, _ = quantise(real_network(network))
    one, other = (GoldenModel(one).run(inputs) for one in (network, again))
    assert all(np.array_equal(*pair) for pair in zip(one.spikes, other.spikes, strict=True))
    assert np.array_equal(one.scores, other.scores)
    for left, right in zip(network.layers, again.layers, strict=True):
        assert (left.weight_bits, left.weight_exponent) == (right.weight_bits, right.weight_exponent)
        assert np.array_equal(left.weights, right.weights)


@pytest.mark.parametrize("name", NAMES)
def test_the_restated_arithmetic_is_that_of_lava_dl(name):
    _, inputs, fired = loaded(name)
    for sample, spikes in enumerate(inputs):
        shaped = spikes.reshape(len(spikes), 2, 8, 7) if name == "maps" else spikes
        for index, (found, membranes) in enumerate(lava_run(FILES / f"{name}.net", shaped)):
            wanted = fired[index][sample]
            assert np.array_equal(membranes if name == "affine" and index else found, wanted)


def random_blocks(random: np.random.Generator) -> list[dict[str, Any]]:
    """Dense blocks of any numbers that a file may hold."""
    sizes, blocks = random.integers(2, 9, int(random.integers(2, 5))).tolist(), []
    for inputs, count in pairwise(sizes):
        step = int(random.choice([1, 2, 2, 8, 64]))
        weights = step * random.integers(-min(128, 256 // step), 1 + min(127, 254 // step), (count, inputs))
        weights.flat[0] = weights.flat[0] or step
        per_channel = random.random() < 0.3

        def decay(count=count, per_channel=per_channel) -> Any:
            one = random.choice([0, 4096, 1024, 2048, 128, *random.integers(0, 4097, 3)], count if per_channel else 1)
            return one if per_channel else int(one[0])

        fields: dict[str, Any] = cuba(current=decay(), voltage=decay(), threshold=int(random.integers(0, 300)))
        if random.random() < 0.4:
            fields["bias"] = random.integers(-40, 60, count if random.random() < 0.7 else 1) * random.choice([1, 2, 8])
        if len(blocks) < len(sizes) - 2 and random.random() < 0.4:
            fields["delay"] = random.integers(0, 4, count) + 0.5
        if random.random() < 0.3:
            fields |= {"type": "dense_rec", "weight_rec": step * random.integers(-9, 9, (count, count))}
            fields.pop("delay", None)
        blocks.append(dense(weights, **fields) | ({"type": fields["type"]} if "type" in fields else {}))
    return blocks


def test_random_networks_do_what_the_restated_arithmetic_says(tmp_path):
    seen, differing = set(), 0
    for seed in range(24):
        random = np.random.default_rng(seed)
        blocks = random_blocks(random)
        write_lava(tmp_path / "x.net", blocks)
        network = load_lava(tmp_path / "x.net", steps=12, readout="spike_count", in_max=3)
        inputs = random.integers(0, 4, (2, 12, network.inputs)) * (random.random((2, 12, network.inputs)) < 0.4)
        golden = GoldenModel(network).run(inputs)
        for sample, values in enumerate(inputs):
            wanted = lava_run(tmp_path / "x.net", values)
            for index, by in enumerate(sooner(network)):
                found = golden.spikes[index + 1][sample]
                assert np.array_equal(found[:12 - by], wanted[index][0][by:]), f"seed {seed}, layer {index}"
                differing += len(np.unique(found)) > 1
        for layer, block in zip(network.layers, blocks, strict=True):
            seen |= {layer.weight_exponent, f"lasts {layer.neuron.lasts}", f"rounds {layer.neuron.leak_toward_zero}",
                     f"bits {layer.weight_bits}", f"delays {layer.delays is not None}", block["type"],
                     f"bias {bool(layer.neuron.bias.any())}"}
    assert differing > 50
    assert {0, 6, 7, "lasts True", "lasts False", "rounds True", "rounds False", "bits 8", "delays True", "dense_rec",
            "bias True", "bias False"} <= seen, seen


W = np.array([[2, -6, 100], [254, -256, 8]])
MAP = {"type": "conv", "shape": [2, 5, 5], "inChannels": 1, "outChannels": 2, "kernelSize": [3, 3], "stride": [1, 1],
       "padding": [1, 1], "dilation": [1, 1], "groups": 1, "weight": np.ones((2, 1, 3, 3)), **cuba()}
POOL = {"type": "pool", "shape": [1, 2, 2], "kernelSize": [3, 3], "stride": [3, 3], "padding": [0, 0],
        "dilation": [1, 1], "weight": np.full((1, 1, 3, 3), 64), **cuba()}


@pytest.mark.parametrize(("blocks", "options", "sentence"), [
    ([], {}, "the group 'layer' of lava-dl must be there"),
    ([dense(W) | {"type": "dense_comp"}], {},
     "layer 0 must be one of input, flatten, average, dense, dense_rec, conv, pool, not 'dense_comp'"),
    ([dense(W) | {"neuron/type": "ALIF"}], {},
     "layer 0 (dense): neurons must be of the type CUBA or LOIHI, not 'ALIF'"),
    ([dense(W, **cuba(weight_exp=1))], {}, "layer 0 (dense): neuron/weight_exp is not known; known here: gradedSpike"),
    ([dense(W) | {"neuron/gradedSpike": True}], {}, "layer 0 (dense): neuron/gradedSpike must be 0, not 1"),
    ([dense(W) | {"neuron/refDelay": 2}], {}, "layer 0 (dense): neuron/refDelay must be 1, not 2"),
    ([dense(W) | {"neuron/iDecay": 4097}], {},
     "layer 0 (dense): neuron/iDecay must be 0…4096, one number or one for each of 2 channels, not 4097…4097 of 1"),
    ([dense(W + 1)], {}, "layer 0 (dense): weights must be even numbers −256…254, or whole numbers −128…127, not "
     "-255…255 in steps of 1"),
    ([dense(W) | {"weight": W / 4}], {}, "layer 0 (dense): weight must be whole numbers below 2^31, not 0.5"),
    ([dense(W) | {"weight": np.array([[np.nan, 2]])}], {}, "layer 0 (dense): weight must be whole numbers below 2^31, "
     "not nan"),
    ([{name: value for name, value in dense(W).items() if name != "weight"} | {"weight/real": W, "weight/imag": W}], {},
     "layer 0 (dense): weight must be real, not complex, as of resonate-and-fire neurons"),
    ([dense(W), dense(W)], {}, "layer 1 (dense): weight must have the 2 inputs that come in, not 3"),
    ([dense(W, delay=np.array([1, 0]))], {},
     "layer 0 (dense): delay must be 0 in the last layer, whose spikes no layer takes"),
    ([dense(W, delay=np.array([1, 0, 3])), dense(W[:, :2])], {},
     "layer 0 (dense): delay must be one number, or one for each of 2 channels"),
    ([dense(W, delay=-1.0), dense(W[:, :2])], {}, "layer 0 (dense): delay must be ≥ 0, not -1.0"),
    ([dense(W, weight_rec=2 * np.eye(2), delay=1) | {"type": "dense_rec"}, dense(W[:, :2])], {},
     "layer 0 (dense_rec): delay must not be of dense_rec: slayer delays what the block sends, and netx what it takes"),
    ([dense(W) | {"neuron/vThMant": (1 << 18) - 1}], {},
     "layer 0 (dense): neurons that never fire, as no membrane is above their vThMant of 262143, must be the last, and "
     "be read by potential"),
    ([dense(W)], {"readout": "potential"}, "layer 0 (dense): neurons must never fire to be read by potential"),
    ([dense(W) | {"shape": [3]}], {}, "layer 0 (dense): shape must be (2,), that of its neurons, not (3,)"),
    ([{"type": "input", "shape": [3], **cuba()}, dense(W)], {},
     "layer 0 (input): neuron must not be there: the input must be spikes"),
    ([{"type": "input", "shape": [4]}, dense(W)], {}, "layer 1 (dense): weight must have the 4 inputs that come in"),
    ([dense(W), {"type": "input", "shape": [2]}], {}, "layer 1 (input): an input must come first"),
    ([dense(W), MAP], {}, "layer 1 (conv): what comes in must be a map, not a vector of 2"),
    ([MAP | {"stride": [2, 2]}], {}, "layer 0 (conv): input_shape must be given: the file does not say which map"),
    ([POOL], {"input_shape": (2, 7, 6)}, "layer 0 (pool): the height of the windows must divide that of the map, 7, "
     "not 3: lava-dl lays the channels one below the other"),
    ([POOL | {"stride": [2, 2]}], {"input_shape": (1, 6, 6)}, "layer 0 (pool): windows must lie side by side"),
    ([dense(W), {"type": "average", "shape": [3]}], {}, "layer 1 (average): shape must divide the 2 neurons that come"),
    ([dense(W), {"type": "average", "shape": [1]}], {"readout": "first_spike"},
     "layer 1 (average): readout must be spike_count, of which an average is the mean, not 'first_spike'"),
    ([dense(W), {"type": "average", "shape": [1]}, dense(W[:, :1])], {},
     "layer 1 (average): an average must come last, behind neurons"),
    ([{"type": "input", "shape": [3]}], {}, "there must be a block with neurons"),
    ([dense(W)], {"steps": 5000}, "steps must be 1 ≤ steps ≤ steps_max ≤ 4096"),
    ([dense(W)], {"colour": 1}, "a network must have the fields of IntegerNetwork"),
    ([dense(W)], {"input_shape": (3, 1)}, "input_shape must be one number, or channels, height and width, not (3, 1)"),
])
def test_what_has_no_counterpart_is_refused_by_name(blocks, options, sentence, tmp_path):
    path = tmp_path / "x.net"
    write_lava(path, blocks)
    with pytest.raises(CompileError) as caught:
        load_lava(path, **{"steps": 4, "readout": "spike_count", **options})
    assert str(caught.value).removeprefix(f"{path}: ").startswith(sentence)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.net").write_bytes(b"* a netlist")
    for name, sentence in (("x.net", "x.net: must be a lava-dl file, which is HDF5, but does not start as one"),
                           ("y.net", "y.net: must be a lava-dl file, but is missing")):
        with pytest.raises(CompileError, match=re.escape(sentence)):
            load_lava(tmp_path / name, steps=3, readout="spike_count")
    with pytest.raises(CompileError, match="not that of NIR: load_nir reads it"):
        load_lava(Path(__file__).with_name("nir_files") / "sinabs_0.nir", steps=3, readout="spike_count")


def test_an_average_counts_the_spikes_of_its_groups(tmp_path):
    write_lava(tmp_path / "x.net", [dense(np.repeat(W, 2, axis=0) // 2 * 2), {"type": "average", "shape": [2, 1, 1]}])
    network = load_lava(tmp_path / "x.net", steps=9, readout="spike_count")
    inputs = (np.random.default_rng(0).random((5, 9, 3)) < 0.5).astype(int)
    golden = GoldenModel(network).run(inputs)
    counts = golden.spikes[1].reshape(5, 9, 2, 2).sum((1, 3))
    assert network.readout == "potential" and np.array_equal(golden.scores, counts) and len(np.unique(counts)) > 3


def test_a_pool_reaches_as_far_as_that_of_lava_dl(tmp_path):
    """Zeros are added where a side leaves a half window over."""
    random = np.random.default_rng(1)
    for size, window, weights in (((6, 5), (2, 2), 64), ((6, 7), (3, 3), 64), ((4, 6), (2, 3), 0),
                                  ((5, 4), (2, 4), 64)):
        kernel = np.full((1, 1, *window), weights) if weights else 2 * random.integers(-9, 30, (1, 1, *window))
        rows, columns = ((side + side % one) // one for side, one in zip(size, window, strict=True))
        write_lava(tmp_path / "x.net", [POOL | {
            "shape": [3, rows, columns], "kernelSize": window, "stride": window, "weight": kernel}])
        inputs = (random.random((8, 3, *size)) < 0.06).astype(int)
        network = load_lava(tmp_path / "x.net", steps=8, readout="spike_count", input_shape=(3, *size))
        found = GoldenModel(network).run(inputs.reshape(1, 8, -1)).spikes[1][0]
        assert np.array_equal(found, lava_run(tmp_path / "x.net", inputs)[0][0]) and 0.05 < found.mean() < 0.95
