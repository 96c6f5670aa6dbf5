# SPDX-License-Identifier: MIT
"""Products of weights and values: all of them, for every largest value that is multiplied by adding."""

import pytest
from amaranth.hdl import Const, Module, Signal, signed
from amaranth.sim import Simulator
from firstspike_arch.events import SHIFT_ADD_MAX
from firstspike_arch.fixed import bits_for_unsigned
from firstspike_hw.operands import products


def check(value: Signal, numbers, *, largest: int, one_bit: bool = False, polarity: bool = False) -> None:
    """The products of all weights of four bits with these numbers."""
    weights, m = range(-8, 8), Module()
    found = [Signal(14, name=f"product{weight}") for weight in weights]
    m.d.comb += [one.eq(product) for one, product in zip(found, products(
        [Const(weight & 15, 4) for weight in weights], value, largest=largest, one_bit=one_bit, polarity=polarity),
        strict=True)]

    async def bench(ctx):
        for number in numbers:
            ctx.set(value, number)
            assert [ctx.get(one.as_signed()) for one in found] == [number * weight for weight in weights], number

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("largest", range(2, SHIFT_ADD_MAX + 6))
def test_every_product_of_a_magnitude(largest):
    value = Signal(range(largest + 1))
    assert len(value) == bits_for_unsigned(largest)
    check(value, range(largest + 1), largest=largest)


def test_every_product_of_a_polarity_a_bit_and_a_number():
    check(Signal(signed(2)), (-1, 0, 1), largest=1, polarity=True)
    check(Signal(8), [0, *(1 << bit for bit in range(8))], largest=255, one_bit=True)
    check(Signal(signed(6)), range(-32, 32), largest=31)
