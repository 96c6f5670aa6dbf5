# SPDX-License-Identifier: MIT
"""Registers and stream layouts of the accelerator on AXI, for hardware and software alike. See docs/axi.md.

# Ref: Arm IHI 0022 (AMBA AXI), IHI 0051 (AMBA AXI-Stream).
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from firstspike_arch.fixed import ceil_div

from ..link.frames import WireFormat

__all__ = [
    "ADDRESS_BITS", "AXI_COUNTERS", "PROGRAM_WAIT_CYCLES", "RESTART_BIT", "RESULT_BEAT_BITS", "Register", "Response",
    "beat_dtype", "input_beat_bits", "result_beats", "result_words",
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
    COUNTERS = 0x80  # firstspike_arch.status.COUNTERS, then AXI_COUNTERS; read


RESTART_BIT = 0
"""Bit of CONTROL that ends and forgets what is under way."""


class Response(IntEnum):
    """Values of bresp and rresp that are used."""

    OKAY = 0
    SLVERR = 2


AXI_COUNTERS = (
    "packets_in",  # beats with tlast, taken in
    "completed",  # of these, such as came before the inference's end, which was then added
)
"""Counters behind `firstspike_arch.status.COUNTERS`."""

RESULT_BEAT_BITS = 64
"""Width of m_axis_tdata."""

PROGRAM_WAIT_CYCLES = 1 << 16
"""A write to PROGRAM_DATA waits at most so long for the program port: a processor must not hang on it for ever."""


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
