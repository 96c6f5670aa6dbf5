# SPDX-License-Identifier: MIT
"""Cycles of MNIST 784-128-10 in hardware, all test images, every spike and cycle verified."""

import tempfile
import time

import firstspike as fs
import numpy as np
from firstspike.api import latencies
from firstspike.verb_demo import shipped
from firstspike_arch.backend import Stimulus
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.models.prediction import predict_inputs, predict_stimulus
from firstspike_train.data import load
from table import Row, publish


def isolated(program, images: np.ndarray) -> np.ndarray:
    """Latency of each image when nothing is before it: a long silence between images."""
    stimulus = predict_inputs(program, images).stimulus
    gaps = np.zeros(len(stimulus.words), dtype=np.int64)
    gaps[stimulus.starts[1:-1]] = 2000
    apart = Stimulus(words=stimulus.words, starts=stimulus.starts, gaps=gaps)
    return latencies(apart, predict_stimulus(program, images, apart).trace)


def main() -> None:
    network = fs.load(shipped("zoo", "mnist_ettfs.safetensors"))
    images, labels = load("mnist", "test")
    steps = network.steps
    rows = []
    classes = {}
    for lanes in (128, 16):
        program = fs.compile(network, lanes=lanes).program
        outcome = fs.verify(program, images, run_size=5000, processes=2)
        golden = fs.infer(program, images)
        inputs = golden.spikes[0].sum((1, 2))
        different = sum(check.different for check in outcome.checks)
        compared = sum(check.compared for check in outcome.checks)
        rows.append(Row(what=f"{lanes} lanes: RTL against golden and timing model, {len(images)} images",
                        floor="0 differences", measured=f"{different} differences in {compared} values",
                        met=not different))
        if lanes == 128:
            accuracy = np.mean(outcome.classes == labels)
            real = network.accuracy.get("float_test", float("nan"))
            rows.append(Row(what="accuracy of the integer network, in RTL", floor="≥ 97.3 %, float − 0.2 points",
                            measured=f"{accuracy:.2%} (float {real:.2%})",
                            met=bool(accuracy >= 0.973 and accuracy >= real - 0.002)))
            bound = inputs.mean() + steps + 15
            rows.append(Row(what="128 lanes: mean interval, cycles", floor=f"≤ {bound:.1f}",
                            measured=f"{outcome.intervals.mean():.1f} ({inputs.mean():.1f} input spikes)",
                            met=bool(outcome.intervals.mean() <= bound)))
            last = golden.spikes[1][:, -1].sum(1).mean()
            bound = inputs.mean() + steps + last + 24
            whole = isolated(program, images)
            rows.append(Row(what="128 lanes: mean isolated latency, cycles", floor=f"≤ {bound:.1f}",
                            measured=f"{whole.mean():.1f}", met=bool(whole.mean() <= bound)))
            classes["full"] = golden.classes
            early = fs.compile(network, lanes=lanes, early_exit=True).program
            checked = fs.verify(early, images, run_size=5000, processes=2)
            different = sum(check.different for check in checked.checks)
            quick = isolated(early, images)
            rows.append(Row(what="… with early exit", floor="strictly fewer, same classes",
                            measured=f"{quick.mean():.1f}, {different} differences to the models",
                            met=bool((quick <= whole).all() and quick.mean() < whole.mean() and not different
                                     and (checked.classes == outcome.classes).all())))
            image_port = fs.compile(network, lanes=lanes, port="image").program
            checked = fs.verify(image_port, images, run_size=5000, processes=2)
            different = sum(check.different for check in checked.checks)
            bound = np.maximum(98, inputs + steps).mean() * 1.15 + 32
            rows.append(Row(what="128 lanes from the image port: mean interval, cycles", floor=f"≤ {bound:.1f}",
                            measured=f"{checked.intervals.mean():.1f}, {different} differences to the models",
                            met=bool(checked.intervals.mean() <= bound and not different)))
        else:
            hidden = golden.spikes[1].sum((1, 2))
            busiest = np.maximum(inputs * -(-128 // lanes), hidden).mean()
            rows.append(Row(what="16 lanes: mean interval, cycles", floor=f"≤ {1.15 * busiest:.1f}",
                            measured=f"{outcome.intervals.mean():.1f} (bound of the busiest core {busiest:.1f})",
                            met=bool(outcome.intervals.mean() <= 1.15 * busiest)))
    program = fs.compile(network, lanes=128).program
    backend = VerilatorBackend()
    backend.load(program)
    predict_inputs(program, images[:10])  # compiles the timing model
    start = time.perf_counter()
    prediction = predict_inputs(program, images)
    model_seconds = time.perf_counter() - start
    trace = backend.run(prediction.stimulus)
    native_seconds = (trace.taken[-1] + 1) / backend.cycles_per_second
    rows.append(Row(what="golden + timing model against one process of native RTL, 10,000 images", floor="≥ 1 ×",
                    measured=f"{native_seconds / model_seconds:.2f} × ({model_seconds:.2f} s, "
                             f"RTL {native_seconds:.2f} s, {backend.cycles_per_second / 1e6:.2f} M cycles/s)",
                    met=bool(native_seconds >= model_seconds)))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fs.export(fs.compile(network, lanes=128), f"{folder}/build")
    seconds = time.perf_counter() - start
    rows.append(Row(what="compile 784-128-10 to Verilog and images", floor="≤ 15 s", measured=f"{seconds:.1f} s",
                    met=seconds <= 15))
    publish("cycles", rows)


if __name__ == "__main__":
    main()
