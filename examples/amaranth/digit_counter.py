# SPDX-License-Identifier: MIT
"""An accelerator as a part of an Amaranth design: how often each digit was seen.

    python digit_counter.py zoo/digits_ettfs.safetensors               # simulates some images of scikit-learn's digits
    python digit_counter.py zoo/digits_ettfs.safetensors counter.v     # the whole design as Verilog, weights included
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import firstspike as fs
import numpy as np
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

COUNT_BITS = 16


class DigitCounter(wiring.Component):
    """Counts the classes of a stream of images.

    Throughput: that of the accelerator; a result is counted in the cycle in which it is offered.

    Parameters
    ----------
    program : Program
        Compiled with ``port="image"``.

    Members
    -------
    pixels : In(stream.Signature(64))
        Images, eight pixels of eight bits a beat, the first in the lowest bits.
    counts : Out(data.ArrayLayout(COUNT_BITS, classes))
        Number of images of each class since reset.
    """

    def __init__(self, program):
        self._program = program
        super().__init__({
            "pixels": In(stream.Signature(64)),
            "counts": Out(data.ArrayLayout(COUNT_BITS, program.network.classes)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.snn = snn = fs.component(self._program)
        connect(m, flipped(self.pixels), snn.source)
        m.d.comb += snn.result.ready.eq(1)
        with m.If(snn.result.valid):
            seen = self.counts[snn.result.payload.label]
            m.d.sync += seen.eq(seen + 1)
        return m


def count(program, images: np.ndarray) -> list[int]:
    """Simulate the design on images, uint8[B, N], and return its counts."""
    counter, (number, pixels) = DigitCounter(program), images.shape
    padded = np.zeros((number, -(-pixels // 8) * 8), dtype=np.uint8)
    padded[:, :pixels] = images
    found: list[int] = []

    async def camera(ctx):
        for beat in padded.view("<u8").ravel().tolist():
            ctx.set(counter.pixels.payload, beat)
            ctx.set(counter.pixels.valid, 1)
            await ctx.tick().until(counter.pixels.ready)
        ctx.set(counter.pixels.valid, 0)

    async def display(ctx):
        async for *_, counts in ctx.tick().sample(counter.counts):
            if sum(counts) == number:
                found.extend(counts)
                return

    simulator = Simulator(counter)
    simulator.add_clock(1e-8)
    simulator.add_testbench(camera, background=True)
    simulator.add_testbench(display)
    simulator.run()
    return found


def main(arguments: Sequence[str]) -> None:
    program = fs.compile(fs.load(arguments[0]), lanes=8, port="image", early_exit=True).program
    if len(arguments) > 1:
        from amaranth.back import verilog

        Path(arguments[1]).write_text(verilog.convert(DigitCounter(program), name="digit_counter"))
        return
    from firstspike_train.data import load

    images, labels = load("digits", "test")
    print("counted ", count(program, images[:12]))
    print("labelled", np.bincount(labels[:12], minlength=10).tolist())


if __name__ == "__main__":
    main(sys.argv[1:])
