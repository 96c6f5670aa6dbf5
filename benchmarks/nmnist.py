# SPDX-License-Identifier: MIT
"""A network that others trained, on real event-camera recordings: nmnist_cnn.nir on N-MNIST, 1 ms a step."""

import os
import sys
from pathlib import Path

import firstspike as fs
import numpy as np
import torch
from firstspike_arch.connectivity import Conv2d
from firstspike_arch.model import FloatNetwork
from firstspike_compiler.frontends.nir_file import load_nir
from firstspike_train.recordings import load_nmnist
from table import Row, publish
from torch.nn import functional

STEPS = 300
MODEL = "../models/nmnist_cnn.nir"


def float_classes(network: FloatNetwork, counts: np.ndarray) -> np.ndarray:
    """Classes by torch in real numbers, of networks without leak that reset to zero."""
    membranes = [torch.zeros(()) for _ in network.layers]
    total = torch.zeros(())
    for step in range(STEPS):
        x = torch.as_tensor(counts[:, step], dtype=torch.float64)
        for index, layer in enumerate(network.layers):
            synapses = layer.connectivity
            assert synapses is not None and layer.theta is not None
            x = x.reshape(len(counts), *synapses.in_shape)
            if synapses.pool > 1:
                x = functional.avg_pool2d(x, synapses.pool, divisor_override=1)
            weight, bias = torch.as_tensor(layer.weight), torch.as_tensor(layer.bias)
            if isinstance(synapses, Conv2d):
                x = functional.conv2d(x, weight, bias, synapses.stride, synapses.padding)
            else:
                x = functional.linear(x.flatten(1), weight, bias)
            theta = torch.as_tensor(layer.theta).reshape(-1, *[1] * (x.ndim - 2))
            membranes[index] = membranes[index] + x
            x = (membranes[index] > theta).to(torch.float64)
            membranes[index] = torch.where(x > 0, 0.0, membranes[index])
        total = total + x
    return total.argmax(1).numpy()


def main() -> None:
    path = Path(os.environ.get("FIRSTSPIKE_DATA", ".")) / MODEL
    if not path.exists():
        sys.exit(f"{path}: must be there; it comes with the NIR project's paper repository")
    counts, labels = load_nmnist("test", STEPS)
    network = load_nir(path, steps=STEPS, reset="zero", strict=True, readout="spike_count")
    in_float = float_classes(network, counts)
    program = fs.compile(network, lanes=[16, 16, 8, 64, 10], in_max=int(counts.max())).program
    classes = fs.predict(program, counts).classes
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
