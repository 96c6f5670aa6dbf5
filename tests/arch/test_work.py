# SPDX-License-Identifier: MIT
"""The work of a core is what its sequencer does in the timing model, to the cycle."""

import numpy as np
import pytest
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.work import event_rows, marker_cycles, work_cycles, workload
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.testing.random_network import random_banks, random_inputs, random_network, random_rotates

SEEDS = range(120)


def test_random_networks_with_every_option_take_the_work_that_is_estimated():
    seen: set[str] = set()
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        network = random_network(rng, neurons_max=14, maps=bool(seed % 2))
        program = compile_network(
            network, lanes=[int(rng.integers(1, layer.channels // layer.groups + 1)) for layer in network.layers],
            register_rows=int(rng.choice([2, 8])), banks=random_banks(rng, network),
            bit_serial=network.bit_by_bit and bool(rng.random() < 0.7), merges=seed % 4 > 1, skips=seed % 3 > 0,
            rotates=random_rotates(rng, network),
        ).program
        prediction = predict_inputs(program, random_inputs(rng, network, 4), waits=seed if seed % 3 == 0 else None)
        assert prediction.trace.busy is not None
        for core, busy in zip(program.cores, prediction.trace.busy.tolist(), strict=True):
            work = work_cycles(core, workload(core, prediction.golden.spikes))
            assert work.shape == (4,) and int(work.sum()) == busy, f"seed {seed}, core {core.index}"
            seen |= kinds(program, core)
    assert seen == {
        "bit-serial", "banks", "scattered", "recurrent", "residual", "graded", "signed", "static", "one step",
        "waits for its operand", "nothing reached", "merged", "merged and bit-serial", "skips",
    }


def kinds(program, core) -> set[str]:
    """What is special about a core."""
    plan, code, network = core.plan, core.microcode, program.network
    facts = {
        "bit-serial": plan.bit_serial, "banks": plan.bank_count > 1, "scattered": plan.scattered,
        "recurrent": core.recurrent is not None, "residual": len(core.inputs) - (core.recurrent is not None) > 1,
        "graded": any(one.layout.high > 1 for one in core.inputs), "static": code.event.store == "current",
        "signed": network.input_kind == "events" and any(one.layout.signed for one in core.inputs),
        "one step": not code.step, "waits for its operand": plan.rows == 1 and plan.in_registers and any(
            op.settle for op in code.passes),
        "merged": plan.options.merges, "merged and bit-serial": plan.options.merges and plan.bit_serial,
        "skips": plan.options.skips,
        "nothing reached": any((event_rows(core, place) == 0).any() for place in range(len(core.inputs))),
    }
    return {name for name, holds in facts.items() if holds}


def dense(lanes: int):
    """The core of a small dense layer with a leak and a bias."""
    network = NetworkBuilder(6, steps=5, readout="first_spike")
    network.layer(np.arange(1, 31).reshape(5, 6), theta=40, leak=0.75, bias=2)
    return compile_network(network.build(), lanes=lanes).program.cores[0]


@pytest.mark.parametrize(("lanes", "rows"), [(5, 1), (3, 2), (1, 5)])
@pytest.mark.parametrize("spikes", [0, 1, 3])
def test_markers_and_events_of_a_dense_layer_add_up(lanes, rows, spikes):
    core = dense(lanes)
    given = np.zeros((1, 5, 6), dtype=np.int64)
    given[0, 2, :spikes] = 1
    start, step, final = marker_cycles(core)
    assert event_rows(core, 0).tolist() == [rows] * 6 and start == 0 and min(step, final) >= rows
    assert work_cycles(core, workload(core, [given])).tolist() == [4 * step + final + spikes * rows]


def test_two_events_at_once_take_at_least_the_work_that_is_estimated():
    """Exactly, if the events of each step come in pairs but for the last."""
    network = NetworkBuilder(16, steps=3, readout="first_spike", input_kind="latency")
    network.layer(np.arange(64).reshape(4, 16) % 7 - 2, theta=9, bias=1)
    images = np.random.default_rng(0).integers(0, 256, (5, 16)).astype(np.uint8)
    for lanes in (4, 2):
        busy = {}
        for events in (1, 2):
            program = compile_network(network.build(), lanes=lanes, events_per_cycle=events, port="image").program
            prediction = predict_inputs(program, images)
            assert prediction.trace.busy is not None
            work = work_cycles(program.cores[0], workload(program.cores[0], prediction.golden.spikes))
            busy[events] = prediction.trace.busy[0], work.sum()
        # Two beats with pixels: all of a step's events are in one group of two beats.
        assert busy[1][0] == busy[1][1] > busy[2][0] == busy[2][1]
