# SPDX-License-Identifier: MIT
"""Cycles of MNIST 784-128-10 in hardware, all test images, every spike and cycle verified."""

import tempfile
import time
from dataclasses import replace

import firstspike as fs
import numpy as np
from firstspike.api import latencies
from firstspike.verb_demo import shipped
from firstspike_arch.backend import Stimulus
from firstspike_arch.events import FINAL_MARKER
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.models.prediction import predict_inputs, predict_stimulus
from firstspike_train.data import load
from table import Row, publish


def apart(program, images: np.ndarray) -> Stimulus:
    """Images with a long silence between them, so that nothing is before any."""
    stimulus = predict_inputs(program, images).stimulus
    gaps = np.zeros(len(stimulus.words), dtype=np.int64)
    gaps[stimulus.starts[1:-1]] = 2000
    return replace(stimulus, gaps=gaps)


def isolated(program, images: np.ndarray) -> np.ndarray:
    """Latency of each image when nothing is before it."""
    stimulus = apart(program, images)
    return latencies(stimulus, predict_stimulus(program, images, stimulus).trace)


def from_first_event(program, images: np.ndarray) -> np.ndarray:
    """Cycles from the first event of each image into the first core to its decision, when nothing is before it."""
    trace = predict_stimulus(program, images, apart(program, images)).trace
    starts = np.flatnonzero(trace.edge_tokens[0] == FINAL_MARKER)[:-1] + 1
    return trace.decided - trace.edge_cycles[0][np.concatenate([[0], starts])]


def two_events(network, images: np.ndarray) -> list[Row]:
    """Two events a cycle in both layers, beside one event a cycle."""
    found = {}
    for events in (1, 2):
        program = fs.compile(network, lanes=128, port="image", events_per_cycle=events).program
        outcome = fs.verify(program, images, processes=2)
        found[events] = (outcome.intervals.mean(), from_first_event(program, images).mean(),
                         sum(check.different for check in outcome.checks))
    (before, slow, _), (after, fast, different) = found[1], found[2]
    return [
        Row(what=f"128 lanes from the image port, two events a cycle: RTL against both models, {len(images)} images",
            floor="0 differences", measured=f"{different} differences", met=not different),
        Row(what="… mean interval, cycles", floor="≤ 100", measured=f"{after:.1f} (one event a cycle: {before:.1f})",
            met=after <= 100),
        Row(what="… from the first event to the decision, alone, mean cycles", floor="≤ 120",
            measured=f"{fast:.1f} (one event a cycle: {slow:.1f})", met=fast <= 120),
    ]


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
    rows += two_events(network, images)
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
