# SPDX-License-Identifier: MIT
"""Core of a hidden layer, with queue and extractor: spikes of the row machine and of the golden model."""

import numpy as np
import pytest
from amaranth.hdl import Const, ResetInserter, Signal
from amaranth.sim import Simulator
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, Window
from firstspike_arch.events import FINAL_MARKER, MARKER
from firstspike_hw.row_memory import RowMemory
from firstspike_hw.sequencer import Sequencer
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.row_machine import RowMachine
from firstspike_sim.stimulus import encode_direct
from firstspike_sim.testing.unit_layers import STEPS, HiddenLayer, one_layer, two_layers
from firstspike_sim.testing.unit_words import layer_tokens, tokens_of


@pytest.mark.parametrize("lanes, neuron", [
    (5, {"leak_num": 3, "leak_shift": 2, "reset": "subtract"}),
    (13, {"single_spike": True}),
    (2, {"leak_num": 5, "leak_shift": 3, "reset": "zero", "reset_delay": True, "v_min": -10}),
])
def test_hidden_layer_sends_the_spikes_of_the_row_machine(lanes, neuron):
    program, spikes = one_layer(lanes, readout="spike_count", lanes=lanes, **neuron)
    machine = RowMachine(program.network, 0)
    fired = np.array([machine.run([[(0, address, 1) for address in np.flatnonzero(step)] for step in one])[0]
                      for one in spikes])
    assert 0.02 <= fired.mean() <= 0.7
    seen = run_unit(HiddenLayer(program), "pysim", offers={"source0": tokens_of(spikes)}, takes=["events"],
                    cycles=4000, quiet=600, seed=lanes)
    assert seen["events"] == tokens_of(fired) and seen["left"] == [0]


FLAT, MAP = Dense(in_shape=(9,), neurons=13), (2, 6, 5)
OWN = Dense(in_shape=(13,), neurons=13)
LARGE = np.append([250, -250], np.arange(11) % 7 - 3)
"""Biases that are constants, as some are beyond 16 weights."""

HIDDEN = {
    # Synapses of the layer and of its branches, options of its neurons, lanes, input
    "residual and recurrent, graded": (FLAT, [(-1, FLAT), (0, OWN)], {"levels": 3}, 5, {"in_max": 3}),
    "graded": (FLAT, [], {"levels": 5, "leak_num": 3, "leak_shift": 2}, 5, {"in_max": 5}),
    "recurrent": (FLAT, [(0, OWN)], {"single_spike": True, "leak_num": 1, "leak_shift": 1}, 3, {}),
    "recurrent in one row": (FLAT, [(0, OWN)], {"levels": 2, "reset": "zero"}, 13, {}),
    "direct": (FLAT, [], {"levels": 2}, 4, {"input_kind": "direct", "in_min": -3, "in_max": 5}),
    "learned latency": (FLAT, [], {"fall": True, "single_spike": True, "bias_once": True}, 13,
                        {"input_kind": "direct", "in_min": 0, "in_max": 5}),
    "two convolutions": (
        Conv2d(in_shape=MAP, channels=6, kernel=(3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        [(-1, Conv2d(in_shape=MAP, channels=6, kernel=(2, 2), stride=(2, 1)))],
        {"levels": 2, "reset": "none"}, 2, {"in_max": 2}),
    "kernel-parallel": (Conv2d(in_shape=MAP, channels=3, kernel=(2, 3), padding=(1, 0)), [],
                        {"levels": 3, "v_min": -9}, 2, {"in_max": 2}),
    "kernel-parallel, stride, groups": (
        Conv2d(in_shape=MAP, channels=6, kernel=(3, 4), stride=(2, 1), padding=(0, 1), groups=2), [],
        {"leak_num": 5, "leak_shift": 3}, 3, {}),
    "a leak for each neuron": (FLAT, [], {"leak_num": np.arange(13) % 5, "leak_shift": 2}, 7, {}),
    "a leak for each neuron, in one row": (FLAT, [(0, OWN)], {"leak_num": 8 - np.arange(13) % 3, "leak_shift": 3}, 13,
                                           {}),
    "some neurons leak by a shift": (FLAT, [], {"leak_num": 8 - np.arange(13) % 2, "leak_shift": 3, "reset": "zero",
                                                "reset_delay": True}, 5, {}),
    "leak toward zero, recurrent": (FLAT, [(0, OWN)], {
        "leak_num": 27, "leak_shift": 5, "leak_toward_zero": True, "levels": 3}, 5, {"in_max": 2}),
    "a leak toward zero for each neuron, recurrent": (FLAT, [(0, OWN)], {
        "leak_num": 9 - np.arange(13) % 6, "leak_shift": 4, "leak_toward_zero": True, "levels": 3}, 13, {"in_max": 2}),
    "some neurons leak toward zero by a shift": (FLAT, [], {
        "leak_num": 8 - np.arange(13) % 2, "leak_shift": 3, "leak_toward_zero": True, "reset": "zero"}, 5, {}),
    "a leak toward zero by a shift, in one row": (FLAT, [], {
        "leak_num": 3, "leak_shift": 2, "leak_toward_zero": True, "levels": 2}, 13, {"in_max": 2}),
    **{f"lasting currents, {name}": (FLAT, branches, {"current_leak_num": num, "current_leak_shift": shift, **neuron},
                                     lanes, inputs)
       for name, branches, num, shift, neuron, lanes, inputs in (
           ("in one row", [], 3, 2, {"leak_num": 7, "leak_shift": 3}, 13, {"in_max": 2}),
           ("in registers, recurrent", [(0, OWN)], 7, 3, {"levels": 2, "reset": "zero", "v_min": -9}, 7, {}),
           ("in a memory", [], 3, 2, {"leak_num": 3, "leak_shift": 2, "levels": 3}, 3, {"in_max": 20}),
           ("a step late", [(-1, FLAT)], 1, 1, {"current_delay": True, "reset_delay": True}, 5, {"in_min": -1}),
           ("a step late in one row", [], 11, 4, {"current_delay": True, "single_spike": True}, 13, {}),
           ("none leaks", [], 1, 0, {"leak_num": 1, "leak_shift": 2, "reset": "none"}, 7, {}),
           ("all are gone", [(0, OWN)], 0, 0, {"current_delay": True}, 13, {}),
           ("any ratio in one row", [], 5, 3, {"leak_num": 11, "leak_shift": 4, "levels": 2}, 13, {"in_max": 2}),
           ("any ratio in a memory", [(0, OWN)], 13, 5, {}, 2, {}),
           ("with the bias, in one row", [], 3, 2, {"current_bias": True}, 13, {"in_max": 2}),
           ("with the bias, in registers", [(0, OWN)], 5, 3, {"current_bias": True, "v_min": -9}, 5, {}),
           ("with the bias, in a memory", [], 3, 2, {"current_bias": True, "leak_num": 3, "leak_shift": 2}, 3, {}),
           ("with the bias, a step late", [], 3, 2, {"current_bias": True, "current_delay": True}, 2, {"in_max": 2}),
           ("with a large bias", [], 3, 2, {"current_bias": True, "bias": LARGE, "levels": 2}, 5, {"in_max": 2}),
           ("with a large bias, in a memory", [], 3, 2, {"current_bias": True, "bias": LARGE}, 2, {}),
           ("with the bias, direct", [], 3, 2, {"current_bias": True}, 4,
            {"input_kind": "direct", "in_min": -3, "in_max": 5}),
           ("a leak for each", [], 8 - np.arange(13) % 2, 3, {"leak_num": 3, "leak_shift": 2}, 7, {}),
           ("any leak for each", [(0, OWN)], np.arange(13) % 9, 3, {"weight_exponent": 1}, 5, {"in_max": 2}),
           ("toward zero", [], 3, 2, {"leak_num": 7, "leak_shift": 3, "leak_toward_zero": True}, 5, {}),
           ("any ratio toward zero", [(0, OWN)], 11, 4, {"leak_toward_zero": True}, 13, {}),
           ("direct", [], 3, 2, {"levels": 2}, 4, {"input_kind": "direct", "in_min": -3, "in_max": 5}),
           ("direct in one row", [], 5, 3, {"leak_num": 3, "leak_shift": 2, "current_delay": True}, 13,
            {"input_kind": "direct", "in_min": -3, "in_max": 5}),
       )},
    **{f"lasting currents, {name}": (synapses, branches, {"current_leak_num": 3, "current_leak_shift": 2, **neuron},
                                     lanes, inputs)
       for name, synapses, branches, neuron, lanes, inputs in (
           ("convolution", Conv2d(in_shape=MAP, channels=6, kernel=(3, 2), padding=(1, 0), groups=2), [
               (-1, Conv2d(in_shape=MAP, channels=6, kernel=(3, 2), padding=(1, 0)))], {"leak_num": 7, "leak_shift": 3},
            3, {}),
           ("kernel-parallel", Conv2d(in_shape=MAP, channels=3, kernel=(2, 3), padding=(1, 0)), [],
            {"levels": 2, "current_leak_num": 5, "current_leak_shift": 3}, 2, {"in_max": 2}),
           ("rows visited again", Conv2d(in_shape=MAP, channels=3, kernel=(1, 2), stride=(1, 2)), [], {}, 3, {}),
           ("pool", Conv2d(in_shape=MAP, channels=5, kernel=(3, 2), padding=(1, 0)), [],
            {"current_pool": Window(kernel=(2, 2), stride=(2, 2))}, 3, {"in_max": 2}),
           ("pool, with the bias", Conv2d(in_shape=MAP, channels=5, kernel=(3, 2), padding=(1, 0)), [],
            {"current_pool": Window(kernel=(2, 2), stride=(2, 2)), "current_bias": True}, 3, {"in_max": 2}),
           ("pool, direct", Conv2d(in_shape=MAP, channels=3, kernel=(3, 2), padding=(1, 0)), [],
            {"current_pool": Window(kernel=(3, 3), stride=(2, 2)), "current_delay": True, "levels": 2}, 2,
            {"input_kind": "direct", "in_min": -3, "in_max": 5}),
       )},
    "weights of four steps": (FLAT, [(0, OWN)], {"weight_exponent": 2, "leak_num": 7, "leak_shift": 3}, 5,
                              {"in_max": 5}),
    "weights of 128 steps, no leak": (FLAT, [], {"weight_exponent": 7, "levels": 2}, 13, {}),
    "weights of two steps, direct": (FLAT, [], {"weight_exponent": 1, "levels": 2}, 4,
                                     {"input_kind": "direct", "in_min": -3, "in_max": 5}),
    "kernel-parallel, a leak for each channel": (
        Conv2d(in_shape=MAP, channels=6, kernel=(3, 2), padding=(1, 0)), [],
        {"leak_num": np.arange(6) * 3 % 17, "leak_shift": 4, "levels": 2}, 4, {"in_max": 2}),
    "pool of currents": (Conv2d(in_shape=MAP, channels=5, kernel=(3, 2), padding=(1, 0)), [],
                         {"levels": 2, "current_pool": Window(kernel=(2, 2), stride=(2, 2))}, 3, {"in_max": 2}),
    "pool of currents, residual": (
        Conv2d(in_shape=MAP, channels=4, kernel=(3, 3), padding=(1, 1)),
        [(-1, Conv2d(in_shape=MAP, channels=4, kernel=(1, 1)))],
        {"leak_num": 3, "leak_shift": 2, "current_pool": Window(
            kernel=(3, 2), stride=(2, 1), padding=(1, 1), ceil_mode=True)}, 4, {}),
    "pool of currents, one neuron a channel": (
        Conv2d(in_shape=MAP, channels=3, kernel=(4, 4)), [],
        {"levels": 2, "current_pool": Window(kernel=(2, 2), stride=(3, 1), dilation=(2, 1))}, 3, {"in_max": 2}),
    "pool of currents, direct": (
        Conv2d(in_shape=MAP, channels=3, kernel=(3, 2), padding=(1, 0)), [],
        {"levels": 3, "current_pool": Window(kernel=(3, 3), stride=(2, 2))}, 2,
        {"input_kind": "direct", "in_min": -3, "in_max": 5}),
}


HIDDEN |= {
    "banks across": (
        Conv2d(in_shape=MAP, channels=4, kernel=(3, 3), padding=(1, 1)), [], {"single_spike": True}, 4, {}),
    "banks in two visits down": (
        Conv2d(in_shape=MAP, channels=5, kernel=(4, 3), padding=(2, 1)), [], {"leak_num": 3, "leak_shift": 2}, 2, {}),
    "banks of a dilated convolution": (
        Conv2d(in_shape=MAP, channels=3, kernel=(3, 3), padding=(2, 2), dilation=(2, 2)), [], {}, 3, {"in_max": 2}),
    "banks of a transposed convolution": (
        ConvTranspose2d(in_shape=MAP, channels=2, kernel=(3, 4), stride=(2, 1), padding=(1, 1)), [], {}, 2, {}),
    "banks of two convolutions": (
        Conv2d(in_shape=MAP, channels=6, kernel=(3, 3), padding=(1, 1), groups=2),
        [(-1, Conv2d(in_shape=MAP, channels=6, kernel=(1, 1)))], {"reset": "none"}, 2, {}),
}
BANKS = {
    "kernel-parallel": (2, 3), "kernel-parallel, stride, groups": (2, 4),
    "kernel-parallel, a leak for each channel": (3, 2), "banks across": (1, 3), "banks in two visits down": (3, 2),
    "banks of a dilated convolution": (3, 1), "banks of a transposed convolution": (2, 2),
    "banks of two convolutions": (3, 1), "lasting currents, kernel-parallel": (2, 3),
}
"""Kernel-parallel banks of the cases that have any."""
ROTATES = {"kernel-parallel, stride, groups": (True, True), "banks across": (False, True),
           "banks in two visits down": (True, False), "banks of a transposed convolution": (True, True)}
"""Along which axes kernels are rotated to the banks."""


def run_hidden(name: str) -> tuple[dict, list[int]]:
    """What the hidden layer of a case is seen to do, and the tokens that it must send."""
    synapses, branches, neuron, lanes, inputs = HIDDEN[name]
    program = two_layers(len(name), synapses, branches=branches, neuron=neuron, lanes=lanes, inputs=inputs,
                         banks=BANKS.get(name, (1, 1)), rotates=ROTATES.get(name, (False, False)))
    network, random = program.network, np.random.default_rng(len(name))
    shape = (4, network.inputs) if network.input_kind == "direct" else (3, STEPS, network.inputs)
    given = random.integers(network.in_min or 1, network.in_max + 1, shape) * (
        random.random(shape) < (0.05 if "pool" in name else 0.3))
    fired = GoldenModel(network).run(given.astype(np.int16)).spikes[1]
    assert 0.02 <= (fired != 0).mean() <= 0.7 and fired.max() == network.layers[0].neuron.levels
    sent = layer_tokens(encode_direct(given, STEPS) if given.ndim == 2 else given, network.input_layout)
    offers = {f"source{place}": sent for place, branch in enumerate(network.layers[0].synapses(0)) if branch.source}
    slow = "pool" in name or "last" in name
    seen = run_unit(HiddenLayer(program), "pysim", offers=offers, takes=["events"], seed=lanes,
                    cycles=len(sent) * (20 if branches or name in BANKS else 12) + 6000 * slow, quiet=600)
    return seen, layer_tokens(fired, network.layers[0].out_layout, program.cores[0].plan)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_layer_sends_the_spikes_of_the_golden_model(name):
    seen, wanted = run_hidden(name)
    assert seen["left"] == [0] and seen["events"] == wanted


def test_a_reset_in_the_middle_leaves_no_sums():
    """The sums of a pool are in a memory, which a reset of the registers leaves as it is."""
    pool = Window(kernel=(2, 2), stride=(2, 1), padding=(1, 0))
    program = two_layers(3, Conv2d(in_shape=MAP, channels=3, kernel=(2, 2)), branches=[],
                         neuron={"current_pool": pool}, lanes=2, inputs={})
    random = np.random.default_rng(5)
    given = (random.random((2, STEPS, program.network.inputs)) < 0.2).astype(np.uint8)
    fired = GoldenModel(program.network).run(given).spikes[1]
    sent = layer_tokens(given, program.network.input_layout)
    layer, seen = HiddenLayer(program), []
    unit = ResetInserter({"sync": (again := Signal())})(layer)

    async def bench(ctx):
        ctx.set(layer.events.ready, 1)
        for part in (sent[:9], sent):  # the first part ends with an event of the first step
            ctx.set(again, 1)
            await ctx.tick()
            ctx.set(again, 0)
            seen.clear()
            waiting = list(part)
            for _ in range(3000):
                ctx.set(layer.source0.valid, bool(waiting))
                if waiting:
                    ctx.set(layer.source0.payload.as_value(), waiting[0])
                if ctx.get(layer.events.valid):
                    seen.append(ctx.get(layer.events.payload.as_value()))
                if waiting and ctx.get(layer.source0.ready):
                    waiting.pop(0)
                await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert not any(token & MARKER for token in sent[:9]) and fired.any()
    assert seen == layer_tokens(fired, program.network.layers[0].out_layout, program.cores[0].plan)


def test_a_bank_that_forgets_to_forward_is_noticed(monkeypatch):
    def forgetful(**options):
        return RowMemory(**{**options, "forwards": False})

    monkeypatch.setattr("firstspike_hw.row_memory.RowMemory", forgetful)
    seen, wanted = run_hidden("kernel-parallel, stride, groups")
    assert seen["left"] == [0] and seen["events"] != wanted


def test_spikes_that_recur_into_the_next_inference_are_noticed(monkeypatch):
    at_hand = Sequencer._token_at_hand

    def take_all(self, m, *, opening, **signals):
        return at_hand(self, m, opening=Const(0), **signals)

    monkeypatch.setattr(Sequencer, "_token_at_hand", take_all)
    seen, wanted = run_hidden("recurrent")
    assert seen["left"] == [0] and seen["events"] != wanted
    first = wanted.index(FINAL_MARKER)
    assert seen["events"][:first] == wanted[:first]  # before the first inference there were none
