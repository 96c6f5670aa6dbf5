# SPDX-License-Identifier: MIT
"""snnTorch modules: a chain of torch layers and `snntorch.Leaky` or `Synaptic` becomes a `FloatNetwork`."""

# Ref: snnTorch 1.0.0, snntorch/_neurons/{leaky,neurons,synaptic,rsynaptic}.py

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.neuron import FloatNeuron, Reset
from firstspike_arch.shown import shown
from torch import nn

from ..errors import CompileError
from .torch.combine import currents
from .torch.connect import connect, passed_on
from .torch.fields import Fields
from .torch.framework import Framework, Protocol
from .torch.options import check_heaviside, per_channel, single
from .torch.reader import read_modules
from .torch.values import Spikes, Synapses

__all__ = ["from_snntorch"]

_RESETS: tuple[Reset, ...] = ("subtract", "zero", "none")
"""Resets in the order of snnTorch's ``reset_mechanism_val``."""


def from_snntorch(
    model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int], **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read a model in evaluation mode, whose neurons start from a membrane of 0.

    The default of Leaky, ``U = βU + X − θ·[U_old > θ]``, becomes ``reset_delay`` of the neurons. With
    ``reset_delay=False`` and "subtract", Leaky fires on ``βU + X − θ·[U_old > θ] > θ`` with U_old after its reset; it
    is accepted only if weights, bias and ``in_max`` keep U_old from exceeding θ, because it then does the same as the
    plain soft reset. A Synaptic has a current that lasts, ``I = αI + X``, which the membrane takes in place of X.

    Parameters
    ----------
    model : nn.Sequential, or list of modules
        The modules in the order in which they run in one step.
    in_shape : N, (N,) or (C, H, W)
    fields
        Fields of the network, see `frontends.torch.fields`. A "potential" read-out may read a Leaky with
        reset_mechanism "none".

    Raises
    ------
    CompileError
        snnTorch is not installed, or a module has no counterpart; the message names it.
    """
    try:
        import snntorch  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise CompileError("snntorch must be installed to read its models: pip install 'firstspike[snntorch]'"
                           ) from None

    framework = Framework(name="snnTorch", neurons={
        snntorch.Leaky: _leaky, snntorch.Synaptic: _synaptic, snntorch.RLeaky: _recurrent_leaky,
        snntorch.RSynaptic: _recurrent_synaptic,
    }, feedback={snntorch.RLeaky: _feedback, snntorch.RSynaptic: _feedback},
                          protocol=_protocol, reset=_reset, stateful=lambda module: module.init_hidden,
                          bounded=_subtracts_at_once)
    return read_modules(framework, model, in_shape=in_shape, **fields)


def _leaky(where: str, module: Any, synapses: Synapses, lasting: np.ndarray | float = 0.0) -> FloatNeuron:
    if module.inhibition or module.state_quant:
        raise CompileError(f"{where} must have neither inhibition nor state_quant")
    if (factor := single(where, "graded_spikes_factor", module.graded_spikes_factor)) != 1:
        raise CompileError(f"{where} must have a graded_spikes_factor of 1, not {shown(factor)}")
    check_heaviside(where, module.spike_grad, at_zero=False)
    leak = np.clip(per_channel(where, "beta", module.beta, synapses), 0.0, 1.0)
    theta = per_channel(where, "threshold", module.threshold, synapses)
    reset = _RESETS[int(module.reset_mechanism_val)]
    if _subtracts_at_once(module):
        over = leak * theta + synapses.largest_drive(lasting) - 2 * theta
        if (over > 0).any():
            raise CompileError(f"{where} must have reset_delay=True or reset_mechanism 'zero': with subtraction in the "
                               "same step its membrane may stay above the threshold, by up to "
                               f"{float(np.max(over)):.3g}, and the next spike then takes twice the threshold")
    # Setting the membrane to 0 before the next step's leak is the same as doing so after the spike.
    return FloatNeuron(theta=theta, leak=leak, strict=True, reset=reset,
                       reset_delay=reset == "subtract" and bool(module.reset_delay))


def _recurrent_leaky(
    where: str, module: Any, synapses: Synapses, lasting: np.ndarray | float = 0.0,
) -> FloatNeuron:
    if int(module.reset_mechanism_val) == 1 and module.reset_delay:
        raise CompileError(f"{where} must have reset_delay=False for reset_mechanism 'zero': delayed, it also takes "
                           "the next step's input away")
    return _leaky(where, module, synapses, lasting)


def _feedback(where: str, module: Any, value: Any, own: Callable, run: Callable) -> tuple[Any, Synapses]:
    """The spikes of the step before come back through a Linear or Conv2d, or each to its own neuron, times V."""
    if isinstance(value, Spikes):
        raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
    spikes = replace(own(value.shape), flat=value.flat)
    if module.all_to_all:
        return module, currents(where, value, connect(where, module.recurrent, spikes))
    back = passed_on(where, spikes)
    return module, currents(where, value, back.scaled(per_channel(where, "V", module.V, back)))


def _protocol(module: Any) -> Protocol:
    return Protocol(states=2 if hasattr(module, "syn") else 1,
                    spikes_only=module.init_hidden and not module.output)


def _reset(model: nn.Module) -> None:
    for one in model.modules():
        getattr(one, "reset_mem", lambda: None)()


def _subtracts_at_once(module: Any) -> bool:
    """Whether the neuron does a plain soft reset only while no membrane stays above its threshold."""
    return _RESETS[int(module.reset_mechanism_val)] == "subtract" and not module.reset_delay


def _synaptic(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    alpha = np.clip(per_channel(where, "alpha", module.alpha, synapses), 0.0, 1.0)
    return replace(_recurrent_leaky(where, module, synapses, alpha), current_leak=alpha)


def _recurrent_synaptic(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    reset = _RESETS[int(module.reset_mechanism_val)]
    if reset == "zero":
        raise CompileError(f"{where} must have reset_mechanism 'subtract' or 'none', not 'zero', which also takes the "
                           "next step's current away, whatever reset_delay is")
    if not module.reset_delay:
        raise CompileError(f"{where} must have reset_delay=True: RSynaptic resets one step late, whatever it is told, "
                           "or cannot run")
    return _synaptic(where, module, synapses)
