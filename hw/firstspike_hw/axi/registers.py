# SPDX-License-Identifier: MIT
"""Registers and stream layouts of the accelerator on AXI, for hardware and software alike. See docs/axi.md.

# Ref: Arm IHI 0022 (AMBA AXI), IHI 0051 (AMBA AXI-Stream).
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from firstspike_arch.fixed import ceil_div
from firstspike_arch.program import Program
from firstspike_arch.status import COUNTERS, PARITY_ADDRESSES

from ..link.frames import WireFormat

__all__ = [
    "ADDRESS_BITS", "AXI_COUNTERS", "MEMORY_COUNTERS", "MEMORY_DEAD_BIT", "MEMORY_OPEN_BIT", "MEMORY_REGISTERS",
    "PROGRAM_WAIT_CYCLES", "RESTART_BIT", "RESULT_BEAT_BITS", "Register", "Response", "beat_dtype", "counters_of",
    "input_beat_bits", "registers_of", "result_beats", "result_words",
]

ADDRESS_BITS = 12
"""Bits of a register's address: the smallest segment that interconnects map has 4 KiB."""


class Register(IntEnum):
    """Byte addresses of the registers, 32 bits each."""

    IDENTITY = 0x00  # 16 of them: firstspike_hw.link.frames.Identity; read
    CONTROL = 0x40  # RESTART_BIT; write
    PACKET = 0x44  # results in a packet of m_axis; read and write
    PROGRAM_ADDRESS = 0x48  # address and memory of the program-port word that comes next; read and write
    PROGRAM_DATA = 0x4C  # writes that word, and adds 1 to the address; write
    MEMORY_LOW = 0x50  # bits 31:0 of the address of the external weights; a write lets inferences in; read and write
    MEMORY_HIGH = 0x54  # its bits from 32 on, to be written first; read and write
    MEMORY_STATUS = 0x58  # MEMORY_OPEN_BIT, MEMORY_DEAD_BIT; read
    COUNTERS = 0x80  # `counters_of`; read


RESTART_BIT = 0
"""Bit of CONTROL that ends and forgets what is under way."""


MEMORY_REGISTERS = (Register.MEMORY_LOW, Register.MEMORY_HIGH, Register.MEMORY_STATUS)
"""Registers that only an accelerator with external weights has."""

MEMORY_OPEN_BIT, MEMORY_DEAD_BIT = 0, 1
"""Bits of MEMORY_STATUS: the address of the weights was written; their memory has been given up, until reset."""


class Response(IntEnum):
    """Values of bresp and rresp that are used."""

    OKAY = 0
    SLVERR = 2


AXI_COUNTERS = (
    "packets_in",  # beats with tlast, taken in
    "completed",  # of these, such as came before the inference's end, which was then added
)
"""Counters behind `firstspike_arch.status.COUNTERS`."""

MEMORY_COUNTERS = (
    "faults",  # slices of external weights that were not read as they should
    "read_errors",  # beats that the memory answered with an error, or not at all
)
"""Counters behind those, of an accelerator with external weights."""

RESULT_BEAT_BITS = 64
"""Width of m_axis_tdata."""

PROGRAM_WAIT_CYCLES = 1 << 16
"""A write to PROGRAM_DATA waits at most so long for the program port: a processor must not hang on it for ever."""


def registers_of(program: Program) -> tuple[Register, ...]:
    """The registers that the accelerator of a program has."""
    return tuple(one for one in Register if program.external or one not in MEMORY_REGISTERS)


def counters_of(program: Program) -> tuple[str, ...]:
    """Names of all counters, in the order of their registers."""
    return (*COUNTERS, *AXI_COUNTERS, *(MEMORY_COUNTERS * bool(program.external)),
            *(PARITY_ADDRESSES if program.has_parity else ()))


def input_beat_bits(wire: WireFormat) -> int:
    """Width of s_axis_tdata: a word, and nothing else, in a power of two of octets, as DMA engines have it."""
    return 8 << (wire.word_bytes - 1).bit_length()


def beat_dtype(wire: WireFormat) -> np.dtype:
    """The type of an array of input words that a DMA engine sends as it is."""
    return np.dtype(f"<u{input_beat_bits(wire) // 8}")


def result_beats(wire: WireFormat) -> int:
    """Beats of a result on m_axis: the word of `firstspike_arch.result`, lowest bits first, filled up."""
    return ceil_div(wire.result.bits, RESULT_BEAT_BITS)


def result_words(wire: WireFormat, beats: Sequence[int]) -> list[int]:
    """Result words, for `ResultLayout.unpack`, of the beats of whole results."""
    size = result_beats(wire)
    return [sum(int(beat) << RESULT_BEAT_BITS * place for place, beat in enumerate(beats[start : start + size]))
            for start in range(0, len(beats), size)]
