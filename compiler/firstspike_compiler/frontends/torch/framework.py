# SPDX-License-Identifier: MIT
"""Describes the modules of a framework on torch: which are neurons, how they are called, and what the others do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from firstspike_arch.neuron import FloatNeuron
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ...errors import CompileError
from .models import named_modules
from .values import Synapses

__all__ = ["AVERAGES", "IDENTITIES", "SYNAPSES", "Call", "Framework", "Protocol"]

IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
SYNAPSES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_MAPPED = (*SYNAPSES, nn.BatchNorm1d, nn.BatchNorm2d, *AVERAGES, nn.MaxPool2d, nn.Flatten, *IDENTITIES)

_DOORS = {
    "norse": ("Norse", "from_norse"), "sinabs": ("sinabs", "from_sinabs"), "snntorch": ("snnTorch", "from_snntorch"),
    "spikingjelly": ("SpikingJelly", "from_spikingjelly"),
    "rockpool": ("Rockpool", "load_nir, from the NIR graph that Rockpool writes"),
}
"""Package → the framework's name, and what reads its modules."""


Call = Literal["step", "same", "all"]
"""How a forward takes its input: one step's at a time, [B, …], called once for each step; one that it runs through all
steps, [B, …]; or those of all steps, [T, B, …]."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How neurons are called.

    Parameters
    ----------
    all_steps : bool
        They take the currents of all steps, [T, B, …], instead of one step's.
    states : int
        Number of states that a call returns behind the spikes, each a tensor; 0: one object.
    spikes_only : bool
        A call returns no states.
    kept : bool
        A call that is given no states goes on from those of the last call.
    neurons : int
        Number of neurons, if they are a vector of another shape than the currents; 0: one for each current.
    """

    all_steps: bool = False
    states: int = 0
    spikes_only: bool = True
    kept: bool = True
    neurons: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Framework:
    """Describes the modules of a framework.

    Parameters
    ----------
    name : str
    neurons : dict
        Class of neurons → function of (where, module, `Synapses`) that returns a `FloatNeuron`, or one and the
        synapses in units of its membrane. Its bias is added to that of the synapses. Without theta, the output of the
        module is its membrane.
    same : dict
        Class → the class of torch that does the same in every step.
    containers : tuple of type
        Classes besides `torch.nn.Sequential` whose children run one after the other in every step.
    followed : tuple of type
        Classes of the framework whose ``forward`` is followed in a ``forward`` of the user's own, although they are
        containers in a chain.
    inner : function of module
        Returns the module inside a wrapper, or the module itself if it is not a wrapper.
    protocol : function of module
        Returns how a module of neurons is called.
    library : tuple of str
        Packages of the framework with whole models, which are followed as the user's own are.
    stateful : function of module
        Returns whether neurons keep their membranes from one call to the next; they may then be used only once.
    bounded : function of module
        Returns whether the `FloatNeuron` does the same as the module only while no current exceeds
        `Synapses.largest_drive`.
    feedback : dict
        Class of neurons whose own spikes come back a step later → function of (where, module, value, own, run) that
        returns the module of ``neurons`` inside and its `Synapses`. ``own(shape)`` gives those spikes, and
        ``run(module, value)`` what a module gives.
    votes : dict
        Class of modules that average groups of neurons → the name of the attribute with their number.
    delays : dict
        Class of modules that give what they get some steps later → the name of the attribute with their number.
    all_steps : function of module
        Whether a module other than neurons takes the values of all steps, [T, B, …], wherever it is called.
    reset : function of model
        Sets all neurons back to their start.
    """

    name: str
    neurons: Mapping[type, Callable[[str, Any, Synapses], FloatNeuron | tuple[FloatNeuron, Synapses]]]
    protocol: Callable[[Any], Protocol]
    same: Mapping[type, type] = field(default_factory=dict)
    containers: tuple[type, ...] = ()
    followed: tuple[type, ...] = ()
    inner: Callable[[nn.Module], nn.Module] = lambda module: module
    library: tuple[str, ...] = ()
    stateful: Callable[[Any], bool] = lambda module: False
    bounded: Callable[[Any], bool] = lambda module: False
    feedback: Mapping[type, Callable[..., tuple[nn.Module, Synapses]]] = field(default_factory=dict)
    votes: Mapping[type, str] = field(default_factory=dict)
    delays: Mapping[type, str] = field(default_factory=dict)
    all_steps: Callable[[Any], bool] = lambda module: False
    reset: Callable[[nn.Module], None] = lambda model: None

    def fires(self, module: Any) -> Protocol | None:
        """How neurons are called; None for other modules."""
        return self.protocol(module) if type(module) in self.neurons or type(module) in self.feedback else None

    def kind(self, module: nn.Module) -> type:
        """The class of a module; that of torch which does the same, if there is one."""
        kind = type(module).__bases__[0] if is_parametrized(module) else type(module)
        kind = self.same.get(kind, kind)
        base = next((one for one in kind.__mro__ if one in _MAPPED), kind)
        # A class of the user's own that only constructs itself in another way.
        own = {name for one in kind.__mro__[: kind.__mro__.index(base)] for name, value in vars(one).items()
               if callable(value) or isinstance(value, property | staticmethod | classmethod)}
        return base if own <= {"__init__", "__repr__", "extra_repr", "reset_parameters"} else kind

    def children(self, module: nn.Module) -> list[nn.Module] | None:
        """The modules that a container runs one after the other in every step; None if it is none."""
        inner = self.inner(module)
        if inner is not module:
            return [inner]
        chain = type(module) in self.containers or type(module).forward is nn.Sequential.forward
        # named_children leaves out what is there a second time.
        return [one for one in module._modules.values() if one is not None] if chain else None

    def follows(self, module: nn.Module) -> bool:
        """Whether a module's ``forward`` is followed: that of a class of the user's own, or of a library of models."""
        kind, known = self.kind(module), (*self.neurons, *self.feedback)
        name = type(module).__module__ if kind is type(module) else kind.__module__
        if kind in self.followed:
            return True
        if kind in _MAPPED or kind in self.votes or kind in self.delays or isinstance(module, known):
            return False
        if self.children(module) is not None:
            return False
        packages = {"torch", *(one.__module__.partition(".")[0] for one in known)}
        return name.partition(".")[0] not in packages or name.startswith(self.library)

    def check_home(self, model: Any) -> None:
        """Refuse modules of a framework that another door reads."""
        for where, one in named_modules(model):
            package = type(one).__module__.partition(".")[0]
            if package in _DOORS and _DOORS[package][0] != self.name:
                name, door = _DOORS[package]
                raise CompileError(f"{where} ({type(one).__name__}) must be read by {door}: it is a module of {name}")

    @property
    def known(self) -> str:
        """The names of what can be mapped, for messages."""
        neurons = ", ".join(one.__name__ for one in (*self.neurons, *self.feedback))
        return f"{', '.join(one.__name__ for one in _MAPPED[:-3])}, or of {self.name}'s neurons {neurons}"
