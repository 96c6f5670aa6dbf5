# SPDX-License-Identifier: MIT
"""Loihi's integers: a CUBA network in the layout of lava-dl in RTL, against lava-dl's arithmetic, restated."""

import tempfile
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike_arch.network import IntegerNetwork
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness, compare
from firstspike_sim.models.golden import GoldenModel, GoldenResult
from firstspike_sim.models.prediction import predict_inputs
from firstspike_sim.testing.lava_arithmetic import lava_run, write_chain
from table import Row, publish

SIZES, LANES, THRESHOLD = [784, 128, 64, 10], [64, 32, 10], 2000
IMAGES, STEPS = 100, 16


def main() -> None:
    random = np.random.default_rng(1)
    inputs = (random.random((IMAGES, STEPS, SIZES[0])) < random.random((IMAGES, 1, SIZES[0])) ** 4).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cuba.net"
        write_chain(path, SIZES, threshold=THRESHOLD)
        network = fs.load_lava(path, steps=STEPS, readout="spike_count")
        restated = [lava_run(path, spikes) for spikes in inputs]
    golden = GoldenModel(network).run(inputs)
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in aliveness(golden.spikes)[1:])
    pairs = [(golden.spikes[index + 1][sample][: STEPS - index], blocks[index][0][index:])
             for sample, blocks in enumerate(restated) for index in range(len(network.layers))]
    wrong = sum(int((one != other).sum()) for one, other in pairs)
    what = f"{'-'.join(map(str, SIZES))}, CUBA in Loihi's integers, {IMAGES} inputs of {STEPS} steps"
    publish("loihi", [
        Row(what=f"{what}: spikes of every layer against lava-dl's arithmetic, restated", floor="0 differences",
            measured=f"{wrong} differences in {sum(one.size for one, _ in pairs)} neuron-steps", met=not wrong),
        run(network, inputs, golden, multiplies=False), run(network, inputs, golden, multiplies=True),
    ])


def run(network: IntegerNetwork, inputs: np.ndarray, golden: GoldenResult, *, multiplies: bool) -> Row:
    """Simulate the accelerator, with leaks in passes of halves or as multiplications."""
    program = fs.compile(network, lanes=LANES, multiplies_leaks=multiplies).program
    prediction, backend = predict_inputs(program, inputs, golden=golden), VerilatorBackend()
    backend.load(program)
    trace = backend.run(prediction.stimulus)
    checks = compare(network, prediction.stimulus, prediction.trace, trace)
    compared, different = sum(check.compared for check in checks), sum(check.different for check in checks)
    passes = [len(core.microcode.step) for core in program.cores]
    return Row(
        what=f"… RTL on {', '.join(map(str, LANES))} lanes against both models, leaks "
             f"{'multiplied' if multiplies else 'in passes of halves'}", floor="0 differences", met=not different,
        measured=f"{different} differences in {compared} values; mean interval {float(trace.intervals.mean()):.0f} "
                 f"cycles, {', '.join(map(str, passes))} passes a step")


if __name__ == "__main__":
    main()
