# SPDX-License-Identifier: MIT
"""Golden model: the integer network in PyTorch, batched, on CPU or GPU, to the bit.

Why floating-point matrix products and convolutions are exact here: a synaptic sum adds products weight × count. Every
partial sum, in whatever order a BLAS adds and with or without fused multiply-add, is an integer of magnitude at most
max over neurons of Σ|w| · (largest count of an address in a step). float32 holds every integer up to 2^24 and
float64 up to 2^53, so below these bounds nothing is ever rounded. A GPU may be told to multiply in shortened
formats (TF32, bfloat16): they hold weights, and counts up to 2^8; larger ones are multiplied in float64 there. 2^53 is
out of reach for any layer of less than 2^37 inputs.

Membranes are int32 where a bound on their magnitude proves that nothing can overflow (`_membrane_type`), else int64.

Of an input, "count" is the number that is given, of either sign; nothing else changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from firstspike_arch.backend import DecidedBy
from firstspike_arch.connectivity import Dense, Window
from firstspike_arch.fixed import latency_step, leaked
from firstspike_arch.network import Branch, IntegerNetwork, Layer, Neuron

from ..inputs import check_inputs
from .synaptic_sums import synaptic_sums

__all__ = ["GoldenModel", "GoldenResult", "Progress", "decide", "unseen"]

Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)``, with counts."""

FLOAT32_EXACT = 1 << 24
"""Integers of at most this magnitude are exact in float32."""

SHORT_EXACT = 1 << 8
"""Integers of at most this magnitude are exact in bfloat16 and TF32."""

CHUNK_ELEMENTS = 1 << 25
"""Inferences are taken in chunks of at most about this many input or neuron values of all steps, to limit memory…"""

STEP_ELEMENTS = 1 << 19
"""… and, on a CPU, of about this many in each step, which its caches hold."""

FEW = 1 / 16
"""Up to this share of spikes, adding up their weights is faster than a matrix product, on a CPU."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenResult:
    """What a batch of B inferences of T steps means.

    There are R = B results; of an endless network with windows of n steps R = B·⌈T / n⌉, one inference's after the
    other's.

    Parameters
    ----------
    classes, steps, decided_by : int64[R]
        Class, decision step, and `DecidedBy` of each result. ``steps``: t* of first_spike, and of weighted_spikes with
        single-spike outputs (T − 1 if silent); otherwise T − 1. A window's steps are counted from its first.
    scores : int64[R, C]
        Evidence at the decision: pre-reset membranes of the output neurons (first_spike, potential), weighted sums
        over t ≤ t* (weighted_spikes), spike counts (spike_count).
    spikes : tuple of bool[B, T, M] or uint8[B, T, M]
        Magnitudes of every layer's spikes (bool where they can only be 1), those of the input first, over all T steps.
        An input that can be negative is int16[B, T, N], and so is that of a direct network, which comes in step 0.
    membranes : tuple of int64[B, T, M] or None
        Pre-reset membranes of every layer, if asked for. A neuron that fires once keeps its value from then on.
    """

    classes: np.ndarray
    steps: np.ndarray
    decided_by: np.ndarray
    scores: np.ndarray
    spikes: tuple[np.ndarray, ...]
    membranes: tuple[np.ndarray, ...] | None = None


def unseen(done: int, total: int) -> None:
    """Show no progress."""


class GoldenModel:
    """The meaning of an integer network.

    Parameters
    ----------
    network : IntegerNetwork
    """

    def __init__(self, network: IntegerNetwork):
        self.network = network

    def run(
        self, inputs: np.ndarray | torch.Tensor, *, device: str | torch.device = "cpu", membranes: bool = False,
        progress: Progress = unseen,
    ) -> GoldenResult:
        """Run a batch.

        Parameters
        ----------
        inputs : uint8[B, N], integers[B, N], or integers[B, T, N]
            Images ("latency") or numbers ("direct"), T = ``network.steps``; or spike counts per step ("events",
            1 ≤ T ≤ ``steps_max``; any T of an endless network). See `check_inputs`.
        device : str or torch.device
            Where to compute; the result is in host memory.
        membranes : bool
            Whether to return all membranes.
        progress : callable
            Called as ``progress(done, total)``, counts of inferences.

        Raises
        ------
        ValueError
            Wrong shape, type or range of the inputs.
        """
        network = self.network
        values = check_inputs(network, inputs)
        steps = values.shape[1] if network.input_kind == "events" else network.steps
        widest = max(network.inputs, *(layer.neurons for layer in network.layers))
        size = CHUNK_ELEMENTS // (steps * widest)
        if torch.device(device).type == "cpu":
            size = min(size, STEP_ELEMENTS // widest)
        size = max(1, size)
        synapses = [
            [_Synapses(branch, network.largest(branch.source), device, layer.weight_unit)
             for branch in layer.synapses(index)]
            for index, layer in enumerate(network.layers)
        ]
        parts = []
        for start in range(0, max(1, len(values)), size):
            chunk = torch.tensor(values[start : start + size], device=device)
            parts.append(self._run_chunk(chunk, steps, synapses, membranes))
            progress(min(start + size, len(values)), len(values))
        classes, at, decided_by, scores, spikes, potentials = zip(*parts, strict=True)
        return GoldenResult(
            classes=_joined(classes), steps=_joined(at), decided_by=_joined(decided_by), scores=_joined(scores),
            spikes=tuple(_joined(stream) for stream in zip(*spikes, strict=True)),
            membranes=tuple(_joined(layer) for layer in zip(*potentials, strict=True)) if membranes else None,
        )

    def _run_chunk(self, values: torch.Tensor, steps: int, synapses: list[list["_Synapses"]], membranes: bool):
        network = self.network
        if network.input_kind == "latency":
            spikes = [_encode(values, steps, network.cutoff)]
        elif network.input_kind == "direct":
            spikes = [functional.pad(values.to(torch.int16)[:, None], (0, 0, 0, steps - 1))]
        else:
            spikes = [values.to(torch.int16 if network.in_min < 0 else torch.uint8)]
        potentials = []
        for index, (layer, sets) in enumerate(zip(network.layers, synapses, strict=True)):
            keep = membranes or index == len(synapses) - 1
            static, recurrent = network.is_static(index), [one for one in sets if one.source == index]
            currents = torch.zeros(())
            for one in sets:
                if one.source != index:
                    stream = one.delayed(spikes[one.source + 1])
                    currents = currents + one(stream[:, :1] if static else stream)
            if layer.current_pool is not None:
                currents = _largest(layer, layer.current_pool, currents)
            if static:
                currents = currents.expand(-1, steps, -1).contiguous()
            fired, potential = _neurons(layer, currents, recurrent, sum(one.magnitude for one in sets), keep)
            spikes.append(fired)
            potentials.append(potential)
        decisions = [decide(network, spikes[-1][:, window], potentials[-1][:, window])
                     for window in network.windows(steps)]
        decision = [torch.stack(parts, 1).flatten(0, 1) for parts in zip(*decisions, strict=True)]
        return (*decision, spikes, potentials if membranes else [])


def _joined(parts: tuple[torch.Tensor, ...]) -> np.ndarray:
    return torch.cat([part.cpu() for part in parts]).numpy()


def _encode(images: torch.Tensor, steps: int, cutoff: int) -> torch.Tensor:
    """uint8[B, N] → bool[B, T, N]."""
    table = latency_step(torch.arange(256), steps)
    table[: min(cutoff, 256)] = steps  # never
    table = table.to(torch.uint8 if steps < 256 else torch.int16)
    # NumPy looks up faster than torch, and an image is small compared with its spikes.
    at = torch.from_numpy(table.numpy()[images.cpu().numpy()]).to(images.device)
    return at[:, None, :] == torch.arange(steps, device=images.device).to(at.dtype)[:, None]


class _Synapses:
    """Σ W·s of all steps at once, in steps of the membranes, of which a step of the weights is ``unit``, a power of
    two: integer[B, T, N] → exact float[B, T, M]."""

    def __init__(self, branch: Branch, largest: int, device: str | torch.device, unit: int):
        weights, self._synapses, self.source = np.asarray(branch.weights), branch.connectivity, branch.source
        sums = np.abs(weights.astype(np.int64)).reshape(self._synapses.channels, -1).sum(1)
        magnitude, self._unit = int(sums.max()) * largest * self._synapses.pool_size, unit
        self.magnitude = magnitude * unit
        shortens = torch.device(device).type != "cpu" and largest * self._synapses.pool_size > SHORT_EXACT
        self._dtype = torch.float64 if shortens or magnitude >= FLOAT32_EXACT else torch.float32
        self._weights = torch.as_tensor(weights.astype(np.int16)).to(device).to(self._dtype)
        self._delays = None if branch.delays is None else torch.as_tensor(branch.delays).to(device)
        self._columns = None  # the weights of each input, if they can be added up
        if isinstance(self._synapses, Dense) and self._synapses.pool_size == 1 and self._weights.device.type == "cpu":
            self._columns = self._weights.T.contiguous()

    def __call__(self, spikes: torch.Tensor) -> torch.Tensor:
        rows = spikes.flatten(0, 1)
        if self._columns is not None and rows.dtype == torch.bool and rows.count_nonzero() <= FEW * rows.numel():
            sums = _added_up(self._columns, rows)
        else:
            sums = synaptic_sums(self._synapses, self._weights, rows.to(self._dtype))
        return (sums if self._unit == 1 else sums * self._unit).unflatten(0, spikes.shape[:2])


    def delayed(self, spikes: torch.Tensor) -> torch.Tensor:
        """Spikes [B, T, N] of the source as the synapses take them."""
        if self._delays is None:
            return spikes
        return torch.cat([self.due(spikes, step) for step in range(spikes.shape[1])], 1)

    def due(self, spikes: torch.Tensor, step: int) -> torch.Tensor:
        """Spikes [B, 1, N] that come in a step, of those of all steps [B, T, N]."""
        if self._delays is None:
            return spikes[:, step : step + 1]
        since = step - self._delays
        sent = spikes.gather(1, since.clamp(min=0).expand(len(spikes), 1, -1))
        return sent * (since >= 0)


def _added_up(columns: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
    """The sum over the columns [N, M] of the neurons that fire, [K, M], from few spikes bool[K, N]."""
    inputs = spikes.shape[1]
    fired = np.flatnonzero(spikes.numpy())
    starts = np.searchsorted(fired, np.arange(len(spikes)) * inputs)
    return functional.embedding_bag(torch.from_numpy(fired % inputs), columns, torch.from_numpy(starts), mode="sum")


def _largest(layer: Layer, pool: Window, sums: torch.Tensor) -> torch.Tensor:
    """The largest sum of each window, [B, T, M], in the format of the sums [B, T, N]."""
    windows = functional.max_pool2d(sums.reshape(-1, *layer.sums_shape), pool.kernel, pool.stride, pool.padding,
                                    pool.dilation, pool.ceil_mode)
    return windows.reshape(*sums.shape[:2], layer.neurons)


def _neurons(layer: Layer, currents: torch.Tensor, recurrent: list[_Synapses], magnitude: int, keep: bool):
    """Spikes bool or uint8[B, T, M] and, to ``keep``, pre-reset membranes int64[B, T, M] from the synaptic sums."""
    neuron, steps = layer.neuron, currents.shape[1]
    integers = _membrane_type(neuron, steps, magnitude)

    def vector(values) -> torch.Tensor:
        return torch.as_tensor(layer.spread(np.asarray(values, dtype=np.int64)), device=currents.device).to(integers)

    bias, levels = vector(neuron.bias), [] if neuron.theta is None else list(vector(neuron.theta.T))
    reset_step = vector(neuron.first_theta if neuron.reset_step is None else neuron.reset_step)
    v_reset = vector(0 * neuron.bias if neuron.v_reset is None else neuron.v_reset)
    fall = [0] * steps if neuron.theta_fall is None else np.asarray(neuron.theta_fall).tolist()
    leak_num = vector(neuron.leak_num) if isinstance(neuron.leak_num, np.ndarray) else neuron.leak_num
    current_num = neuron.current_leak_num
    current_num = vector(current_num) if isinstance(current_num, np.ndarray) else current_num
    spikes = torch.zeros(currents.shape, dtype=torch.bool if neuron.levels <= 1 else torch.uint8, device=bias.device)
    potentials = torch.zeros(currents.shape if keep else 0, dtype=torch.int64, device=bias.device)
    v = vector(neuron.v_init).expand(currents.shape[0], -1)
    lasting = torch.zeros_like(v)
    rise = torch.zeros_like(v) if neuron.adapts else 0
    rises = vector(0 * neuron.bias if neuron.theta_rise is None else neuron.theta_rise)
    rise_num = vector(neuron.rise_leak_num) if isinstance(neuron.rise_leak_num, np.ndarray) else neuron.rise_leak_num
    has_fired = torch.zeros_like(v, dtype=torch.bool)
    for step in range(steps):
        before = v
        if neuron.leaky:
            v = leaked(v, leak_num, neuron.leak_shift, toward_zero=neuron.leak_toward_zero)
        if neuron.reset_delay and step:
            v = _reset(neuron.reset, v, spikes[:, step - 1], reset_step, v_reset)
        current = currents[:, step].to(integers)
        for synapses in recurrent:
            if step:
                current = current + synapses(synapses.due(spikes, step - 1))[:, 0].to(integers)
        if current_num is not None:
            earlier, lasting = lasting, current + leaked(
                lasting, current_num, neuron.current_leak_shift, toward_zero=neuron.leak_toward_zero)
            if neuron.current_bias:
                lasting = lasting + bias
            current = earlier if neuron.current_delay else lasting
        v = v + current
        if (step == 0 or not neuron.bias_once) and not neuron.current_bias:
            v += bias
        if neuron.single_spike:
            v = torch.where(has_fired, before, v)
        if keep:
            potentials[:, step] = v
        spike = spikes[:, step]
        for theta in levels:
            spike += v >= theta - fall[step] + rise
        if neuron.single_spike:
            spike *= ~has_fired
            has_fired |= spike.to(torch.bool)
        elif not neuron.reset_delay:
            v = _reset(neuron.reset, v, spike, reset_step + rise if neuron.reset_rise else reset_step, v_reset)
        if neuron.adapts:
            rise = leaked(rise, rise_num, neuron.rise_leak_shift, toward_zero=False) + spike * rises
        if neuron.clamped:
            clamped = v.clamp(neuron.v_min, neuron.v_max)
            v = torch.where(has_fired, v, clamped) if neuron.single_spike else clamped
    return spikes, potentials


def _membrane_type(neuron: Neuron, steps: int, magnitude: int) -> torch.dtype:
    """int32 if no value in any step can overflow it, else int64.

    A leak multiplies a membrane by ``leak_num`` before it shifts; the shift then leaves it no larger than it was. All
    else adds at most the sum of the largest numbers, once or in every step. Currents that last are at most the sum of
    those of all steps, and each step rounds by less than 1. A rise of thresholds is at most the sum of all.
    """
    def largest(*values) -> int:
        return sum(int(np.abs(np.asarray(value, dtype=np.int64)).max()) for value in values if value is not None)

    once = largest(neuron.v_init, neuron.v_reset, neuron.v_min, neuron.v_max, neuron.theta, neuron.theta_fall)
    reset = neuron.levels * max(largest(neuron.first_theta), largest(neuron.reset_step))
    magnitude = (magnitude + 1 + largest(neuron.bias)) * steps if neuron.lasts else magnitude
    rise = steps * neuron.levels * largest(neuron.theta_rise)
    bound = once + rise + steps * (magnitude + largest(neuron.bias) + reset + rise)
    factor = max(1, *(largest(num) for num in (neuron.leak_num, neuron.current_leak_num, neuron.rise_leak_num)))
    return torch.int32 if bound * factor < 1 << 31 else torch.int64


def _reset(
    kind: str, v: torch.Tensor, spike: torch.Tensor, reset_step: torch.Tensor, v_reset: torch.Tensor,
) -> torch.Tensor:
    """Membranes after a reset by spikes of magnitude ``spike``, in the integers of ``v``[B, M]."""
    if kind == "subtract":
        return v - spike * reset_step
    return v if kind == "none" else torch.where(spike > 0, v_reset, v)


def decide(network: IntegerNetwork, spikes: torch.Tensor, potentials: torch.Tensor):
    """Class, step, decided_by int64[B] and scores int64[B, C] from output spikes and membranes [B, T, C].

    Fewer steps than an inference has give the decision as if it ended there.
    """
    batch, steps, _ = spikes.shape
    at = torch.full((batch,), steps - 1, device=spikes.device)
    everyone = torch.ones_like(spikes[:, 0], dtype=torch.bool)
    if network.readout == "potential":
        silent = torch.zeros(batch, dtype=torch.bool, device=spikes.device)
        return _settle(potentials[:, -1], everyone, everyone & False, silent, at)
    any_spike = (spikes > 0).any(2)
    silent = ~any_spike.any(1)
    if network.readout == "spike_count":
        return _settle(spikes.sum(1), everyone, everyone & False, silent, at)
    weights = torch.as_tensor(network.step_weights[:steps], dtype=torch.int64, device=spikes.device)
    if not network.earliest_decides:
        return _settle((spikes * weights[:, None]).sum(1), everyone, everyone & False, silent, at)
    at = torch.where(silent, at, any_spike.to(torch.uint8).argmax(1))
    rows = torch.arange(batch, device=spikes.device)
    fires = spikes[rows, at] > 0
    if network.readout == "weighted_spikes":
        return _settle(fires * weights[at][:, None], everyone, fires, silent, at)
    return _settle(potentials[rows, at], fires | silent[:, None], fires, silent, at)


def _settle(
    scores: torch.Tensor, candidates: torch.Tensor, fires: torch.Tensor, silent: torch.Tensor, at: torch.Tensor,
):
    """The candidate with the largest score, lowest index first; ``fires``: those whose number makes a tie."""
    keys = torch.where(candidates, scores, torch.iinfo(torch.int64).min)
    classes = keys.argmax(1)  # of equals the first, as torch documents
    shared = (keys == keys.gather(1, classes[:, None])).sum(1) > 1
    decided_by = torch.full_like(at, DecidedBy.PLAIN.value)
    decided_by[fires.sum(1) > 1] = DecidedBy.TIE_BY_MEMBRANE.value
    decided_by[shared] = DecidedBy.TIE_BY_INDEX.value
    decided_by[silent] = DecidedBy.SILENT.value
    return classes, at, decided_by, scores
