# SPDX-License-Identifier: MIT
"""Parity of memory words in hardware: its bits, and the check of a word that was read."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike
from firstspike_arch.parity import parity_bits

__all__ = ["mismatch_of", "parity_of"]


def parity_of(data: Value) -> Value:
    """Return the parity bits of a word, as `firstspike_arch.parity.parity_of` defines them."""
    count = parity_bits(len(data))
    return Cat(data[group::count].xor() for group in range(count))


def mismatch_of(m: Module, name: str, data: Value, kept: Value, live: ValueLike) -> Signal:
    """Check a word that was read, beside the data path: from registers into a register for each bit of parity, and from
    there into one.

    Parameters
    ----------
    m : Module
    name : str
        Beginning of the names of the registers.
    data, kept : Value
        The word and its parity bits.
    live : Value
        High if there is a word that the machine uses.

    Returns
    -------
    Signal
        High two cycles after a word that does not fit its parity.
    """
    differs, mismatch = Signal(len(kept), name=f"{name}differs"), Signal(name=f"{name}mismatch")
    m.d.sync += [differs.eq(Mux(live, parity_of(data) ^ kept, 0)), mismatch.eq(differs.any())]
    return mismatch
