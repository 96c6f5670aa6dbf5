# SPDX-License-Identifier: MIT
"""The stream buffer and its twin, cycle by cycle."""

import numpy as np
import pytest
from firstspike_arch.events import TokenLayout
from firstspike_hw.stream_buffer import StreamBuffer
from firstspike_hw.stream_token import token_stream
from firstspike_sim.testing.callable_twins import callable_twins
from firstspike_sim.timing import stream_buffer

CYCLES = 300


def compare(beside, twin, seed: int, often: float, willing: float) -> None:
    twin = callable_twins(twin)
    random, buffer = np.random.default_rng(seed), twin.new_stream_buffers(1)[0]

    def cycle(pins):
        valid, ready, token = random.random() < often, random.random() < willing, int(random.integers(0, 128))
        pins.set(source_valid=valid, source_payload=token, buffered_ready=ready)
        pins.must_be(source_ready=twin.source_ready(buffer), buffered_valid=buffer["valid"])
        if buffer["valid"]:
            pins.must_be(buffered_payload=buffer["token"])
        twin.step(buffer, valid, token, ready)

    beside(StreamBuffer(token_stream(TokenLayout(shape=(32,)))), CYCLES, cycle)


@pytest.mark.parametrize("often, willing", [(0.5, 0.5), (1, 1), (0.9, 0.3), (0.3, 0.9)])
def test_twin_equals_unit(beside, often, willing):
    compare(beside, stream_buffer, 1, often, willing)


@pytest.mark.parametrize("old, new", [
    ("if buffered_ready or not buffer.valid", "if buffered_ready"),
    ("return not buffer.second_valid", "return not buffer.valid"),
    ("buffer.token = buffer.second if", "buffer.token = source if"),
])
def test_a_fault_is_noticed(beside, spoiled, old, new):
    with pytest.raises(AssertionError, match="the twin says"):
        compare(beside, spoiled(stream_buffer, old, new), 1, 0.5, 0.5)
