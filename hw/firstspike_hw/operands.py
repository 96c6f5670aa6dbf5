# SPDX-License-Identifier: MIT
"""Operands: the values added to the membrane of each lane, loaded into registers beside the adders."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add, or_

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.events import SHIFT_ADD_MAX
from firstspike_arch.fixed import bits_for_unsigned
from firstspike_arch.microcode import RowOp

from .lane_constants import LaneConstants
from .pass_row import PassRow

__all__ = ["Adds", "late_operands", "operand_registers", "products"]


def products(weights: list[Value], value: Value, *, largest: int, one_bit: bool, polarity: bool) -> list[Value]:
    """Return value · weight of each lane, from unsigned slices that hold signed weights.

    The product with a number of 0 … ``largest``, if that is at most `SHIFT_ADD_MAX`, is a sum of shifted weights, with
    any other number a multiplication. With ``one_bit`` the value is a power of two, and the product a shift; with
    ``polarity`` it is −1, 0 or 1, and the product a negation.
    """
    return [_product(weight.as_signed(), value, largest, one_bit, polarity) for weight in weights]


def _product(weight: Value, value: Value, largest: int, one_bit: bool, polarity: bool) -> Value:
    if not len(value):
        return weight
    if polarity and value.shape().signed:
        # −w = ~w + 1: beside the sum, one LUT a bit.
        kept, negated = (bit.replicate(len(weight)).as_signed() for bit in (value[0], value[1]))
        return ((weight & kept) ^ negated) + value[1]
    if one_bit:
        wide = Shape(len(weight) + len(value), True)
        return reduce(or_, (Mux(value[bit], Const(0, wide) + (weight << bit), 0)[:wide.width]
                            for bit in range(len(value)))).as_signed()
    if value.shape().signed or largest > SHIFT_ADD_MAX:
        return weight * value
    addends = []
    for bits in _apart(largest):
        addend: Value = Const(0)
        for bit in bits:
            addend = Mux(value[bit], weight << bit if bit else weight, addend)
        addends.append(addend)
    return reduce(add, addends)[:len(weight) + (largest - 1).bit_length()].as_signed()


def _apart(largest: int) -> list[list[int]]:
    """Divide the bits of the numbers 0 … ``largest`` into few lists, of which no number has two bits that are 1."""
    lists: list[list[int]] = []
    for bit in range(bits_for_unsigned(largest)):
        together = {other for number in range(1 << bit, largest + 1) if number >> bit & 1
                    for other in range(bit) if number >> other & 1}
        fits = next((bits for bits in lists if together.isdisjoint(bits)), None)
        if fits is None:
            lists.append([bit])
        else:
            fits.append(bit)
    return lists


def operand_registers(
    m: Module, spec: CoreSpec, *, fetch: PassRow, operand: PassRow, free: Value, products: list[Value],
    peeks: dict[str, list[Value]], seen: Sequence[Value], remembered: Sequence[Value],
) -> list[Value]:
    """Build the operand register of each lane, loaded at the end of the operand stage.

    Passes that do not add the weights fetch zeros, so nothing selects the weight. A bit is set where the pass adds a
    constant with a 1, by the set input of its flip-flop, and needs no gate for that. The registers have no reset, as
    they are never read before they are loaded. There are none if the operands are words of the weight memory, which
    then come in the add stage (`CoreSpec.adds_words`).

    Parameters
    ----------
    fetch, operand : PassRow
        Operand stage, and the fetch stage, in which its selects are decoded.
    free : Value
        High if the stages move at the end of this cycle.
    products : list of Value
        Weight times the event's value, for each lane.
    peeks : dict
        State of each lane in the operand stage, by name: "shadow", "current", "sum", "trace" and "rise", if the core
        has them.
    seen, remembered : sequence of Value
        For each threshold, which lanes in the operand stage have reached it in this step, in the capturing pass, and in
        later ones.
    """
    bits = spec.plan.membrane_bits
    if spec.adds_words:
        return list(products)
    ones = _Ones(m, spec, fetch, free)
    extras = [*_extras(m, spec, fetch, free, peeks),
              *_rises(m, spec, fetch, free, peeks.get("rise", []), remembered),
              *_by_level(m, spec, fetch, operand, free, seen, remembered)]
    registers: list[Value] = []
    if all(op.operand != "weight" or op.store == "trace" for op in spec.microcode.passes):
        products = [Const(0, 1) for _ in products]
    for lane, product in enumerate(products):
        # Only as many flip-flops as the product has bits, if there is nothing else: the rest is sign extension.
        width = min(bits, len(product)) if spec.microcode.pure_weights else bits
        word = reduce(or_, (extra[lane] for extra in extras), _extended(product, width))
        register = []
        for select, low, high in ones.of(lane, width):
            name, full = f"operand{lane}_{low}", (1 << high - low) - 1
            if select is None:
                part = Signal(high - low, name=name, reset_less=True)
                m.d.sync += part.eq(word[low:high])
            else:  # the set input of a flip-flop needs 1 as the power-up value
                part = Signal(high - low, name=name, reset_less=True, init=full)
                m.d.sync += part.eq(Mux(select, full, word[low:high]))
            register.append(part)
        registers.append(Cat(register).as_signed())
    return registers


def late_operands(
    m: Module, spec: CoreSpec, *, operand: PassRow, u: list[Value],
) -> tuple[list[Value] | None, list[Value] | None]:
    """Return what the passes of a leak, ~(u >> shift), and of a falling threshold add to each lane in the add stage, 0
    in other passes; None if there are no such passes. And one more, 0 or 1, that a leak toward zero adds.

    These are added beside the operand register, which is 0 then: an adder's LUTs have inputs left for them.
    """
    passes, bits = spec.microcode.passes, spec.plan.membrane_bits
    found: list[list[Value]] = []
    more: list[Value] | None = None
    leak = next((op for op in passes if op.operand == "leak"), None)
    if leak is not None:
        adds, made, leaks, ups = _adds(spec, operand, "leak"), {}, [], []
        for lane, value in enumerate(u):
            if (rows := adds.rows(lane)) not in made:
                made[rows] = register = Signal(name=f"adds_leak{len(made) or ''}")
                m.d.sync += register.eq(adds.to(lane))
            leaks.append(Mux(made[rows], ~(value >> leak.index), 0))
            # −(u >> shift) rounds away from 0 if u < 0, or if nothing is shifted out.
            ups.append(made[rows] & (value[-1] | ~value[:leak.index].any()))
        found.append(leaks)
        more = ups if leak.toward_zero else None
    for number, op in enumerate(passes):
        if op.operand == "fall" and op.values is not None:
            fall = Signal(bits, name="fall")
            here = Array(Const(int(value), bits) for value in op.values)[operand.step]
            m.d.sync += fall.eq(Mux(operand.number == number, here, 0))
            found.append([fall] * spec.plan.elements)
    return [reduce(or_, values) for values in zip(*found, strict=True)] if found else None, more


def _extended(value: Value, bits: int) -> Value:
    """Return a signed value in so many bits."""
    return Cat(value, value[-1].replicate(max(0, bits - len(value))))[:bits]


class _Ones:
    """Whether the constant of the pass in the operand stage has a 1: a register, decoded one stage early, for each
    pattern of bits over the passes that add constants."""

    def __init__(self, m: Module, spec: CoreSpec, fetch: PassRow, free: Value):
        self._m, self._fetch, self._free = m, fetch, free
        self._constants = [(number, LaneConstants(spec.plan, _certain(spec, op), absent=0).table)
                           for number, op in enumerate(spec.microcode.passes) if op.operand == "constant"]
        self._made: dict[tuple, Signal] = {}
        self._words: dict[tuple, list[tuple[Signal | None, int, int]]] = {}

    def of(self, lane: int, bits: int) -> list[tuple[Signal | None, int, int]]:
        """Return the selects of a lane's bits from the lowest, each with the bits that have it, low … high − 1; None:
        no constant has a 1 there."""
        columns = tuple((number, tuple(table[:, lane].tolist())) for number, table in self._constants)
        if columns not in self._words:
            selects = [self._select(tuple((number, tuple(value >> bit & 1 for value in column))
                                          for number, column in columns)) for bit in range(bits)]
            starts = [bit for bit in range(bits) if not bit or selects[bit] is not selects[bit - 1]]
            self._words[columns] = [
                (selects[start], start, stop) for start, stop in zip(starts, [*starts[1:], bits], strict=True)]
        return self._words[columns]

    def _select(self, pattern: tuple) -> Signal | None:
        if not any(any(ones) for _, ones in pattern):
            return None
        if pattern not in self._made:
            self._made[pattern] = select = Signal(name=f"one{len(self._made)}")
            with self._m.If(self._free):
                self._m.d.sync += select.eq(_in_rows(Const(0), self._fetch, pattern))
        return self._made[pattern]


class Adds:
    """Whether the pass in a stage adds an operand, which some passes add to some channels only.

    Parameters
    ----------
    spec : CoreSpec
    stage : PassRow
    of : function
        Returns what adds the operand in a pass: the pass itself, or what it does beside; None: it does not add it.
    """

    def __init__(self, spec: CoreSpec, stage: PassRow, of: Callable[[RowOp], RowOp | None]):
        self._stage = stage
        self._to_all = stage.which(lambda op: (one := of(op)) is not None and one.channels is None)
        self._to_some = [(number, LaneConstants(spec.plan, one.channels.astype(np.int64), absent=0).table)
                         for number, op in enumerate(spec.microcode.passes)
                         if (one := of(op)) is not None and one.channels is not None]

    def rows(self, lane: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Return number and bit for each row of each pass that adds to some channels only."""
        return tuple((number, tuple(table[:, lane].tolist())) for number, table in self._to_some)

    def to(self, lane: int) -> Value:
        """Return a value that is high if the operand is added in this lane."""
        return _in_rows(self._to_all, self._stage, self.rows(lane))


def _adds(spec: CoreSpec, stage: PassRow, operand: str) -> Adds:
    """Return whether the pass in a stage adds an operand in the core's adder."""
    return Adds(spec, stage, lambda op: op if op.operand == operand and op.store != "trace" else None)


def _in_rows(value: Value, stage: PassRow, rows: Iterable[tuple[int, tuple[int, ...]]]) -> Value:
    """Return ``value``, or high in the passes of these numbers, in those rows whose bit is 1."""
    for number, ones in rows:
        if any(ones):
            row = Const(1) if all(ones) else Array(ones)[stage.group]
            value = value | ((stage.number == number) & row)
    return value


def _extras(
    m: Module, spec: CoreSpec, fetch: PassRow, free: Value, peeks: dict[str, list[Value]],
) -> list[list[Value]]:
    """Return the operands other than weight, leak and constants, by lane; each is 0 in passes that do not use it."""
    extras = []
    for name in ("shadow", "current", "sum", "trace"):
        if name in peeks and any(op.operand == name and op.store != "trace" for op in spec.microcode.passes):
            adds, made = _adds(spec, fetch, name), {}
            for lane in range(spec.plan.elements):
                if (rows := adds.rows(lane)) not in made:
                    made[rows] = register = Signal(name=f"adds_{name}{len(made) or ''}")
                    with m.If(free):
                        m.d.sync += register.eq(adds.to(lane))
            extras.append([Mux(made[adds.rows(lane)], value, 0) for lane, value in enumerate(peeks[name])])
    return extras


def _certain(spec: CoreSpec, op: RowOp) -> np.ndarray:
    """Return the ones of a pass's constants, int64[C], that do not depend on the spike, or those of the neurons that
    spiked if all others keep u."""
    assert op.values is not None
    if not op.by_level:
        return op.values
    return op.values[-1] if spec.holds(op) else np.bitwise_and.reduce(op.values)


def _rises(
    m: Module, spec: CoreSpec, fetch: PassRow, free: Value, rise: list[Value], remembered: Sequence[Value],
) -> list[list[Value]]:
    """Return what the passes that take a rise add to each lane, if there are such; 0 in other passes and, unless they
    keep u, in neurons that have not spiked."""
    taking = [op for op in spec.microcode.passes if op.operand == "rise"]
    if not taking:
        return []
    adds = Signal(name="adds_rise")
    with m.If(free):
        m.d.sync += adds.eq(fetch.which(lambda op: op.operand == "rise"))
    if spec.holds(taking[0]):
        return [[Mux(adds, ~value, 0) for value in rise]]
    return [[Mux(adds & remembered[0][lane], ~value, 0) for lane, value in enumerate(rise)]]


def _by_level(
    m: Module, spec: CoreSpec, fetch: PassRow, operand: PassRow, free: Value, seen: Sequence[Value],
    remembered: Sequence[Value],
) -> list[list[Value]]:
    """Return the ones of constants that the spike chooses, by lane, for each pass that adds such; they are 0 in other
    passes."""
    extras = []
    for number, op in enumerate(spec.microcode.passes):
        if not op.by_level or op.values is None or spec.holds(op):
            continue
        adds = Signal(name=f"adds_by_level{number}")
        with m.If(free):
            m.d.sync += adds.eq(fetch.number == number)
        tables = [LaneConstants(spec.plan, values & ~_certain(spec, op), absent=0) for values in op.values]
        levels = seen if op is spec.microcode.step[0] else remembered
        lanes = []
        for lane in range(spec.plan.elements):
            chosen: Value = tables[0].at(operand.group, lane)
            for reached, table in zip(levels, tables[1:], strict=True):
                chosen = Mux(reached[lane], table.at(operand.group, lane), chosen)
            lanes.append(Mux(adds, chosen, 0))
        extras.append(lanes)
    return extras
