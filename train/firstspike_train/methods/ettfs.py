# SPDX-License-Identifier: MIT
"""ETTFS for dense networks: time-to-first-spike networks trained from scratch by back-propagation through time.

Integrate-and-fire neurons that fire at most once; a spike of step t reaches all later layers within step t.

From the paper: direct training, one spike a neuron, zero-delay cascade, an initialisation and a weight normalisation
with learnable affine against vanishing input currents, and the decoding Y = Σ w[t]·s[t] with linear or exponential
decay of w. From secondary sources: weights from U(±√(3T/N)) and the affine's form. Our own choices, because the
paper's are not public: latency input with a cut-off, the shift added at every step, the threshold 1, the surrogate,
the losses on the output membranes, the optimiser, and no forced firing at the last step.
"""

# Ref: ETTFS, "Efficient training of time-to-first-spike spiking neural networks from scratch" (abstract, captions).

import copy
from typing import cast

import numpy as np
import torch
from firstspike_arch.fixed import largest_weight, latency_step
from firstspike_arch.model import FloatLayer, Readout
from torch import nn
from torch.nn import functional

from ..quantisation import choose_scale, integer_thresholds, integer_weights
from ..recipe import Recipe
from ..surrogates import SURROGATES
from .method import Evidence

__all__ = ["EttfsLayer", "EttfsNetwork", "decide"]

EPSILON = 1e-6
THETA_MIN = 0.05
EVALUATION_BATCH = 1000


class EttfsLayer(nn.Module):
    """Dense synapses, weight normalisation and fire-once neurons.

    A neuron that fires once needs no reset, so v[t] = W·a[t] + (t+1)·shift, where a[t] says which inputs have fired
    by step t; and it has fired by step t where max(v[0] … v[t]) ≥ theta. All steps share one matrix product.
    """

    scale: torch.Tensor

    def __init__(self, inputs: int, neurons: int, recipe: Recipe, bits: int, generator: torch.Generator) -> None:
        super().__init__()
        steps = recipe.network.steps
        bound = (3 * steps / inputs) ** 0.5  # secondary source; Var Σ W·s = 1 if each input spikes once, uniformly
        self.weight = nn.Parameter((torch.rand(neurons, inputs, generator=generator) * 2 - 1) * bound)
        self.gain = nn.Parameter(torch.ones(neurons))
        self.shift = nn.Parameter(torch.zeros(neurons))
        self.theta = nn.Parameter(torch.ones(neurons), requires_grad=False)
        self.register_buffer("scale", torch.zeros((), dtype=torch.float64))  # 0: not fixed yet
        self.rounds = False
        self.spread = (steps / inputs) ** 0.5
        self.bits = bits
        self.spike = SURROGATES[recipe.training.surrogate]
        self.width = recipe.training.surrogate_width

    def folded(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Weights [M, N], shift [M] and theta [M] of the network as exported, in float64.

        The shift is kept within the weights' range, because hardware stores it as the weight of one more input.
        """
        weight = self.weight.double()
        variance, mean = torch.var_mean(weight, dim=1, keepdim=True, correction=0)
        weight = (weight - mean) * torch.rsqrt(variance + EPSILON) * (self.spread * self.gain.double())[:, None]
        limit = self.scale.item() * largest_weight(self.bits) or weight.detach().abs().max().item()
        return weight, self.shift.double().clamp(-limit, limit), self.theta.double().clamp(min=THETA_MIN)

    def operands(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
        """Weights, shift and theta as computed with, and the real value of one unit of the membrane."""
        weight, shift, theta = self.folded()
        scale, kind = self.scale.item(), self.weight.dtype
        if not self.rounds:
            return weight.to(kind), shift.to(kind), theta.to(kind), 1.0
        weight, shift = integer_weights(weight, scale, self.bits), integer_weights(shift, scale, self.bits)
        return weight.to(kind), shift.to(kind), integer_thresholds(theta, scale).to(kind), scale

    def forward(self, fired: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
        """From "has fired by step t" of the inputs, [T, B, N], to the same of the neurons, [T, B, M].

        Also the membranes [T, B, M] as if nothing froze them, and the real value of their unit.
        """
        weight, shift, theta, unit = self.operands()
        time = torch.arange(1, len(fired) + 1, dtype=weight.dtype)[:, None, None]
        membrane = (fired.flatten(0, 1) @ weight.T).unflatten(0, fired.shape[:2]) + time * shift
        peaks = [membrane[0]]
        for step in membrane[1:]:
            peaks.append(torch.maximum(peaks[-1], step))
        return self.spike((torch.stack(peaks) - theta) / theta, self.width), membrane, unit

    def start_quantisation(self, *, balance: bool) -> None:
        """Fix the scale. ``balance``: first multiply each neuron (weights, shift, theta: same spikes) to one size."""
        with torch.no_grad():
            if balance:
                size = self.gain.abs().clamp(min=1e-3)
                factor = (size.median() / size).clamp(0.25, 4)
                for value in (self.gain, self.shift, self.theta):
                    value.mul_(factor)
            self.scale.fill_(choose_scale(self.folded()[0], self.bits))
        self.rounds = True
        self.theta.requires_grad_(balance)


class EttfsNetwork(nn.Module):
    """A stack of `EttfsLayer` on latency-coded images."""

    def __init__(self, recipe: Recipe, inputs: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.recipe = recipe
        sizes = (inputs, *recipe.network.hidden, classes)
        layers = nn.ModuleList(
            EttfsLayer(size, neurons, recipe, bits, generator)
            for size, neurons, bits in zip(sizes, sizes[1:], recipe.quantisation.weight_bits, strict=False)
        )
        self.stack = cast(list[EttfsLayer], layers)  # a registered ModuleList; its stubs forget the element type
        steps = recipe.network.steps
        linear = recipe.network.decay == "linear"
        self.step_weights = tuple(steps - t if linear else 1 << (steps - 1 - t) for t in range(steps))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Which pixels of uint8[B, N] have fired by each step, [T, B, N]."""
        steps, cutoff = self.recipe.network.steps, self.recipe.network.cutoff
        table = latency_step(torch.arange(256), steps)
        table[:cutoff] = steps
        spike_step = table.to(torch.uint8)[images.long()]
        kind = self.stack[0].weight.dtype
        return torch.stack([(spike_step <= t).to(kind) for t in range(steps)])

    def forward(self, images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor, float]:
        """"Has fired by step t" of input and every layer, [T, B, ·] each; output membranes and their unit."""
        fired = [self.encode(images)]
        for layer in self.stack:
            spikes, membrane, unit = layer(fired[-1])
            fired.append(spikes)
        return fired, membrane, unit

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss of uint8[B, N] images with int64[B] labels."""
        training = self.recipe.training
        fired, membrane, unit = self(images)
        loss = functional.cross_entropy(self.score(fired[-1]) * training.score_gain, labels)
        if training.membrane_loss:
            loss = loss + training.membrane_loss * functional.cross_entropy(membrane[-1] * unit, labels)
        if training.decision_loss:
            decided = membrane[decision_step(fired[-1]), torch.arange(len(labels))]
            loss = loss + training.decision_loss * functional.cross_entropy(decided * unit, labels)
        return loss

    def score(self, fired: torch.Tensor) -> torch.Tensor:
        """Σ w[t]·s[t] / w[0], [B, C], from "has fired by step t": s[t] is the difference of neighbouring steps."""
        # Paper: the decoding with decaying w. Written as Σ (w[t] − w[t+1])·fired[t], with w[T] = 0.
        weights = torch.tensor((*self.step_weights, 0), dtype=fired.dtype)
        return torch.tensordot(weights[:-1] - weights[1:], fired, dims=1) / weights[0]

    @torch.no_grad()
    def evidence(self, images: torch.Tensor) -> Evidence:
        """Decisions on uint8[B, N] images, and spike counts an image, firing fractions, ties and silence."""
        classes: dict[Readout, list[np.ndarray]] = {"first_spike": [], "weighted_spikes": []}
        sums: dict[str, float] = {}
        for batch in images.split(EVALUATION_BATCH):
            fired, membrane, _ = self(batch)
            for readout, decided in decide(fired[-1].numpy() > 0, membrane.numpy()).items():
                classes[readout].append(decided)
            for name, value in self.measures(fired).items():
                sums[name] = sums.get(name, 0.0) + value * len(batch)
        return Evidence(
            classes={readout: np.concatenate(parts) for readout, parts in classes.items()},
            measures={name: value / len(images) for name, value in sums.items()},
        )

    @staticmethod
    def measures(fired: list[torch.Tensor]) -> dict[str, float]:
        """Means over a batch."""
        found = {"input_spikes": fired[0][-1].sum(1).mean().item()}
        for index, spikes in enumerate(fired[1:]):
            found[f"layer{index}_spikes"] = spikes[-1].sum(1).mean().item()
            found[f"layer{index}_firing"] = spikes[-1].mean().item()
        step = decision_step(fired[-1])
        at = fired[-1][step, torch.arange(len(step))].sum(1)
        found["decision_step"] = step.double().mean().item()
        found["output_ties"] = (at > 1).double().mean().item()
        found["output_silent"] = (at == 0).double().mean().item()
        return found

    def start_quantisation(self) -> None:
        """Fix one scale a layer; from now on every forward pass is the integer network."""
        for layer in self.stack:
            # Membranes of the output layer are compared with one another: its neurons keep one common size.
            layer.start_quantisation(balance=layer is not self.stack[-1])

    def real(self) -> "EttfsNetwork":
        """A copy of the network as exported, in real numbers (float64)."""
        clone = copy.deepcopy(self).double()
        for layer in clone.stack:
            layer.rounds = False
        return clone

    def layers(self) -> tuple[FloatLayer, ...]:
        """The layers with the normalisation folded, in float64: exactly what the integers are rounded from."""
        made = []
        for layer in self.stack:
            weight, shift, theta = (value.detach().numpy() for value in layer.folded())
            made.append(FloatLayer(
                weight=weight, bias=shift, theta=theta, single_spike=True, weight_bits=layer.bits,
                weight_scale=layer.scale.item() or None,
            ))
        return tuple(made)


def decision_step(fired: torch.Tensor) -> torch.Tensor:
    """First step in which any output fires, int64[B]; T − 1 if none does. `fired` is [T, B, C]."""
    waiting = (fired.detach() > 0).any(2).logical_not().sum(0)
    return waiting.clamp(max=len(fired) - 1)


def decide(fired: np.ndarray, membrane: np.ndarray) -> dict[Readout, np.ndarray]:
    """Classes, int64[B], by read-out, from "has fired by step t" bool[T, B, C] and membranes [T, B, C].

    weighted_spikes: earliest, then lowest index; silent: 0. first_spike: the largest membrane among those that fire
    first, then lowest index; silent: the largest membrane after the last step.
    """
    ever = fired.any(2)
    step = np.where(ever.any(0), ever.argmax(0), len(fired) - 1)
    images = np.arange(fired.shape[1])
    at, value = fired[step, images], membrane[step, images]
    candidates = at | ~at.any(1, keepdims=True)
    return {
        "weighted_spikes": at.argmax(1),
        "first_spike": np.where(candidates, value, -np.inf).argmax(1),
    }
