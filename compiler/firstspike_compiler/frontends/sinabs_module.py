# SPDX-License-Identifier: MIT
"""sinabs modules: a chain of torch layers with IAF, LIF or ALIF layers becomes a `FloatNetwork`."""

# Ref: sinabs 2.0.3 and 3.1.3, sinabs/layers/{stateful_layer,lif,alif,iaf,exp_leak,reshape}.py,
# layers/functional/{lif,alif}.py,
# activation/{spike_generation,reset_mechanism}.py

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import torch
from firstspike_arch.events import MAGNITUDE_MAX
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.shown import shown
from torch import nn

from ..errors import CompileError
from .torch.fields import Fields
from .torch.framework import Framework, Protocol
from .torch.options import per_channel, single
from .torch.reader import read_modules
from .torch.values import Synapses

__all__ = ["from_sinabs"]


def from_sinabs(
    model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int], levels: int | None = None,
    **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read a model in evaluation mode, whose layers start from a membrane of 0.

    A layer computes V ← αV + X, or αV + (1 − α)X with ``norm_input``, gives ⌊V/θ⌋ spikes (`MultiSpike`) or one
    (`SingleSpike`), subtracts θ for each of them or resets to 0, and keeps V above ``min_v_mem``. With ``tau_syn``, it
    takes I ← σ(I + X) in place of X. The network has v = V/(1 − α) with ``norm_input``, and i = I/σ, so that v is
    larger by 1/σ, too. An ALIF layer fires on V ≥ θ + a, subtracts θ + a, and then takes a ← ρ·a +
    (1 − ρ)·adapt_scale·spike, with ρ of tau_adapt. The layers for squeezed inputs are read like the others; all take
    one step after the other.

    Parameters
    ----------
    model : nn.Sequential, or list of modules
        The modules in the order in which they run; or any module whose ``forward`` takes one step's input.
    in_shape : N, (N,) or (C, H, W)
    levels : int
        Most spikes of a neuron in a step, 1 … 15, where `MultiSpike` may give more for the largest inputs. None: as
        many as it may give, which must be at most 15. With it, the model is not run beside what is read of it.
    fields
        Fields of the network, see `frontends.torch.fields`. A "potential" read-out may read an ExpLeak.

    Raises
    ------
    CompileError
        sinabs is not installed, or a module has no counterpart; the message names it.
    """
    try:
        import sinabs.layers as layers  # pyright: ignore[reportMissingImports]
        from sinabs.activation import (  # pyright: ignore[reportMissingImports]
            MembraneReset,
            MembraneSubtract,
            MultiSpike,
            SingleSpike,
        )
        from sinabs.layers.alif import ALIFSqueeze  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise CompileError("sinabs must be installed to read its models: pip install 'firstspike[sinabs]'") from None
    if levels is not None:
        if not isinstance(levels, int) or not 1 <= levels <= MAGNITUDE_MAX:
            raise CompileError(f"levels must be 1…{MAGNITUDE_MAX}, not {shown(levels)}")
        fields.pop("reference", None)

    def fires(where: str, module: Any, synapses: Synapses, threshold: str = "spike_threshold") -> FloatNeuron:
        leak, unit, current = _leak(where, module, synapses)
        theta = per_channel(where, "spike_threshold", getattr(module, threshold), synapses)
        after = module.reset_fn
        if module.spike_fn not in (MultiSpike, SingleSpike):
            raise CompileError(f"{where} must have the spike_fn MultiSpike or SingleSpike, not "
                               f"{shown(module.spike_fn)}")
        soft = isinstance(after, MembraneSubtract)
        if not soft and not (isinstance(after, MembraneReset) and after.reset_value == 0):
            raise CompileError(f"{where} must have the reset_fn MembraneSubtract, or MembraneReset to 0 (to another "
                               f"value, sinabs adds it to silent neurons, too), not {shown(after)}")
        step = theta if not soft or after.subtract_value is None else np.full_like(
            theta, single(where, "subtract_value", after.subtract_value))
        count = 1
        if module.spike_fn is MultiSpike:
            highest = leak * np.maximum(theta, 0) + synapses.largest_drive(0.0 if current is None else current) / unit
            count = _most(where, highest, theta, step, soft, levels)
        return FloatNeuron(
            theta=np.outer(theta * unit, np.arange(1, count + 1)) if count > 1 else theta * unit, leak=leak,
            current_leak=current,
            reset="subtract" if soft else "zero", reset_step=step * unit if soft and (step != theta).any() else None,
            v_min=_lowest(where, module, unit),
        )

    def adapts(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
        if module.alpha_syn_calculated is not None:
            raise CompileError(f"{where} must have no tau_syn: sinabs forgets the current of an ALIF from one call to "
                               "the next, so that what it does depends on how the steps are divided into calls")
        if module.spike_fn is not SingleSpike:
            raise CompileError(f"{where} must have the spike_fn SingleSpike, not {shown(module.spike_fn)}")
        plain = fires(where, module, synapses, "b0")  # its spike_threshold is a state
        unit = _leak(where, module, synapses)[1]
        with torch.no_grad():
            kept = per_channel(where, "tau_adapt", module.alpha_adapt_calculated, synapses)
            rise = (1 - kept) * per_channel(where, "adapt_scale", module.adapt_scale, synapses)
        if (rise < 0).any():
            raise CompileError(f"{where} must have an adapt_scale ≥ 0, not {shown(module.adapt_scale)}")
        takes = plain.reset == "subtract" and module.reset_fn.subtract_value is None
        return replace(plain, rise_leak=kept, theta_rise=rise * unit, reset_rise=takes)

    def integrates(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
        leak, unit, current = _leak(where, module, synapses)
        if np.ndim(leak):
            raise CompileError(f"{where} must have one tau_mem, for its outputs to be compared")
        return FloatNeuron(leak=leak, current_leak=current, reset="none", v_min=_lowest(where, module, unit))

    def pools(module: Any) -> nn.Module:
        # A sum, as an average that divides by 1; with ceil_mode, sinabs weighs windows beyond the border otherwise.
        if type(module) is not layers.SumPool2d or module.ceil_mode:
            return module
        return nn.AvgPool2d(module.kernel_size, module.stride, divisor_override=1).train(module.training)

    def restart(model: nn.Module) -> None:
        """Set all neurons of a copy back, and let them take one step, [B, …], in a call."""
        neurons: list[Any] = [one for one in model.modules() if isinstance(one, layers.LIF | layers.ALIF)]
        for one in neurons:
            one.reset_states()
            kind = layers.ALIF if isinstance(one, layers.ALIF) else layers.LIF
            one.forward = lambda x, one=one, kind=kind: kind.forward(one, x[:, None])[:, 0]

    fire, potential = (layers.IAF, layers.IAFSqueeze, layers.LIF, layers.LIFSqueeze), (
        layers.ExpLeak, layers.ExpLeakSqueeze)
    framework = Framework(
        name="sinabs", neurons={**dict.fromkeys(fire, fires), **dict.fromkeys((layers.ALIF, ALIFSqueeze), adapts),
                                **dict.fromkeys(potential, integrates)},
        protocol=lambda module: Protocol(), inner=pools, stateful=lambda module: True, reset=restart,
        bounded=lambda module: module.spike_fn is MultiSpike and levels is None,
    )
    return read_modules(framework, model, in_shape=in_shape, **fields)


def _leak(where: str, module: Any, synapses: Synapses) -> tuple[Any, Any, np.ndarray | None]:
    """α, of the layer or of each channel, the factor by which the network's membranes are larger, alike, and σ, what
    a step leaves of a current that lasts, float64[C]."""
    with torch.no_grad():
        leaks = per_channel(where, "tau_mem", module.alpha_mem_calculated, synapses)
        kept = module.alpha_syn_calculated
        current = None if kept is None else per_channel(where, "tau_syn", kept, synapses)
    leak, unit = (float(leaks[0]) if (leaks == leaks[0]).all() else leaks), 1.0
    if module.norm_input:
        leak = single(where, "tau_mem with norm_input", leaks)
        if leak >= 1:
            raise CompileError(f"{where} must have a finite tau_mem with norm_input: its inputs count nothing")
        unit = 1.0 / (1.0 - leak)
    if current is None:
        return leak, unit, None
    if (current <= 0).any():
        raise CompileError(f"{where} must have a tau_syn that leaves something of its currents: its inputs count "
                           "nothing")
    return leak, unit / current, current


def _lowest(where: str, module: Any, unit: Any) -> float | None:
    if module.min_v_mem is None:
        return None
    return single(where, "tau_syn with min_v_mem", unit) * single(where, "min_v_mem", module.min_v_mem)


def _most(
    where: str, highest: np.ndarray, theta: np.ndarray, step: np.ndarray, soft: bool, levels: int | None,
) -> int:
    """Most spikes of a neuron in a step: those of the highest membrane, or as many as ``levels``."""
    if levels is not None:
        return levels
    if soft and (step < theta).any():
        raise CompileError(f"{where} must subtract at least its threshold, or be given levels: its membrane may grow "
                           "without end")
    most = float(np.max(np.floor(highest / theta)))
    if most > MAGNITUDE_MAX:
        raise CompileError(f"{where} may give {most:.0f} spikes in a step: levels, 1…{MAGNITUDE_MAX}, must say how "
                           "many to keep, or in_max must be smaller")
    return max(1, int(most))
