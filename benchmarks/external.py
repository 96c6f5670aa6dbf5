# SPDX-License-Identifier: MIT
"""A network of VGG-11's size whose weights are in an external memory: what fits a chip that they do not fit, and how
close its cycles are to what memory and array allow."""

import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike.mapping import Mapping
from firstspike_arch.external import Fetching
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.work import work_cycles, workload
from firstspike_boards.devices import DEVICES
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.compare import ALIVE, aliveness, compare
from firstspike_sim.models.golden import GoldenModel, GoldenResult
from firstspike_sim.models.prediction import predict_inputs
from resources import resources
from scale import vgg11
from table import Row, publish

TARGETS = ("zynq-7020", "ecp5-85")

SAMPLES, INFERENCES, STEADY = 6, 24, slice(4, 14)
"""Images for the mapping, all images, and the intervals between those in which layers fill, and in which they run
dry."""


def main() -> None:
    random = np.random.default_rng(0)
    images = np.where(random.random((INFERENCES, 3072)) < 0.4, 255, 0).astype(np.uint8)
    network = vgg11(images, steps=1)
    golden = GoldenModel(network).run(images)
    assert all(ALIVE[0] <= share <= ALIVE[1] for share in aliveness(golden.spikes)[:-1])
    rows = []
    for target in TARGETS:
        mapping, found = measure(network, images, golden, target)
        rows += [*found, *simulate(mapping.compilation.program, images[:1], golden)]
    publish("external", rows)


def measure(
    network: IntegerNetwork, images: np.ndarray, golden: GoldenResult, target: str,
) -> tuple[Mapping, list[Row]]:
    """Map to a device and export; cycles beside those of the memory and of the busiest layer."""
    device = DEVICES[target]
    with tempfile.TemporaryDirectory() as name:
        start = time.process_time()
        mapping = fs.map_to_device(network, images[:SAMPLES], device=target, lane_budget=None, external="auto")
        fs.export(mapping.compilation, Path(name) / "build")
        seconds, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    program = mapping.compilation.program
    taken = resources(program, device.lut_inputs)
    weights = sum(layer.weights.size for layer in network.layers)
    interval = float(predict_inputs(program, images, golden=golden).trace.intervals[STEADY].mean())
    octets = sum(float(count.mean()) * fetching.octets for fetching, count in slices(program, golden))
    memory = octets / (program.config.beat_bits // 8)
    array = max(float(work_cycles(core, workload(core, golden.spikes)).mean()) for core in program.cores)
    return mapping, [
        Row(what=f"VGG-11-sized network, {weights / 1e6:.1f} M weights of 4 bits, for {target}, "
                 f"{len(program.external)} layers of {program.external_octets / 1e6:.2f} MB external: to images and "
                 "Verilog", floor="≤ 150 s of CPU time, ≤ 4 GB", measured=f"{seconds:.0f} s, {peak:.1f} GB",
            met=seconds <= 150 and peak <= 4),
        Row(what="… its block RAMs of 18 kbit and LUTs by model, of those of the device",
            floor=f"≤ {device.blocks}, ≤ {device.luts:,}", measured=f"{mapping.blocks}, {mapping.luts:,}",
            met=mapping.blocks <= device.blocks and mapping.luts <= device.luts),
        Row(what="… the same by yosys, and multipliers",
            floor=f"≤ {device.blocks}, ≤ {device.luts:,}, ≤ {device.multipliers}",
            measured=f"{taken.blocks}, {taken.luts:,}, {taken.multipliers}",
            met=taken.blocks <= device.blocks and taken.luts <= device.luts
            and taken.multipliers <= device.multipliers),
        Row(what=f"… interval over the larger of {memory:,.0f} cycles of the memory ({octets / 1e6:.2f} MB in beats of "
                 f"{program.config.beat_bits} bits) and {array:,.0f} of the busiest layer",
            floor="≤ 1.25", measured=f"{interval / max(memory, array):.3f} ({interval:,.0f} cycles)",
            met=interval <= 1.25 * max(memory, array))]


def simulate(program: Program, images: np.ndarray, golden: GoldenResult) -> list[Row]:
    """One inference in Verilator."""
    prediction = predict_inputs(program, images)
    backend = VerilatorBackend()
    backend.load(program)
    trace = backend.run(prediction.stimulus)
    checks = compare(program.network, prediction.stimulus, prediction.trace, trace)
    compared, different = sum(check.compared for check in checks), sum(check.different for check in checks)
    sent = trace.counters["beats"]
    wanted = sum(int(count[0]) * fetching.beats for fetching, count in slices(program, golden))
    return [
        Row(what="… one inference: RTL with a memory against golden and timing model", floor="0 differences",
            measured=f"{different} differences in {compared} values, {int(trace.taken[0]) + 1:,} cycles",
            met=not different),
        Row(what="… weights read over those of the channels with spikes, in each step", floor="≤ 1.0",
            measured=f"{sent / wanted:.4f}", met=sent <= wanted)]


def slices(program: Program, golden: GoldenResult) -> Iterator[tuple[Fetching, np.ndarray]]:
    """How the cores with external weights fetch, and how many slices each inference needs, int64[B]."""
    for core in program.external:
        assert core.fetching is not None
        yield core.fetching, core.fetching.slices_read(golden.spikes[core.index])


if __name__ == "__main__":
    main()
