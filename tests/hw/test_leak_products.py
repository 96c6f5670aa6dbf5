# SPDX-License-Identifier: MIT
"""The product of a leak, for every number and factor of a few bits."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator
from firstspike_arch.fixed import leaked
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.microcode import RowOp
from firstspike_hw.leak_products import leak_products

BITS, SHIFT, LANES = 5, 3, 4


@pytest.mark.parametrize("toward_zero", [False, True])
def test_every_number_times_every_factor(toward_zero):
    """Nine factors, 0 … 1, in three rows of four lanes, of which three have no channel."""
    factors = np.arange((1 << SHIFT) + 1)
    plan = LayerPlan(options=LayerOptions(lanes=LANES, membrane_bits=BITS), neurons=len(factors))
    op = RowOp(act="load", operand="product", index=SHIFT, values=factors, toward_zero=toward_zero)
    numbers = [Signal(signed(BITS), name=f"number{lane}") for lane in range(LANES)]
    group, m = Signal(range(3)), Module()
    products = [Signal(signed(BITS), name=f"product{lane}") for lane in range(LANES)]
    m.d.comb += [product.eq(one) for product, one in zip(
        products, leak_products(plan, op, numbers, group), strict=True)]
    found = np.zeros((len(factors), 1 << BITS), dtype=np.int64)
    given = np.arange(1 << BITS) - (1 << BITS - 1)

    async def drive(context):
        for row in range(3):
            context.set(group, row)
            for place, number in enumerate(given.tolist()):
                for signal in numbers:
                    context.set(signal, number)
                for lane in range(LANES):
                    if row * LANES + lane < len(factors):
                        found[row * LANES + lane, place] = context.get(products[lane])

    simulator = Simulator(m)
    simulator.add_testbench(drive)
    simulator.run()
    assert np.array_equal(found, leaked(given, factors[:, None], SHIFT, toward_zero=toward_zero))
    exact = given * factors[:, None] / (1 << SHIFT)
    assert np.array_equal(found, np.trunc(exact) if toward_zero else np.floor(exact))
