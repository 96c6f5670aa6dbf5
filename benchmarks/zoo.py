# SPDX-License-Identifier: MIT
"""The trained networks of `zoo/`: accuracy in real numbers, in integers and in hardware, on the official test sets."""

from pathlib import Path

import firstspike as fs
from firstspike_train.data import load
from table import Row, publish

ZOO = Path(__file__).parents[1] / "zoo"
FLOORS = {
    "mnist_ettfs": 0.98, "mnist_ettfs_conv": 0.992, "mnist_diet": 0.992, "mnist_latency": 0.992,
    "mnist_multi_threshold": 0.993, "fashion_ettfs": 0.89, "fashion_ettfs_conv": 0.905, "fashion_diet": 0.905,
    "fashion_latency": 0.905, "fashion_multi_threshold": 0.905,
}
LOST = 0.002
"""Accuracy that the integers may lose."""
INFERENCES, DEVICE, LANES = 1000, "artix-100t", 256
METHODS = {
    "ettfs": "ETTFS", "diet_snn": "DIET-SNN", "latency_coding": "latency coding", "multi_threshold": "multi-threshold",
}


def measure(path: Path) -> Row:
    """Integers on the whole test set; every class, spike and cycle of the first inferences in hardware."""
    network = fs.load(path)
    recipe = network.recipe
    samples, _ = load(recipe["data"]["dataset"], "validation")
    images, labels = load(recipe["data"]["dataset"], "test")
    mapping = fs.map_to_device(network, samples, device=DEVICE, lane_budget=LANES)
    program = mapping.compilation.program
    right = float((fs.predict(program, images).classes == labels).mean())
    outcome = fs.verify(program, images[:INFERENCES])
    count = len(outcome.classes)
    hardware = float((outcome.classes == labels[:count]).mean())
    compared, different = (sum(getattr(check, name) for check in outcome.checks) for name in ("compared", "different"))
    floor, real = FLOORS.get(path.stem, 0.0), network.accuracy["float_test"]
    bits = "-".join(map(str, recipe["quantisation"]["weight_bits"]))
    return Row(
        what=f"zoo/{path.stem}: {METHODS[recipe['method']['kind']]}, {recipe['network']['layers']}, "
             f"T = {network.steps}, {bits} bits, seed {recipe['seed']}",
        floor=f"{f'≥ {floor:.1%}, ' if floor else ''}float − {LOST:.1%}; 0 differences",
        measured=f"{right:.2%} (float {real:.2%}, validation {network.accuracy['quantised_validation']:.2%}); RTL on "
                 f"{count} images: {hardware:.1%}, {different} differences in {compared} values, "
                 f"{outcome.intervals.mean():.0f} cycles an image on {mapping.elements} lanes of {DEVICE}",
        met=right >= floor and right >= real - LOST and not different,
    )


def main() -> None:
    found = sorted(ZOO.glob("*.safetensors"))
    missing = sorted(set(FLOORS) - {path.stem for path in found})
    publish("zoo", [measure(path) for path in found] + [
        Row(what=f"zoo/{name}", floor=f"≥ {FLOORS[name]:.1%}", measured="not trained yet", met=False)
        for name in missing])


if __name__ == "__main__":
    main()
