# SPDX-License-Identifier: MIT
"""Speed of the timing model: clock cycles predicted a second, and an older version beside it in the same run.

CPU time of the timing model alone, the best of a few runs behind the first, in which numba compiles; values come from
the golden model before. Both versions predict the same cycles, or the run fails.

usage: timing.py [TREE]   TREE: an older version of this repository
"""

import os
import subprocess
import sys
from pathlib import Path

from table import Row, publish

ROOT = Path(__file__).parents[1]
ROOMS = ("arch", "hw", "compiler", "train", "sim", "boards", "cli")
CASES = {"mnist_ettfs": ("mnist", 5000, {"lanes": 128}), "fashion_ettfs_conv": ("fashion-mnist", 50, {"lanes": 16})}
RUNS = 4
MEASURE = f"""
import sys, time
import firstspike as fs
import numpy as np
from firstspike_train.data import load
try:
    from firstspike_sim.models.golden import GoldenModel
    from firstspike_sim.stimulus import make_stimulus
    from firstspike_sim.timing.spike_lists import spike_lists
    from firstspike_sim.timing.timing_model import predict_cycles
except ImportError:  # before the timing model had a folder
    from firstspike_sim.golden import GoldenModel
    from firstspike_sim.stimulus import make_stimulus
    from firstspike_sim.spike_lists import spike_lists
    from firstspike_sim.timing import predict as predict_cycles
for name, (data, count, options) in {CASES!r}.items():
    program = fs.compile(fs.load(f"zoo/{{name}}.safetensors"), **options).program
    images = load(data, "test")[0][:count]
    golden = GoldenModel(program.network).run(images)
    stimulus = make_stimulus(program, images, spikes=golden.spikes[0])
    lists, times = spike_lists(program, golden.spikes), []
    for _ in range({RUNS}):
        begun = time.process_time()
        trace = predict_cycles(program, stimulus, lists, classes=golden.classes, steps=golden.steps,
                               decided_by=golden.decided_by, scores=golden.scores)
        times.append(time.process_time() - begun)
    print(name, int(trace.taken[-1]) + 1, min(times[1:]), int(trace.taken.sum()))
"""


def measured(tree: Path) -> dict[str, tuple[int, float, int]]:
    """By network: cycles, CPU seconds, and the sum of the cycles of all results, of the version in a tree."""
    found = os.pathsep.join(str(tree / room) for room in ROOMS)
    run = subprocess.run([sys.executable, "-c", MEASURE], cwd=tree, check=True, capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": found})
    lines = [line.split() for line in run.stdout.splitlines()]
    return {name: (int(cycles), float(seconds), int(total)) for name, cycles, seconds, total in lines}


def main() -> None:
    now = measured(ROOT)
    before = measured(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else {}
    rows = []
    for name, (cycles, seconds, total) in now.items():
        text, met = f"{cycles / seconds / 1e6:.1f} M cycles a second of CPU time", True
        if name in before:
            old_cycles, old_seconds, old_total = before[name]
            if (old_cycles, old_total) != (cycles, total):
                sys.exit(f"{name}: the cycles must be those of the older version, but differ")
            text += f", the version before {old_cycles / old_seconds / 1e6:.1f} ({old_seconds / seconds:.2f} ×)"
            met = seconds <= old_seconds
        rows.append(Row(what=f"timing model of {name}", floor="not slower than the version before" if before else "–",
                        measured=text, met=met))
    publish("timing", rows)


if __name__ == "__main__":
    main()
