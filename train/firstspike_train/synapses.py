# SPDX-License-Identifier: MIT
"""Synapses of one layer, in real numbers or in the integers that the compiler will emit."""

import torch
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.float_network import FloatBranch, FloatLayer
from firstspike_arch.neuron import FloatNeuron
from torch import nn
from torch.nn import functional

from .builder import Loop, Skip
from .convolution import convolve
from .normalisation import BatchNormalisation
from .quantisation import choose_scale, integer_weights

__all__ = ["Synapses"]


class Synapses(nn.Module):
    """Weights of a connectivity. When quantised, they compute in integers, multiples of `unit`.

    Parameters
    ----------
    connectivity : Dense or Conv2d
    bits : int
        Bits of a quantised weight.
    input_scale : float
        Real value of an input of 1.
    average_pool : bool
        The connectivity's pool averages; False: it passes the maximum.
    skip, loop : Skip, Loop or None
        Further synapses onto the same membranes, with the same scale.

    Notes
    -----
    Integers are computed in float32, which is exact below 2^24. That is enough for every layer whose largest input
    times the sum of absolute weights is below 2^24, such as 500 inputs of 8 bits with 8-bit weights.
    """

    scale: torch.Tensor

    def __init__(
        self, connectivity: Dense | Conv2d, bits: int, input_scale: float = 1.0, average_pool: bool = True,
        skip: Skip | None = None, loop: Loop | None = None,
    ) -> None:
        super().__init__()
        self.connectivity, self.bits, self.input_scale = connectivity, bits, input_scale
        self.averages = average_pool and connectivity.pool_size > 1
        self.weight = nn.Parameter(torch.zeros(connectivity.weight_shape))
        self.skip = skip
        # The first skip weights pass spikes on with weight 1 (the identity, if the shapes are equal).
        self.skip_weight = None if skip is None else nn.Parameter(
            torch.full(skip.synapses.weight_shape, skip.synapses.groups / skip.synapses.in_shape[0]))
        self.loop = loop
        self.loop_weight = None if loop is None else nn.Parameter(torch.zeros(loop.synapses.weight_shape))
        self.normalisation: BatchNormalisation | None = None
        self.register_buffer("scale", torch.zeros((), dtype=torch.float64))  # 0: not fixed yet
        self.rounds = False

    def normalise_currents(self) -> None:
        """Add batch normalisation of the currents; `fold` makes it a part of the weights, and a bias."""
        self.normalisation = BatchNormalisation(self.connectivity.channels)

    def fold(self) -> None:
        """Fold batch normalisation, if there is any left, into the weights and a bias."""
        if self.normalisation is None or self.normalisation.folded:
            return
        factor = self.normalisation.fold()
        with torch.no_grad():
            for weight in (self.weight, self.skip_weight):
                if weight is not None:
                    weight.mul_(factor.view(-1, *[1] * (weight.dim() - 1)))

    @property
    def fan_in(self) -> int:
        """Number of inputs of a neuron, after pooling."""
        return self.weight[0].numel()

    @property
    def unit(self) -> float:
        """Real value of 1 on the membrane."""
        return self.step if self.rounds else 1.0

    @property
    def step(self) -> float:
        """Real value of one integer step of the membrane, once the scale is fixed; average pools are then sums."""
        return self.scale.item() * self.input_scale / (self.connectivity.pool_size if self.averages else 1)

    def real_weight(self) -> torch.Tensor:
        """The weights to be exported, in float64; each is a float32 number."""
        return self.weight.double()

    def computed(self, weight: torch.Tensor) -> torch.Tensor:
        """Convert float64 weights to what the forward pass multiplies with: integers, once the scale is fixed."""
        if self.rounds:
            weight = integer_weights(weight, self.scale.item(), self.bits)
        elif self.input_scale != 1:
            weight = weight * self.input_scale
        return weight.to(self.weight.dtype)

    def multiplier(self) -> torch.Tensor:
        """The weights that the forward pass multiplies with."""
        if self.rounds or self.input_scale != 1:
            return self.computed(self.real_weight())
        return self.weight  # float64 and back would change nothing

    def current(self, inputs: torch.Tensor, skipping: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the currents W·s, in units, [K, *connectivity.out_shape].

        ``inputs`` are [K, *connectivity.in_shape], ``skipping`` the inputs of the skip. With batch normalisation, the
        currents are normalised, or have the folded bias.
        """
        synapses, weight, device = self.connectivity, self.multiplier(), self.weight.device.type
        if torch.is_autocast_enabled(device):  # spikes, counts and their means are exact in bfloat16: less to move
            inputs = inputs.to(torch.get_autocast_dtype(device))
        if self.averages:
            inputs = functional.avg_pool2d(inputs, synapses.pool_sides, divisor_override=1 if self.rounds else None)
        elif synapses.pool_size > 1:
            inputs = functional.max_pool2d(inputs, synapses.pool_sides)
        if isinstance(synapses, Dense):
            current = functional.linear(inputs.flatten(1), weight)
        else:
            current = convolve(inputs, weight, synapses.stride, synapses.padding, synapses.groups)
        if self.skip is not None and self.skip_weight is not None and skipping is not None:
            past, weight = self.skip.synapses, self.computed(self.skip_weight.double())
            # Membranes stay in full precision where products are mixed.
            current = current.to(self.weight.dtype) + functional.conv2d(
                skipping, weight, None, past.stride, past.padding, 1, past.groups)
        if self.normalisation is not None:
            if self.normalisation.folded:
                bias = self.normalisation.bias(self.unit if self.rounds else None).to(self.weight.dtype)
                return current.to(self.weight.dtype) + bias.view(-1, *[1] * (current.dim() - 2))
            current = self.normalisation(current)
        return current.to(self.weight.dtype)

    def own_current(self, multiplier: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
        """Compute the current, in units, of the layer's own spikes [B, N] of the step before."""
        return functional.linear(spikes, multiplier).to(self.weight.dtype)

    @torch.no_grad()
    def stretch(self, factor: torch.Tensor | float) -> None:
        """Multiply the currents of other layers' spikes by a factor."""
        if self.normalisation is not None:
            self.normalisation.gain.mul_(factor)
            return
        self.weight.mul_(factor)
        if self.skip_weight is not None:
            self.skip_weight.mul_(factor)

    def largest_current(self, largest: int, own: int = 0) -> int:
        """Bound Σ |W|·largest (+ bias) on the currents of quantised synapses, in units, for inputs of magnitude ≤
        ``largest``, and own spikes of magnitude ≤ ``own``."""
        reach = largest * (self.connectivity.pool_size if self.averages else 1)
        total = self.computed(self.real_weight()).double().abs().flatten(1).sum(1) * reach
        if self.skip_weight is not None:
            total = total + self.computed(self.skip_weight.double()).double().abs().flatten(1).sum(1) * largest
        if self.loop_weight is not None:
            total = total + self.computed(self.loop_weight.double()).double().abs().sum(1) * own
        if self.normalisation is not None:
            total = total + self.normalisation.bias(self.unit).detach().abs()
        return int(total.max().item())

    @property
    def endurance(self) -> float:
        """Number of steps for which a current lasts."""
        return 1.0

    def largest_membrane(self, largest: int, steps: int) -> int:
        """Bound on the magnitude of the membranes of quantised synapses, in units, after so many steps."""
        return steps * self.largest_current(largest)

    def exported(self) -> FloatLayer:
        """The synapses to be exported, in float64; its neurons have only the bias of folded normalisation."""
        branches = tuple(
            FloatBranch(source=one.source, weight=weight.detach().double().numpy(), connectivity=one.synapses)
            for one, weight in ((self.skip, self.skip_weight), (self.loop, self.loop_weight))
            if one is not None and weight is not None)
        bias = None if self.normalisation is None else self.normalisation.bias(self.unit).detach().numpy() * self.unit
        return FloatLayer(
            weight=self.real_weight().detach().numpy(), connectivity=self.connectivity,
            average_pool=self.averages, max_pool=self.connectivity.pool_size > 1 and not self.averages,
            weight_bits=self.bits, weight_scale=self.scale.item() or None, branches=branches,
            neuron=FloatNeuron(bias=bias),
        )

    def fix_scale(self) -> None:
        """Fold batch normalisation, choose the scale, and compute in integers from now on."""
        self.fold()
        real = [weight.detach().double().flatten() for weight in (self.skip_weight, self.loop_weight)
                if weight is not None]
        real = torch.cat([self.real_weight().detach().flatten(), *real])
        self.scale.fill_(choose_scale(real, self.bits))
        self.rounds = True
