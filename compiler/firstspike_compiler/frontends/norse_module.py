# SPDX-License-Identifier: MIT
"""Norse modules: a chain of layers with LIFBox, IAF, LIF or LSNN cells becomes a `FloatNetwork`."""

# Ref: Norse 1.1.0, norse/torch/functional/{lif_box,iaf,lif,lsnn,leaky_integrator_box,reset,threshold}.py,
# module/{lsnn,snn}.py

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.shown import shown
from torch import nn

from ..errors import CompileError
from .torch.combine import currents
from .torch.connect import multiply
from .torch.fields import Fields
from .torch.framework import Framework, Protocol
from .torch.options import as_array, per_channel
from .torch.reader import read_modules
from .torch.values import Synapses

__all__ = ["from_norse"]

_METHODS = ("heaviside", "super", "triangle", "tanh", "circ", "heavi_erfc")
"""Norse's methods whose forward function is x > 0."""


def from_norse(
    model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int], **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read a model in evaluation mode, whose neurons start without a state.

    A LIFBox cell computes V += a·(X + V_l − V) with a = dt/τ, then fires on V > θ. The network has v = (V − V_l)/a, and
    a hard reset sets v to (V_r − V_l)/a. If V_l is not below θ, it has v = (V − V_r)/a and V_l − V_r as a bias. An IAF
    cell computes V += X. A LIF or LI cell has a current that lasts, I ← (1 − dt/τ_syn)·I + X, which the membrane takes
    in place of X. An LSNN cell is a LIF cell whose membrane takes the current of the step before, and which fires on
    V > B, with B += dt/τ_adapt·(θ − B) before that, and B += β behind it if it fires, from B = θ. What the network's
    thresholds rise by is (1 − dt/τ_adapt)·(B − θ)/a.

    Parameters
    ----------
    model : SequentialState, nn.Sequential, or list of modules
        The modules in the order in which they run in one step; a `Lift` stands for the module inside.
    in_shape : N, (N,) or (C, H, W)
    fields
        Fields of the network, see `frontends.torch.fields`. A "potential" read-out may read a LIBoxCell.

    Raises
    ------
    CompileError
        Norse is not installed, or a module has no counterpart; the message names it.
    """
    try:
        import norse.torch as norse  # pyright: ignore[reportMissingImports]
        from norse.torch.functional.lsnn import (  # pyright: ignore[reportMissingImports]
            lsnn_feed_forward_step,
            lsnn_step,
        )
        from norse.torch.functional.reset import (  # pyright: ignore[reportMissingImports]
            reset_subtract,
            reset_value,
        )
    except ImportError:
        raise CompileError("norse must be installed to read its models: pip install 'firstspike[norse]'") from None

    def box(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
        if module.p.reset_method not in (reset_subtract, reset_value):
            raise CompileError(f"{where} must have the reset_method reset_value or reset_subtract")
        return _leaky(where, module, synapses, soft=module.p.reset_method is reset_subtract)

    def adaptive(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
        if module.activation not in (lsnn_step, lsnn_feed_forward_step):
            raise CompileError(f"{where} must have adjoint=False")
        return _adaptive(where, module, synapses)

    def inner(module: Any) -> nn.Module:
        return module.lifted_module if type(module) is norse.Lift else module

    framework = Framework(
        name="Norse",
        neurons={norse.LIFBoxCell: box, norse.LIFCell: _lif, norse.LIF: _lif, norse.IAFCell: _iaf, norse.IAF: _iaf,
                 norse.LIFRecurrentCell: _lif, norse.LIFRecurrent: _lif, norse.LSNNCell: adaptive,
                 norse.LSNN: adaptive, norse.LSNNRecurrentCell: adaptive, norse.LSNNRecurrent: adaptive,
                 norse.LIBoxCell: _integrator,
                 norse.LICell: _current_integrator, norse.LI: _current_integrator,
                 norse.LILinearCell: _current_integrator},
        feedback={norse.LIFRecurrentCell: _feedback, norse.LIFRecurrent: _feedback, norse.LSNNRecurrentCell: _feedback,
                  norse.LSNNRecurrent: _feedback, norse.LILinearCell: _weighted},
        protocol=lambda module: Protocol(
            all_steps=type(module) in (norse.LIF, norse.IAF, norse.LI, norse.LSNN, norse.LIFRecurrent,
                                       norse.LSNNRecurrent), spikes_only=False,
            kept=False, neurons=int(getattr(module, "hidden_size", 0))),
        containers=(norse.SequentialState,),
        followed=(norse.SequentialState,),
        inner=inner,
    )
    return read_modules(framework, model, in_shape=in_shape, **fields)


def _leaky(where: str, module: Any, synapses: Synapses, *, soft: bool) -> FloatNeuron:
    _check_method(where, module)
    rate = _rate(where, module, synapses)
    theta, rest, after = (per_channel(where, name, getattr(module.p, name), synapses)
                          for name in ("v_th", "v_leak", "v_leak" if soft else "v_reset"))
    # If a neuron would fire from rest alone, its threshold is counted from the reset potential instead.
    origin = rest if (theta > rest).all() else after
    pull = rest - origin
    return FloatNeuron(
        theta=(theta - origin) / rate, leak=1.0 - rate, strict=True, reset="subtract" if soft else "zero",
        reset_step=theta / rate if soft and origin.any() else None,
        v_reset=(after - origin) / rate if (after != origin).any() else None,
        v_init=pull / rate if pull.any() else None, bias=pull if pull.any() else None,
    )


def _feedback(where: str, module: Any, value: Any, own: Callable, run: Callable) -> tuple[Any, Synapses]:
    """The cell has weights of its own, for its input and for its spikes of the step before."""
    count = int(module.hidden_size)
    back = multiply(where, as_array(module.recurrent_weights), np.zeros(count), own((count,)))
    return module, currents(where, _weighted(where, module, value, own, run)[1], back)


def _weighted(where: str, module: Any, value: Any, own: Callable, run: Callable) -> tuple[Any, Synapses]:
    weight = as_array(module.input_weights)
    return module, multiply(where, weight, np.zeros(len(weight)), value)


def _lif(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    if module.p.method == "adjoint":
        raise CompileError(f"{where} must have one of the methods {', '.join(_METHODS)}, not 'adjoint'")
    return replace(_leaky(where, module, synapses, soft=False), current_leak=_lasting(where, module, synapses))


def _adaptive(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    beta = per_channel(where, "beta", module.p.beta, synapses)
    if (beta < 0).any():
        raise CompileError(f"{where} must have a beta ≥ 0, not {float(beta.min())!r}")
    kept = _kept(where, "tau_adapt_inv", module, synapses)
    # The comparison is with what a step leaves of B − θ, a spike in it included.
    return replace(_lif(where, module, synapses), current_delay=True, rise_leak=kept,
                   theta_rise=kept * beta / _rate(where, module, synapses))


def _iaf(where: str, module: Any, synapses: Synapses) -> FloatNeuron:
    _check_method(where, module)
    origin = per_channel(where, "v_reset", module.p.v_reset, synapses)
    theta = per_channel(where, "v_th", module.p.v_th, synapses) - origin
    return FloatNeuron(theta=theta, leak=1.0, strict=True, reset="zero")


def _lasting(where: str, module: Any, synapses: Synapses) -> np.ndarray:
    """What a step leaves of the current."""
    return _kept(where, "tau_syn_inv", module, synapses)


def _kept(where: str, name: str, module: Any, synapses: Synapses) -> np.ndarray:
    """What a step leaves of a number with this inverse time constant, 1 − dt/τ, rounded as in Norse, float64[C]."""
    rate = per_channel(where, f"dt·{name}", module.dt * getattr(module.p, name), synapses)
    wrong = rate[~((rate >= 0) & (rate <= 1))]
    if wrong.size:
        raise CompileError(f"{where} must have 0 ≤ dt·{name} ≤ 1, not {float(wrong[0])!r}")
    return 1.0 - rate


def _current_integrator(
    where: str, module: Any, synapses: Synapses,
) -> FloatNeuron | tuple[FloatNeuron, Synapses]:
    made, current = _integrator(where, module, synapses), _lasting(where, module, synapses)
    if isinstance(made, FloatNeuron):
        return replace(made, current_leak=current)
    return replace(made[0], current_leak=current), made[1]


def _integrator(where: str, module: Any, synapses: Synapses) -> FloatNeuron | tuple[FloatNeuron, Synapses]:
    rate = _rate(where, module, synapses)
    rest = per_channel(where, "v_leak", module.p.v_leak, synapses)
    if (rate == rate[0]).all() and (rest == rest[0]).all():
        return FloatNeuron(leak=1.0 - rate, reset="none")
    # The read-out compares membranes V; to compare v = (V − V_l)/a is the same only if all have the same a and V_l.
    return FloatNeuron(leak=1.0 - rate, reset="none", v_init=rest, bias=rate * rest), synapses.scaled(rate)


def _rate(where: str, module: Any, synapses: Synapses) -> np.ndarray:
    """dt/τ, rounded as in Norse, float64[C]."""
    rate = per_channel(where, "dt·tau_mem_inv", module.dt * module.p.tau_mem_inv, synapses)
    wrong = rate[~((rate > 0) & (rate <= 1))]
    if wrong.size:
        raise CompileError(f"{where} must have 0 < dt·tau_mem_inv ≤ 1, not {float(wrong[0])!r}")
    return rate


def _check_method(where: str, module: Any) -> None:
    if module.p.method not in _METHODS:
        raise CompileError(f"{where} must have one of the methods {', '.join(_METHODS)}, not {shown(module.p.method)}")
