# SPDX-License-Identifier: MIT
"""A `FloatNetwork` on disk: one safetensors file, the scalars as one JSON string in its header. Never pickle."""

import json
import math
import types
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from safetensors import SafetensorError
from safetensors import deserialize as _deserialize
from safetensors.numpy import save

from .connectivity import Dense, from_plain, to_plain
from .model import FloatLayer, FloatNetwork
from .program import write_atomically

__all__ = ["CheckpointError", "load_network", "save_network"]

FORMAT = 1
HEADER = "firstspike_network"
_VECTORS = ("gain", "shift", "bias", "theta", "v_init")
_DTYPES = {"F64": np.float64, "F32": np.float32}
_LAYER_SCALARS = tuple(item.name for item in fields(FloatLayer)
                       if item.name not in ("weight", "connectivity", "average_pool", *_VECTORS))
_NETWORK_SCALARS = tuple(item.name for item in fields(FloatNetwork) if item.name != "layers")
_LAYER_TYPES, _NETWORK_TYPES = get_type_hints(FloatLayer), get_type_hints(FloatNetwork)


class CheckpointError(ValueError):
    """A checkpoint that is missing, truncated or malformed; the sentence names the file and the tensor or field."""


def save_network(path: str | Path, network: FloatNetwork) -> None:
    """Write a network, whole or not at all.

    Raises
    ------
    CheckpointError
        The network could not be read back: a shape, a type or a value that is not finite. Nothing is written.
    """
    path = Path(path)
    tensors = {}
    for index, layer in enumerate(network.layers):
        for name in ("weight", *_VECTORS):
            value = getattr(layer, name)
            if value is not None:
                tensors[f"{index}.{name}"] = np.ascontiguousarray(value, dtype=np.float64)
    head = {"format": FORMAT, **{name: getattr(network, name) for name in _NETWORK_SCALARS},
            "layers": [_layer_head(layer) for layer in network.layers]}
    try:
        text = json.dumps(head, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: every field must be finite and fit JSON: {error}") from None
    _network_from_parts(path, json.loads(text), dict(tensors))
    write_atomically(path, save(tensors, {HEADER: text}))


def _layer_head(layer: FloatLayer) -> dict:
    head: dict[str, Any] = {name: getattr(layer, name) for name in _LAYER_SCALARS}
    if layer.connectivity is not None:
        head |= {"connectivity": to_plain(layer.connectivity), "average_pool": layer.average_pool}
    return head


def load_network(path: str | Path) -> FloatNetwork:
    """Read what `save_network` wrote; arrays are float64.

    Raises
    ------
    CheckpointError
        The file is missing, truncated or malformed, or a tensor has a wrong shape or a value that is not finite.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        parts = _deserialize(raw)
        size = int.from_bytes(raw[:8], "little")
        text = json.loads(raw[8 : 8 + size])["__metadata__"][HEADER]
        head = json.loads(text)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: must be a firstspike network, whole and unaltered: {error!r}") from None
    tensors = {}
    for name, part in parts:
        if part["dtype"] not in _DTYPES:
            raise CheckpointError(f"{path}: tensor {name} must be float64 or float32, not {part['dtype']}")
        flat = np.frombuffer(part["data"], dtype=_DTYPES[part["dtype"]])
        tensors[name] = flat.reshape(part["shape"]).astype(np.float64)
    return _network_from_parts(path, head, tensors)


def _network_from_parts(path: Path, head: Any, tensors: dict[str, np.ndarray]) -> FloatNetwork:
    """The network of a parsed header and its tensors; every rule of the format is checked here."""
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise CheckpointError(f"{path}: must be a firstspike network of format {FORMAT}")
    if not isinstance(head.get("layers"), list) or not head["layers"]:
        raise CheckpointError(f"{path}: layers must be a list of at least one layer")
    layers, shape = [], None
    for index, scalars in enumerate(head["layers"]):
        where = f"{path}: layer {index}"
        arguments = _scalars(where, scalars, _LAYER_SCALARS, _LAYER_TYPES)
        if not 2 <= arguments["weight_bits"] <= 8:
            raise CheckpointError(f"{where}: weight_bits must be 2…8, not {arguments['weight_bits']!r}")
        if arguments["weight_scale"] is not None and not arguments["weight_scale"] > 0:
            raise CheckpointError(f"{where}: weight_scale must be positive, not {arguments['weight_scale']!r}")
        if "connectivity" in scalars:
            try:
                arguments["connectivity"] = synapses = from_plain(scalars["connectivity"])
            except ValueError as error:
                raise CheckpointError(f"{where}: {error}") from None
            if not isinstance(scalars.get("average_pool"), bool):
                raise CheckpointError(f"{where}: average_pool must be true or false")
            arguments["average_pool"] = scalars["average_pool"]
            weight = _tensor(path, tensors, f"{index}.weight", synapses.weight_shape)
        else:
            weight = _tensor(path, tensors, f"{index}.weight", None)
            synapses = Dense(in_shape=weight.shape[1:], neurons=len(weight))
        if shape is not None and synapses.in_shape != shape:
            raise CheckpointError(
                f"{path}: tensor {index}.weight must have inputs of the shape {shape} that layer {index - 1} gives, "
                f"not {synapses.in_shape}"
            )
        shape = synapses.out_shape
        vectors = {name: _tensor(path, tensors, f"{index}.{name}", (synapses.channels,))
                   for name in _VECTORS if f"{index}.{name}" in tensors}
        layers.append(FloatLayer(weight=weight, **vectors, **arguments))
    if tensors:
        raise CheckpointError(f"{path}: tensor {min(tensors)} must belong to one of the {len(layers)} layers")
    arguments = _scalars(str(path), head, _NETWORK_SCALARS, _NETWORK_TYPES)
    arguments["step_weights"] = tuple(arguments["step_weights"])
    if arguments["steps"] < 1:
        raise CheckpointError(f"{path}: steps must be at least 1, not {arguments['steps']!r}")
    return FloatNetwork(layers=tuple(layers), **arguments)


def _tensor(path: Path, tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """Take a tensor out of `tensors`; `shape` None asks for a matrix that is not empty."""
    if name not in tensors:
        raise CheckpointError(f"{path}: tensor {name} must be there, but is missing")
    value = tensors.pop(name)
    if shape is None and (value.ndim != 2 or 0 in value.shape):
        raise CheckpointError(f"{path}: tensor {name} must have shape (neurons, inputs), not {value.shape}")
    if shape is not None and value.shape != shape:
        raise CheckpointError(f"{path}: tensor {name} must have shape {shape}, not {value.shape}")
    if not np.isfinite(value).all():
        raise CheckpointError(f"{path}: tensor {name} must be finite everywhere, but holds NaN or infinity")
    return value


def _scalars(where: str, given: Any, names: tuple[str, ...], hints: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise CheckpointError(f"{where}: must be a table of fields, not {given!r}")
    for name in names:
        if name not in given:
            raise CheckpointError(f"{where}: {name} must be there, but is missing")
        if not _fits(given[name], hints[name]):
            raise CheckpointError(f"{where}: {name} must be {hints[name]}, not {given[name]!r}")
    return {name: given[name] for name in names}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of an annotated type (the few kinds that `model` uses)."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, arguments[1]) for item in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
