# SPDX-License-Identifier: MIT
"""SpikingJelly modules: a chain of layers with IF, LIF or parametric LIF nodes becomes a `FloatNetwork`."""

# Ref: SpikingJelly 2.0.0, activation_based/neuron/{base_node,integrate_and_fire,lif,plif}.py

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import torch
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.shown import shown
from torch import nn

from ..errors import CompileError
from .torch.combine import currents
from .torch.connect import multiply, passed_on
from .torch.fields import Fields
from .torch.framework import Framework, Protocol
from .torch.options import as_array, check_heaviside, single
from .torch.reader import read_modules
from .torch.values import Synapses

__all__ = ["from_spikingjelly"]


def from_spikingjelly(
    model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int], **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read a model in evaluation mode, whose neurons start as `functional.reset_net` leaves them.

    A node fires on H ≥ θ, where H is V + X for an IF node, V + (X − (V − V_r))/τ for a LIF node with ``decay_input``,
    V − (V − V_r)/τ + X for a LIF node without, and βV + C for a CUBALIF node, whose current is C ← αC + X. The network
    has v = V − V_r, or V of a CUBALIF node. With ``decay_input`` it has v = τ(V − V_r), so that the thresholds grow by
    τ instead of the input being divided. Single-step and multi-step modules are read alike.

    Parameters
    ----------
    model : nn.Sequential, or list of modules
        The modules in the order in which they run in one step; or any module whose ``forward`` only calls modules,
        adds what they give and flattens.
    in_shape : N, (N,) or (C, H, W)
    fields
        Fields of the network, see `frontends.torch.fields`. A "potential" read-out may read a NonSpikingIFNode or
        NonSpikingLIFNode.

    Raises
    ------
    CompileError
        SpikingJelly is not installed, or a module has no counterpart; the message names it.
    """
    try:
        from spikingjelly.activation_based import functional, layer, neuron  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise CompileError("spikingjelly must be installed to read its models: pip install 'firstspike[spikingjelly]'"
                           ) from None
    framework = Framework(
        name="SpikingJelly",
        neurons={
            neuron.IFNode: _node, neuron.LIFNode: _node, neuron.ParametricLIFNode: _node,
            neuron.CUBALIFNode: _current_node,
            neuron.NonSpikingIFNode: _potential, neuron.NonSpikingLIFNode: _potential,
        },
        feedback={layer.LinearRecurrentContainer: _linear_feedback,
                  layer.ElementWiseRecurrentContainer: _elementwise_feedback},
        same={getattr(layer, kind.__name__): kind for kind in (
            nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.BatchNorm1d, nn.BatchNorm2d,
            nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.MaxPool2d, nn.Flatten,
            nn.Dropout, nn.Dropout2d,
        )},
        containers=(layer.SeqToANNContainer, layer.MultiStepContainer, layer.StepModeContainer),
        protocol=lambda module: Protocol(all_steps=module.step_mode == "m",
                                         neurons=getattr(module, "sub_module_out_features", 0)),
        library=("spikingjelly.activation_based.model",),
        stateful=lambda module: True,
        votes={layer.VotingLayer: "voting_size"}, delays={layer.Delay: "delay_steps"},
        all_steps=lambda module: getattr(module, "step_mode", "s") == "m" or isinstance(
            module, layer.SeqToANNContainer | layer.MultiStepContainer),
        reset=functional.reset_net,
    )
    return read_modules(framework, model, in_shape=in_shape, **fields)


def _node(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    _check_node(where, module)
    keep, unit = _leak(where, module)
    rest = 0.0 if module.v_reset is None else single(where, "v_reset", module.v_reset)
    theta = np.full(synapses.channels, single(where, "v_threshold", module.v_threshold))
    start = module._memories_rv["v"] if hasattr(module, "_memories_rv") else rest
    v_init = np.full_like(theta, unit * (single(where, "initial v", start) - rest))
    return FloatNeuron(
        theta=unit * (theta - rest), leak=keep, v_init=v_init if v_init.any() else None,
        reset="subtract" if module.v_reset is None else "zero",
    )


def _current_node(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    """A node whose current lasts. Its membrane leaks toward 0, also from a v_reset apart from it."""
    _check_node(where, module)
    ones = np.ones(synapses.channels)
    soft = module.v_reset is None
    after = ones * (0.0 if soft else single(where, "v_reset", module.v_reset))
    start = ones * single(where, "initial v", module._memories_rv["v"])
    if (current := single(where, "initial c", module._memories_rv["c"])) != 0:
        raise CompileError(f"{where} must start from a current of 0, not {current!r}")
    return FloatNeuron(
        theta=ones * single(where, "v_threshold", module.v_threshold), leak=single(where, "v_decay", module.v_decay),
        current_leak=single(where, "c_decay", module.c_decay), reset="subtract" if soft else "zero",
        v_reset=after if after.any() else None, v_init=start if start.any() else None,
    )


def _check_node(where: str, module: Any) -> None:
    if getattr(module, "_neuron_precision", None) is not None:
        raise CompileError(f"{where} must keep its membrane in float32, not in {module._neuron_precision}")
    check_heaviside(where, module.surrogate_function, at_zero=True)


def _linear_feedback(where: str, module: Any, value: Any, own: Callable, run: Callable) -> tuple[nn.Module, Synapses]:
    """A Linear takes the input, and behind it the spikes of the step before."""
    spikes = own((module.sub_module_out_features,))
    weight, count = as_array(module.rc.weight), module.rc.in_features - module.sub_module_out_features
    bias = np.zeros(len(weight)) if module.rc.bias is None else as_array(module.rc.bias)
    return _inside(where, module, run, currents(where, multiply(where, weight[:, :count], bias, value),
                                                multiply(where, weight[:, count:], np.zeros(len(weight)), spikes)))


def _elementwise_feedback(
    where: str, module: Any, value: Any, own: Callable, run: Callable,
) -> tuple[nn.Module, Synapses]:
    """The spikes of the step before are added to the input."""
    y, x = torch.tensor([0.0, 1.0]).repeat(7), torch.linspace(-3, 3, 14)
    if not torch.equal(module.element_wise_function(y, x), y + x):
        raise CompileError(f"{where} must have an element_wise_function that adds: x + y")
    value = value if isinstance(value, Synapses) else passed_on(where, value)
    spikes = replace(own(value.shape), flat=value.flat)
    return _inside(where, module, run, currents(where, value, passed_on(where, spikes)))


def _inside(where: str, module: Any, run: Callable, value: Synapses) -> tuple[nn.Module, Synapses]:
    """The node that a container ends in, and its currents."""
    *head, node = module.sub_module if isinstance(module.sub_module, nn.Sequential) else [module.sub_module]
    for one in head:
        value = run(one, value)
        if not isinstance(value, Synapses):
            raise CompileError(f"{where} must have its only node at its end")
    return node, value


def _potential(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    if module.decode not in (None, "last_mem"):
        raise CompileError(f"{where} must have decode None or 'last_mem', not {shown(module.decode)}")
    return FloatNeuron(leak=_leak(where, module)[0], reset="none")


def _leak(where: str, module: Any) -> tuple[float, float]:
    """Leak of a node, and the factor by which the network's membranes are larger than the node's."""
    if hasattr(module, "w"):  # parametric: 1/τ is learned
        rate = single(where, "1/tau", module.w.detach().sigmoid())
    elif hasattr(module, "tau"):
        rate = 1.0 / single(where, "tau", module.tau)
    else:
        return 1.0, 1.0
    return 1.0 - rate, 1.0 / rate if getattr(module, "decay_input", True) else 1.0
