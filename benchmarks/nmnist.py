# SPDX-License-Identifier: MIT
"""A network that others trained, on real event-camera recordings: nmnist_cnn.nir on N-MNIST, 1 ms a step."""

import os
import sys
from pathlib import Path

import firstspike as fs
from firstspike_sim.models.float_reference import run_float
from firstspike_train.recordings import load_nmnist
from table import Row, publish

STEPS = 300
MODEL = "../models/nmnist_cnn.nir"


def main() -> None:
    path = Path(os.environ.get("FIRSTSPIKE_DATA", ".")) / MODEL
    if not path.exists():
        sys.exit(f"{path}: must be there; it comes with the NIR project's paper repository")
    recordings, labels = load_nmnist("test", STEPS)
    counts = recordings[:]
    network = fs.load_nir(path, steps=STEPS, reset="zero", strict=True, readout="spike_count")
    in_float = run_float(network, counts).classes
    program = fs.compile(network, lanes=[16, 16, 8, 64, 10], in_max=int(counts.max())).program
    classes = fs.infer(program, counts).classes
    right, same = int((classes == labels).sum()), int((classes == in_float).sum())
    rows = [Row(
        what=f"nmnist_cnn.nir, 8-bit integers, on {len(labels)} N-MNIST recordings",
        floor="≥ 97 right, ≥ 98 as in float",
        measured=f"{right} right, {same} as in float ({int((in_float == labels).sum())} right)",
        met=right >= 97 and same >= 98,
    )]
    outcome = fs.verify(program, counts, run_size=10)
    compared, different = (sum(getattr(check, name) for check in outcome.checks) for name in ("compared", "different"))
    rows.append(Row(
        what="… RTL against golden and timing model", floor="0 differences",
        measured=f"{different} differences in {compared} values, "
                 f"{outcome.cycles / len(labels):,.0f} cycles a recording",
        met=outcome.equal,
    ))
    publish("nmnist", rows)


if __name__ == "__main__":
    main()
