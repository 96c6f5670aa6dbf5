# SPDX-License-Identifier: MIT
"""The trained networks of `zoo/`, and of the folder `$FIRSTSPIKE_ZOO`: accuracy in real numbers, in integers and in
hardware, on the official test sets.

`python benchmarks/zoo.py NAME …` measures some of them and keeps the rows of the others.
"""

import os
import sys
from pathlib import Path

import firstspike as fs
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe_file import recipe_of
from table import Row, publish, published

ZOO = Path(__file__).parents[1] / "zoo"
FLOORS = {
    "mnist_ettfs": 0.98, "mnist_ettfs_conv": 0.992, "mnist_diet": 0.992, "mnist_latency": 0.992,
    "mnist_multi_threshold": 0.993, "mnist_vgg": 0.995, "fashion_ettfs": 0.89, "fashion_ettfs_conv": 0.905,
    "fashion_diet": 0.905, "fashion_latency": 0.905, "fashion_multi_threshold": 0.905, "fashion_vgg": 0.928,
    "cifar10_chip": 0.88, "cifar10_chip4": 0.88, "cifar10_latency": 0.91, "cifar10_diet": 0.905, "cifar10_ettfs": 0.87,
}
LOST, LOST_BY_FOUR_BITS = 0.002, 0.005
"""Accuracy that the integers may lose, and those whose inner layers have four bits or fewer."""
INFERENCES, DEVICE, LANES = 1000, "artix-100t", 256
FEWER = {"cifar10_latency": 50, "cifar10_diet": 100, "cifar10_chip4": 500}
"""Images simulated of networks that take many cycles."""
OUTSIDE = ("cifar10_latency",)
"""Networks whose weights go outside the chip where they do not fit it."""
SAMPLES_OUTSIDE, DEVICE_OUTSIDE = 8, "artix-200t"
"""Images by which such a network is mapped, and a device whose block RAMs have its membranes."""
METHODS = {
    "ettfs": "ETTFS", "diet_snn": "DIET-SNN", "latency_coding": "latency coding", "multi_threshold": "multi-threshold",
}


def measure(path: Path) -> Row:
    """Integers on the whole test set; every class, spike and cycle of the first inferences in hardware."""
    network = fs.load(path)
    recipe = recipe_of(network)
    samples, _ = load_inputs(recipe, "validation")
    inputs, labels = load_inputs(recipe, "test")
    device, options = DEVICE, {"lane_budget": LANES}
    if path.stem in OUTSIDE:
        samples, device, options = samples[:SAMPLES_OUTSIDE], DEVICE_OUTSIDE, {"lane_budget": None, "external": "auto"}
    mapping = fs.map_to_device(network, samples, device=device, **options)
    program = mapping.compilation.program
    right = float((fs.infer(program, inputs).classes == labels).mean())
    outcome = fs.verify(program, inputs[:FEWER.get(path.stem, INFERENCES)])
    count = len(outcome.classes)
    hardware = float((outcome.classes == labels[:count]).mean())
    compared, different = (sum(getattr(check, name) for check in outcome.checks) for name in ("compared", "different"))
    floor, real = FLOORS.get(path.stem, 0.0), network.accuracy["float_test"]
    bits = "-".join(map(str, recipe.quantisation.weight_bits))
    lost = LOST_BY_FOUR_BITS if max(recipe.quantisation.weight_bits[1:-1], default=8) <= 4 else LOST
    return Row(
        what=f"zoo/{path.stem}: {METHODS[recipe.method.kind]}, {recipe.network.layers}, T = {network.steps}, {bits} "
             f"bits, seed {recipe.seed}",
        floor=f"{f'≥ {floor:.1%}, ' if floor else ''}float − {lost:.1%}; 0 differences",
        measured=f"{right:.2%} (float {real:.2%}, validation {network.accuracy['quantised_validation']:.2%}); RTL on "
                 f"{count} of {len(labels)}: {hardware:.1%}, {different} differences in {compared} values, "
                 f"{outcome.intervals.mean():.0f} cycles an image on {mapping.elements} processing elements of "
                 f"{device}" + f", {program.external_octets / 1e6:.1f} MB of weights outside" * bool(program.external),
        met=right >= floor and right >= real - lost and not different,
    )


def name_of(row: Row) -> str:
    """Of the network: a row begins with zoo/NAME."""
    return row.what.removeprefix("zoo/").partition(":")[0]


def main() -> None:
    folders = [ZOO, *(Path(folder) for folder in [os.environ.get("FIRSTSPIKE_ZOO")] if folder)]
    found = {path.stem: path for folder in folders for path in sorted(folder.glob("*.safetensors"))}
    wanted = sys.argv[1:] or list(found)
    if unknown := set(wanted) - set(found):
        sys.exit(f"NAME must be one of {', '.join(found)}, not {', '.join(sorted(unknown))}")
    rows = {name_of(row): row for row in published("zoo")} if sys.argv[1:] else {}
    rows = {name: row for name, row in rows.items() if name in found}
    for name in wanted:
        print(name, file=sys.stderr)
        rows[name] = measure(found[name])
        missing = sorted({*found, *FLOORS} - set(rows))
        publish("zoo", [*(rows[name] for name in sorted(rows)), *(
            Row(what=f"zoo/{other}", floor="–", measured="not measured yet", met=False) for other in missing)])


if __name__ == "__main__":
    main()
