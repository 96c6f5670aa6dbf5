# SPDX-License-Identifier: MIT
"""Writes the files of this folder: networks as lava-dl exports them, with inputs and what lava-dl's own neurons fire.

    pip install lava-dl==0.6.0 && python write_lava_files.py    # with Python 3.10, the newest that lava-dl takes
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from lava.lib.dl import slayer

STEPS, BATCH = 24, 4
BLOCKS = slayer.block.cuba


def neurons(random: np.random.Generator, **more: Any) -> dict[str, Any]:
    """Parameters of the neurons of one block, each of its own: recurrent blocks change them."""
    return {"threshold": float(random.choice([0.5, 1.25, 2.0])),
            "current_decay": float(random.choice([0.25, 0.03, 0.4, 0.121])),
            "voltage_decay": float(random.choice([0.03, 0.1, 0.5, 0.3])), **more}


def networks(random: np.random.Generator) -> dict[str, tuple[tuple[int, ...], list[torch.nn.Module]]]:
    """Shape of the input, and blocks, of each network."""
    def one(**more: Any) -> dict[str, Any]:
        return neurons(random, **more)

    norm = {"norm": slayer.neuron.norm.MeanOnlyBatchNorm}
    apart = {"shared_param": False, "current_decay": [0.1, 0.5], "voltage_decay": [0.05, 0.4]}
    return {
        "delays": ((20,), [BLOCKS.Dense(one(), 20, 12, weight_scale=3, delay=True, weight_norm=True),
                           BLOCKS.Dense(one(), 12, 9, weight_scale=4, delay=True),
                           BLOCKS.Dense(one(), 9, 5, weight_scale=4)]),
        "biases": ((20,), [BLOCKS.Dense(one(**norm), 20, 12, weight_scale=3, delay=True),
                           BLOCKS.Dense(one(**norm), 12, 9, weight_scale=4),
                           BLOCKS.Dense(one(**norm), 9, 5, weight_scale=4)]),
        "channels": ((20,), [BLOCKS.Dense(one(**apart), 20, 12, weight_scale=3),
                             BLOCKS.Dense(one(current_decay=1.0), 12, 9, weight_scale=4),
                             BLOCKS.Dense(one(current_decay=0.0, voltage_decay=1.0), 9, 5, weight_scale=1)]),
        "recurrent": ((20,), [BLOCKS.Recurrent(one(), 20, 12, weight_scale=3), BLOCKS.Recurrent(one(), 12, 9,
                                                                                              weight_scale=3),
                              BLOCKS.Dense(one(), 9, 5, weight_scale=4)]),
        "maps": ((2, 8, 7), [BLOCKS.Input(delay_shift=False),  # with the shift, it does not run without neurons
                             BLOCKS.Conv(one(), 2, 4, 3, padding=1, weight_scale=4, delay=True),
                             BLOCKS.Pool(one(), 2, weight_scale=1.5),
                             BLOCKS.Conv(one(), 4, 6, 3, stride=(1, 2), groups=2, weight_scale=5),
                             BLOCKS.Flatten(), BLOCKS.Dense(one(), 12, 5, weight_scale=4)]),
        "affine": ((20,), [BLOCKS.Dense(one(), 20, 12, weight_scale=3), BLOCKS.Affine(one(), 12, 5, weight_scale=3)]),
    }


def run(blocks: list[torch.nn.Module], values: torch.Tensor) -> list[np.ndarray]:
    """What the neurons of each block fire, before it is sent a step late; the membranes of an affine block."""
    found = []
    for block in blocks:
        got: list[torch.Tensor] = []
        neuron = getattr(block, "neuron", None)
        hook = None if neuron is None else neuron.register_forward_hook(lambda *call, got=got: got.append(call[2]))
        values = block(values)
        if hook is not None:
            hook.remove()
            found.append((torch.cat(got, -1) if got else values * neuron.s_scale).numpy())
    return found


def reset(blocks: list[torch.nn.Module]) -> None:
    """Forget the states of earlier runs."""
    for module in (module for block in blocks for module in block.modules()):
        for name in ("current_state", "voltage_state", "spike_state"):
            if hasattr(module, name):
                setattr(module, name, torch.zeros(1))
        module.delay_buffer = None


def main() -> None:
    torch.set_grad_enabled(False)
    torch.manual_seed(4)
    random = np.random.default_rng(4)
    for name, (shape, blocks) in networks(random).items():
        values = (torch.rand(BATCH, *shape, STEPS) < 0.25).float()
        for block in blocks:
            block.eval()
        run(blocks, values)  # sets shapes
        for block in blocks:
            if getattr(block, "delay", None) is not None:
                block.delay.delay.data = 5 * torch.rand(len(block.delay.delay))
            if getattr(block, "neuron", None) is not None and block.neuron.norm is not None:
                mean = random.integers(-6, 7, block.neuron.norm.num_features) / 32
                block.neuron.norm.running_mean = torch.tensor(mean, dtype=torch.float32)
        reset(blocks)
        fired = run(blocks, values)
        path = Path(__file__).with_name(f"{name}.net")
        with h5py.File(path, "w") as file:
            for index, block in enumerate(blocks):
                block.export_hdf5(file.create_group(f"layer/{index}"))
        in_steps = [np.moveaxis(one.reshape(BATCH, -1, STEPS), 2, 1) for one in (values.numpy(), *fired)]
        np.savez_compressed(path.with_suffix(".npz"), inputs=in_steps[0].astype(np.uint8),
                            **{f"spikes{index}": one.astype(np.int32) for index, one in enumerate(in_steps[1:])})
        print(name, [round(float((one != 0).mean()), 2) for one in in_steps[1:]])


main()
