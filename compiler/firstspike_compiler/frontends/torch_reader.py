# SPDX-License-Identifier: MIT
"""Reads networks of torch modules. All frontends for frameworks on torch share it; each adds its own neurons.

Numbers are read, as float64, from modules that the caller holds in memory; nothing is trained or loaded. A chain is not
run; any other ``forward`` runs through all steps on a copy of the model, on symbols instead of tensors (`torch_trace`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Required, TypedDict, Unpack

import numpy as np
from firstspike_arch.connectivity import Conv2d, Shape, as_shape
from firstspike_arch.float_network import FloatBranch, FloatLayer, FloatNetwork, InputKind, LeakRounding, Readout
from firstspike_arch.network import INPUT
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.shown import shown
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ..errors import CompileError
from ..passes.choose_scales import WeightScale, take_scales
from .torch_check import Reference, check_run
from .torch_models import check_hooks, copied, keeps_nothing, named_modules
from .torch_synapses import (
    OWN,
    Spikes,
    Synapses,
    Term,
    add_up,
    as_pair,
    average,
    check_eval,
    connect,
    flatten,
    join,
    largest,
    late,
    map_shape,
    merged,
    normalise,
    passed_on,
    reach,
    scale,
    silent,
    vote,
)
from .torch_trace import Call, Node, Protocol, Refused, Trace

__all__ = ["Fields", "Framework", "Protocol", "read_modules"]

_BATCHES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107)
"""Sizes of a symbol's batch, of which one no other dimension should have: what acts on the batch then shows."""

_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_SYNAPSES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_MAPPED = (*_SYNAPSES, nn.BatchNorm1d, nn.BatchNorm2d, *_AVERAGES, nn.MaxPool2d, nn.Flatten, *_IDENTITIES)


DOORS = {
    "norse": ("Norse", "from_norse"), "sinabs": ("sinabs", "from_sinabs"), "snntorch": ("snnTorch", "from_snntorch"),
    "spikingjelly": ("SpikingJelly", "from_spikingjelly"),
    "rockpool": ("Rockpool", "load_nir, from the NIR graph that Rockpool writes"),
}
"""Package → the framework's name, and what reads its modules."""


class Fields(TypedDict, total=False):
    """Fields of `FloatNetwork` that a model does not contain.

    Parameters
    ----------
    steps : int
    readout : str
        "potential" reads a model that ends in synapses, whose outputs are added up over the steps, or in neurons that
        do not fire, whose membranes after the last step count.
    input_kind : str
        Default "events".
    in_max : int
        Most events of an address in one step, or largest number of a direct input; default 1.
    weight_scale, weight_bits
        Real value of one step of the weights and their bits, as quantisation-aware training fixed them: one number, or
        one (or None) for each layer, see `take_scales`. One number is for layers without a BatchNorm, after which each
        channel has a step of its own.
    reference : function
        Runs the network that was read, beside which the model itself is run on a few random inputs, see
        `torch_check.check_run`; the functions of `firstspike` give it. None: nothing is run.
    leak_rounding : str
        As in `FloatNetwork`.
    """

    name: str
    steps: Required[int]
    readout: Required[Readout]
    input_kind: InputKind
    cutoff: int
    in_min: int
    in_max: int
    input_scale: float
    step_weights: tuple[int, ...]
    endless: bool
    weight_scale: WeightScale
    weight_bits: int | Sequence[int]
    reference: Reference
    leak_rounding: LeakRounding
    accuracy: dict[str, float]
    recipe: dict


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


def read_modules(
    framework: Framework, model: nn.Module | Sequence[nn.Module], *, in_shape: int | Sequence[int],
    **fields: Unpack[Fields],
) -> FloatNetwork:
    """Read the network of a model in evaluation mode.

    Parameters
    ----------
    framework : Framework
    model : nn.Module, or list of modules
        A chain, `nn.Sequential` or a list: the modules in the order in which they run in one step. Or any module whose
        ``forward`` calls modules, adds up, scales by constants, concatenates, pools and flattens what they give, the
        same in every step; it may take one step's input, or those of all steps, or run one input through all steps.
    in_shape : N, (N,), (C, L) or (C, H, W)
        (C, L) becomes a map of height 1.
    fields
        See `Fields`.

    Raises
    ------
    CompileError
        A module has no counterpart; the message names it.
    """
    weight_scale, weight_bits = fields.pop("weight_scale", None), fields.pop("weight_bits", None)
    reference = fields.pop("reference", None)
    try:
        empty = FloatNetwork(layers=(), **{"name": "imported", "input_kind": "events", **fields})
    except TypeError as error:
        raise CompileError(f"a network must have the fields of FloatNetwork: {error}") from None
    try:
        shape = as_shape(in_shape)
    except ValueError as error:
        raise CompileError(str(error)) from None
    reader = _Reader(framework, shape, empty, line=isinstance(in_shape, Sequence) and len(in_shape) == 2)
    network = reader.read(model)
    if reference is not None:
        reader.check(model, network, reference)
    return take_scales(network, reader.scales(weight_scale), weight_bits)


class _Reader:
    """Builds the layers of a network from modules, taken in the order in which they run.

    Parameters
    ----------
    framework : Framework
    in_shape : (N,) or (C, H, W)
    line : bool
        Whether a map of height 1 is taken as (C, L).
    empty : FloatNetwork
        The network without its layers.
    """

    def __init__(self, framework: Framework, in_shape: Shape, empty: FloatNetwork, *, line: bool):
        self._framework, self._empty, self._in_shape, self._line = framework, empty, in_shape, line
        self._layers: list[FloatLayer] = []
        self._names: list[str] = []  # of the modules that fire, one a layer
        self._shapes: list[Shape] = []  # of the layers
        self._seen: set[int] = set()  # modules of neurons
        self._normalised: dict[int, str] = {}  # layers behind a normalisation → its module
        self._calls: dict[str, Call] = {}  # names of modules whose forward was followed
        self._own_modules: dict[nn.Module, nn.Module] = {}  # those that were traced → the user's own

    def read(self, model: Any) -> FloatNetwork:
        """The network of a whole model."""
        self._check_home(model)
        low, high = 0.0, 1.0
        if self._empty.input_kind != "latency":
            low, high = self._empty.in_min * self._empty.input_scale, self._empty.in_max * self._empty.input_scale
        return self._end(self._run("model", model, Spikes(
            where="the input", shape=self._in_shape, flat=False, line=self._line,
            terms=(Term(source=INPUT, shape=self._in_shape, low=low, high=high),))))

    def _check_home(self, model: Any) -> None:
        """Refuse modules of a framework that another door reads."""
        for where, one in named_modules(model):
            package = type(one).__module__.partition(".")[0]
            if package in DOORS and DOORS[package][0] != self._framework.name:
                name, door = DOORS[package]
                raise CompileError(f"{where} ({type(one).__name__}) must be read by {door}: it is a module of {name}")

    def check(self, model: Any, network: FloatNetwork, reference: Reference) -> None:
        """Run the model beside the network that was read of it."""
        shape = self._in_shape
        check_run(self._framework, model, network, self._names, self._calls, reference,
                  (shape[0], shape[2]) if self._line else shape)

    def scales(self, given: WeightScale | None) -> WeightScale | None:
        """The scales of all layers; one number is not for those behind a normalisation."""
        if given is None or not self._normalised:
            return given
        if isinstance(given, int | float):
            return [None if index in self._normalised or layer.weight_scale is not None else given
                    for index, layer in enumerate(self._layers)]
        for index, where in self._normalised.items():
            if index < len(given) and given[index] is not None:
                raise CompileError(f"layer {index}: weight_scale must be None, not {shown(given[index])}: the "
                                   f"normalisation before {where} gives each channel a step of its own, which "
                                   "compiling with per_channel=True finds")
        return given

    def _run(self, path: str, model: Any, value: Spikes | Synapses) -> Spikes | Synapses:
        """Return what a module gives for the value that it takes."""
        if isinstance(model, list | tuple):
            for index, child in enumerate(model):
                value = self._run(f"{path}[{index}]", child, value)
            return value
        if not isinstance(model, nn.Module):
            raise CompileError(f"{path} must be a torch module or a list of them, not {type(model).__name__}")
        where = f"{path} ({type(model).__name__})"
        check_hooks(where, model)
        if (inner := self._framework.inner(model)) is not model:
            return self._run(path, inner, value)
        if self._framework.children(model) is not None:
            for name, child in model._modules.items():  # named_children leaves out what is there a second time
                value = self._run(f"{path}.{name}", child, value)
            return value
        if self._framework.follows(model):
            return self._follow(path, where, model, value)
        if hasattr(model, "_orig_mod") or isinstance(model, nn.DataParallel):
            inside = "_orig_mod" if hasattr(model, "_orig_mod") else "module"
            raise CompileError(f"{where} must be given without its wrapper: {path}.{inside}")
        if path == "model":
            raise CompileError(f"{where} must be a Sequential, or the list of its modules in the order in which they "
                               "run")
        return self._take(where, model, value)

    def _follow(self, path: str, where: str, model: nn.Module, value: Spikes | Synapses) -> Spikes | Synapses:
        """Trace a ``forward`` of the user's own, and return what it gives."""
        framework = self._framework
        check_eval(where, model)  # its forward may depend on the mode
        calls: tuple[Call, ...] = ("step", "same", "all") if self._empty.input_kind == "direct" else ("step", "all")
        if any(protocol.all_steps if (protocol := framework.fires(one)) else framework.all_steps(one)
               for one in model.modules()):
            calls = ("all",)
        refused: list[tuple[int, Refused]] = []
        for call in calls:
            double = copied(model)
            pairs = [(f"{path}.{name}".rstrip("."), one)
                     for both in (double, model) for name, one in both.named_modules()]
            others = [(f"{name} ({type(one).__name__})", one) for name, one in pairs
                      if not framework.fires(one) and type(one) not in framework.delays]
            sizes = {size for one in model.parameters() for size in one.shape} | {*value.out_shape, self._empty.steps}
            trace = Trace({id(one): name for name, one in reversed(pairs)}, self._empty.steps,
                          protocol=framework.fires, inner=framework.inner, follows=framework.follows,
                          children=framework.children, batch=next(one for one in _BATCHES if one not in sizes))
            source = Node(kind="input", where=value.where)
            try:
                with keeps_nothing(others):
                    node, _ = trace.run(double, source, value.out_shape, call)
            except Refused as error:
                refused.append((trace.calls, error))
                continue
            if trace.membranes and self._empty.readout != "potential":
                raise CompileError(f"{where} must return spikes for a {self._empty.readout} read-out, not membranes "
                                   "only")
            self._calls[path] = call
            self._own_modules.update(zip(double.modules(), model.modules(), strict=True))
            return self._evaluate(node, {source: value})
        raise max(reversed(refused), key=lambda one: one[0])[1]  # of the way that led furthest

    def _evaluate(self, node: Node, values: dict[Node, Spikes | Synapses]) -> Spikes | Synapses:
        """What a node of a trace gives; ``values`` has those that are known."""
        stack = [node]
        while stack:
            one = stack[-1]
            # Layers are made in the order in which neurons run; own spikes have no value of their own.
            missing = [other for other in one.inputs if other not in values and one.kind != "before"]
            if one in values or not missing:
                stack.pop()
                if one not in values:
                    values[one] = self._value(one, [values[other] for other in one.inputs if other in values])
            else:
                stack.append(missing[0])
        return values[node]

    def _value(self, node: Node, inputs: list[Any]) -> Spikes | Synapses:
        if node.kind == "before":
            return self._own(node.where, node.shape)
        if node.kind == "zero":
            raise CompileError("model must not take zeros alone: a tensor that is filled in place cannot be followed")
        if node.kind == "state":
            raise CompileError(f"{node.where} must pass on its spikes, not its membrane")
        if node.kind == "module" or node.kind == "neurons":
            return self._take(node.where, self._own_modules.get(node.module, node.module), inputs[0])
        for one in inputs:
            self._check_fires(node.where, one)
        if node.kind == "add":
            return add_up(node.where, *inputs)
        if node.kind == "join":
            return join(node.where, inputs)
        assert node.kind == "scale"
        return scale(node.where, node.module, inputs[0])

    @staticmethod
    def _own(where: str, shape: Shape) -> Spikes:
        """The spikes of the step before of the neurons that are made next."""
        return Spikes(where=where, shape=shape, flat=False, terms=(Term(source=OWN, shape=shape, low=0.0, high=1.0),))

    def _take(self, where: str, module: Any, value: Spikes | Synapses) -> Spikes | Synapses:
        """Return what a module of torch or of neurons gives for a value."""
        kind = self._framework.kind(module)
        self._check_fires(where, value)
        if kind in self._framework.delays:
            return late(where, getattr(module, self._framework.delays[kind]), value)
        if kind in self._framework.votes:
            return vote(where, getattr(module, self._framework.votes[kind]), value)
        if kind in _IDENTITIES:
            check_eval(where, module)
            return value
        if kind is nn.Flatten:
            return flatten(where, module, value)
        if kind in _SYNAPSES:
            return connect(where, module, value)
        if kind is nn.BatchNorm1d or kind is nn.BatchNorm2d:
            return normalise(where, module, value)
        if kind in _AVERAGES:
            return average(where, module, value)
        if kind is nn.MaxPool2d:
            return self._maximum(where, module, value)
        return self._neurons(where, module, value)

    def _check_fires(self, where: str, value: Spikes | Synapses) -> Spikes | Synapses:
        if isinstance(value, Spikes) and any(
            one.source >= 0 and self._layers[one.source].neuron.theta is None for one in value.terms
        ):
            raise CompileError(f"{value.where} must fire, or be the last module: {where} takes its spikes")
        return value

    def _end(self, value: Spikes | Synapses) -> FloatNetwork:
        """Return the network whose last module gives ``value``."""
        if isinstance(value, Spikes) and value.plain is None and self._empty.readout == "spike_count":
            # Counts of pooled, scaled or joined spikes are the potentials of neurons that add them up.
            self._check_fires("the read-out", value)
            value = passed_on(value.where, value)
            self._empty = replace(self._empty, readout="potential")
        potential = self._empty.readout == "potential"
        if isinstance(value, Synapses):
            if not potential:
                raise CompileError(f"{value.where} must be followed by neurons, or be read by its potential")
            value = self._fire(value.where, FloatNeuron(reset="none"), value)
            self._names[-1] = f"the output of {self._names[-1]}"
        if not self._layers:
            raise CompileError("model must have at least one module of synapses, followed by neurons")
        if any(one.pool is not None for one in value.terms):
            raise CompileError(f"{value.pooled} must be followed by synapses, or be read by its spike_count, not by "
                               f"{self._empty.readout}")
        if any(one.delay for one in value.terms):
            raise CompileError(f"{value.where} must be followed by synapses, or be read by its spike_count, not by "
                               f"{self._empty.readout}")
        if [one.source for one in value.terms] != [len(self._layers) - 1]:
            raise CompileError(f"{self._names[-1]} must lead to the end of the model, which takes {value.where}")
        last, neuron = self._layers[-1], self._layers[-1].neuron
        if potential and neuron.theta is not None:
            if neuron.reset != "none" or neuron.single_spike:
                raise CompileError(f"{value.where} must have no reset, or be left out, for a potential read-out")
            self._layers[-1] = replace(last, neuron=replace(neuron, theta=None, reset_step=None, strict=False))
        elif not potential and neuron.theta is None:
            raise CompileError(f"{value.where} must fire for a {self._empty.readout} read-out")
        return replace(self._empty, layers=tuple(self._layers))

    def _maximum(self, where: str, module: Any, value: Spikes | Synapses) -> Spikes | Synapses:
        """Take the largest of currents, or replace a maximum pool of spikes by a layer of integrate-and-fire neurons,
        which any spike of their window makes fire."""
        if module.return_indices:
            raise CompileError(f"{where} must not have return_indices")
        if isinstance(value, Synapses):
            return largest(where, module, value)
        shape, term = map_shape(where, value), value.plain
        if term is None or (term.low, term.high) != (0, 1) or (
            term.source == INPUT and (self._empty.input_kind == "direct" or self._empty.input_scale != 1)
        ):
            raise CompileError(f"{where} must come directly behind neurons, behind synapses, or behind an input of "
                               "single spikes: the largest of other values has no counterpart")
        kernel, stride = as_pair(module.kernel_size), as_pair(module.stride or module.kernel_size)
        if as_pair(module.dilation) != (1, 1) or module.ceil_mode:
            raise CompileError(f"{where} must have dilation 1 and no ceil_mode behind neurons")
        if kernel == stride == (1, 1):
            return value
        try:
            connectivity = Conv2d(
                in_shape=shape, channels=shape[0], kernel=kernel, stride=stride, padding=as_pair(module.padding),
                groups=shape[0],
            )
        except ValueError as error:
            raise CompileError(f"{where} must fit what comes in: {error}") from None
        synapses = reach(where, value, np.ones(connectivity.weight_shape), connectivity)
        fired = self._fire(where, FloatNeuron(theta=np.ones(shape[0]), reset="zero"), synapses)
        self._layers[-1] = replace(self._layers[-1], weight_bits=2, weight_scale=1.0)
        return fired

    def _neurons(self, where: str, module: nn.Module, value: Spikes | Synapses) -> Spikes:
        given = module
        if type(module) in self._framework.feedback:
            module, value = self._framework.feedback[type(module)](
                where, module, value, lambda shape: self._own(where, shape),
                lambda one, taken: self._run(where.partition(" ")[0], one, taken))
        kind = type(module)
        if kind not in self._framework.neurons:
            known = ", ".join(one.__name__ for one in (*self._framework.neurons, *self._framework.feedback))
            mapped = ", ".join(one.__name__ for one in _MAPPED[:-3])
            raise CompileError(f"{where} must be a module that can be mapped: {mapped}, or of "
                               f"{self._framework.name}'s neurons {known}")
        if isinstance(value, Spikes):
            if len(value.terms) == 1:
                raise CompileError(f"{where} must come behind synapses, not behind {value.where}")
            value = passed_on(value.where, value)
        if id(given) in self._seen and self._framework.stateful(given):
            raise CompileError(f"{where} must have one place in the model: its membranes go on from call to call")
        self._seen.add(id(given))
        made = self._framework.neurons[kind](where, module, value)
        fired = self._fire(where, *(made if isinstance(made, tuple) else (made, value)))
        if self._framework.bounded(module) and any(one.source == INPUT for one in value.sets) and (
            self._empty.input_kind != "latency"
        ):
            self._empty = replace(self._empty, in_limit=self._empty.in_max)
        return fired

    @staticmethod
    def _with_bias(where: str, neuron: FloatNeuron, bias: np.ndarray) -> FloatNeuron:
        """The neurons with the bias of their synapses, which reaches what their weights reach: the current, if it
        lasts."""
        if neuron.current_leak is not None and not np.any(neuron.current_leak) and not neuron.current_delay:
            neuron = replace(neuron, current_leak=None)
        if neuron.current_leak is not None and bias.any():
            if neuron.bias is not None and neuron.bias.any():
                raise CompileError(f"{where} must have synapses without a bias: its resting potential is a bias of its "
                                   "membranes, and a layer has one, of its currents or of its membranes")
            return replace(neuron, bias=bias, current_bias=True)
        total = bias if neuron.bias is None else bias + neuron.bias
        return replace(neuron, bias=total if total.any() else None)

    def _fire(self, where: str, neuron: FloatNeuron, synapses: Synapses) -> Spikes:
        """Add a layer of these neurons, and return the spikes that it sends."""
        if neuron.theta is not None and np.min(neuron.theta) <= 0:
            raise CompileError(f"{where} must have a threshold above its resting and reset potential, "
                               f"not {float(np.min(neuron.theta))!r} above")
        for what, leak in (("membrane", neuron.leak), ("current", neuron.current_leak),
                           ("thresholds' rise", neuron.rise_leak)):
            kept = np.ravel(0.0 if leak is None else leak)
            wrong = kept[~((kept >= 0) & (kept <= 1))]
            if wrong.size:
                raise CompileError(f"{where} must keep 0 … 1 of its {what} in a step, not {float(wrong[0])!r}")
        neuron = self._with_bias(where, neuron, synapses.bias)
        index = len(self._layers)
        own = [one for one in synapses.sets if one.source == OWN]
        if own and len(synapses.shape) == 3:
            raise CompileError(f"{where} must be a vector for its own spikes to come back, not a map {synapses.shape}")
        if any(one.connectivity.in_shape != synapses.shape for one in own):
            raise CompileError(f"{where} must get back as many spikes as it has neurons, {synapses.shape}")
        sets = merged(tuple(replace(one, source=index) if one.source == OWN else one for one in synapses.sets))
        if self._empty.input_kind == "direct" and index and any(one.source == INPUT for one in sets):
            raise CompileError(f"{where} must not take the input, which is direct: such an input goes to the first "
                               "layer only")
        # The sort is stable: the first of several sets from the layer before becomes the layer's own.
        first, *others = sorted(sets, key=lambda one: one.source != index - 1)
        if first.source != index - 1:
            others = [first, *others]
            try:
                connectivity, nothing = silent(self._shapes[-1], synapses.sums_shape)
            except ValueError:
                raise CompileError(f"{where} must take the spikes of {self._names[-1]}, which runs before it, among "
                                   "others") from None
            first = replace(first, source=index - 1, weight=nothing, connectivity=connectivity, average_pool=False,
                            delay=0)
        self._layers.append(FloatLayer(
            weight=first.weight, connectivity=first.connectivity, average_pool=first.average_pool,
            current_pool=synapses.window, delays=first.delays,
            neuron=neuron,
            branches=tuple(FloatBranch(source=one.source, weight=one.weight, connectivity=one.connectivity,
                                       average_pool=one.average_pool, delays=one.delays) for one in others),
        ))
        self._names.append(where)
        if synapses.normalised:
            self._normalised[index] = where
        self._shapes.append(synapses.shape)
        return Spikes(where=where, shape=synapses.shape, flat=synapses.flat, line=synapses.line, terms=(
            Term(source=index, shape=synapses.shape, low=0.0, high=float(max(1, neuron.levels))),))
