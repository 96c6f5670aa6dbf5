# SPDX-License-Identifier: MIT
"""All that the driver (`firstspike_run`) knows of a device: registers, layouts, identity, words of the program port.

The driver has no register address, bit or width of its own: it reads them from the export of its device.
"""

import struct
from typing import Any

import numpy as np
from firstspike_arch.events import ADDRESS_SHIFT, FINAL_MARKER, MARKER
from firstspike_arch.fixed import latency_step
from firstspike_arch.memory_image import ALIGNMENT, CRC_PLACE, DIGEST_PLACE, MAGIC, contents_at
from firstspike_arch.program import Program
from firstspike_arch.result import DECIDED_BY_BITS
from firstspike_arch.status import PARITY_COUNT_MAX
from firstspike_arch.work import drain_cycles

from ..link.frames import NAME_PLACE, PROGRAM_PLACES, Identity, identity_of, wire_format
from .placed_memory import BUS_ADDRESS_BITS, TIMEOUT
from .registers import (
    MEMORY_DEAD_BIT,
    MEMORY_OPEN_BIT,
    PROGRAM_WAIT_CYCLES,
    RESTART_BIT,
    counters_of,
    input_beat_bits,
    registers_of,
    result_beats,
)

__all__ = ["driver_facts", "driver_memory", "driver_words"]

OUTPUT_CYCLES = 256
"""Within so many cycles, and some for each beat, a DMA engine takes a result that waits."""


def driver_words(program: Program) -> np.ndarray:
    """Return all words of the program port that give a device a program, uint64[K].

    The identity names no program until the memories are written.
    """
    blank = identity_of(program, buffer_bytes=0, initialised=False)
    whole = identity_of(program, buffer_bytes=0)
    return np.concatenate([blank.port_words(), program.port_words(), whole.port_words()])


def driver_memory(program: Program) -> bytes:
    """Return what the external memory must hold; b"": there is none."""
    return program.external_image().contents if program.external else b""


def driver_facts(program: Program) -> dict[str, Any]:
    """Return what the driver knows, as plain values for JSON."""
    network, wire = program.network, wire_format(program)
    token, result = network.input_layout, wire.result
    identity = identity_of(program, buffer_bytes=0)
    program_place = 4 * PROGRAM_PLACES[0]
    digest = struct.calcsize("8s")
    shifts = np.cumsum([ADDRESS_SHIFT, *token.field_bits[:-1]]).tolist()  # of a vector's neuron; of channel, x, y
    if len(network.input_shape) == 3:
        shifts = [shifts[0], shifts[2], shifts[1]]  # the shape is channels, y, x
    drain = drain_cycles(program) + TIMEOUT * bool(program.external)  # until a silent memory is given up
    is_latency = network.input_kind == "latency"
    steps_of = latency_step(np.arange(256), network.steps) if is_latency else np.zeros(0, dtype=int)
    return {
        "network": network.name,
        "registers": {register.name: int(register) for register in registers_of(program)},
        "restart": 1 << RESTART_BIT,
        "counters": list(counters_of(program)),
        "identity": {
            "octets": identity.pack().hex(), "architecture": [program_place - digest, program_place],
            "program": [program_place, program_place + digest],
            "name": [NAME_PLACE, Identity.LAYOUT.size - 1]},
        "barrier": int(identity.port_words()[0]),  # protocol and port, which all programs of a device share
        # Where a word of the program port waits for all inferences, only what is at the output needs time.
        "drain_cycles": drain if drain > PROGRAM_WAIT_CYCLES else OUTPUT_CYCLES + 8 * result_beats(wire),
        "input": {
            "kind": network.input_kind, "shape": list(network.input_shape), "inputs": network.inputs,
            "beat_bytes": input_beat_bits(wire) // 8, "image_words": wire.image_words,
            "steps": network.steps, "longest": network.longest, "window_steps": wire.window_steps,
            "lowest": network.in_min, "highest": network.in_max,
            "step_of": [int(step) if value >= network.cutoff else -1 for value, step in enumerate(steps_of)],
            "shifts": shifts, "value_shift": token.value_shift, "value_bits": token.value_bits,
            "marker": MARKER, "final_marker": FINAL_MARKER},
        "result": {
            "beats": result_beats(wire), "classes": result.classes, "class_bits": result.class_bits,
            "step_bits": result.step_bits, "decided_by_bits": DECIDED_BY_BITS, "score_bits": result.score_bits,
            "step_weights": list(network.step_weights)
            if network.readout == "weighted_spikes" and network.earliest_decides else None},
        **({"memory": _memory_facts(program)} if program.external else {}),
        **({"parity": {"most": PARITY_COUNT_MAX, "layers": [layer.name for layer in network.layers]}}
           if program.has_parity else {}),
    }


def _memory_facts(program: Program) -> dict[str, Any]:
    """What the driver knows of the external memory, and of the file with its contents (`MemoryImage`)."""
    return {
        "octets": program.external_octets, "alignment": ALIGNMENT, "address_bits": BUS_ADDRESS_BITS,
        "open": 1 << MEMORY_OPEN_BIT, "dead": 1 << MEMORY_DEAD_BIT, "digest": program.digest(),
        "magic": MAGIC.hex(), "crc_at": CRC_PLACE, "digest_at": DIGEST_PLACE,
        "contents_at": contents_at(len(program.external)),
    }
