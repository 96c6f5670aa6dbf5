# SPDX-License-Identifier: MIT
"""Mapping to a device: within its budgets, not slower than the default mapping, and sentences that say what limits."""

import dataclasses
import itertools
import re

import firstspike as fs
import numpy as np
import pytest
from firstspike import mapping
from firstspike.verb_demo import shipped
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.memory import MemoryShape
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.work import spread_workload, work_cycles, workload
from firstspike_boards.devices import DEVICES, Device
from firstspike_compiler.compile import remap
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.estimate_events import estimate_events
from firstspike_compiler.passes.search_mapping import (
    Choice,
    Use,
    fastest,
    filled,
    list_choices,
    processing_elements,
    total,
)
from firstspike_train.data import load

NETWORKS = ["digits_ettfs", "digits_multi_threshold", "maps"]


def maps() -> IntegerNetwork:
    """10 × 9 pixels → 8 channels → 6 channels in two groups → 4 classes."""
    random = np.random.default_rng(2)
    layers = []

    def add(synapses, theta):
        layers.append(Layer(
            name=f"layer{len(layers)}", weights=random.integers(-3, 5, synapses.weight_shape), weight_bits=4,
            connectivity=synapses, neuron=Neuron(
                bias=np.zeros(synapses.channels, int), theta=np.full(synapses.channels, theta),
                v_init=np.zeros(synapses.channels, int), single_spike=True)))
        return synapses.out_shape

    shape = add(Conv2d(in_shape=(1, 10, 9), channels=8, kernel=(3, 3)), 8)
    shape = add(Conv2d(in_shape=shape, channels=6, kernel=(3, 3), stride=(2, 2), groups=2), 10)
    add(Dense(in_shape=shape, neurons=4), 12)
    return IntegerNetwork(name="maps", layers=tuple(layers), readout="first_spike", steps=4, steps_max=4)


def network_and_inputs(name: str):
    if name == "maps":
        images = np.random.default_rng(3).integers(0, 256, (8, 90))
        return maps(), np.where(images < 128, 0, images).astype(np.uint8)
    return fs.load(shipped("zoo", f"{name}.safetensors")), load("digits", "validation")[0][:8]


def measured(program, inputs) -> float:
    """Mean cycles between inferences."""
    return float(fs.estimate(program, inputs).intervals.mean())


def blocks_of(program, device) -> int:
    return sum(DEVICES[device].blocks_of_all(core.memories) for core in program.cores)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("device", "budget"), [
    ("ecp5-25", 24), ("artix-35t", 100), ("ice40-up5k", 40), ("artix-100t", 10)])
def test_a_mapping_keeps_the_budgets_and_is_as_fast_as_the_default(name, device, budget):
    network, inputs = network_and_inputs(name)
    found = fs.map_to_device(network, inputs, device=device, lane_budget=budget, port="image")
    program = found.compilation.program
    assert found.elements == sum(map(processing_elements, program.cores)) <= budget
    assert found.blocks == blocks_of(program, device) <= DEVICES[device].blocks
    assert found.interval == measured(program, inputs)
    default = fs.compile(network, lane_budget=budget, port="image").program
    if blocks_of(default, device) <= DEVICES[device].blocks:
        assert found.interval <= measured(default, inputs)
    else:
        # Without a device, nobody knows that its block RAMs are this few and small.
        assert device == "ice40-up5k" and name in ("digits_multi_threshold", "maps")


def test_banks_are_chosen_where_they_help():
    network, inputs = network_and_inputs("maps")
    few, many = (fs.map_to_device(network, inputs, device="ecp5-85", lane_budget=budget) for budget in (3, 200))
    assert [core.plan.elements for core in few.compilation.program.cores] == [1, 1, 1]
    assert many.compilation.program.cores[0].plan.bank_count > 1
    assert many.interval < few.interval / 4
    assert few.limit == "processing elements: more than 3 would help"


def test_a_network_at_its_limit_says_so():
    network, inputs = network_and_inputs("digits_ettfs")
    found = fs.map_to_device(network, inputs, device="artix-100t", lane_budget=10_000)
    busiest = re.fullmatch(r"the network: layer (\d) has every lane that it can use", found.limit)
    assert busiest
    plan = found.compilation.program.cores[int(busiest[1])].plan
    assert plan.lanes == plan.neurons
    assert found.elements < 10_000


def test_bits_that_are_walked_one_after_another_are_counted():
    """No lanes that the budget allows are faster, though a bit-serial first layer takes several times as long."""
    network, inputs = network_and_inputs("digits_diet")
    found = fs.map_to_device(network, inputs, device="artix-100t", lane_budget=24, bit_serial=True,
                             port="image")
    plain = fs.compile(network, lanes=1, bit_serial=True, port="image")
    choices = [sorted({-(-core.plan.group_channels // rows) for rows in range(1, core.plan.group_channels + 1)})
               for core in plain.program.cores]
    fits = [lanes for lanes in itertools.product(*choices) if sum(lanes) <= 24]
    loads = [workload(core, fs.infer(plain.program, inputs).spikes) for core in plain.program.cores]

    def busiest(lanes) -> float:
        cores = remap(plain, lanes=list(lanes)).program.cores
        return max(float(work_cycles(core, load).mean()) for core, load in zip(cores, loads, strict=True))

    best = sorted(fits, key=busiest)[:3]
    assert len(fits) > 20 and busiest(best[0]) < busiest(max(fits, key=busiest)) / 4
    assert all(found.interval <= measured(remap(plain, lanes=list(lanes)).program, inputs) for lanes in best)


def small(monkeypatch, **changes) -> None:
    """A device of its own among the known ones."""
    device = dataclasses.replace(DEVICES["ice40-up5k"], name="small", **changes)
    monkeypatch.setattr(mapping, "DEVICES", {"small": device, "ecp5-25": DEVICES["ecp5-25"]})


def test_block_ram_limits_too(monkeypatch):
    network, inputs = network_and_inputs("maps")
    small(monkeypatch, blocks=12)
    found = fs.map_to_device(network, inputs, device="small", lane_budget=1000)
    assert found.limit == "block RAM: small has 12" and found.blocks <= 12
    small(monkeypatch, blocks=1000)
    assert fs.map_to_device(network, inputs, device="small", lane_budget=1000).interval < found.interval


@pytest.mark.parametrize(("name", "resource", "value", "word"), [
    ("digits_ettfs", "luts", 1700, "LUTs"), ("digits_diet", "multipliers", 5, "multipliers")])
def test_luts_and_multipliers_limit_too(monkeypatch, name, resource, value, word):
    network, inputs = network_and_inputs(name)
    small(monkeypatch, blocks=1000, luts=1_000_000, multipliers=1000)
    free = fs.map_to_device(network, inputs, device="small", lane_budget=None)
    small(monkeypatch, blocks=1000, **{"luts": 1_000_000, "multipliers": 1000, resource: value})
    found = fs.map_to_device(network, inputs, device="small", lane_budget=None)
    assert found.limit == f"{word}: small has {value}"
    assert getattr(found, resource) <= value < getattr(free, resource) and found.interval > free.interval
    few = fs.map_to_device(network, inputs, device="small", lane_budget=found.elements - 1)
    assert few.elements < found.elements and few.interval * mapping.EVEN >= found.interval


def test_two_events_a_cycle_are_taken_where_they_pay():
    """An element that takes two counts twice: they pay where a layer has all the lanes that it can use."""
    network, inputs = network_and_inputs("digits_ettfs")
    found, single = (fs.map_to_device(network, inputs, device="artix-100t", lane_budget=400, port="image", **options)
                     for options in ({}, {"events_per_cycle": 1}))
    first = found.compilation.program.cores[0].plan
    assert (first.lanes, first.options.events_per_cycle) == (64, 2)
    assert found.interval < 0.8 * single.interval
    assert fs.map_to_device(network, inputs, device="artix-100t", lane_budget=40).interval < 3 * single.interval


def test_a_stream_of_one_event_a_cycle_is_a_limit():
    options = LayerOptions(lanes=1, membrane_bits=8)
    found = [Choice(options=options, work=work, tokens=tokens, use=Use(1, 1)) for work, tokens in ((5, 3), (4, 9))]
    limits = [mapping._limit([[one] for one in some], some, Use(9, 9), DEVICES["ecp5-25"])
              for some in (found, found[:1])]
    assert limits == ["the network: layer 1 has its events at one a cycle",
                      "the network: layer 0 has every lane that it can use"]


@pytest.mark.parametrize("name", [
    "digits_ettfs", "digits_diet", "digits_latency", "digits_multi_threshold", *(
        pytest.param(name, marks=pytest.mark.slow) for name in (
            "mnist_ettfs", "mnist_latency", "mnist_diet", "fashion_latency", "fashion_ettfs_conv"))])
def test_the_default_is_nearly_as_fast_as_a_mapping_by_samples(name):
    network = fs.load(shipped("zoo", f"{name}.safetensors"))
    inputs = load({"digits": "digits", "mnist": "mnist", "fashion": "fashion-mnist"}[name.partition("_")[0]],
                  "validation")[0][:16]
    default = fs.compile(network).program
    elements = sum(map(processing_elements, default.cores))
    found = fs.map_to_device(network, inputs, device="artix-100t", lane_budget=elements)
    assert measured(default, inputs) <= 1.3 * found.interval


def test_the_search_finds_the_fastest_within_the_budgets():
    """Compared with all combinations; it may miss one that would only just fit."""
    random, missed = np.random.default_rng(7), 0
    for _ in range(30):
        choices = [[
            Choice(options=LayerOptions(lanes=1, membrane_bits=8), work=float(cycles), tokens=5.0, use=Use(*use))
            for cycles, *use in random.integers(1, 40, (12, 5))] for _ in range(3)]
        budget = Use(*random.integers(40, 100, 4).tolist())
        fits = [picked for picked in itertools.product(*choices) if total(picked).fits(budget)]
        found = fastest(choices, budget)
        if found is None:
            missed += bool(fits)
            continue
        assert total(found).fits(budget)
        best = min(max(one.cycles for one in picked) for picked in fits)
        missed += max(one.cycles for one in found) > best
        more = filled(choices, found, budget)
        assert total(more).fits(budget) and all(a.cycles <= b.cycles for a, b in zip(more, found, strict=True))
    assert missed <= 3


def test_ties_are_decided_alike_on_every_processor():
    """By order, not by the last bits of sums: a square layer and its transpose take the same cycles."""
    program = fs.compile(fs.load(shipped("zoo", "mnist_vgg.safetensors"))).program
    sent = [np.sqrt(2) * one for one in estimate_events(program.network)]
    layers = list_choices(
        program.network, program.config.layers, lambda core: spread_workload(core, 1, sent),
        lambda core: Use(core.plan.elements, 1))
    for choices in layers[1:3]:
        cycles = {(one.options.lanes, one.options.banks, one.options.rotates, one.options.merges, one.options.forwards,
                   one.options.lut_ram): one.work for one in choices}
        turned = {(lanes, (down, across), (below, right), *others): (lanes, (across, down), (right, below), *others)
                  for lanes, (down, across), (below, right), *others in cycles}
        pairs = [(cycles[one], cycles[other]) for one, other in turned.items() if one != other and other in cycles]
        assert len(pairs) > 50 and all(one == other for one, other in pairs)


@pytest.mark.parametrize("count", [9, 10, 11])
def test_of_equal_choices_the_first_is_taken(count):
    """Whatever else there is, and wherever they stand."""
    use = [7, 31, 1003, 3]
    choices = [Choice(options=LayerOptions(lanes=1 + number, membrane_bits=8), work=5.0, tokens=1.0,
                      use=Use(*(use if number >= 2 else [2 * one for one in use]))) for number in range(count)]
    for budget in range(1003, 1100, 5):
        assert fastest([choices], Use(60, 77, budget, 5)) == [choices[2]]


def test_what_is_left_is_spent_to_the_last():
    choices = [[Choice(options=LayerOptions(lanes=1, membrane_bits=8), work=float(cycles), tokens=1.0,
                       use=Use(elements, 1)) for elements, cycles in ((1, 60), (2, 30), (3, 20), (6, 10))]
               for _ in range(2)]
    for budget, wanted in ((12, [6, 6]), (9, [6, 3]), (8, [3, 3]), (2, [1, 1])):
        limits = Use(budget, 2)
        found = filled(choices, fastest(choices, limits), limits)
        assert sorted((one.use.elements for one in found), reverse=True) == wanted


def test_what_does_not_fit_is_told_the_nearest_that_does(monkeypatch):
    network, inputs = network_and_inputs("digits_ettfs")
    small(monkeypatch, blocks=2)
    with pytest.raises(CompileError) as caught:
        fs.map_to_device(network, inputs, device="small", lane_budget=64)
    sentence = re.fullmatch(
        r"(\S+) must fit the 2 block RAMs of small, but takes at least (\d+), (\d+) of them for layer (\d) \((\S+)\); "
        r"it would fit with (?:(\d) weight bits or )?ecp5-25, which has 56", str(caught.value))
    assert sentence and sentence[1] == network.name and int(sentence[2]) > 2 and int(sentence[3]) <= int(sentence[2])
    small(monkeypatch, blocks=int(sentence[2]))
    fs.map_to_device(network, inputs, device="small", lane_budget=64)
    small(monkeypatch, blocks=int(sentence[2]) - 1)
    with pytest.raises(CompileError, match=r"must fit the \d+ block RAMs of small") as caught:
        fs.map_to_device(network, inputs, device="small", lane_budget=64)
    fewer = re.search(r"it would fit with (\d) weight bits", str(caught.value))
    assert fewer
    fs.map_to_device(network, inputs, device="small", lane_budget=64, weight_bits=int(fewer[1]))
    with pytest.raises(CompileError, match=r"must fit the \d+ block RAMs of small"):
        fs.map_to_device(network, inputs, device="small", lane_budget=64, weight_bits=int(fewer[1]) + 1)


def test_what_fits_neither_way_is_told_a_device_with_more_of_both(monkeypatch):
    network, inputs = network_and_inputs("digits_ettfs")
    small(monkeypatch, blocks=14, luts=900)
    with pytest.raises(CompileError, match="must fit the 14 block RAMs and the 900 LUTs of small together; ecp5-25, "
                                           "which has 56 and 24288, may be enough"):
        fs.map_to_device(network, inputs, device="small", lane_budget=None)
    fewer = dataclasses.replace(DEVICES["ecp5-25"], name="fewer", blocks=14)
    monkeypatch.setattr(mapping, "DEVICES", {"small": mapping.DEVICES["small"], "fewer": fewer})
    with pytest.raises(CompileError, match="of small together; no known device has more of both"):
        fs.map_to_device(network, inputs, device="small", lane_budget=None)


def test_too_few_lanes_for_the_blocks_are_told_how_many(monkeypatch):
    network, inputs = network_and_inputs("digits_ettfs")
    small(monkeypatch, blocks=15)  # enough, but not in the deep and narrow shape that two lanes ask for
    with pytest.raises(CompileError) as caught:
        fs.map_to_device(network, inputs, device="small", lane_budget=2)
    sentence = re.fullmatch(r"lane_budget must be ≥ (\d+), so that digits_ettfs fits the 15 block RAMs of small, not 2",
                            str(caught.value))
    assert sentence
    found = fs.map_to_device(network, inputs, device="small", lane_budget=int(sentence[1]))
    assert found.elements <= int(sentence[1]) and found.blocks <= 15


def test_a_network_beyond_every_device_is_refused(monkeypatch):
    network, inputs = network_and_inputs("maps")
    small(monkeypatch, blocks=1)
    mapping.DEVICES.pop("ecp5-25")
    with pytest.raises(CompileError, match=r"^maps must fit the 1 block RAMs of small, .*; no known device is enough$"):
        fs.map_to_device(network, inputs, device="small", lane_budget=64)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"device": "ecp5"}, f"device must be one of {', '.join(DEVICES)}, not 'ecp5'"),
    ({"lane_budget": 1}, "lane_budget must be ≥ 2 (one a layer), not 1"),
])
def test_a_wrong_request_is_one_sentence(options, sentence):
    network, inputs = network_and_inputs("digits_ettfs")
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
        fs.map_to_device(network, inputs, **{"device": "ecp5-25", "lane_budget": 64, **options})


def test_blocks_are_counted_in_their_best_shape():
    device = Device(name="one", blocks=9, shapes=((256, 16), (512, 8)), lut_depth=16, luts=100)

    def blocks(depth, bits):
        return device.blocks_of(MemoryShape(name="m", depth=depth, used_bits=bits))

    assert [blocks(16, 500), blocks(17, 16), blocks(256, 17), blocks(512, 8), blocks(512, 9), blocks(513, 8)] == [
        0, 1, 2, 1, 2, 2]
    assert device.blocks_of_all([MemoryShape(name="m", depth=512, used_bits=24)] * 2) == 6
    # Chunks of 32 bits are written each on its own: a block of 36 bits holds one.
    wide = dataclasses.replace(device, shapes=((512, 36),))
    parts = [wide.blocks_of(MemoryShape(name="m", depth=512, used_bits=bits, loadable=True)) for bits in (32, 36, 72)]
    assert parts == [1, 2, 3]
    # Where cells of LUT RAM are compared with blocks, the depth alone does not decide.
    device = dataclasses.replace(wide, lut_depth=64, lut_cells=21)
    assert [blocks(32, 500), blocks(33, 28), blocks(33, 32), blocks(64, 20), blocks(64, 48)] == [0, 0, 1, 0, 2]
    device = dataclasses.replace(device, lut_depth=0)
    assert blocks(2, 3) == 1
    # With parity a chunk has 36 bits, and the rest of a word an eighth more.
    kept = [MemoryShape(name="m", depth=512, used_bits=bits, loadable=True, parity=True) for bits in (32, 40, 64)]
    assert [wide.blocks_of(one) for one in kept] == [1, 2, 2]
    assert [DEVICES["ice40-up5k"].blocks_of(dataclasses.replace(one, depth=256)) for one in kept] == [3, 4, 6]


@pytest.fixture
def compile_digits(command, tmp_path, monkeypatch):
    """``firstspike compile digits … -o b`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *options: command("compile", shipped("zoo", "digits_ettfs.safetensors"), *options, "-o", "b")


def test_compile_for_a_device(compile_digits, tmp_path):
    status, said, _ = compile_digits("--device", "ecp5-25", "--lane-budget", "40")
    assert status == 0
    facts = re.search(r"ecp5-25: (\d+) processing elements, (\d+) block RAMs, about (\d+) LUTs, an inference every "
                      r"(\d+) cycles; limited by processing elements: more than 40 would help", " ".join(said.split()))
    assert facts, said
    program = fs.open_build(tmp_path / "b")
    assert sum(map(processing_elements, program.cores)) == int(facts[1]) <= 40


@pytest.mark.parametrize(("options", "sentence"), [
    (["--device", "ecp6"], f"device must be one of {', '.join(DEVICES)}, not 'ecp6'"),
    (["--device", "ecp5-25", "--lanes", "4"],
     "--device must be given without --lanes and --kernel-parallel: it chooses them"),
    (["--device", "ecp5-25", "--kernel-parallel"],
     "--device must be given without --lanes and --kernel-parallel: it chooses them"),
    (["--device", "ecp5-25", "--lane-budget", "1"], "lane_budget must be ≥ 2 (one a layer), not 1"),
    (["--lane-budget", "auto"], "--lane-budget auto must be given with --device, whose LUTs it uses"),
    (["--lane-budget", "4,5"], "--lane-budget must be a number or auto, not '4,5'"),
    (["--device", "ecp5-25", "--data", "x.npy"], "x.npy: No such file or directory"),
])
def test_a_wrong_option_gets_one_sentence(options, sentence, compile_digits, tmp_path):
    status, _, said = compile_digits(*options)
    assert status == 1 and said == f"firstspike: {sentence}\n"
    assert list(tmp_path.iterdir()) == []


def test_lanes_fill_the_beats_of_a_memory_that_sets_the_pace():
    """20 lanes add sooner than 15, but 80 bits take two beats of 64, three times a slice; 60 bits one, four times."""
    random, net = np.random.default_rng(4), NetworkBuilder(64, steps=1, readout="spike_count")
    net.layer(random.integers(-7, 8, (60, 64)), theta=9, weight_bits=4)
    net.layer(random.integers(-7, 8, (2, 60)), theta=9)
    network, inputs = net.build(), np.ones((8, 1, 64), np.uint8)
    found = fs.map_to_device(network, inputs, device="zynq-7020", lane_budget=22, external=[0])
    program = found.compilation.program
    assert program.cores[0].plan.lanes == 15
    wide = remap(found.compilation, lanes=[20, 2]).program
    assert found.interval == measured(program, inputs) < 0.8 * measured(wide, inputs)
