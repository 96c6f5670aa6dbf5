# SPDX-License-Identifier: MIT
"""Convolutional networks of the zoo on a device: the interval beside what a perfectly busy array would need.

The *bound* is the synaptic operations of an inference over the processing elements that the mapping takes. `python
benchmarks/bound.py NAME …` measures some networks and keeps the rows of the others.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike.mapping import SAMPLES, Mapping
from firstspike.verb_demo import shipped
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.work import event_rows, workload
from firstspike_boards.devices import DEVICES
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe_file import recipe_of
from firstspike_train.recordings import load_nmnist
from table import Row, publish, published

DEVICE = "artix-100t"
FLOORS = {256: 1.45, 1024: 1.6}
"""Largest interval over bound, by processing elements."""

DEFAULT = 1.3
"""Largest interval of a mapping without device and samples over that of `map_to_device` with as many elements."""

BEFORE: dict[str, tuple[int, int] | None] = {
    "mnist_ettfs_conv": (7192, 2352), "mnist_latency": (5697, 1875), "mnist_diet": (20548, 7842),
    "mnist_multi_threshold": (9677, 2360), "fashion_latency": (21951, 21742), "fashion_ettfs_conv": (34396, 33998),
    "fashion_diet": (24339, 24093), "fashion_multi_threshold": None, "nmnist_multi_threshold": (9123, 4574),
}
"""Cycles on 256 and 1,024 elements before there were banks of any shape, merging and fewer passes."""

FASTER = {"fashion_latency": 5, "fashion_ettfs_conv": 5, "fashion_diet": 5}
"""How many times fewer than before the cycles on 1,024 elements must be."""

NMNIST, NMNIST_STEPS, NMNIST_BEFORE, NMNIST_FASTER = "nmnist_cnn", 300, 270_787, 8
MODEL = "../models/nmnist_cnn.nir"

FORWARDING = "fashion_ettfs_conv"
"""The network for which it is shown what forwarded sums are worth: most events of its second layer are at a border."""

LARGE = "cifar10_chip"
"""Measured by its default mapping alone: its layers are many, and the samples' mapping takes long."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A network, samples, and the options that both need."""

    network: FloatNetwork
    inputs: np.ndarray
    options: dict


def case_of(name: str) -> Case:
    if name == NMNIST:
        recordings, _ = load_nmnist("test", NMNIST_STEPS)
        inputs = np.asarray(recordings[:SAMPLES])
        network = fs.load_nir(Path(os.environ.get("FIRSTSPIKE_DATA", ".")) / MODEL, steps=NMNIST_STEPS, reset="zero",
                              strict=True, readout="spike_count")
        return Case(network=network, inputs=inputs, options={"in_max": int(inputs.max())})
    network = fs.load(shipped("zoo", f"{name}.safetensors"))
    inputs, _ = load_inputs(recipe_of(network), "validation")
    return Case(network=network, inputs=np.asarray(inputs[:SAMPLES]), options={})


def operations(network: IntegerNetwork, inputs: np.ndarray) -> float:
    """Mean synaptic operations of an inference: the weights that its events add."""
    program = fs.compile(network, lanes=1, kernel_parallel=False, merges=False).program
    spikes = fs.infer(program, inputs).spikes
    total = 0.0
    for core in program.cores:
        load = workload(core, spikes)
        for place, events in enumerate(load.events):
            # With one lane, an event visits a row for each neuron that it reaches.
            total += float((events @ event_rows(core, place)).mean())
    return total


def interval_of(program: Program, inputs: np.ndarray) -> float:
    return float(fs.estimate(program, inputs).intervals.mean())


def shapes(program: Program) -> str:
    """Banks and lanes of every layer, and + where spikes are merged."""
    return " ".join(
        f"{'' if core.plan.bank_count == 1 else f'{core.plan.banks[0]}×{core.plan.banks[1]}×'}{core.plan.lanes}"
        f"{'+' * core.plan.options.merges}" for core in program.cores)


def measure(name: str) -> list[Row]:
    case, rows = case_of(name), []
    if name == LARGE:
        return against_default(name, case)
    found: dict[int, Mapping] = {}
    work = None
    for place, (elements, floor) in enumerate(FLOORS.items()):
        mapping = fs.map_to_device(case.network, case.inputs, device=DEVICE, lane_budget=elements, **case.options)
        found[elements] = mapping
        program = mapping.compilation.program
        work = operations(program.network, case.inputs) if work is None else work
        bound, before = work / mapping.elements, BEFORE.get(name)
        was = f", before {before[place]:,}" if before else ""
        free = name == NMNIST  # whose bound leaves out what 300 markers cost
        rows.append(Row(
            what=f"{name}, {elements} elements of {DEVICE}: interval over bound", floor="–" if free else f"≤ {floor}",
            measured=f"{mapping.interval / bound:.2f} ({mapping.interval:,.0f} cycles{was}; {shapes(program)}; "
                     f"{mapping.elements} elements, {mapping.luts:,} LUT, {mapping.blocks} block RAMs; limited by "
                     f"{mapping.limit})",
            met=free or mapping.interval <= floor * bound))
    best = found[1024].interval
    if name in FASTER and (before := BEFORE[name]):
        rows.append(Row(what=f"{name}, 1024 elements: cycles before over now", floor=f"≥ {FASTER[name]}",
                        measured=f"{before[1] / best:.1f}", met=before[1] >= FASTER[name] * best))
    if name == FORWARDING:
        without = fs.map_to_device(case.network, case.inputs, device=DEVICE, lane_budget=1024, forwards=False)
        rows.append(Row(
            what=f"{name}, 1024 elements: cycles without forwarded sums over those with", floor="> 1",
            measured=f"{without.interval / best:.2f} ({without.interval:,.0f} over {best:,.0f}; {without.luts:,} and "
                     f"{found[1024].luts:,} LUT)", met=without.interval > best))
    if name == NMNIST:
        rows.append(Row(what=f"{name}, 1024 elements: cycles before over now", floor=f"≥ {NMNIST_FASTER}",
                        measured=f"{NMNIST_BEFORE / best:.1f}", met=NMNIST_FASTER * best <= NMNIST_BEFORE))
    return [*rows, *against_default(name, case)]


def against_default(name: str, case: Case) -> list[Row]:
    """The mapping without options beside that of as many elements with samples."""
    default = fs.compile(case.network, **case.options).program
    elements = sum(core.plan.elements for core in default.cores)
    here = interval_of(default, case.inputs)
    mapped = fs.map_to_device(case.network, case.inputs, device=DEVICE, lane_budget=elements, **case.options)
    bits = sum(memory.depth * memory.used_bits for core in default.cores for memory in core.memories)
    return [Row(
        what=f"{name}: interval of the default over that of --device with {elements} elements",
        floor="–" if name == NMNIST else f"≤ {DEFAULT}",
        measured=f"{here / mapped.interval:.2f} ({here:,.0f} over {mapped.interval:,.0f} cycles; {shapes(default)}; "
                 f"{bits / 1e6:.2f} Mbit)",
        met=name == NMNIST or here <= DEFAULT * mapped.interval)]  # whose events nobody has counted


def fast_mnist() -> Row:
    """The conv MNIST network with all that the device has."""
    case, device = case_of("mnist_latency"), DEVICES[DEVICE]
    mapping = fs.map_to_device(case.network, case.inputs, device=DEVICE, lane_budget=None)
    return Row(
        what=f"mnist_latency on what {DEVICE} has: cycles an image", floor="≤ 1250",
        measured=f"{mapping.interval:,.0f} ({shapes(mapping.compilation.program)}; {mapping.elements} elements, "
                 f"{mapping.luts:,} of {device.luts:,} LUT by model, {mapping.blocks} of {device.blocks} block RAMs; "
                 f"limited by {mapping.limit})", met=mapping.interval <= 1250)


def main() -> None:
    every = [*BEFORE, NMNIST, LARGE]
    wanted = sys.argv[1:] or every
    if unknown := set(wanted) - set(every):
        sys.exit(f"NAME must be one of {', '.join(every)}, not {', '.join(sorted(unknown))}")

    def network(row: Row) -> str:
        return row.what.partition(",")[0].partition(":")[0].split()[0]

    rows = [row for row in published("bound") if network(row) not in wanted]
    for name in wanted:
        print(name, file=sys.stderr)
        rows += measure(name)
        if name == "mnist_latency":
            rows.append(fast_mnist())
    publish("bound", sorted(rows, key=lambda row: every.index(network(row))))


if __name__ == "__main__":
    main()
