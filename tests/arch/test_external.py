# SPDX-License-Identifier: MIT
"""External weights: where each lies in the memory, and what is read."""

import numpy as np
import pytest
from firstspike_arch.array import ArrayConfig
from firstspike_arch.external import external_buffers, external_obstacle
from firstspike_arch.fixed import unpack_rows
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.program import Program, ProgramError
from firstspike_arch.weight_image import external_words, weight_image

RANDOM = np.random.default_rng(2)


def program_of(network: IntegerNetwork, lanes: list[int], **options) -> Program:
    layers = tuple(LayerOptions(lanes=count, membrane_bits=20, external=4) for count in lanes)
    return Program(network=network, config=ArrayConfig(layers=layers, **options))


def network() -> IntegerNetwork:
    net = NetworkBuilder((3, 4, 5), steps=2, readout="spike_count")
    net.layer(RANDOM.integers(-9, 9, (6, 3, 2, 3)), theta=9, bias=3, weight_bits=5)
    net.layer(RANDOM.integers(-9, 9, (7, 6 * 3 * 3)), theta=9, weight_bits=5)
    return net.build()


@pytest.mark.parametrize("beat_bits", [32, 64, 128])
def test_each_weight_lies_where_the_request_points(beat_bits):
    net = network()
    program = program_of(net, [4, 3], beat_bits=beat_bits)
    image = program.external_image().contents
    assert len(image) == program.external_octets
    for core in program.cores:
        fetching, layer = core.fetching, core.layer
        assert fetching is not None
        for number in np.unique(fetching.slice_of_neurons).tolist():
            at = fetching.base + number * fetching.octets
            raw, size = image[at:at + fetching.octets], fetching.octets // fetching.words
            words = [int.from_bytes(raw[low:low + size], "little") for low in range(0, len(raw), size)]
            used = [word & (1 << fetching.word_bits) - 1 for word in words]
            found = unpack_rows(used, layer.weight_bits, core.plan.lanes)
            assert not any(word >> fetching.word_bits for word in words)
            # Every row of channels, padded to whole rows, for each tap of the kernel.
            weights = np.asarray(layer.weights)
            if core.index == 0:
                wanted = weights[:, number].transpose(1, 2, 0).reshape(6, 6)
            else:
                neuron = int(np.flatnonzero(fetching.slice_of_neurons == number)[0])
                wanted = weights[:, neuron][None]
            padded = np.pad(wanted, ((0, 0), (0, -wanted.shape[1] % core.plan.lanes)))
            assert np.array_equal(found, padded.reshape(-1, core.plan.lanes))


def test_the_chip_keeps_biases_and_buffers_only():
    program = program_of(network(), [6, 7])
    core = program.cores[0]
    image = weight_image(core)
    assert len(image) == core.memory.depth == 4 * 6 + 2  # a row of biases, and one of zeros
    assert not any(image[:24]) and unpack_rows(image[24:], 5, 6).tolist() == [[3] * 6, [0] * 6]
    # A host writes biases, and no buffers; of layer 1 it is word 4, in two chunks of 32 bits.
    assert (program.port_words() >> 32 & 0xFFFFFF).tolist() == [24, 25, 8, 9]


def test_slices_follow_each_other_and_layers_lines_of_caches():
    program = program_of(network(), [6, 7])
    first, second = (core.fetching for core in program.cores)
    assert first is not None and second is not None
    assert (first.base, first.slices, first.beats, first.octets) == (0, 3, 6, 48)
    # 6 channels and 3 × 3 pixels have addresses of 3 + 2 + 2 bits, the last of which is 5, 2, 2.
    assert (second.base, second.slices, second.beats) == (192, (2 << 5 | 2 << 3 | 5) + 1, 1)
    assert program.external_octets == 192 + 86 * 8


def test_the_image_has_a_segment_for_each_layer_and_the_digest():
    program = program_of(network(), [6, 7])
    image = program.external_image()
    assert image.digest == program.digest() and image.segments == program.external_segments
    assert [(one.name, one.address, one.size) for one in image.segments] == [("core0", 0, 144), ("core1", 192, 86 * 8)]
    assert image.contents[144:192] == bytes(48) and len(image.contents) == image.end == program.external_octets
    first, second = (core.fetching for core in program.cores)
    assert first is not None and second is not None
    assert image.part("core0") == first.octets_of(external_words(program.cores[0]))
    assert image.part("core1") == second.octets_of(external_words(program.cores[1]))


def test_slices_are_read_once_a_step():
    fetching = program_of(network(), [6, 7]).cores[0].fetching
    assert fetching is not None
    spikes = np.zeros((2, 2, 60), dtype=np.uint8)
    spikes[0, 0, [0, 5, 19]] = 1  # channel 0, three times
    spikes[0, 1, [0, 40]] = 1  # channels 0 and 2
    assert fetching.slices_read(spikes).tolist() == [3, 0]


def test_buffers_hide_a_latency():
    assert [external_buffers(beats) for beats in (1, 8, 10, 22, 64, 1000)] == [16, 16, 8, 4, 2, 2]


def test_what_cannot_be_external_says_so():
    net = NetworkBuilder((2, 4, 4), steps=2, readout="spike_count", input_kind="direct", in_max=9)
    net.layer(np.ones((2, 2, 3, 3), int), theta=9)
    net.layer(np.ones((3, 2), int), theta=2, pool=2)
    net.layer(np.ones((3, 3), int), theta=2)
    net.branch(np.ones((3, 2), int), source=0, pool=2)
    built = net.build()
    assert "takes a direct input" in str(external_obstacle(built, 0))
    assert external_obstacle(built, 1) is None  # a pool of the whole map
    assert "several sets of synapses" in str(external_obstacle(built, 2))
    part = NetworkBuilder((2, 4, 4), steps=2, readout="spike_count")
    part.layer(np.ones((3, 8), int), theta=2, pool=2)
    assert "behind a pool reads weights several times" in str(external_obstacle(part.build(), 0))
    for options, said in (({"read_back": True}, "read_back must be off with external weights"),
                          ({"beat_bits": 48}, "beat_bits must be 32, 64 or 128, not 48")):
        with pytest.raises((ProgramError, ValueError), match=said):
            program_of(network(), [6, 7], **options)
    with pytest.raises(ValueError, match="external must be 2, 4, 8, 16 or 32 buffers, or 0, not 3"):
        LayerOptions(lanes=1, membrane_bits=8, external=3)
