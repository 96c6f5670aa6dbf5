# SPDX-License-Identifier: MIT
"""Delays: a recurrent network for spoken digits, 700-128-20 with delays up to 30 steps, on random spikes; and what a
delay line costs."""

import tempfile
from pathlib import Path

import firstspike as fs
import numpy as np
from area import lut4_equivalents
from firstspike_arch.delaying import Delaying
from firstspike_arch.events import TokenLayout
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_boards.ecp5 import ECP5
from firstspike_boards.open_flow import cells, synthesise
from firstspike_hw.delay_line import DelayLine
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness, compare
from firstspike_sim.models.golden import GoldenModel, GoldenResult
from firstspike_sim.models.prediction import predict_inputs
from table import Row, publish

STEPS, INFERENCES, LONGEST = 100, 12, 30


def network_of(random: np.random.Generator) -> IntegerNetwork:
    """Random weights, and thresholds such that every layer is alive."""
    def delays(count: int) -> np.ndarray:
        return random.integers(0, LONGEST + 1, count)

    net = fs.NetworkBuilder(700, steps=STEPS, readout="spike_count", name="spoken")
    net.layer(random.integers(-6, 8, (128, 700)), theta=150, leak=0.9375, current_leak=0.875, reset="zero",
              delays=delays(700))
    net.branch(random.integers(-7, 7, (128, 128)), source=0, delays=delays(128))
    net.layer(random.integers(-6, 8, (20, 128)), theta=60, leak=0.9375, reset="zero", delays=delays(128))
    return net.build()


def bound(program: Program, golden: GoldenResult) -> float:
    """The most of all cores: events × fan-out / lanes + rows × steps, the mean of the inferences."""
    return max(
        core.plan.rows * (STEPS + sum(float((golden.spikes[one.source + 1] > 0).sum((1, 2)).mean())
                                      for one in core.inputs))
        for core in program.cores)


def delay_line_luts(size: int) -> int:
    """LUT4-equivalents of a delay line for so many addresses, by yosys for ECP5."""
    random = np.random.default_rng(size)
    line = DelayLine(Delaying(layout=TokenLayout(shape=(size,)), delays=random.integers(0, LONGEST + 1, size)))
    assert ECP5.flow is not None
    with tempfile.TemporaryDirectory() as folder:
        netlist = synthesise(ECP5.synthesis, {"line.v": verilog(line, ())}, Path(folder), top=TOP)
        ECP5.flow.improve(netlist)
        return lut4_equivalents(cells(netlist))


def main() -> None:
    random, rows = np.random.default_rng(0), []
    network = network_of(random)
    inputs = (random.random((INFERENCES, STEPS, 700)) < 0.03).astype(np.uint8)
    golden = GoldenModel(network).run(inputs)
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in aliveness(golden.spikes)[1:])
    for lanes in ([16, 4], [64, 10]):
        program = fs.compile(network, lanes=lanes).program
        prediction = predict_inputs(program, inputs, golden=golden)
        backend = VerilatorBackend()
        backend.load(program)
        trace = backend.run(prediction.stimulus)
        checks = compare(network, prediction.stimulus, prediction.trace, trace)
        compared, different = sum(check.compared for check in checks), sum(check.different for check in checks)
        what = f"700-128-20, recurrent, with currents, delays up to {LONGEST} steps, {lanes[0]} and {lanes[1]} lanes"
        rows.append(Row(what=f"{what}: RTL against both models, {INFERENCES} inferences of {STEPS} steps",
                        floor="0 differences", measured=f"{different} differences in {compared} values",
                        met=not different))
        cycles, least = float(trace.intervals.mean()), bound(program, golden)
        rows.append(Row(what="… mean interval over events × fan-out / lanes + rows × steps", floor="≤ 1.2 ×",
                        measured=f"{cycles / least:.3f} × ({cycles:.0f} cycles)", met=cycles <= 1.2 * least))
    small, large = delay_line_luts(128), delay_line_luts(700)
    rows.append(Row(what=f"delay lines for 128 and 700 addresses, delays up to {LONGEST} steps, on ECP5",
                    floor="-", measured=f"{small} and {large} LUT4-eq.", met=True))
    publish("delays", rows)


if __name__ == "__main__":
    main()
