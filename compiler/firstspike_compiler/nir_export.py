# SPDX-License-Identifier: MIT
"""Writes integer networks as NIR files, which other tools can run."""

import io
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.connectivity import ConvTranspose2d, Dense, pooled
from firstspike_arch.float_network import LeakRounding
from firstspike_arch.network import INPUT, Branch, IntegerNetwork, Layer
from firstspike_arch.neuron import Neuron
from firstspike_arch.program import write_atomically
from firstspike_arch.shown import shown

from .errors import CompileError
from .passes.round_leaks import round_leaks, rounded_down

__all__ = ["save_nir"]

_SAID = ("bias", "theta", "reset", "reset_step", "v_reset", "leak_num", "leak_shift", "current_leak_num",
         "current_leak_shift", "current_bias", "current_delay", "rise_leak_shift")
"""Fields of neurons that NIR can express; any other must be without effect. Beside the last stands one that is not."""
_UNSAID = {
    "single_spike": "fire once", "theta_fall": "have a falling threshold", "reset_delay": "reset a step late",
    "v_min": "clamp", "v_max": "clamp", "v_init": "start from a membrane other than 0",
    "bias_once": "take their bias once", "leak_toward_zero": "round toward 0 as they leak",
}


def save_nir(network: IntegerNetwork, path: str | Path) -> dict[str, Any]:
    """Write a network in its integer steps: weights, biases and thresholds are whole numbers.

    One step takes dt = 1, also of a Delay. The threshold of neurons that reset to zero is written as a half below the
    integer, so that tools with v > theta and tools with v ≥ theta agree. The threshold of neurons that subtract is
    written as what they subtract, so that the comparison (``strict``) matters. A leak becomes v += (x − v)/tau, and
    that of currents i += (w_in·x − i)/tau_syn with w_in = tau_syn; other tools do not round them in every step as the
    integer network does, but `load_nir` and a compilation give the integers back. Membranes count from 0, also those
    that count from below it so that they round to the nearest (`round_leaks`). The metadata of synapses hold ``scale``,
    the real value of one integer step, and ``weight_bits``.

    Returns
    -------
    dict
        Arguments of `load_nir` for what the file does not contain: with these and the same ``leak_shift_max``, the file
        compiles into the same neurons with the same weights.

    Raises
    ------
    CompileError
        A layer has an option that NIR cannot express, or two nodes would have the same name; the message names it. Or
        the nir package is not installed.
    """
    try:
        import nir
    except ImportError:
        raise CompileError("nir must be installed to write NIR files: pip install 'firstspike[nir]'") from None
    network, leak_rounding = _counted_from_zero(network)
    reset, strict = _agreed(network)
    delayed = _agreed_delay(network)
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []

    def add(name: str, node: Any) -> None:
        if name in nodes:
            raise CompileError(
                f"layers must have names of their own to be exported, but {shown(name)} would be there twice")
        nodes[name] = node

    add("input", nir.Input({"input": np.array(network.input_shape)}))
    add("output", nir.Output({"output": np.array(network.layers[-1].out_shape)}))
    for index, layer in enumerate(network.layers):
        if layer.current_pool is not None:
            raise CompileError(f"layer {index} ({layer.name}): currents must not be pooled to be exported: NIR has no "
                               "maximum pool")
        if layer.weight_exponent:
            raise CompileError(f"layer {index} ({layer.name}): weight_exponent must be 0 to be exported, not "
                               f"{layer.weight_exponent}: NIR has one scale for weights and membranes")
        target = f"{layer.name}_neurons"
        for place, branch in enumerate(layer.synapses(index)):
            source = "input" if branch.source == INPUT else f"{network.layers[branch.source].name}_neurons"
            for name, node in _synapses(nir, layer, branch, f"{layer.name}_{place}" if place else layer.name,
                                        bias=place == 0):
                add(name, node)
                edges.append((source, name))
                source = name
            edges.append((source, target))
        add(target, _neurons(nir, f"layer {index} ({layer.name})", layer))
    edges.append((target, "output"))
    file = io.BytesIO()
    nir.write(file, nir.NIRGraph(nodes=nodes, edges=edges, type_check=False))  # pyright: ignore - h5py takes it
    write_atomically(Path(path), file.getvalue())
    options = {"steps": network.steps, "reset": reset, "strict": strict, "readout": network.readout, "dt": 1.0,
               "leak_rule": "euler", "reset_delay": False, "levels": 1, "start": "zero",
               "input_kind": network.input_kind, "in_max": network.in_max, "in_min": network.in_min,
               "cutoff": network.cutoff, "step_weights": network.step_weights, "endless": network.endless,
               "leak_rounding": leak_rounding, "current_rule": None if delayed is None else "rate",
               "current_delay": delayed}
    defaults = {"current_rule": None, "current_delay": None,
                "in_min": 0, "cutoff": 1, "step_weights": (), "endless": False, "leak_rounding": None}
    return {name: value for name, value in options.items() if name not in defaults or value != defaults[name]}


def _counted_from_zero(network: IntegerNetwork) -> tuple[IntegerNetwork, LeakRounding | None]:
    """The network with membranes that count from 0, and the ``leak_rounding`` that makes it of that."""
    plain = replace(network, layers=tuple(
        replace(layer, neuron=rounded_down(layer.neuron)) for layer in network.layers))
    if not any(layer.neuron.leaky for layer in network.layers):
        return plain, None
    ways: tuple[LeakRounding | None, ...] = ("floor", "nearest", None)
    for way in ways:
        made, _ = round_leaks(plain, way)
        if all(np.array_equal(one.neuron.v_init, other.neuron.v_init)
               for one, other in zip(made.layers, network.layers, strict=True)):
            return plain, way
    raise CompileError("leaks must round all down or all to the nearest to be exported, or as the compiler chooses: "
                       "load_nir has one leak_rounding for all layers")


def _agreed(network: IntegerNetwork) -> tuple[str, bool]:
    """Reset and ``strict``, which all layers must share; raise CompileError for a layer that NIR cannot express."""
    found: dict[tuple[str, bool | None], str] = {}
    for index, layer in enumerate(network.layers):
        where, neuron = f"layer {index} ({layer.name})", layer.neuron
        unsaid = [_UNSAID.get(item.name, f"have {item.name}") for item in fields(Neuron)
                  if item.name not in _SAID and _matters(neuron, item.name)]
        if neuron.levels > 1:
            unsaid.append("have several thresholds")
        if neuron.theta is not None and neuron.reset == "none" and np.any(neuron.leak_num):
            unsaid.append("fire without a reset")
        if neuron.lasts and neuron.bias.any() and not neuron.current_bias:
            unsaid.append("have a bias beside currents that last (current_bias adds it to these)")
        if unsaid:
            raise CompileError(f"{where}: neurons must not {unsaid[0]} to be exported: NIR has no node that does")
        if neuron.theta is None or not np.any(neuron.leak_num):
            continue
        strict: bool | None = None
        if neuron.reset == "subtract" and neuron.reset_step is not None:
            above = neuron.theta[:, 0] - neuron.reset_step
            if not (above == above[0]).all() or above[0] not in (0, 1):
                raise CompileError(f"{where}: theta must be reset_step, or one above it, for all channels to be "
                                   "exported: NIR has one number for both")
            strict = bool(above[0])
        elif neuron.reset == "subtract":
            strict = False
        found[neuron.reset, strict] = where
    if len(found) > 1:
        (first, one), (second, other), *_ = found.items()
        raise CompileError(f"{other}: reset and comparison must be those of {one}, {_named(*first)}, not "
                           f"{_named(*second)}, to be exported: in NIR they go for all")
    reset, strict = next(iter(found), ("zero", None))
    return reset, bool(strict)


def _agreed_delay(network: IntegerNetwork) -> bool | None:
    """``current_delay``, which all layers whose currents last must share; None: there are none."""
    found = {layer.neuron.current_delay: f"layer {index} ({layer.name})"
             for index, layer in enumerate(network.layers) if layer.neuron.lasts}
    if len(found) > 1:
        raise CompileError(f"{found[True]}: current_delay must be that of {found[False]}, False, not True, to be "
                           "exported: in NIR it goes for all")
    return next(iter(found), None)


def _matters(neuron: Neuron, name: str) -> bool:
    """Whether a field has an effect."""
    value = getattr(neuron, name)
    if isinstance(value, np.ndarray):
        return bool(value.any())
    idle = {"bias_once": not neuron.bias.any(), "leak_toward_zero": not neuron.leaky and not neuron.lasts}
    return value is not None and value is not False and not idle.get(name, False)


def _named(reset: str, strict: bool | None) -> str:
    return reset if strict is None else f"{reset} and {'>' if strict else '≥'}"


def _synapses(nir: Any, layer: Layer, branch: Branch, name: str, *, bias: bool) -> list[tuple[str, Any]]:
    """Names and nodes between the source of spikes and the neurons, in order."""
    synapses = branch.connectivity
    metadata = {"scale": float(layer.scale), "weight_bits": int(layer.weight_bits)}
    found: list[tuple[str, Any]] = []
    if isinstance(synapses, ConvTranspose2d):
        raise CompileError(f"layer {layer.name}: synapses must not be a transposed convolution to be exported: NIR has "
                           "no node for it")
    if branch.delays is not None and branch.delays.any():
        found.append((f"{name}_delay", nir.Delay(delay=_numbers(branch.delays.reshape(synapses.in_shape)))))
    if synapses.pool_size > 1:
        side = np.array(synapses.pool_sides)
        found.append((f"{name}_pool", nir.SumPool2d(kernel_size=side, stride=side, padding=np.array([0, 0]))))
    shape = pooled(synapses.in_shape, synapses.pool)
    weight, offset = _numbers(branch.weights), _numbers(layer.neuron.bias if bias else 0 * layer.neuron.bias)
    if isinstance(synapses, Dense):
        if len(shape) == 3:
            found.append((f"{name}_flatten", nir.Flatten(start_dim=0, end_dim=-1, input_type={
                "input": np.array(shape)})))
        plain = not offset.any()
        found.append((name, nir.Linear(weight=weight, metadata=metadata) if plain else
                      nir.Affine(weight=weight, bias=offset, metadata=metadata)))
    else:
        found.append((name, nir.Conv2d(
            input_shape=shape[1:], weight=weight, bias=offset, stride=synapses.stride, padding=synapses.padding,
            dilation=synapses.dilation, groups=synapses.groups, metadata=metadata)))
    return found


def _neurons(nir: Any, where: str, layer: Layer) -> Any:
    neuron = layer.neuron
    rate = 1 - neuron.leak
    if np.any(rate) and not np.all(rate):
        raise CompileError(f"{where}: leak must be below 1 for all channels, or 1 for all, to be exported: NIR's LIF "
                           "takes no input without a leak")

    def spread(value: Any) -> np.ndarray:
        return _numbers(layer.spread(np.broadcast_to(value, layer.channels)).reshape(layer.out_shape))

    ones, zeros = spread(1.0), spread(0.0)
    if neuron.current_leak is not None:
        return _current_neurons(nir, where, layer, spread)
    if neuron.theta is None:
        # Where leaks differ, r keeps the unit of membranes the same, so that they can be compared.
        return nir.LI(tau=spread(1 / rate), r=spread(1 / rate) if np.ndim(rate) else ones,
                      v_leak=zeros) if np.any(rate) else nir.I(r=ones)
    if np.all(rate == 1):
        return nir.Threshold(threshold=spread(neuron.theta[:, 0] - 0.5))
    theta, after = _fires_and_resets(where, neuron)
    after = spread(after * (rate if np.any(rate) else 1))
    if not np.any(rate):
        return nir.IF(r=ones, v_threshold=spread(theta), v_reset=after)
    # Many tools support only r = 1, with which a step adds rate·x.
    return nir.LIF(tau=spread(1 / rate), r=ones, v_leak=zeros, v_reset=after, v_threshold=spread(theta * rate))


def _fires_and_resets(where: str, neuron: Neuron) -> tuple[np.ndarray, np.ndarray]:
    """Threshold and reset value in steps, [C] each."""
    assert neuron.theta is not None
    theta, none = neuron.theta[:, 0] - 0.5, np.zeros(len(neuron.theta))
    if neuron.reset == "subtract" and np.any(neuron.leak_num):
        theta = neuron.theta[:, 0] if neuron.reset_step is None else neuron.reset_step
        if theta.min() < 1:
            raise CompileError(f"{where}: reset_step must be ≥ 1 to be exported, not {int(theta.min())}")
    return theta, none if neuron.v_reset is None or neuron.reset != "zero" else neuron.v_reset


def _current_neurons(nir: Any, where: str, layer: Layer, spread: Callable[[Any], np.ndarray]) -> Any:
    """Neurons whose currents last: v += (r·i − v)/tau_mem, i += (w_in·x − i)/tau_syn."""
    neuron = layer.neuron
    rate, lost = 1 - neuron.leak, 1 - np.asarray(neuron.current_leak)
    for name, share in (("leak", rate), ("current_leak", lost)):
        if not np.all(share):
            raise CompileError(f"{where}: {name} must be below 1 for all channels whose currents last to be exported: "
                               "NIR's CubaLIF takes nothing without a leak")
    one, both = spread(1.0), spread(1 / lost)
    # As of neurons without a current, the membrane is rate·v where r = 1.
    r = spread(1 / rate) if neuron.theta is None and np.ndim(rate) else one
    numbers = {"tau_syn": both, "w_in": both, "tau_mem": spread(1 / rate), "r": r, "v_leak": spread(0.0)}
    if neuron.theta is None:
        return nir.CubaLI(**numbers)
    theta, after = _fires_and_resets(where, neuron)
    return nir.CubaLIF(**numbers, v_threshold=spread(theta * rate), v_reset=spread(after * rate))


def _numbers(values: Any) -> np.ndarray:
    """The values as float32, which other tools compute in, if that loses nothing; else as float64."""
    wide = np.asarray(values, dtype=np.float64)
    narrow = wide.astype(np.float32)
    return np.ascontiguousarray(narrow if np.array_equal(narrow, wide) else wide)
