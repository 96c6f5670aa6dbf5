# SPDX-License-Identifier: MIT
"""Shapes, refusals, and the walk of an event, against counting by hand."""

import itertools
import json
import math
import re
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from firstspike_arch.banks import bank_shapes, kernel_banks
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, Window, from_plain, pooled, to_plain
from firstspike_arch.core_spec import CoreInput, CoreSpec
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout, neuron_name, tokens_from_spikes
from firstspike_arch.fixed import ceil_div, unpack_rows
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.microcode import microcode_of
from firstspike_arch.network import Branch, Layer, Neuron
from firstspike_arch.walk import walks_of
from firstspike_arch.weight_image import weight_image, weights_from_image
from firstspike_sim.testing.unit_words import second_events
from torch.nn import functional


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: Dense(in_shape=(4, 4), neurons=2), "in_shape must be (N,) or (C, H, W), each at least 1, not (4, 4)"),
    (lambda: Dense(in_shape=(0,), neurons=2), "in_shape must be (N,) or (C, H, W), each at least 1, not (0,)"),
    (lambda: Dense(in_shape=(8,), neurons=2, pool=2), "pool must be 1…1 for an input of shape (8,), not 2"),
    (lambda: Dense(in_shape=(8,), neurons=0), "neurons must be at least 1, not 0"),
    (lambda: Conv2d(in_shape=(8, 8), channels=1, kernel=(1, 1)), "in_shape must be (C, H, W), not (8, 8)"),
    (lambda: Conv2d(in_shape=(1, 5, 9), channels=1, kernel=(1, 1), pool=6),
     "pool must be 1…5, or sides of at most (5, 9), for an input of shape (1, 5, 9), not 6"),
    (lambda: Conv2d(in_shape=(1, 5, 9), channels=1, kernel=(1, 1), pool=(2, 10)),
     "pool must be 1…5, or sides of at most (5, 9), for an input of shape (1, 5, 9), not (2, 10)"),
    (lambda: Conv2d(in_shape=(1, 5, 9), channels=1, kernel=(1, 1), dilation=(0, 1)),
     "dilation must be at least 1, not (0, 1)"),
    (lambda: Conv2d(in_shape=(1, 5, 9), channels=1, kernel=(3, 1), dilation=(3, 1)),
     "kernel of 7 × 1 with its dilation must be at most the padded input, 5 × 9, not 3 × 1"),
    (lambda: ConvTranspose2d(in_shape=(1, 5, 9), channels=1, kernel=(3, 1), stride=(2, 1), output_padding=(1, 1)),
     "output_padding must be smaller than stride or dilation, at most (1, 0), not (1, 1)"),
    (lambda: ConvTranspose2d(in_shape=(1, 1, 9), channels=1, kernel=(3, 1), padding=(2, 0)),
     "padding must leave an output, not one of -1 × 9: (2, 0)"),
    (lambda: Conv2d(in_shape=(1, 4, 6), channels=1, kernel=(7, 1), padding=(1, 0)),
     "kernel must be at most the padded input, 6 × 6, not 7 × 1"),
    (lambda: Conv2d(in_shape=(6, 4, 4), channels=8, kernel=(1, 1), groups=3),
     "groups must divide 6 input and 8 output channels, not 3"),
    (lambda: Conv2d(in_shape=(6, 4, 4), channels=8, kernel=(1, 1), stride=(0, 1)),
     "channels, kernel and stride must be at least 1 and padding at least 0, not 8, (1, 1), (0, 1), (0, 0)"),
])
def test_a_broken_rule_is_named(make, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make()


def test_equal_sides_of_a_pool_are_one_number():
    square = Conv2d(in_shape=(1, 6, 6), channels=1, kernel=(1, 1), pool=(2, 2))
    assert square == Conv2d(in_shape=(1, 6, 6), channels=1, kernel=(1, 1), pool=2) and square.pool == 2
    assert Dense(in_shape=(2, 7, 6), neurons=3, pool=(3, 2)).weight_shape == (3, 2 * 2 * 3)


@pytest.mark.parametrize("synapses", [
    Conv2d(in_shape=(2, 9, 6), channels=4, kernel=(3, 3), pool=(3, 1), dilation=(1, 2)),
    ConvTranspose2d(in_shape=(2, 5, 6), channels=4, kernel=(3, 3), stride=(2, 1), output_padding=(1, 0)),
    Dense(in_shape=(2, 7, 6), neurons=3, pool=(3, 2)),
])
def test_plain_values_give_the_synapses_back(synapses):
    assert from_plain(json.loads(json.dumps(to_plain(synapses)))) == synapses


def test_plain_values_of_older_versions_are_read_and_written_as_they_were():
    plain = {"kind": "Conv2d", "in_shape": [2, 5, 6], "channels": 4, "kernel": [3, 3], "stride": [1, 1],
             "padding": [0, 0], "groups": 1, "pool": 1}
    assert to_plain(from_plain(plain)) == plain
    with pytest.raises(ValueError, match=r"^connectivity must be a table of kind Dense, Conv2d, ConvTranspose2d, not "):
        from_plain({"kind": "Conv3d"})


CONVOLUTIONS = [
    Conv2d(in_shape=(2, 5, 6), channels=4, kernel=(3, 3)),
    Conv2d(in_shape=(2, 7, 6), channels=6, kernel=(3, 2), stride=(2, 1), padding=(1, 2), groups=2),
    Conv2d(in_shape=(3, 9, 8), channels=3, kernel=(2, 3), stride=(1, 2), padding=(0, 1), groups=3, pool=2),
    Conv2d(in_shape=(1, 4, 4), channels=5, kernel=(1, 1), stride=(3, 3)),
]
SPREAD = [
    Conv2d(in_shape=(2, 9, 8), channels=4, kernel=(2, 3), pool=(3, 1), padding=(1, 0)),
    Conv2d(in_shape=(2, 7, 9), channels=4, kernel=(3, 3), dilation=(2, 3), padding=(1, 3)),
    Conv2d(in_shape=(2, 11, 9), channels=4, kernel=(4, 3), dilation=(2, 4), stride=(3, 2), padding=(3, 1), groups=2),
    Conv2d(in_shape=(2, 8, 18), channels=2, kernel=(3, 4), dilation=(3, 2), stride=(3, 4), pool=(1, 2)),
    ConvTranspose2d(in_shape=(2, 4, 5), channels=4, kernel=(3, 3)),
    ConvTranspose2d(in_shape=(4, 4, 5), channels=6, kernel=(4, 2), stride=(2, 3), padding=(1, 2), groups=2,
                    output_padding=(1, 2)),
    ConvTranspose2d(in_shape=(1, 6, 5), channels=2, kernel=(2, 3), stride=(1, 2), padding=(1, 0), dilation=(3, 2),
                    output_padding=(2, 0), pool=(2, 1)),
]


def layer_of(synapses) -> Layer:
    random = np.random.default_rng(4)
    zeros = np.zeros(synapses.channels, dtype=np.int64)
    return Layer(
        name="only", weights=random.integers(-7, 8, synapses.weight_shape), weight_bits=4, connectivity=synapses,
        neuron=Neuron(bias=random.integers(-20, 20, synapses.channels), theta=zeros + 5, v_init=zeros),
    )


def core_of(
    layer: Layer, lanes: int, *, index: int = 0, banks: tuple[int, int] = (1, 1), rotates=(False, False),
) -> CoreSpec:
    """The core of a layer that is in no network."""
    plan = LayerPlan.of(layer, index, LayerOptions(lanes=lanes, membrane_bits=8, banks=banks, rotates=rotates))
    walks, bias_word = walks_of([one.connectivity for one in layer.synapses(index)], plan)
    inputs = tuple(
        CoreInput(source=one.source, recurrent=one.source == index, connectivity=one.connectivity, walk=walk,
                  layout=TokenLayout(shape=one.connectivity.in_shape))
        for one, walk in zip(layer.synapses(index), walks, strict=True))
    return CoreSpec(index=index, layer=layer, plan=plan, microcode=microcode_of(layer), inputs=inputs,
                    bias_word=bias_word, sends=False)


@pytest.mark.parametrize("synapses", [*CONVOLUTIONS, *SPREAD])
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_walk_adds_the_weights_that_a_convolution_adds(synapses, lanes):
    layer = layer_of(synapses)
    lanes = min(lanes, synapses.channels // synapses.groups)
    core = core_of(layer, lanes)
    plan, (walk,) = core.plan, core.walks
    words = np.array([[(word >> 4 * lane & 15 ^ 8) - 8 for lane in range(lanes)] for word in weight_image(core)])
    assert len(words) == core.memory.depth
    rows, first_words, y_counts, x_counts = walk.visits(synapses.in_shape)
    for address, (channel, y, x) in enumerate(np.ndindex(synapses.in_shape)):
        got = np.zeros(plan.rows * lanes, dtype=np.int64)
        for step_y in range(y_counts[address]):
            for step_x in range(x_counts[address]):
                for row in range(walk.reach):
                    at = rows[address] + step_y * walk.y.row_step + step_x * walk.x.row_step + row
                    word = first_words[address] + step_y * walk.y.word_step + step_x * walk.x.word_step + row
                    got[at * lanes:(at + 1) * lanes] += words[word]
        assert np.array_equal(got[plan.places()], added(layer, channel, y, x)), (channel, y, x)


def added(layer: Layer, channel: int, y: int, x: int) -> np.ndarray:
    """What an event adds to every neuron, as torch says."""
    synapses, weights = layer.connectivity, torch.tensor(layer.weights, dtype=torch.float64)
    values = torch.zeros(1, *synapses.in_shape, dtype=torch.float64)
    values[0, channel, y, x] = 1
    values = functional.avg_pool2d(values, synapses.pool_sides, divisor_override=1)
    options = {name: getattr(synapses, name) for name in ("stride", "padding", "dilation", "groups")}
    if isinstance(synapses, ConvTranspose2d):
        weights = torch.cat([part.transpose(0, 1) for part in weights.chunk(synapses.groups)])
        got = functional.conv_transpose2d(values, weights, output_padding=synapses.output_padding, **options)
    else:
        got = functional.conv2d(values, weights, **options)
    assert got.shape[1:] == synapses.out_shape
    return got.numpy().ravel().astype(np.int64)


@pytest.mark.parametrize("pool", [1, 2, (2, 3), (5, 1)])
def test_a_dense_walk_takes_pixels_of_whole_windows_only(pool):
    """Pixels beyond the last whole window of a pool reach nothing; the others the words of their window."""
    synapses = Dense(in_shape=(3, 5, 7), neurons=4, pool=pool)
    core = core_of(layer_of(synapses), 3)
    (walk,), (_, height, width) = core.walks, pooled(synapses.in_shape, pool)
    _, words, downs, acrosses = walk.visits(synapses.in_shape)
    window = {}
    for address, (channel, y, x) in enumerate(np.ndindex(synapses.in_shape)):
        down, across = y // synapses.pool_sides[0], x // synapses.pool_sides[1]
        kept = down < height and across < width
        assert downs[address] * acrosses[address] == kept, (channel, y, x)
        if kept:
            assert window.setdefault((channel, down, across), words[address]) == words[address]
    assert len(set(window.values())) == len(window) == 3 * height * width


BANKED = [
    *CONVOLUTIONS, *SPREAD,
    Conv2d(in_shape=(1, 6, 8), channels=4, kernel=(2, 5), stride=(1, 3), padding=(1, 2)),
    Conv2d(in_shape=(2, 7, 7), channels=2, kernel=(1, 3), stride=(3, 1)),
    Conv2d(in_shape=(2, 7, 11), channels=2, kernel=(2, 3), pool=(1, 2)),
    Conv2d(in_shape=(1, 8, 9), channels=3, kernel=(5, 4), padding=(2, 1)),
    Conv2d(in_shape=(1, 9, 4), channels=1, kernel=(5, 5), stride=(2, 1), padding=(2, 2)),
    Conv2d(in_shape=(1, 6, 3), channels=2, kernel=(4, 5), padding=(3, 2)),
]


@pytest.mark.thinned(2)
@pytest.mark.parametrize("synapses", BANKED)
@pytest.mark.parametrize("lanes", [1, 2])
def test_banks_of_any_shape_add_the_weights_that_a_convolution_adds(synapses, lanes):
    layer = layer_of(synapses)
    lanes = min(lanes, synapses.channels // synapses.groups)
    shapes = bank_shapes(layer)
    assert shapes[0] == (1, 1) and shapes[-1] == kernel_banks(layer)
    for banks in shapes:
        for rotates in ((False, False), (True, True), (banks[1] > banks[0], banks[1] <= banks[0]))[:4 - lanes]:
            check_banks(core_of(layer, lanes, banks=banks, rotates=rotates))


def check_banks(core: CoreSpec):
    """Each event adds each weight to its output once, and visits no bank that it does not reach."""
    (one,), plan, (walk,) = core.inputs, core.plan, core.walks
    synapses, layer, across = one.connectivity, core.layer, plan.banks[1]
    assert len(set(plan.places().tolist())) == layer.neurons
    words = unpack_rows(weight_image(core), 4, plan.elements)
    assert len(words) == core.memory.depth
    rows, first_words, y_counts, x_counts = walk.visits(synapses.in_shape)
    bits = plan.word_lanes // plan.bank_count
    wanted = {}
    for address, (channel, y, x) in enumerate(np.ndindex(synapses.in_shape)):
        got = np.zeros((plan.rows, plan.bank_count, bits), dtype=np.int64)
        hits = 0
        for visit_y, visit_x, bank in np.ndindex(y_counts[address], x_counts[address], plan.bank_count):
            (bank_y, bank_x), row, word = divmod(bank, across), rows[address], first_words[address]
            reached, turned = True, []
            for axis, pixel, visit, visits, place in ((walk.y, y, visit_y, y_counts[address], bank_y),
                                                      (walk.x, x, visit_x, x_counts[address], bank_x)):
                window = axis.window
                row += visit * axis.row_step + window.tiles[pixel, place] * axis.tile_rows
                word += visit * axis.word_step
                reached &= bool((visit or window.first[pixel, place]) and (
                    visit < visits - 1 or window.last[pixel, place]))
                turned.append(window.turn[pixel])
            down, right = ((place - turn * rotates) % banks for place, turn, rotates, banks in zip(
                (bank_y, bank_x), turned, plan.rotates, plan.banks, strict=True))
            part = (down * across + right) * plan.lanes
            if reached:
                hits += 1
                for at in range(walk.reach):
                    got[row + at, bank, :plan.lanes] += words[word + at, part:part + plan.lanes]
        key = channel, y // synapses.pool_sides[0], x // synapses.pool_sides[1]
        if key not in wanted:
            wanted[key] = added(layer, channel, y, x)
        assert np.array_equal(got.ravel()[plan.places()], wanted[key]), (plan.banks, channel, y, x)
        outputs = [(synapses.outputs(axis)[:, at] >= 0).sum() if at < pooled(synapses.in_shape, synapses.pool)[1 + axis]
                   else 0 for axis, at in enumerate(key[1:])]
        assert hits == math.prod(outputs)
        for visits, count, banks in zip((y_counts[address], x_counts[address]), outputs, plan.banks, strict=True):
            assert ceil_div(count, banks) * bool(hits) <= visits <= (count + banks - 2) // banks + 1
    if synapses.slides:
        largest = [ceil_div(ceil_div(kernel, stride), banks) for kernel, stride, banks in zip(
            synapses.kernel, synapses.stride, plan.banks, strict=True)]
        assert walk.longest <= math.prod(largest) * walk.reach


def test_neighbours_of_a_tile_are_in_banks_of_their_own():
    layer = layer_of(Conv2d(in_shape=(1, 5, 7), channels=2, kernel=(2, 3)))
    plan = core_of(layer, 2, banks=(2, 3)).plan
    row, bank = np.divmod(plan.places().reshape(2, 4, 5)[0] // 8, 6)
    assert bank.tolist() == [[0, 1, 2, 0, 1], [3, 4, 5, 3, 4]] * 2
    assert row.tolist() == [[0, 0, 0, 1, 1]] * 2 + [[2, 2, 2, 3, 3]] * 2
    with pytest.raises(ValueError, match=r"^banks must be \(1, 1\) to \(2, 3\), not \(3, 3\)$"):
        core_of(layer, 2, banks=(3, 3))
    assert [kernel_banks(layer_of(synapses)) for synapses in SPREAD] == [
        (2, 3), (3, 2), (1, 1), (1, 1), (3, 3), (4, 2), (2, 3)]
    sentence = ("banks must have no factor in common with the distance of outputs that an event reaches, as (3, 2) has "
                "none, not (2, 1)")
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        core_of(layer_of(SPREAD[1]), 2, banks=(2, 1))


@pytest.mark.parametrize("synapses", [*CONVOLUTIONS, *SPREAD, Dense(in_shape=(3, 5, 4), neurons=7, pool=2),
                                      Dense(in_shape=(9,), neurons=7)])
def test_an_image_gives_its_weights_back(synapses):
    layer = layer_of(synapses)
    core = core_of(layer, min(2, layer.channels // layer.groups))
    (weights,), bias = weights_from_image(weight_image(core), core)
    assert np.array_equal(weights, layer.weights)
    assert np.array_equal(bias, layer.neuron.bias)


@pytest.mark.parametrize("synapses", BANKED)
def test_an_image_of_banks_gives_its_weights_back(synapses):
    layer = layer_of(synapses)
    for banks, rotates in zip(bank_shapes(layer), itertools.product((False, True), repeat=2), strict=False):
        core = core_of(layer, 1, banks=banks, rotates=rotates)
        (weights,), bias = weights_from_image(weight_image(core), core)
        assert np.array_equal(weights, layer.weights)
        assert np.array_equal(bias, layer.neuron.bias)


BRANCHED = [
    (Dense(in_shape=(9,), neurons=7), [(-1, Dense(in_shape=(2, 5, 4), neurons=7, pool=2)),
                                       (1, Dense(in_shape=(7,), neurons=7))]),
    (Conv2d(in_shape=(2, 7, 6), channels=6, kernel=(3, 3), groups=2, padding=(1, 1)),
     [(-1, Conv2d(in_shape=(6, 7, 6), channels=6, kernel=(1, 1), groups=6)),
      (0, Conv2d(in_shape=(4, 15, 13), channels=6, kernel=(1, 1), pool=2))]),
]


@pytest.mark.parametrize(("synapses", "branches"), BRANCHED)
@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_an_image_gives_the_weights_of_branches_back(synapses, branches, lanes):
    random = np.random.default_rng(lanes)
    layer = replace(layer_of(synapses), branches=tuple(
        Branch(source=source, weights=random.integers(-7, 8, one.weight_shape), connectivity=one)
        for source, one in branches))
    core = core_of(layer, lanes, index=1)
    assert core.plan.recurrent == (branches[-1][0] == 1) == (core.recurrent == 2)
    sets, bias = weights_from_image(weight_image(core), core)
    assert len(sets) == 3 and np.array_equal(bias, layer.neuron.bias)
    for weights, one in zip(sets, (layer, *layer.branches), strict=True):
        assert np.array_equal(weights, one.weights)
    first, second, third = core.walks
    assert first.base == 0 < second.base < third.base < core.bias_word  # one behind the other


def test_addresses_are_fields_of_a_map():
    layout = TokenLayout(shape=(3, 5, 4))
    addresses = layout.addresses()
    assert len(set(addresses.tolist())) == 60 and layout.address_bits == 2 + 2 + 3
    fields = [layout.fields(int(address)) for address in addresses]
    assert fields == [(channel, y, x) for channel, y, x in np.ndindex(3, 5, 4)]


LAYOUTS = [
    TokenLayout(shape=(13,)), TokenLayout(shape=(13,), high=7), TokenLayout(shape=(3, 5, 4), high=3),
    TokenLayout(shape=(2, 3, 6), low=-5, high=4), TokenLayout(shape=(7,), low=-256, high=255),
    TokenLayout(shape=(7,), low=0, high=255), TokenLayout(shape=(1,), low=-1, high=1),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_events_are_split_into_what_they_were_made_of(layout):
    count = int(np.prod(layout.shape))
    neurons, values = (part.ravel() for part in np.meshgrid(
        np.arange(count), np.arange(layout.low, layout.high + 1), indexing="ij"))
    tokens = layout.events(neurons, values)
    assert len(set(tokens.tolist())) == len(tokens) and tokens.min() >= 0 and tokens.max() < 1 << layout.bits
    assert not (tokens & 3).any()  # no markers
    addresses, said = layout.split(tokens)
    assert np.array_equal(addresses, layout.addresses()[neurons]) and np.array_equal(said, values)


def test_a_value_has_as_many_bits_as_its_range():
    assert [layout.value_bits for layout in LAYOUTS] == [0, 3, 2, 4, 9, 8, 2]
    assert [layout.signed for layout in LAYOUTS] == [False, False, False, True, True, False, True]


def test_a_neuron_is_named_with_what_it_says():
    plain, graded = TokenLayout(shape=(3, 5, 4)), TokenLayout(shape=(3, 5, 4), low=-2, high=1)
    (token,) = plain.events(np.array([2 * 20 + 4 * 4 + 1]), np.array([1])).tolist()
    assert neuron_name(token, plain) == "(2, 4, 1)"
    (token,) = graded.events(np.array([2 * 20 + 4 * 4 + 1]), np.array([-2])).tolist()
    assert neuron_name(token, graded) == "(2, 4, 1) with -2"


def test_a_number_is_one_event_and_zero_is_none():
    layout = TokenLayout(shape=(4,), low=-256, high=255)
    spikes = np.array([[[0, 31, 0, -2], [255, 0, -256, 0]]])
    tokens, starts = tokens_from_spikes(spikes, layout)
    markers = [MARKER, FINAL_MARKER]
    assert [int(token) for token in tokens if token & MARKER] == markers and starts.tolist() == [0, len(tokens)]
    addresses, values = layout.split(tokens[tokens & MARKER == 0])
    assert addresses.tolist() == [1, 3, 0, 2] and values.tolist() == [31, -2, 255, -256]


@pytest.mark.parametrize("low, high", [(1, 1), (-1, 1), (0, 15)])
def test_two_events_of_a_token_are_taken_apart_again(low, high):
    random, layout = np.random.default_rng(high), TokenLayout(shape=(70,), low=low, high=high, slots=2)
    spikes = np.where(random.random((3, 4, 70)) < 0.3, random.integers(low, high + 1, (3, 4, 70)), 0)
    tokens, _ = tokens_from_spikes(spikes, layout.single)
    joined = second_events(random, tokens)
    both, cycles = layout.join(tokens, joined), np.arange(len(tokens) - joined.sum())
    assert joined.sum() > 20 and both.max() < 1 << layout.bits
    again, when = layout.one_by_one(both, cycles)
    assert np.array_equal(again, tokens) and np.array_equal(np.diff(when) == 0, joined[1:])
    assert layout.single.one_by_one(tokens, cycles) == (tokens, cycles)


def test_windows_are_those_of_torch():
    """Shapes, taps, and which tap is the last to take a pixel, of all windows that torch gives a pixel of the map."""
    random, seen = np.random.default_rng(0), 0
    for _ in range(400):
        kernel, stride, dilation = (tuple(random.integers(1, top, 2).tolist()) for top in (4, 4, 3))
        padding = tuple(int(random.integers(0, side // 2 + 1)) for side in kernel)
        window = Window(kernel=kernel, stride=stride, padding=padding, dilation=dilation,
                        ceil_mode=bool(random.integers(2)))
        image = torch.tensor(random.integers(-9, 10, (2, *random.integers(1, 9, 2)))).float()
        try:
            shape = window.out_shape(tuple(image.shape))
        except ValueError:
            with suppress(RuntimeError):  # torch refuses too, or gives a window nothing
                assert functional.max_pool2d(image, kernel, stride, padding, dilation, window.ceil_mode).isinf().any()
            continue
        largest = functional.max_pool2d(image, kernel, stride, padding, dilation, window.ceil_mode)
        down, across = (window.taps(axis, image.shape[1 + axis]) for axis in (0, 1))
        assert shape == tuple(largest.shape)
        assert np.array_equal(image.numpy()[:, down[:, None, :, None], across[None, :, None, :]].max((1, 2)), largest)
        last = {}
        for tap in np.ndindex(len(down), len(across), *shape[1:]):
            last[down[tap[0], tap[2]], across[tap[1], tap[3]]] = tap
        last_down, last_across = (window.last_taps(axis, image.shape[1 + axis]) for axis in (0, 1))
        found = last_down[:, None, :, None] & last_across[None, :, None, :]
        assert set(zip(*np.nonzero(found), strict=True)) == set(last.values())
        seen += 1
    assert seen > 200


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: Window(kernel=(0, 2), stride=(1, 1)),
     "kernel, stride and dilation must be at least 1 and padding at least 0, not (0, 2), (1, 1), (1, 1), (0, 0)"),
    (lambda: Window(kernel=(2, 3), stride=(1, 1), padding=(1, 2)),
     "padding must be at most half of the kernel (2, 3), not (1, 2)"),
    (lambda: Window(kernel=(5, 2), stride=(1, 1)).out_shape((1, 4, 4)),
     "kernel must be at most the padded map, not 5 × 2 for 4 × 4"),
    (lambda: Window(kernel=(2, 2), stride=(1, 1)).out_shape((8,)),
     "a maximum pool must take a map (C, H, W), not (8,)"),
    (lambda: Window(kernel=(2, 1), stride=(2, 1), padding=(1, 0), dilation=(2, 1)).out_shape((1, 1, 1)),
     "padding must leave each window a pixel of the map 1 × 1, not (1, 0)"),
])
def test_a_window_that_breaks_a_rule_is_named(make, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make()
