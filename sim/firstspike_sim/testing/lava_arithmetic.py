# SPDX-License-Identifier: MIT
"""What lava-dl's blocks of CUBA neurons do, restated from docs/bring_your_own.md, "From lava-dl", in whole numbers;
and files in its layout.

A weight, bias and threshold of 1 is 64 on currents and membranes. Nothing here is shared with the reader.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

UNIT, WHOLE = 64, 4096


def decayed(states: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """What a step leaves of currents or membranes: the magnitude is rounded down, the sign stays."""
    kept = [abs(int(state)) * (WHOLE - int(one)) // WHOLE for state, one in zip(states, decay, strict=True)]
    return np.array([-one if state < 0 else one for one, state in zip(kept, states, strict=True)])


def neurons_run(
    currents: np.ndarray, recurrent: np.ndarray | None, fields: Mapping[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes before the reset, int64[T, M], from Σ W·s of each step, int64[T, M]."""
    steps, count = currents.shape
    channels = np.repeat(np.arange(fields["channels"]), count // fields["channels"])

    def of_neurons(name: str) -> np.ndarray:
        value = np.ravel(fields[name]).astype(int)
        return value[channels] if value.size > 1 else np.repeat(value, count)

    current_decay, voltage_decay, threshold = (of_neurons(f"neuron/{name}") for name in ("iDecay", "vDecay", "vThMant"))
    bias = of_neurons("bias") if "bias" in fields else np.zeros(count, dtype=int)
    i, v, spikes = (np.zeros(count, dtype=int) for _ in range(3))
    fired, membranes = [], []
    for step in range(steps):
        got = currents[step] + (0 if recurrent is None else recurrent @ spikes)
        i = decayed(i, current_decay) + UNIT * got
        v = decayed(v, voltage_decay) + i + UNIT * bias
        spikes = (v > UNIT * threshold).astype(int)
        membranes.append(v)
        v = np.where(spikes, 0, v)
        fired.append(spikes)
    return np.array(fired), np.array(membranes)


def map_sums(spikes: np.ndarray, fields: Mapping[str, Any]) -> np.ndarray:
    """Σ W·s of the positions of a convolution, [Co, H, W], from spikes [C, H, W]."""
    weights, (down, across) = fields["weight"].astype(int), fields["stride"]
    spread, padding = fields["dilation"], fields["padding"]
    padded = np.pad(spikes, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    span = [(size - 1) * gap + 1 for size, gap in zip(weights.shape[2:], spread, strict=True)]
    rows, columns = ((side - one) // stride + 1 for side, one, stride in zip(
        padded.shape[1:], span, (down, across), strict=True))
    per_group, sums = len(weights) // int(fields["groups"]), np.zeros((len(weights), rows, columns), dtype=int)
    for channel, y, x in np.ndindex(sums.shape):
        first = channel // per_group * weights.shape[1]
        window = padded[first : first + weights.shape[1], y * down : y * down + span[0] : spread[0],
                        x * across : x * across + span[1] : spread[1]]
        sums[channel, y, x] = (window * weights[channel]).sum()
    return sums


def pool_sums(spikes: np.ndarray, fields: Mapping[str, Any]) -> np.ndarray:
    """Σ W·s of the windows of a pool, side by side, from spikes [C, H, W]; what is beyond the map is 0."""
    weights = fields["weight"].astype(int)[0, 0]
    high, wide = weights.shape
    padded = np.pad(spikes, ((0, 0), (0, spikes.shape[1] % high), (0, spikes.shape[2] % wide)))
    sums = np.zeros((len(spikes), padded.shape[1] // high, padded.shape[2] // wide), dtype=int)
    for channel, y, x in np.ndindex(sums.shape):
        sums[channel, y, x] = (padded[channel, y * high : (y + 1) * high, x * wide : (x + 1) * wide] * weights).sum()
    return sums


def late(spikes: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Spikes [T, N] as many steps later as each address says; what is due after the end is lost."""
    found = np.zeros_like(spikes)
    for step, address in zip(*np.nonzero(spikes), strict=True):
        if step + delays[address] < len(spikes):
            found[step + delays[address], address] = spikes[step, address]
    return found


def lava_run(path: Path, inputs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Spikes and membranes, [T, M], of the neurons of each block, for spikes [T, N] or [T, C, H, W]."""
    found, values = [], inputs
    for fields in read_blocks(path):
        kind = fields["type"]
        if kind in ("input", "flatten"):
            continue
        flat = values.reshape(len(values), -1)
        recurrent = fields["weight_rec"].astype(int) if kind == "dense_rec" else None
        if kind.startswith("dense"):
            sums = flat @ fields["weight"].astype(int).T
        else:
            one = pool_sums if kind == "pool" else map_sums
            sums = np.array([one(step, fields) for step in values])
        shape, fields["channels"] = sums.shape[1:], values.shape[1] if kind == "pool" else len(fields["weight"])
        spikes, membranes = neurons_run(sums.reshape(len(sums), -1), recurrent, fields)
        found.append((spikes, membranes))
        delays = np.floor(np.ravel(fields.get("delay", 0))).astype(int)
        delays = np.repeat(np.broadcast_to(delays, fields["channels"]), spikes.shape[1] // fields["channels"])
        values = late(spikes, 1 + delays).reshape(-1, *shape)  # a block sends a step late
    return found


def read_blocks(path: Path) -> list[dict[str, Any]]:
    """The fields of each block, those of its neurons as "neuron/iDecay"."""
    with h5py.File(path) as file:
        blocks: list[dict[str, Any]] = []
        layers: Any = file["layer"]
        for number in range(len(layers)):
            fields: dict[str, Any] = {}
            layers[f"{number}"].visititems(
                lambda name, item, fields=fields: fields.update({name: item[()]}) if isinstance(item, h5py.Dataset)
                else None)
            blocks.append(fields | {"type": np.ravel(fields["type"])[0].decode()})
    return blocks


def write_lava(path: Path, blocks: Sequence[Mapping[str, Any]]) -> None:
    """Write a file in the layout of lava-dl 0.6.0: a group for each block, with the given fields."""
    with h5py.File(path, "w") as file:
        for number, fields in enumerate(blocks):
            group = file.create_group(f"layer/{number}")
            for name, value in fields.items():
                if name == "type":
                    group.create_dataset("type", (1,), "S10", [value.encode()])
                else:
                    group.create_dataset(name, data=value)


def cuba(*, current: Any = 1024, voltage: Any = 123, threshold: int = 80, **more: Any) -> dict[str, Any]:
    """Fields of CUBA neurons."""
    return {"neuron/type": "CUBA", "neuron/iDecay": current, "neuron/vDecay": voltage, "neuron/vThMant": threshold,
            "neuron/refDelay": 1, "neuron/gradedSpike": False, **{f"neuron/{name}": one for name, one in more.items()}}


def dense(weights: np.ndarray, **fields: Any) -> dict[str, Any]:
    """A dense block; its neurons are those of `cuba` unless others are given."""
    neurons = {} if any(name.startswith("neuron/") for name in fields) else cuba()
    return {"type": "dense", "shape": [len(weights)], "inFeatures": weights.shape[1], "outFeatures": len(weights),
            "weight": weights.astype(np.float32), **neurons, **fields}


def write_chain(path: Path, sizes: Sequence[int], *, threshold: int) -> None:
    """Write dense blocks of these sizes with random weights, all alive: decays of 1/4 and 3 %, as in lava-dl's
    tutorials, and others in the second."""
    random = np.random.default_rng(sizes[0])
    blocks: list[dict[str, Any]] = []
    for inputs, count in pairwise(sizes):
        weights = random.normal(threshold / 40, threshold / 3, (count, inputs)) / np.sqrt(inputs)
        weights = np.clip(2 * np.rint(weights / 2), -256, 254).astype(int)
        decays = {"current": 410, "voltage": 1234} if len(blocks) == 1 else {}
        blocks.append(dense(weights, **cuba(threshold=threshold, **decays)))
    write_lava(path, blocks)
