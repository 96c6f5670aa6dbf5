# SPDX-License-Identifier: MIT
"""All units side by side in one Verilog file: in another simulator they do what they do in Amaranth's, cycle by cycle.

What that must be, each unit's own tests say.
"""

from collections.abc import Mapping

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped
from cobs import cobs
from firstspike_arch.connectivity import Dense
from firstspike_arch.events import FINAL_MARKER, MARKER, TokenLayout
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import GROUP_BITS, LayerPlan
from firstspike_arch.result import ResultLayout
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.counters import Counters
from firstspike_hw.emitter import Emitter
from firstspike_hw.guard import Guard
from firstspike_hw.latency_encoder import LatencyEncoder
from firstspike_hw.link.cobs import CobsDecoder, CobsEncoder
from firstspike_hw.link.frame_buffer import CrcAppender, FrameBuffer
from firstspike_hw.link.frames import CRC_BYTES, IDENTITY, Kind, WireFormat, frame_body
from firstspike_hw.link.host_port import HostPort
from firstspike_hw.pixel_encoder import PixelEncoder
from firstspike_hw.stream_buffer import StreamBuffer
from firstspike_hw.stream_token import token_stream
from firstspike_sim.backends.unit_bench import run_unit
from firstspike_sim.testing.unit_layers import STEPS, CapturedRows, two_layers
from firstspike_sim.testing.unit_words import beats_of, event, frame_words, layer_tokens, random_bodies, struct_word

CYCLES = 700


@pytest.fixture(autouse=True)
def wrong_words_in_collisions():
    """Not here: the Verilog has memories by the names of the program's."""


class SideBySide(wiring.Component):
    """Units that have nothing to do with each other; port p of unit u is u_p."""

    def __init__(self, units: Mapping[str, wiring.Component]):
        self._units = units
        super().__init__({f"{name}_{port}": member for name, unit in units.items()
                          for port, member in unit.signature.members.items()})

    def elaborate(self, platform):
        m = Module()
        for name, unit in self._units.items():
            m.submodules[name] = unit
            for port, member in unit.signature.members.items():
                outer, inner = getattr(self, f"{name}_{port}"), getattr(unit, port)
                if member.is_signature:
                    connect(m, flipped(outer), inner)
                else:
                    m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        return m


def group_words(layout) -> list[int]:
    """Groups of an emitter, each third with a marker."""
    random, words = np.random.default_rng(3), []
    for number in range(150):
        marker = number % 3 == 2
        bits = int(random.integers(0 if marker else 1, 256))
        words.append(struct_word(layout, bits=bits, base=int(random.integers(8)) * GROUP_BITS, marker=marker,
                                 final=number % 6 == 5, single=bits.bit_count() + marker == 1))
    return words


def row_words(layout, plan: LayerPlan) -> list[int]:
    """Rows of captured spikes."""
    random = np.random.default_rng(4)
    return [struct_word(layout, row=number % plan.rows, last=number % plan.rows == plan.rows - 1,
                        final=number % (2 * plan.rows) == 2 * plan.rows - 1, spikes=int(random.integers(64)),
                        magnitudes=random.integers(1, 4, plan.elements).tolist()) for number in range(120)]


@pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=pytest.mark.icarus)])
def test_units_in_verilog_do_what_they_do_in_amaranth(simulator):
    random = np.random.default_rng(1)
    # Residual and recurrent synapses with magnitudes; everything between the guard and the read-out is in it.
    dense, own = Dense(in_shape=(9,), neurons=13), Dense(in_shape=(13,), neurons=13)
    program = two_layers(3, dense, branches=[(-1, dense), (0, own)], neuron={"levels": 3}, lanes=5,
                         inputs={"in_max": 3})
    spikes = random.integers(1, 4, (4, STEPS, 9)) * (random.random((4, STEPS, 9)) < 0.3)
    plan = LayerPlan(options=LayerOptions(lanes=6, membrane_bits=8), neurons=18)
    tokens, images = TokenLayout(shape=(32,)), random.integers(0, 256, (20, 21))
    wire = WireFormat(word_bytes=8, image_words=2, result=ResultLayout(classes=3, steps_max=4, score_bits=7))
    requests = [frame_body(Kind.INFER, 7, wire.pack_words(random.integers(0, 1 << 62, 3)))[:-CRC_BYTES],
                frame_body(Kind.PROGRAM, 8, np.array([1 << 56 | 7], dtype="<u8").tobytes())[:-CRC_BYTES],
                frame_body(Kind.IDENTIFY, 9)[:-CRC_BYTES]]
    bodies = random_bodies(2)[:4] + random_bodies(3)[8:12]

    def units(simulated: bool) -> dict[str, wiring.Component]:
        """Verilog loads memories from files."""
        return {
            "accelerator": Accelerator(program, program.images() if simulated else {}),
            "buffer": StreamBuffer(token_stream(tokens)),
            "guard": Guard(layout=TokenLayout(shape=(30,)), steps_max=2, timeout=40),
            "emitter": Emitter(layout=TokenLayout(shape=(64,))),
            "rows": CapturedRows(TokenLayout(shape=(18,), high=3), plan),
            "latency": LatencyEncoder(layout=TokenLayout(shape=(21,)), steps=5, cutoff=40, tag_bits=4),
            "pixels": PixelEncoder(layout=TokenLayout(shape=(21,), low=-9, high=120), steps=3), "counters": Counters(),
            "cobs_encoder": CobsEncoder(), "cobs_decoder": CobsDecoder(), "crc": CrcAppender(),
            "frames": FrameBuffer(depth=256),
            "host": HostPort(format=wire, identity=range(IDENTITY.depth) if simulated else ()),
        }

    some = units(True)
    loose = [event(int(address)) for address in random.integers(0, 32, 400)]
    for place in range(0, 400, 7):
        loose[place] = MARKER if place % 3 else FINAL_MARKER
    plan_of_run = {
        "offers": {
            "accelerator_source": layer_tokens(spikes, program.network.input_layout), "buffer_source": loose,
            "guard_source": loose, "emitter_groups": group_words(some["emitter"].groups.payload.shape()),
            "rows_rows": row_words(some["rows"].rows.payload.shape(), plan), "latency_beats": beats_of(images),
            "pixels_beats": beats_of(images), "cobs_encoder_frames": frame_words(*bodies),
            "cobs_decoder_octets": b"".join(cobs.encode(body) + b"\0" for body in bodies),
            "crc_source": frame_words(*bodies),
            "frames_source": frame_words(b"no frame", *(frame_body(3, 1, body) for body in bodies)),
            "host_requests": frame_words(*requests), "host_result": [0x1234567, 0x0ABCDEF],
            "accelerator_program_port": [],
        },
        "takes": ["accelerator_result", "buffer_buffered", "guard_events", "emitter_events", "rows_events",
                  "latency_events", "pixels_events", "cobs_encoder_octets", "cobs_decoder_frames", "crc_frames",
                  "frames_frames", "host_responses", "host_source", "host_program_port"],
        # What no case pulses is low: simulators would leave it unknown.
        "pulses": {"counters_events": range(3, 600, 2), "guard_restart": [300], "latency_restart": [211],
                   "pixels_restart": [50, 61, 77], "accelerator_restart": [], "accelerator_status_address": [],
                   "counters_address": [], "latency_drop_valid": [], "latency_drop_tag": [], "host_status_data": []},
        "counts": ["counters_data", "guard_bad_address", "guard_overrun", "guard_cut", "latency_opens",
                   "pixels_bad_address", "pixels_cut", "frames_taken", "frames_corrupt", "host_busy"],
        "cycles": CYCLES, "seed": 1,
    }
    wanted = run_unit(SideBySide(some), "pysim", **plan_of_run)
    assert [name for name, words in wanted.items() if not any(words)] == ["broken"]
    contents = {shape: program.images()[shape.name] for shape in program.memories()}
    seen = run_unit(SideBySide(units(False)), simulator, **plan_of_run,
                    images={**contents, IDENTITY: range(IDENTITY.depth)})
    assert seen == wanted
