# SPDX-License-Identifier: MIT
"""Stream buffer: order and rate."""

import pytest
from amaranth.lib.wiring import Out, Signature
from firstspike_arch.events import TokenLayout
from firstspike_hw.stream_buffer import StreamBuffer
from firstspike_hw.stream_token import token_stream
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_words import event


def test_stream_buffer_passes_everything_in_order():
    sent = [event(number % 32) for number in range(200)]
    unit = StreamBuffer(token_stream(TokenLayout(shape=(32,))))
    seen = run_unit(unit, "pysim", offers={"source": sent}, takes=["buffered"], cycles=700, seed=1)
    assert seen["buffered"] == sent and seen["left"] == [0]


def test_stream_buffer_passes_one_token_a_cycle():
    sent = [event(number % 32) for number in range(200)]
    unit = StreamBuffer(token_stream(TokenLayout(shape=(32,))))
    seen = run_unit(unit, "pysim", offers={"source": sent}, takes=["buffered"], cycles=201)
    assert seen["buffered"] == sent


def test_stream_buffer_refuses_other_signatures():
    with pytest.raises(ValueError, match=r"^signature must be that of a stream, not Signature\("):
        StreamBuffer(Signature({"valid": Out(1)}))
