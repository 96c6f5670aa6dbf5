# SPDX-License-Identifier: MIT
"""A compilation and its report; refusals in a sentence."""

import re
from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.connectivity import Dense
from firstspike_arch.float_network import FloatBranch
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.testing.float_networks import WEIGHTS, layer_of, network_of, two_layers


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
    images = np.random.default_rng(6).integers(0, 256, (4, 20)).astype(np.uint8)
    assert GoldenModel(program.network).run(images).classes.shape == (4,)
    assert set(program.images()) == {"core0_weights", "core1_weights"}
    again = compile_network(program.network, lanes=2)
    assert [item.name for item in again.passes] == ["prove_widths", "map_layers", "assemble"]


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
