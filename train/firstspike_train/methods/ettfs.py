# SPDX-License-Identifier: MIT
"""ETTFS: time-to-first-spike networks trained from scratch by back-propagation through time.

Integrate-and-fire neurons that fire at most once; a spike of step t reaches all later layers within step t.

From the paper: direct training, one spike a neuron, zero-delay cascade, an initialisation and a weight normalisation
with learnable affine against vanishing input currents, the decoding Y = Σ w[t]·s[t] with linear or exponential decay
of w, and average pools. From secondary sources: weights from U(±√(3T/N)) and the affine's form. Our own choices,
because the paper's are not public: latency input with a cut-off, or a direct input, the shift added at every step, the
threshold 1, the surrogate, the losses on the output membranes, the optimiser, no forced firing at the last step, first
gains fitted to a batch (for networks whose currents fade through pools or depth), and the alternatives that serve as
comparison: Kaiming's initialisation, no normalisation, no affine, max pools (the first spike of a window), and decoding
without decay.
"""

# Ref: ETTFS, "Efficient training of time-to-first-spike spiking neural networks from scratch" (abstract, captions).

from dataclasses import replace
from typing import Any, cast

import torch
from firstspike_arch.connectivity import Conv2d, Dense, Shape
from firstspike_arch.fixed import largest_weight, latency_step
from firstspike_arch.float_network import FloatLayer, Readout
from firstspike_arch.neuron import FloatNeuron
from torch import nn
from torch.nn import functional

from ..builder import build_layers
from ..evidence import first_spike
from ..image_folders import PIXEL_MAX, Images
from ..layer_stack import LayerStack
from ..quantisation import integer_thresholds, whole_steps
from ..recipe import EttfsRecipe, Recipe
from ..surrogates import staircase
from ..synapses import Synapses

__all__ = ["EttfsLayer", "EttfsNetwork"]

EPSILON = 1e-6
THETA_MIN = 0.05
CALIBRATION_BATCH = 512


class EttfsLayer(Synapses):
    """Synapses with weight normalisation and neurons that fire once; each channel has a gain, a shift and a threshold.

    A neuron that fires once needs no reset, so v[t] = W·a[t] + (t+1)·shift, where a[t] is 1 for inputs that have fired
    by step t (behind a pool: the mean of its window, or 1 if any input has fired). The neuron has fired by step t if
    max(v[0] … v[t]) ≥ theta. All steps are computed in one product. A direct input adds the same current in every
    step: W·a[t] is then (t+1) times that of the image.
    """

    def __init__(
        self, connectivity: Dense | Conv2d, bits: int, recipe: Recipe, generator: torch.Generator,
        input_scale: float = 1.0,
    ) -> None:
        method, steps, channels = cast(EttfsRecipe, recipe.method), recipe.network.steps, connectivity.channels
        super().__init__(connectivity, bits, input_scale, average_pool=method.pool == "average")
        # Secondary source: Var Σ W·s = 1 if each input spikes once, uniformly over the steps. Kaiming's has no steps.
        bound = ((3 * steps if method.initialisation == "uniform" else 6) / self.fan_in) ** 0.5
        with torch.no_grad():
            self.weight.copy_((torch.rand(self.weight.shape, generator=generator) * 2 - 1) * bound)
        self.normalise = method.normalise
        self.gain = nn.Parameter(torch.ones(channels), requires_grad=method.affine)
        self.shift = nn.Parameter(torch.zeros(channels), requires_grad=method.affine)
        self.theta = nn.Parameter(torch.ones(channels), requires_grad=False)
        self.spread, self.steps = (steps / self.fan_in) ** 0.5, steps
        self.slope, self.width = method.surrogate, method.surrogate_width

    @property
    def direct(self) -> bool:
        """Whether the input is an image instead of spikes."""
        return self.input_scale != 1

    def real_weight(self) -> torch.Tensor:
        """The weights to be exported: normalised and multiplied by their gain, in float64."""
        flat, gain = self.weight.double().flatten(1), self.gain.double()
        if self.normalise:
            variance, mean = torch.var_mean(flat, dim=1, keepdim=True, correction=0)
            flat, gain = (flat - mean) * torch.rsqrt(variance + EPSILON), self.spread * gain
        flat = flat * gain[:, None]
        return flat.view(self.weight.shape).float().double()

    def multiplier(self) -> torch.Tensor:
        """The weights that the forward pass multiplies with, normalised."""
        return self.computed(self.real_weight())

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Shift and theta of each channel to be exported, in float64.

        The shift is clamped to the range of the weights, because hardware stores it as the weight of one further input,
        or of up to pool² inputs behind a pool, where units are smaller. Behind a direct input it is a constant.
        """
        if self.direct:
            return self.shift.double(), self.theta.double().clamp(min=THETA_MIN)
        fixed, free = self.scale * largest_weight(self.bits), self.real_weight().detach().abs().max()
        limit = torch.where(self.scale > 0, fixed, free)
        return self.shift.double().clamp(-limit, limit), self.theta.double().clamp(min=THETA_MIN)

    def operands(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Shift and theta that the forward pass uses, in units."""
        (shift, theta), kind = self.vectors(), self.weight.dtype
        if not self.rounds:
            return shift.to(kind), theta.to(kind)
        return whole_steps(shift, self.unit, -torch.inf).to(kind), integer_thresholds(theta, self.unit).to(kind)

    def forward(self, fired: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which neurons have fired by each step, and their membranes in units, [T, B, …] each.

        ``fired`` says the same of the inputs; or it is the image of a direct input, [1, B, …]. Membranes integrate on
        after a spike.
        """
        currents = self.current(fired.flatten(0, 1)).unflatten(0, fired.shape[:2])
        shift, theta = (value.view(-1, *[1] * (currents.dim() - 3)) for value in self.operands())
        time = torch.arange(1, self.steps + 1, dtype=currents.dtype, device=currents.device)
        time = time.view(-1, *[1] * (currents.dim() - 1))
        membrane = time * (currents + shift) if self.direct else currents + time * shift
        peaks = [membrane[0]]
        for step in membrane[1:]:
            peaks.append(torch.maximum(peaks[-1], step))
        return staircase((torch.stack(peaks) - theta) / theta, self.slope, self.width), membrane

    def start_quantisation(self, *, balance: bool) -> None:
        """Fix the scale. With ``balance``, first multiply weights, shift and theta of each neuron so that all have
        similar size; the spikes stay the same."""
        with torch.no_grad():
            if balance:
                size = self.gain.abs().clamp(min=1e-3)
                factor = (size.median() / size).clamp(0.25, 4)
                for value in (self.gain, self.shift, self.theta):
                    value.mul_(factor)
            self.fix_scale()
        self.theta.requires_grad_(balance)

    def layer(self) -> FloatLayer:
        """The layer to be exported, with normalisation folded; the integers are rounded from exactly these numbers."""
        shift, theta = (value.detach().numpy() for value in self.vectors())
        return replace(self.exported(), neuron=FloatNeuron(bias=shift, theta=theta, single_spike=True))


class EttfsNetwork(LayerStack):
    """A stack of `EttfsLayer`s that takes latency-coded images."""

    def __init__(self, recipe: Recipe, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.method, self.steps = cast(EttfsRecipe, recipe.method), recipe.network.steps
        self.spike_loss = recipe.training.spike_loss
        layers, scale = nn.ModuleList(), 1 / PIXEL_MAX if self.method.input == "direct" else 1.0
        wirings = build_layers(recipe.network.layers, shape)
        for wiring, bits in zip(wirings, recipe.quantisation.weight_bits, strict=True):
            layers.append(EttfsLayer(wiring.synapses, bits, recipe, generator, 1.0 if layers else scale))
        self.stack = cast(list[EttfsLayer], layers)
        steps, decay = self.steps, self.method.decay
        self.step_weights = tuple(
            {"linear": steps - t, "exponential": 1 << (steps - 1 - t), "none": 1}[decay] for t in range(steps))
        self.input_fields: dict[str, Any] = {"input_kind": "latency", "cutoff": self.method.cutoff}
        if self.stack[0].direct:
            self.input_fields = {"input_kind": "direct", "in_min": 0, "in_max": PIXEL_MAX, "input_scale": scale}

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Which pixels of images uint8[B, N] have fired by each step, as 0 or 1, [T, B, N] or [T, B, C, H, W]; or the
        images themselves, [1, B, …], as a direct input."""
        if self.stack[0].direct:
            first = self.stack[0]
            return images.to(first.weight).view(1, len(images), *first.connectivity.in_shape)
        table = latency_step(torch.arange(256), self.steps)
        table[: self.method.cutoff] = self.steps
        first = self.stack[0]
        spike_step = table.to(first.weight.device, torch.uint8)[images.to(first.weight.device).long()]
        spike_step = spike_step.view(len(images), *first.connectivity.in_shape)
        return torch.stack([(spike_step <= t).to(first.weight.dtype) for t in range(self.steps)])

    def forward(self, images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return which pixels, and neurons of each layer, have fired by each step, [T, B, …] each, and the output
        membranes in units."""
        fired = [self.encode(images)]
        for layer in self.stack:
            spikes, membrane = layer(fired[-1])
            fired.append(spikes)
        return fired, membrane

    def loss(self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the mean loss on images uint8[B, N] with labels int64[B]."""
        method, unit = self.method, self.stack[-1].unit
        fired, membrane = self(images)
        loss = functional.cross_entropy(self.score(fired[-1]) * method.score_gain, labels)
        if method.membrane_loss:
            loss = loss + method.membrane_loss * functional.cross_entropy(membrane[-1] * unit, labels)
        if method.decision_loss:
            step = first_spike(fired[-1].detach() > 0, membrane)["step"]
            decided = membrane[step, torch.arange(len(labels), device=step.device)]
            loss = loss + method.decision_loss * functional.cross_entropy(decided * unit, labels)
        if self.spike_loss and len(self.stack) > 1:
            last = [layer[-1] for layer in fired[1:-1]]
            effort = sum(spikes.sum() for spikes in last) / sum(spikes.numel() for spikes in last)
            loss = loss + self.spike_loss * effort
        return loss

    def score(self, fired: torch.Tensor) -> torch.Tensor:
        """Σ w[t]·s[t] / w[0], [B, C], from ``fired`` by step; the spike s[t] is the difference of neighbouring
        steps."""
        # Paper: the decoding with decaying w. Written as Σ (w[t] − w[t+1])·fired[t], with w[T] = 0.
        weights = torch.tensor((*self.step_weights, 0), dtype=fired.dtype, device=fired.device)
        return torch.tensordot(weights[:-1] - weights[1:], fired, dims=1) / weights[0]

    def decide(self, images: torch.Tensor) -> tuple[dict[Readout, torch.Tensor], dict[str, float]]:
        """Return classes int64[B] by read-out, and measures: spikes per image, shares that fire, ties and silent
        outputs.

        weighted_spikes gives the class of the earliest spike, the lowest index of several, and 0 if none fires.
        """
        fired, membrane = self(images)
        found = first_spike(fired[-1] > 0, membrane)
        measures = {} if self.stack[0].direct else {"input_spikes": fired[0][-1].sum().item() / len(images)}
        for index, spikes in enumerate(fired[1:]):
            measures[f"layer{index}_spikes"] = spikes[-1].sum().item() / len(images)
            measures[f"layer{index}_firing"] = spikes[-1].mean().item()
        at = found["at"].sum(1)
        measures["decision_step"] = found["step"].double().mean().item()
        measures["output_ties"] = (at > 1).double().mean().item()
        measures["output_silent"] = (at == 0).double().mean().item()
        classes: dict[Readout, torch.Tensor] = {"first_spike": found["classes"]}
        if self.method.decay != "none":
            classes["weighted_spikes"] = found["at"].to(torch.uint8).argmax(1)
        return classes, measures

    @torch.no_grad()
    def spread(self, images: torch.Tensor) -> None:
        """Scale the gains so that the membranes of each layer have the recipe's ``spread`` over a batch, in
        thresholds."""
        fired = self.encode(images)
        for layer in self.stack:
            layer.gain.mul_(self.method.spread / layer(fired)[1][-1].std())
            fired, _ = layer(fired)

    def start(self, phase: str, images: Images) -> None:
        """Begin a phase; "quantised" fixes a scale for each layer, and forward passes compute in integers from then
        on."""
        if phase == "real" and self.method.spread and not self.begun:
            self.spread(images[:CALIBRATION_BATCH])
        if phase == "quantised":
            for layer in self.stack:
                # The read-out compares the membranes of the output layer, so its neurons must not be rescaled.
                layer.start_quantisation(balance=layer is not self.stack[-1])

    def constrain(self) -> None:
        """Do nothing: gain and shift are unbounded, and theta is clamped where it is used."""

    @torch.no_grad()
    def largest_membranes(self) -> list[int]:
        """The largest current, since an input fires once, or is the same in all steps, plus T shifts."""
        return [layer.largest_current(self.steps * PIXEL_MAX if layer.direct else 1)
                + self.steps * int(layer.operands()[0].abs().max().item()) for layer in self.stack]
