# SPDX-License-Identifier: MIT
"""What a host can ask a running accelerator, by number."""

__all__ = ["COUNTERS", "COUNTER_BITS", "PROGRAM_WORD", "STATUS_CYCLES", "program_address"]

COUNTER_BITS = 32

COUNTERS = (
    "cycles",  # since reset
    "words_in",  # input words taken
    "tokens_in",  # tokens into the first core
    "spikes",  # spikes of the first hidden layer; of the input, if there is none
    "inferences",  # results taken
    "stalled_in",  # cycles in which an input word waited
    "stalled_out",  # cycles in which a result waited
    "bad_address",  # events with an address out of range, dropped
    "overrun",  # inferences longer than steps_max, ended there
    "cut",  # inferences ended by silence or restart
)
"""Counters by status address; each wraps at 2**COUNTER_BITS."""

STATUS_CYCLES = len(COUNTERS) + 2
"""Cycles from a status address to its counter."""

PROGRAM_WORD = {"data": 32, "address": 24, "memory": 8}
"""Fields of a program-port word, from the lowest bit; ``memory`` counts `Program.memories`."""


def program_address(word: int, chunk: int, chunks: int) -> int:
    """Address of a 32-bit chunk of a memory word: the chunk number in the low bits."""
    return word << (chunks - 1).bit_length() | chunk
