# SPDX-License-Identifier: MIT
"""Count the events of each layer of the zoo's networks on their validation images, and keep them in the files.

`firstspike train` does it for new networks. `python benchmarks/count_events.py NAME …` takes some of them.
"""

import sys
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike.event_counts import SAMPLES
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe_file import recipe_of

ZOO = Path(__file__).parents[1] / "zoo"


def main() -> None:
    for name in sys.argv[1:] or sorted(path.stem for path in ZOO.glob("*.safetensors")):
        path = ZOO / f"{name}.safetensors"
        network = fs.load(path)
        inputs, _ = load_inputs(recipe_of(network), "validation")
        counted = fs.count_events(network, np.asarray(inputs[:SAMPLES]))
        fs.save(counted, path)
        print(f"{name}: {', '.join(f'{layer.events:g}' for layer in counted.layers)}")


if __name__ == "__main__":
    main()
