# SPDX-License-Identifier: MIT
"""How layers are mapped: lanes, banks, and two events a cycle."""

import re
from dataclasses import replace

import numpy as np
import pytest
from firstspike_arch.banks import kernel_banks
from firstspike_arch.connectivity import Conv2d, Window
from firstspike_arch.network import Branch
from firstspike_arch.work import marker_cycles
from firstspike_compiler.compile import compile_network, remap
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.map_layers import MEMORY_FACTOR
from firstspike_sim.testing.float_networks import convolutions, layer_of, network_of, residual, two_layers

RNG = np.random.default_rng(6)


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
