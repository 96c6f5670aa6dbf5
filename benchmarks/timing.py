# SPDX-License-Identifier: MIT
"""Speed of the timing model: clock cycles predicted a second, and an older version beside it in the same run.

CPU time of the timing model alone, the best of a few runs behind the first; values come from the golden model before.
The hardware of another version may take other cycles, so their rates are compared. In the first run of a process numba
compiles, without its cache on disk, as it does at first use after the installation.
"""

import argparse
from statistics import median

from beside import BEFORE, checked_out, in_turn
from table import Row, publish

CASES = {"mnist_ettfs": ("mnist", 5000, {"lanes": 128}), "fashion_ettfs_conv": ("fashion-mnist", 50, {"lanes": 16})}
RUNS, ROUNDS = 4, 3
MEASURE = f"""
import os, tempfile, time
cache = tempfile.TemporaryDirectory()
os.environ["NUMBA_CACHE_DIR"] = cache.name
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
    print(name, int(trace.taken[-1]) + 1, min(times[1:]), times[0] - min(times[1:]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REVISION", default=BEFORE, help="the older version (default %(default)s)")
    with checked_out(parser.parse_args().against) as tree:
        before, now = in_turn(MEASURE, tree, rounds=ROUNDS)
    rows = []
    for name in CASES:
        old, new = (median(int(found[name][0]) / float(found[name][1]) for found in part) for part in (before, now))
        rows.append(Row(what=f"timing model of {name}", floor="not slower than the version before", met=new >= old,
                        measured=f"{new / 1e6:.1f} M cycles a second of CPU time, the version before {old / 1e6:.1f} "
                                 f"({new / old:.2f} ×)"))
    first = next(iter(CASES))
    old, new = (median(float(found[first][2]) for found in part) for part in (before, now))
    rows.append(Row(what="timing model compiled by numba at first use", floor="≤ 30 s of CPU time", met=new <= 30,
                    measured=f"{new:.1f} s (the version before, with fewer units, {old:.1f} s)"))
    publish("timing", rows)


if __name__ == "__main__":
    main()
