# SPDX-License-Identifier: MIT
"""The four training methods on hardware: trained networks, accuracy of the integers, RTL against the models."""

import sys
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike_train.data import load
from table import Row, publish

ZOO = Path(__file__).parents[1] / "zoo"
METHODS = {
    "ETTFS": "mnist_ettfs_conv", "DIET-SNN": "mnist_diet", "latency coding": "mnist_latency",
    "multi-threshold": "mnist_multi_threshold",
}
INFERENCES, DEVICE, LANES = 200, "ecp5-85", 256
RIGHT = 0.95


def measure(method: str, path: Path, samples: np.ndarray, images: np.ndarray, labels: np.ndarray) -> Row:
    """Accuracy of the whole test set in integers; every spike and cycle of some inferences in hardware."""
    network = fs.load(path)
    mapping = fs.map_to_device(network, samples, device=DEVICE, lane_budget=LANES)
    program = mapping.compilation.program
    integer = program.network
    right = float((fs.predict(program, images).classes == labels).mean())
    outcome = fs.verify(program, images[:INFERENCES])
    compared, different = (sum(getattr(check, name) for check in outcome.checks) for name in ("compared", "different"))
    shape = "-".join("×".join(map(str, layer.out_shape)) for layer in integer.layers)
    return Row(
        what=f"{method}, MNIST, {shape}, T = {integer.steps}: integers on 10,000 images; RTL on {INFERENCES}",
        floor="≥ 95 %, 0 differences",
        measured=f"{right:.2%} (float {network.accuracy['test']:.2%}), {different} differences in {compared} values, "
                 f"{outcome.intervals.mean():.0f} cycles an image on {mapping.elements} lanes of "
                 f"{DEVICE}",
        met=right >= RIGHT and not different,
    )


def main() -> None:
    images, labels = load("mnist", "test")
    missing = [name for name in METHODS.values() if not (ZOO / f"{name}.safetensors").exists()]
    if missing:
        sys.exit(f"{ZOO}: must have trained networks named {', '.join(missing)}")
    samples, _ = load("mnist", "validation")
    publish("methods", [measure(method, ZOO / f"{name}.safetensors", samples, images, labels)
                        for method, name in METHODS.items()])


if __name__ == "__main__":
    main()
