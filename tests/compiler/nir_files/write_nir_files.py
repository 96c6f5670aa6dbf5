# SPDX-License-Identifier: MIT
"""Writes the files of this folder: networks of frameworks that do not go with the others
(nir 1.0.8 writes no scalars, which sinabs exports), as they export them, with inputs, spikes and the options that they
need.

    pip install nir==1.0.7 sinabs==3.1.3 rockpool==3.1.0 && python write_nir_files.py
"""

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from firstspike_sim.testing.nir_exporters import draw_alive

written: set[tuple] = set()
for name, count in (("sinabs", 60), ("rockpool", 5)):
    for seed, one, inputs in draw_alive(name, count):
        spikes = one.run(torch.tensor(inputs[:5], dtype=torch.float32))
        neurons = {type(node).__name__ for node in one.graph.nodes.values() if hasattr(node, "v_threshold")}
        kind = (name, *sorted(neurons), *sorted(one.options.keys() - {"v_min"}))
        if kind in written or len(one.shape) > 1 or sum(layer.sum() for layer in spikes) < 100:
            continue
        written.add(kind)
        path = Path(__file__).with_name(f"{name}_{seed}.nir")
        nir.write(path, one.graph)
        arrays: dict[str, Any] = {f"spikes{index}": layer.astype(np.uint8) for index, layer in enumerate(spikes)}
        np.savez_compressed(path.with_suffix(".npz"), inputs=inputs[:5].astype(np.int8),
                            options=json.dumps(one.options), **arrays)
