# SPDX-License-Identifier: MIT
"""Counters and program port of a running accelerator, as a host addresses them."""

__all__ = [
    "COUNTERS", "COUNTER_BITS", "FAULTS_ADDRESS", "MEMORIES_MAX", "PARITY_ADDRESSES", "PARITY_COUNT_MAX",
    "PROGRAM_WORD", "STATUS_CYCLES", "program_address",
]

COUNTER_BITS = 32

COUNTERS = (
    "cycles",  # since reset
    "words_in",  # input words taken
    "tokens_in",  # events and markers into the first core
    "spikes",  # spikes of the first hidden layer; without one, of the input
    "inferences",  # results taken
    "stalled_in",  # cycles in which an input word waited
    "stalled_out",  # cycles in which a result waited
    "bad_address",  # events with an address out of range, dropped
    "overrun",  # inferences longer than steps_max, ended there
    "cut",  # inferences ended by restart or a time-out
)
"""Names of the counters, in the order of their status addresses. Each counter wraps at 2**COUNTER_BITS."""

FAULTS_ADDRESS = 31
"""Status address of the slices of external weights that were not read as they should, in an accelerator that has such
weights; it wraps as counters do."""

PARITY_ADDRESSES = {"parity_errors": 30, "parity_cores": 29}
"""Status addresses of an accelerator whose memories carry parity: the number of cycles in which a word did not fit its
parity as it was read, which stays at `PARITY_COUNT_MAX`; and the cores of which one was, core c at bit c, those from 31
on at bit 31. Both are 0 again when the program port has written."""

PARITY_COUNT_MAX = (1 << 16) - 1

STATUS_CYCLES = len(COUNTERS) + 4
"""Latency in cycles from a status address to the value of its counter."""

PROGRAM_WORD = {"data": 32, "address": 24, "memory": 8}
"""Widths of the fields of a program-port word, from the lowest bit. ``memory`` is an index in `Program.memories`."""

MEMORIES_MAX = (1 << PROGRAM_WORD["memory"]) - 1
"""Most memories of a program. The last number is that of a device's identity, see `firstspike_hw.link.frames`."""


def program_address(word: int, chunk: int, chunks: int) -> int:
    """Return the address of a 32-bit chunk of a memory word, which has the number of the chunk in its low bits."""
    return word << (chunks - 1).bit_length() | chunk
