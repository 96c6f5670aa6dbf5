# SPDX-License-Identifier: MIT
"""MNIST on FPGAs: cycles and LUTs of our accelerators beside the published figures of others, with sources.

Ours are measured here: cycles and classes in RTL, LUTs and block RAMs of the whole accelerator by yosys's synth_xilinx.
Those of others are as published, or, where it says so, measured from their sources with the same yosys. Time and clock
of a publication are converted to cycles; an unpublished number of LUTs stays unknown.

`python benchmarks/peers.py LANES` limits the processing elements of the convolutional network. yosys 0.69 (YoWASP)
fails on it by an assertion of its own, behind ABC9; $YOSYS names another.
"""

import sys
from dataclasses import dataclass

import firstspike as fs
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_boards.devices import DEVICES
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe_file import recipe_of
from resources import resources
from table import Row, publish

DEVICE = DEVICES["artix-100t"]
CONVOLUTIONAL = "mnist_latency"
CYCLES_MAX, IMAGES = 1250, 1000


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another system on MNIST.

    Parameters
    ----------
    name : str
    source : str
        Where the figures are from.
    cycles : float
        Clock cycles from one image to the next.
    luts : int or None
        LUTs (or logic cells) of the system; None: not known.
    accuracy : float or None
        Share of the test images that are classified right; None: not known.
    """

    name: str
    source: str
    cycles: float
    luts: int | None = None
    accuracy: float | None = None

    def __str__(self) -> str:
        known = f"{self.luts:,} LUT" if self.luts else "LUT not known"
        right = f"{self.accuracy:.2%}, " if self.accuracy else ""
        return f"{self.name} ({self.source}): {right}{self.cycles:,.0f} cycles, {known}"


EVENTS = 138
"""Input spikes of an MNIST image, for systems whose cycles are given for each spike."""

DENSE = (
    Peer(name="Spiker+, 784-128-10, T = 100", source="its sources, measured with yosys, weight ROMs not counted",
         cycles=79_695, luts=7_077),
    Peer(name="QUANTISENC, 784-128-10, one step", source="its sources, measured with yosys", cycles=791, luts=35_854),
    Peer(name="tinyODIN", source="its sources, measured with yosys, 285 cycles an input spike",
         cycles=285 * EVENTS, luts=1_264),
    Peer(name="Spiker+", source="its paper, 780 µs at 100 MHz", cycles=78_000, luts=7_612),
    Peer(name="A. Fan, S. D. Levy", source="arXiv 2507.07284, 0.52 ms at 100 MHz", cycles=52_000, luts=6_358),
)
CONVOLUTIONS = (
    Peer(name="DeepFire", source="doi 10.1109/fpl53798.2021.00013, 40,100 images a second at 375 MHz",
         cycles=375e6 / 40_100, accuracy=0.9914),
    Peer(name="SyncNN", source="FPL 2021, 13,086 images a second at 200 MHz", cycles=200e6 / 13_086, accuracy=0.996),
    Peer(name="Skydiver", source="arXiv 2203.07516, 22,600 images a second at 200 MHz", cycles=200e6 / 22_600,
         accuracy=0.985),
)


def compare(kind: str, name: str, program: Program, mapped: str, peers: tuple[Peer, ...]) -> list[Row]:
    """Rows of one accelerator: its own, and one for all peers."""
    inputs, labels = load_inputs(recipe_of(fs.load(shipped("zoo", f"{name}.safetensors"))), "test")
    outcome = fs.verify(program, inputs[:IMAGES])
    different = sum(check.different for check in outcome.checks)
    cycles, found = float(outcome.intervals.mean()), resources(program, DEVICE.lut_inputs)
    right = float((fs.infer(program, inputs).classes == labels).mean())
    fits = found.luts <= DEVICE.luts and found.blocks <= DEVICE.blocks
    most = f", ≤ {CYCLES_MAX:,} cycles" if name == CONVOLUTIONAL else ""
    own = Row(
        what=f"{kind} MNIST: zoo/{name}, {mapped}, whole accelerator by synth_xilinx",
        floor=f"≤ {DEVICE.luts:,} LUT, ≤ {DEVICE.blocks} RAMB18{most}, 0 differences",
        measured=f"{right:.2%}, {cycles:,.0f} cycles an image, {found.luts:,} LUT, {found.blocks} RAMB18, "
                 f"{found.multipliers} DSP; RTL on {IMAGES} images: {different} differences",
        met=fits and not different and (name != CONVOLUTIONAL or cycles <= CYCLES_MAX))
    rows = [own]
    for peer in peers:
        product = peer.luts and peer.cycles * peer.luts
        ours = cycles * found.luts
        measured = f"{peer.cycles / cycles:.1f} × the cycles"
        if product:
            measured += f", {product / ours:.1f} × the cycles × LUT"
        rows.append(Row(what=f"… {peer}", floor="> 1 × ours", measured=measured,
                        met=product > ours if product else peer.cycles > cycles))
    return rows


def main() -> None:
    dense = fs.compile(fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=128, port="image")
    rows = compare("dense", "mnist_ettfs", dense.program, "128 lanes, image port", DENSE)
    network = fs.load(shipped("zoo", f"{CONVOLUTIONAL}.safetensors"))
    samples, _ = load_inputs(recipe_of(network), "validation")
    budget = int(sys.argv[1]) if len(sys.argv) > 1 else None
    mapping = fs.map_to_device(network, samples, device=DEVICE.name, lane_budget=budget)
    rows += compare("convolutional", CONVOLUTIONAL, mapping.compilation.program,
                    f"{mapping.elements} processing elements", CONVOLUTIONS)
    publish("peers", rows)


if __name__ == "__main__":
    main()
