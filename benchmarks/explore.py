# SPDX-License-Identifier: MIT
"""Exploration of mnist_latency on artix-100t: its front against the mappings of `map_to_device`."""

import sys
import tempfile
from pathlib import Path

import firstspike as fs
from firstspike.exploring import STARTS, Trials
from firstspike.mapping import SAMPLES
from firstspike.options import load_inputs
from firstspike.verb_demo import shipped
from table import Row, publish

DEVICE, TRIALS, INPUTS = "artix-100t", 12, 200


def main() -> None:
    checkpoint = shipped("zoo", "mnist_latency.safetensors")
    network, (images, labels) = fs.load(checkpoint), load_inputs("mnist", "validation", INPUTS)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder) / "trials", checkpoint, device=DEVICE, data="mnist", make=True)
        trials.run(TRIALS, images, labels, progress=lambda *counts: print(*counts, file=sys.stderr))
        front = trials.front()
    classes = fs.infer(fs.compile(network).program, images).classes
    accuracy, rows = float((classes == labels).mean()), []
    for budget in STARTS:
        mapping = fs.map_to_device(network, images[:SAMPLES], device=DEVICE, lane_budget=budget)
        wanted = (mapping.interval, mapping.luts, mapping.blocks)
        as_good = [one for one in front if one.measures.accuracy >= accuracy and all(
            mine <= other for mine, other in zip(one.measures[:3], wanted, strict=True))]
        shown = ", ".join(f"trial {one.number}: {one.measures.interval:.0f} cycles, {one.measures.luts:,} LUTs, "
                          f"{one.measures.blocks} block RAMs, {one.measures.accuracy:.1%}" for one in as_good[:1])
        rows.append(Row(
            what=f"explore mnist_latency on {DEVICE}, {TRIALS} trials: a trial as good as compile --device with "
                 f"{budget} elements",
            floor=f"{wanted[0]:.0f} cycles, {wanted[1]:,} LUTs, {wanted[2]} block RAMs, {accuracy:.1%}",
            measured=shown or "none", met=bool(as_good)))
    publish("explore", rows)


if __name__ == "__main__":
    main()
