# SPDX-License-Identifier: MIT
"""A network of VGG-11's size whose weights are in an external memory: what fits a chip that they do not fit, and how
close its cycles are to what memory and array allow."""

import resource
import tempfile
import time
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike_arch.external import external_obstacle
from firstspike_arch.work import work_cycles, workload
from firstspike_boards.devices import DEVICES
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import compare
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs
from scale import vgg11
from table import Row, publish

DEVICE = DEVICES["artix-100t"]
ELEMENTS = 512
INFERENCES = 3
"""The interval between the last two is measured; the first is simulated."""


def main() -> None:
    random = np.random.default_rng(0)
    images = np.where(random.random((INFERENCES, 3072)) < 0.4, 255, 0).astype(np.uint8)
    network = vgg11(images[:2], steps=1)
    large = [index for index, layer in enumerate(network.layers)
             if layer.weights.size > 50_000 and external_obstacle(network, index) is None]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        compilation = fs.compile(network, lane_budget=ELEMENTS, external=large)
        fs.export(compilation, Path(name) / "build")
        seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    program = compilation.program
    blocks = sum(DEVICE.blocks_of_all(core.memories) for core in program.cores)
    weights = sum(layer.weights.size for layer in network.layers)
    rows.append(Row(
        what=f"VGG-11-sized network, {weights / 1e6:.1f} M weights of 4 bits, {program.external_octets / 1e6:.2f} MB "
        "external: to images and Verilog", floor="≤ 150 s, ≤ 4 GB", measured=f"{seconds:.0f} s, {peak:.1f} GB",
        met=seconds <= 150 and peak <= 4))
    rows.append(Row(what=f"… its block RAMs of 18 kbit; {DEVICE.name} has {DEVICE.blocks}",
                    floor=f"≤ {DEVICE.blocks}", measured=str(blocks), met=blocks <= DEVICE.blocks))

    golden = GoldenModel(network).run(images)
    prediction = predict_inputs(program, images, golden=golden)
    interval = int(prediction.trace.intervals[-1])
    read = [core.fetching.slices_read(golden.spikes[core.index]) for core in program.external if core.fetching]
    octets = sum(int(count[-1]) * core.fetching.octets
                 for count, core in zip(read, program.external, strict=True) if core.fetching)
    memory = octets / (program.config.beat_bits // 8)
    array = max(int(work_cycles(core, workload(core, golden.spikes))[-1]) for core in program.cores)
    rows.append(Row(
        what=f"… interval between inferences over the larger of {memory:.0f} cycles of the memory "
        f"({octets / 1e6:.2f} MB in beats of {program.config.beat_bits} bits) and {array} of the busiest layer",
        floor="≤ 1.25",
        measured=f"{interval / max(memory, array):.3f} ({interval} cycles)", met=interval <= 1.25 * max(memory, array)))

    single = predict_inputs(program, images[:1])
    backend = VerilatorBackend()
    backend.load(program)
    trace = backend.run(single.stimulus)
    checks = compare(network, single.stimulus, single.trace, trace)
    compared, different = sum(check.compared for check in checks), sum(check.different for check in checks)
    rows.append(Row(what="… one inference: RTL with a memory against golden and timing model", floor="0 differences",
                    measured=f"{different} differences in {compared} values, {int(trace.taken[0]) + 1} cycles",
                    met=not different))
    sent = trace.counters["beats"]
    wanted = sum(int(count[0]) * core.fetching.beats
                 for count, core in zip(read, program.external, strict=True) if core.fetching)
    rows.append(Row(what="… weights read over those of the channels with spikes, in each step", floor="≤ 1.0",
                    measured=f"{sent / wanted:.4f}", met=sent <= wanted))
    publish("external", rows)


if __name__ == "__main__":
    main()
