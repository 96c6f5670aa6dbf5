# SPDX-License-Identifier: MIT
"""Frontends for torch modules, with the float reference, beside which the models themselves are run.

Plain torch is read here: layers with the neurons of `firstspike_train.neurons` become a `FloatNetwork`.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Unpack

import numpy as np
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_compiler.frontends import norse_module, sinabs_module, snntorch_module, spikingjelly_module
from firstspike_compiler.frontends.torch.fields import Fields
from firstspike_compiler.frontends.torch.framework import Framework, Protocol
from firstspike_compiler.frontends.torch.options import per_channel, single
from firstspike_compiler.frontends.torch.reader import read_modules
from firstspike_compiler.frontends.torch.values import Synapses
from firstspike_sim.models.float_reference import run_float
from firstspike_train.neurons import IF, LIF, LeakyIntegrator, SpikingSequential
from torch import nn

__all__ = ["from_norse", "from_sinabs", "from_snntorch", "from_spikingjelly", "from_torch"]

Door = Callable[..., FloatNetwork]


def _checked(door: Door) -> Door:
    @wraps(door)
    def read(model: nn.Module | Sequence[nn.Module], **options) -> FloatNetwork:
        return door(model, **{"reference": run_float, **options})

    return read


from_norse, from_sinabs, from_snntorch, from_spikingjelly = (
    _checked(door) for door in (
        norse_module.from_norse, sinabs_module.from_sinabs, snntorch_module.from_snntorch,
        spikingjelly_module.from_spikingjelly))


@_checked
def from_torch(
    model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int], **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read a model, in evaluation mode, with the neurons `IF`, `LIF` and `LeakyIntegrator`.

    Parameters
    ----------
    model : Sequential or SpikingSequential, or list of modules
        Modules in the order in which they run; or any module whose ``forward`` only calls modules, adds their outputs
        and flattens.
    in_shape : N, (N,) or (C, H, W)
        Shape of the input of one step of one inference.
    fields
        steps, readout, input_kind, in_max, …, as in `frontends.torch.fields`. With readout "potential", the output
        layer may be a LeakyIntegrator.

    Raises
    ------
    CompileError
        A module has no counterpart; the message names it.
    """
    framework = Framework(
        name="firstspike", neurons={IF: _lif, LIF: _lif, LeakyIntegrator: _integrator},
        containers=(SpikingSequential,),
        protocol=lambda module: Protocol(all_steps=True, kept=False),
        all_steps=lambda module: isinstance(module, SpikingSequential),
    )
    return read_modules(framework, model, in_shape=in_shape, **fields)


def _lif(where: str, module: LIF, synapses: Synapses) -> FloatNeuron:
    leak, theta = module.operands()
    first = per_channel(where, "theta", theta, synapses)
    levels = np.arange(1, module.levels + 1)
    return FloatNeuron(
        theta=first if module.levels == 1 else np.outer(first, levels), leak=single(where, "leak", leak),
        strict=module.strict, reset=module.reset, single_spike=module.single_spike,
        current_leak=None if (lasting := module.lasting()) is None else single(where, "current_leak", lasting),
    )


def _integrator(where: str, module: LeakyIntegrator, synapses: Synapses) -> FloatNeuron:
    return FloatNeuron(leak=single(where, "leak", module.operand()), reset="none")
