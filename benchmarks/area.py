# SPDX-License-Identifier: MIT
"""LUTs, by yosys: hidden cores alone, and the whole MNIST accelerator."""

import tempfile
from collections import Counter
from pathlib import Path

import firstspike as fs
import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped
from firstspike.verb_demo import shipped
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.core_specs import core_spec
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.open_flow import cells, synthesise
from firstspike_boards.xilinx7 import XILINX7
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.core import Core
from firstspike_hw.extractor import Extractor
from firstspike_hw.spike_queue import SpikeQueue
from firstspike_hw.stream_token import token_stream
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP
from table import Row, publish

MEMBRANE_BITS, WEIGHT_BITS, INPUTS = 14, 5, 784


class HiddenCore(wiring.Component):
    """A core with its spike queue and extractor: what a hidden layer costs."""

    def __init__(self, spec: CoreSpec):
        self._spec, self.core = spec, Core(spec)
        members = dict(self.core.signature.members)
        del members["capture"]
        super().__init__({**members, "spikes": Out(token_stream(spec.layer.out_layout))})

    def elaborate(self, platform):
        m = Module()
        layout, plan = self._spec.layer.out_layout, self._spec.plan
        m.submodules.core = core = self.core
        m.submodules.queue = queue = SpikeQueue(layout=layout, plan=plan)
        m.submodules.extractor = extractor = Extractor(layout=layout, lanes=plan.lanes, aligned=plan.aligned)
        connect(m, core.capture, queue.capture)
        connect(m, queue.words, extractor.words)
        connect(m, extractor.events, flipped(self.spikes))
        for name in ("events0", "drop", "access"):
            connect(m, flipped(getattr(self, name)), getattr(core, name))
        m.d.comb += core.reload.eq(self.reload)
        return m


def hidden_core(
    lanes: int, *, leaky: bool, lasts: bool = False, adapts: bool = False, rows: int = 1,
    leak: tuple[int, int] = (15, 4), multiplies: bool = False,
) -> HiddenCore:
    """A core of as many neurons as lanes in each row, TTFS IF or LIF with shift leak, soft reset and bias; if it
    ``lasts``, with a current that leaks, too, and if it ``adapts``, with thresholds that rise and fall, both as wide as
    the membrane. ``leak`` is num and shift, in passes of halves or, if it ``multiplies``, in one."""
    random, neurons = np.random.default_rng(0), lanes * rows
    options = {"leak_num": leak[0], "leak_shift": leak[1]} if leaky else {"single_spike": True}
    if lasts:
        options |= {"current_leak_num": 7, "current_leak_shift": 3}
    if adapts:
        options |= {"rise_leak_num": 15, "rise_leak_shift": 4, "theta_rise": np.full(neurons, 50)}
    bias, theta = random.integers(1, 8, neurons), np.full(neurons, 200)
    layer = Layer(
        name="hidden", weights=random.integers(-15, 16, (neurons, INPUTS)), weight_bits=WEIGHT_BITS,
        neuron=Neuron(bias=bias, theta=theta, v_init=np.zeros(neurons, int), **options),
    )
    network = IntegerNetwork(name="hidden", layers=(layer,), readout="first_spike", steps=8, steps_max=8)
    return HiddenCore(core_spec(network, 0, LayerOptions(
        lanes=lanes, membrane_bits=MEMBRANE_BITS, multiplies_leaks=multiplies)))


def lut4_equivalents(found: Counter) -> int:
    return found["LUT4"] + 2 * found["CCU2C"]


def lane_cells(component: HiddenCore, lanes: int, folder: Path) -> tuple[float, float]:
    """LUT4-equivalents, and multipliers, a lane of a core in an ECP5."""
    # The statistics do not depend on what is in the memories: no images.
    netlist = synthesise(ECP5.synthesis, {"core.v": verilog(component, ())}, folder, top=TOP)
    ECP5.flow.improve(netlist)
    found = cells(netlist)
    return lut4_equivalents(found) / lanes, found["MULT18X18D"] / lanes


def lane_luts(component: HiddenCore, lanes: int, folder: Path) -> float:
    """LUT4-equivalents a lane of a core in an ECP5."""
    return lane_cells(component, lanes, folder)[0]


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for leaky, title, floors in (
            (False, "TTFS IF", {64: 20.5, 128: 19.2}), (True, "LIF, shift leak and bias", {64: 28, 128: 28}),
        ):
            for lanes, floor in floors.items():
                each = lane_luts(hidden_core(lanes, leaky=leaky), lanes, folder)
                what = f"hidden core, {title}, {lanes} lanes, {MEMBRANE_BITS}-bit membranes: LUT4-eq. a lane"
                rows.append(Row(what=what, floor=f"≤ {floor}", measured=f"{each:.2f}", met=each <= floor))
        for rows_of_lanes, where in ((1, "one row"), (4, "4 rows in registers"), (16, "16 rows in LUT RAM")):
            without, *found = (lane_luts(hidden_core(32, leaky=True, rows=rows_of_lanes, **more), 32, folder)
                               for more in ({}, {"lasts": True}, {"adapts": True}))
            for each, more in zip(found, ("a lasting current", "adaptive thresholds"), strict=True):
                what = f"hidden core, LIF, shift leak and bias, 32 lanes, {where}: LUT4-eq. a lane with {more}"
                rows.append(Row(what=what, floor="≤ +60 %", met=each <= 1.6 * without,
                                measured=f"{without:.1f} → {each:.1f}, +{each / without - 1:.0%}"))
            components = [hidden_core(32, leaky=True, rows=rows_of_lanes, leak=(230, 8), multiplies=one)
                          for one in (False, True)]
            (halving, _), (multiplying, multipliers) = (lane_cells(one, 32, folder) for one in components)
            passes = [len(one.core.spec.microcode.step) for one in components]
            rows.append(Row(
                what=f"hidden core, LIF, leak 230/256 and bias, 32 lanes, {where}: LUT4-eq. a lane with the leak as a "
                     "multiplication", floor="fewer passes", met=passes[1] < passes[0],
                measured=f"{halving:.1f} → {multiplying:.1f}, {multipliers:.0f} multiplier; {passes[0]} → {passes[1]} "
                         "passes a step"))
        network = fs.load(shipped("zoo", "mnist_ettfs.safetensors"))
        program = fs.compile(network, lanes=128, port="image", early_exit=True).program
        text = verilog(Accelerator(program), ())
        found = cells(synthesise(XILINX7.synthesis, {"accelerator.v": text}, folder, top=TOP))
        luts = sum(number for cell, number in found.items() if cell.startswith("LUT"))
        latches, dsps = found["LDCE"] + found["LDPE"], found["DSP48E1"]
        rows.append(Row(what="whole MNIST accelerator with encoder and read-out, 128 lanes, synth_xilinx",
                        floor="< 4,500 LUT, no latch, 0 DSP", measured=f"{luts} LUT, {latches} latches, {dsps} DSP",
                        met=luts < 4500 and not latches and not dsps))
    publish("area", rows)


if __name__ == "__main__":
    main()
