# SPDX-License-Identifier: MIT
"""Where a soft error can strike: the bits of a machine's state in groups, and which bit of a number each is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from firstspike_arch.program import Program
from firstspike_sim.backends.state_elements import StateElement

__all__ = ["PLACES", "Part", "Site", "sites_of"]

PLACES = ("weights", "biases", "membranes", "rows", "parity", "registers")
"""Kinds of sites. A weight or bias stays wrong until it is loaded again; the others are written as inferences run. If
the memories of a layer carry parity, the other memories of rows that go with its membranes are sites of their own, and
so is the parity; and its membranes are those in the memory alone, without what is on its way."""

_MEMBRANES = re.compile(r"core(\d+)\.membranes(?:\W|$)")
_CORE = re.compile(r"core(\d+)(?:\.|$)")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Words ``first`` … ``last`` − 1 of an element, of which the lowest ``width`` bits are in use; or the bits
    ``places``, in their order."""

    element: int
    first: int
    last: int
    width: int
    places: tuple[int, ...] = ()

    @property
    def bits(self) -> int:
        return (self.last - self.first) * self.width


@dataclass(frozen=True, kw_only=True)
class Site:
    """State of one kind in one place.

    Parameters
    ----------
    name : str
    kind : str
        One of `PLACES`.
    parts : tuple of Part
    number_bits : int or None
        Bits of each number in there, one beside the other from bit 0 on; None: there are no numbers.
    """

    name: str
    kind: str
    parts: tuple[Part, ...]
    number_bits: int | None = None

    @property
    def bits(self) -> int:
        return sum(part.bits for part in self.parts)

    def at(self, index: int) -> tuple[int, int, int]:
        """Element, word and bit of the bit with this index, below `bits`."""
        for part in self.parts:
            if index < part.bits:
                word, bit = divmod(index, part.width)
                return part.element, part.first + word, part.places[bit] if part.places else bit
            index -= part.bits
        raise ValueError(f"index must be below {self.bits}")


    def number_bit(self, element: int, bit: int) -> int:
        """Bit of its number that a bit of a word of an element is."""
        places = next((part.places for part in self.parts if part.element == element), ())
        return (places.index(bit) if places else bit) % (self.number_bits or 1)


def sites_of(program: Program, elements: Sequence[StateElement]) -> list[Site]:
    """Put every bit of state into a site: weights, biases, membranes and other registers of each layer, and the units
    between them."""
    found: dict[tuple[str, str, int | None], list[Part]] = {}
    cores = {core.memory.name: core for core in program.cores}

    def add(kind: str, where: str, part: Part, number_bits: int | None = None) -> None:
        if part.bits:
            found.setdefault((f"{kind} of {where}", kind, number_bits), []).append(part)

    for index, one in enumerate(elements):
        whole = Part(element=index, first=0, last=one.depth, width=one.width)
        membranes, core = _MEMBRANES.match(one.unit), _CORE.match(one.unit)
        if one.name in cores and one.depth > 1:
            spec = cores[one.name]
            bits, split, memory = spec.layer.weight_bits, spec.bias_word, spec.memory
            for kind, first, last in (("weights", 0, split), ("biases", split, memory.depth)):
                part = Part(element=index, first=first, last=last, width=memory.used_bits,
                            places=memory.places if memory.parity else ())
                add(kind, spec.layer.name, part, bits)
            if memory.parity:
                places = tuple(sorted({*range(memory.stored_bits)} - {*memory.places}))
                add("parity", spec.layer.name, Part(
                    element=index, first=0, last=memory.depth, width=len(places), places=places))
        elif core and program.cores[int(core[1])].parity:
            spec = program.cores[int(core[1])]
            in_memory = one.depth > 1 and one.name in ("rows", "parity")
            kind = "registers" if not in_memory else "parity" if one.name == "parity" else (
                "membranes" if membranes else "rows")
            add(kind, spec.layer.name, whole, spec.plan.membrane_bits if kind == "membranes" else None)
        elif membranes and one.width % program.cores[int(membranes[1])].plan.membrane_bits == 0:
            spec = program.cores[int(membranes[1])]
            add("membranes", spec.layer.name, whole, spec.plan.membrane_bits)
        elif core:
            add("registers", program.cores[int(core[1])].layer.name, whole)
        else:
            add("registers", re.sub(r"\d+$", "", one.unit.partition(".")[0]) or "the top", whole)
    order = {kind: place for place, kind in enumerate(PLACES)}
    return sorted((Site(name=name, kind=kind, parts=tuple(parts), number_bits=bits)
                   for (name, kind, bits), parts in found.items()), key=lambda site: order[site.kind])
