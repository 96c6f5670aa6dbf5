# SPDX-License-Identifier: MIT
"""Products of weights and values: all of them, for every largest value that is multiplied by adding."""

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator
from firstspike_arch.events import SHIFT_ADD_MAX
from firstspike_arch.fixed import bits_for_unsigned
from firstspike_hw.operands import products


@pytest.mark.parametrize("largest", range(2, SHIFT_ADD_MAX + 6))
def test_every_product_of_a_magnitude(largest):
    value = Signal(range(largest + 1))
    assert len(value) == bits_for_unsigned(largest)
    weights = range(-8, 8)
    found = [Signal(12, name=f"product{weight}") for weight in weights]
    m = Module()
    m.d.comb += [one.eq(product) for one, product in zip(found, products(
        [Const(weight & 15, 4) for weight in weights], value, largest=largest, one_bit=False, polarity=False),
        strict=True)]

    async def bench(ctx):
        for number in range(largest + 1):
            ctx.set(value, number)
            assert [ctx.get(one.as_signed()) for one in found] == [number * weight for weight in weights]

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
