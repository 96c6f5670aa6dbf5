# SPDX-License-Identifier: MIT
"""Float reference: a real-valued network by torch's own operations, in float64, before anything is rounded.

Written apart from the golden model, all but the sums of the synapses, so that the one checks the other: where all
numbers are multiples of a power of two their spikes are the same; otherwise their difference is what quantising cost.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from firstspike_arch.connectivity import Conv2d, Dense, size_of
from firstspike_arch.fixed import standardise
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron

from ..stimulus import encode_direct, encode_latency
from .synaptic_sums import synaptic_sums

__all__ = ["FloatResult", "run_float"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatResult:
    """What a batch of B inferences of T steps means in real numbers.

    Parameters
    ----------
    classes : int64[B]
        Of an endless network [B·⌈T / steps⌉], of each window of an inference after the other.
    spikes : tuple of float64[B, T, M]
        Magnitudes: of the input, then of every layer.
    membranes : tuple of float64[B, T, M]
        Pre-reset membranes of every layer.
    """

    classes: np.ndarray
    spikes: tuple[np.ndarray, ...]
    membranes: tuple[np.ndarray, ...]


def run_float(network: FloatNetwork, inputs: np.ndarray) -> FloatResult:
    """Run a batch.

    Parameters
    ----------
    inputs : uint8[B, N] (latency), integer[B, N] (direct) or integer[B, T, N] (events)

    Raises
    ------
    ValueError
        Inputs of another shape.
    """
    count, shape = size_of(network.input_shape), np.shape(inputs)
    wanted = ("batch", "steps", count) if network.input_kind == "events" else ("batch", count)
    if len(shape) != len(wanted) or shape[-1] != count:
        raise ValueError(f"inputs must have shape ({', '.join(map(str, wanted))}), not {shape}")
    if network.input_kind == "latency":
        source = encode_latency(inputs, network.steps, network.cutoff).astype(np.float64)
    elif network.input_kind == "direct":
        source = encode_direct(inputs, network.steps) * network.input_scale
    else:
        source = np.asarray(inputs, dtype=np.float64) * network.input_scale
    streams, membranes = [torch.as_tensor(source)], []
    for index, layer in enumerate(network.layers):
        static = index == 0 and network.input_kind == "direct" and layer.neuron.theta_fall is None
        spikes, potentials = _layer(network, index, layer, streams, static)
        streams.append(spikes)
        membranes.append(potentials)
    return FloatResult(
        classes=torch.stack([_classes(network, streams[-1][:, window], membranes[-1][:, window])
                             for window in network.windows(streams[-1].shape[1])], 1).flatten().numpy(),
        spikes=tuple(stream.numpy() for stream in streams),
        membranes=tuple(one.numpy() for one in membranes),
    )


def _layer(network: FloatNetwork, index: int, layer: FloatLayer, streams: list[torch.Tensor], static: bool):
    neuron = layer.neuron
    sets = [(source, _synapses(one, network.steps), one.delays) for source, one in (
        (index - 1, layer), *((branch.source, branch) for branch in layer.branches))]
    taken = [None if source == index else _delayed(streams[source + 1], delays) for source, _, delays in sets]
    if layer.max_pool and layer.connectivity is not None and taken[0] is not None:
        taken[0] = _first_of_windows(taken[0], layer.connectivity)
    batch, steps, _ = streams[0].shape
    pool, count = layer.current_pool, len(np.asarray(layer.weight))

    def largest(sums: torch.Tensor) -> torch.Tensor:
        if pool is None or layer.connectivity is None:
            return sums
        return functional.max_pool2d(
            sums.reshape(-1, *layer.connectivity.out_shape), pool.kernel, pool.stride, pool.padding, pool.dilation,
            pool.ceil_mode).flatten(1)

    neurons = largest(sets[0][1](streams[index][:, 0])).shape[1]

    def vector(value) -> torch.Tensor:
        return torch.as_tensor(np.repeat(np.asarray(value, dtype=np.float64), neurons // count, axis=-1))

    bias = vector(np.zeros(count) if neuron.bias is None else neuron.bias)
    bias = bias + (0 if layer.shift is None else vector(layer.shift))
    theta = np.zeros((0, count)) if neuron.theta is None else np.asarray(neuron.theta).reshape(count, -1).T
    levels = list(vector(theta))
    reset_step = vector(neuron.reset_step) if neuron.reset_step is not None else sum(levels[:1], torch.zeros(()))
    v_reset = vector(np.zeros(count) if neuron.v_reset is None else neuron.v_reset)
    leak = vector(neuron.leak) if isinstance(neuron.leak, np.ndarray) else neuron.leak
    current_leak = neuron.current_leak
    current_leak = vector(current_leak) if isinstance(current_leak, np.ndarray) else current_leak
    fall = np.zeros(steps) if neuron.theta_fall is None else neuron.theta_fall
    v = vector(np.zeros(count) if neuron.v_init is None else neuron.v_init).expand(batch, -1)
    lasting = torch.zeros_like(v)
    rise = torch.zeros_like(v)
    rises, rise_leak = (0.0 if one is None else vector(one) if isinstance(one, np.ndarray) else one
                        for one in (neuron.theta_rise, neuron.rise_leak))
    spike, has_fired = torch.zeros_like(v), torch.zeros_like(v, dtype=torch.bool)
    fired, potentials = [], []
    for step in range(steps):
        frozen, v = v, v * leak
        if neuron.reset_delay:
            v = _reset(neuron, v, spike, reset_step, v_reset)
        sums = [synapses(stream[:, 0 if static else step])
                for (_, synapses, _), stream in zip(sets, taken, strict=True) if stream is not None]
        current = largest(torch.stack(sums).sum(0))
        for source, synapses, delays in sets:
            if source == index and step:
                current = current + synapses(_due(fired, delays))
        if current_leak is not None:
            earlier, lasting = lasting, lasting * current_leak + current + (bias if neuron.current_bias else 0)
            current = earlier if neuron.current_delay else lasting
        v = v + current
        if (step == 0 or not neuron.bias_once) and not neuron.current_bias:
            v = v + bias
        if neuron.single_spike:
            v = torch.where(has_fired, frozen, v)
        potentials.append(v)
        spike = torch.zeros_like(v)
        for level in levels:
            edge = level - fall[step] + rise
            spike = spike + (v > edge if neuron.strict else v >= edge)
        if neuron.single_spike:
            spike = torch.where(has_fired, 0.0, spike)
            has_fired = has_fired | (spike > 0)
        fired.append(spike)
        after = v
        if not neuron.reset_delay:
            after = _reset(neuron, v, spike, reset_step + rise if neuron.reset_rise else reset_step, v_reset)
        rise = rise * rise_leak + spike * rises
        after = after.clamp(neuron.v_min, neuron.v_max) if neuron.clamped else after
        v = torch.where(has_fired, v, after) if neuron.single_spike else after
    return torch.stack(fired, 1), torch.stack(potentials, 1)


def _delayed(spikes: torch.Tensor, delays: np.ndarray | None) -> torch.Tensor:
    """Spikes [B, T, N], with each address later by its delay."""
    if delays is None:
        return spikes
    steps = list(spikes.unbind(1))
    return torch.stack([_due(steps[: step + 1], delays) for step in range(len(steps))], 1)


def _due(steps: list[torch.Tensor], delays: np.ndarray | None) -> torch.Tensor:
    """What comes in the last of some steps, of the spikes [B, N] of each."""
    if delays is None:
        return steps[-1]
    late = torch.zeros_like(steps[-1])
    for delay in np.unique(delays[delays < len(steps)]).tolist():
        addresses = torch.as_tensor(delays == delay)
        late[:, addresses] = steps[-1 - delay][:, addresses]
    return late


def _first_of_windows(spikes: torch.Tensor, synapses: Dense | Conv2d) -> torch.Tensor:
    """The first spike of each window at each of its pixels' first one, so that their sum is what passes."""
    fired = spikes.cumsum(1).clamp(max=1).flatten(0, 1).reshape(-1, *synapses.in_shape)
    windows = functional.max_pool2d(fired, synapses.pool_sides).unflatten(0, spikes.shape[:2])
    first = torch.diff(windows, dim=1, prepend=torch.zeros_like(windows[:, :1]))
    # One pixel of each window stands for it: the synapses add up whole windows.
    spread = torch.zeros(*spikes.shape[:2], *synapses.in_shape, dtype=spikes.dtype)
    (down, across), (height, width) = synapses.pool_sides, windows.shape[-2:]
    spread[..., : height * down : down, : width * across : across] = first
    return spread.flatten(2)


def _reset(
    neuron: FloatNeuron, v: torch.Tensor, spike: torch.Tensor, reset_step: torch.Tensor, v_reset: torch.Tensor,
) -> torch.Tensor:
    if neuron.reset == "subtract":
        return v - spike * reset_step
    return torch.where(spike > 0, v_reset, v) if neuron.reset == "zero" else v


def _synapses(one: FloatLayer | FloatBranch, steps: int):
    """What one set of synapses adds to the membranes, from spikes float64[B, N]."""
    weight = np.asarray(one.weight, dtype=np.float64)
    synapses = one.connectivity or Dense(in_shape=weight.shape[1:], neurons=len(weight))
    gain = getattr(one, "gain", None)
    if gain is not None:
        weight = (np.asarray(gain)[:, None] * standardise(weight.reshape(len(weight), -1), steps)).reshape(weight.shape)
    weight = torch.as_tensor(weight)

    def apply(x: torch.Tensor) -> torch.Tensor:
        return synaptic_sums(synapses, weight, x, average=one.average_pool)

    return apply


def _classes(network: FloatNetwork, spikes: torch.Tensor, potentials: torch.Tensor) -> torch.Tensor:
    """int64[B] from spikes and membranes [B, T, C] of the output layer."""
    if network.readout == "potential":
        return potentials[:, -1].argmax(1)
    if network.readout == "spike_count":
        return spikes.sum(1).argmax(1)
    if network.readout == "weighted_spikes":
        weights = torch.as_tensor(network.step_weights[: spikes.shape[1]], dtype=torch.float64)
        return (spikes * weights[:, None]).sum(1).argmax(1)
    fires = (spikes > 0).any(2)
    silent = ~fires.any(1)
    at = torch.where(silent, spikes.shape[1] - 1, fires.to(torch.uint8).argmax(1))
    rows = torch.arange(len(spikes))
    candidates = (spikes[rows, at] > 0) | silent[:, None]
    return torch.where(candidates, potentials[rows, at], -torch.inf).argmax(1)
