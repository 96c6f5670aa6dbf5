# SPDX-License-Identifier: MIT
"""A `FloatNetwork` on disk: one safetensors file, with the scalars as one JSON string in its header; no pickle.

Weights that are whole steps of their layer's scale are packed (`packed_weights`); their shapes are in the header.
"""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import deserialize as _deserialize
from safetensors.numpy import save

from .connectivity import Conv2d, Dense, Shape, from_plain, size_of, to_plain
from .events import DELAY_MAX
from .file_kind import file_kind
from .float_network import FloatBranch, FloatLayer, FloatNetwork
from .layer import WEIGHT_EXPONENT_MAX
from .neuron import FloatNeuron
from .packed_weights import pack_weights, unpack_weights, whole_steps
from .plain import read_fields
from .program import write_atomically
from .shown import said, shown

__all__ = ["CheckpointError", "Tensor", "list_tensors", "load_network", "network_bytes", "save_network"]

FORMAT = 1
HEADER = "firstspike_network"
_LAYER_ARRAYS = ("weight", "gain", "shift")
_DTYPES = {"F64": np.float64, "F32": np.float32, "U8": np.uint8}
WEIGHT_BITS = range(2, 9)
_LAYER_SCALARS = tuple(item.name for item in fields(FloatLayer)
                       if item.name not in ("connectivity", "branches", "neuron", "delays", *_LAYER_ARRAYS))
_NEURON_SCALARS = tuple(item.name for item in fields(FloatNeuron) if item.name not in FloatNeuron.arrays())
"""Fields of the neurons that are stored in the header, beside those of their layer, unless they are arrays; neuron
arrays are tensors of the layer."""
_NETWORK_SCALARS = tuple(item.name for item in fields(FloatNetwork) if item.name != "layers")


class CheckpointError(ValueError):
    """A checkpoint is missing, truncated or malformed; the message names the file and the tensor or field."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor as a safetensors header describes it; ``whole`` says whether the file holds all of its numbers."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    whole: bool


# Ref: safetensors, README "Format": 8 bytes of header length, the header as JSON, then the numbers
_ENTRY = re.compile(r'"([^"\\]{1,200})": *{"dtype": *"(\w+)", *"shape": *\[([\d, ]*)\], *'
                    r'"data_offsets": *\[(\d+), *(\d+)\]}')


def list_tensors(path: str | Path) -> list[Tensor]:
    """List the tensors in the header of any safetensors file, as far as the header is readable.

    Raises
    ------
    CheckpointError
        The file cannot be read, or does not start like a safetensors file.
    """
    path = Path(path)
    raw = _read(path, "safetensors file")
    size = int.from_bytes(raw[:8], "little")
    found = _ENTRY.findall(raw[8 : 8 + size].decode(errors="replace"))
    if not found and raw[8:9] != b"{":
        raise CheckpointError(f"{path}: must be a safetensors file, " + (
            f"not {kind}" if (kind := file_kind(path)) else "but does not start as one"))
    return [Tensor(name=name, dtype=dtype, shape=tuple(int(side) for side in shape.split(",") if side.strip()),
                   whole=8 + size + int(end) <= len(raw)) for name, dtype, shape, _, end in found]


def _read(path: Path, what: str) -> bytes:
    if path.is_dir():
        raise CheckpointError(f"{path}: must be a {what}, not {file_kind(path)}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


def save_network(path: str | Path, network: FloatNetwork) -> None:
    """Write a network; the file is replaced as a whole or not at all.

    Raises
    ------
    CheckpointError
        A shape or type is wrong, or a value is not finite, so that the file could not be read back. Nothing is written.
    """
    write_atomically(Path(path), network_bytes(network, Path(path)))


def network_bytes(network: FloatNetwork, path: Path) -> bytes:
    """Return the contents of a file that `load_network` reads; errors are as of `save_network` to ``path``."""
    tensors = {}
    for index, layer in enumerate(network.layers):
        arrays = {name: getattr(layer, name) for name in _LAYER_ARRAYS}
        arrays |= {name: getattr(layer.neuron, name) for name in FloatNeuron.arrays()}
        arrays |= {name: value for name in FloatNeuron.ratios()
                   if isinstance(value := getattr(layer.neuron, name), np.ndarray)}
        for name, value in arrays.items():
            if value is not None:
                tensors[f"{index}.{name}"] = _stored(value)
        for number, branch in enumerate(layer.branches):
            tensors[f"{index}.branch{number}.weight"] = _stored(branch.weight)
        for name, whole in _whole_weights(layer).items():
            tensors[f"{index}.{name}"] = pack_weights(whole, layer.weight_bits)
        for name, one in ((f"{index}.", layer), *(
                (f"{index}.branch{number}.", branch) for number, branch in enumerate(layer.branches))):
            if one.delays is not None:
                tensors[f"{name}delays"] = _stored(one.delays)
    head = {"format": FORMAT, **{name: getattr(network, name) for name in _NETWORK_SCALARS},
            "layers": [_layer_head(layer) for layer in network.layers]}
    try:
        text = json.dumps(head, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: every field must be finite and fit JSON: {error}") from None
    _network_from_parts(path, json.loads(text), dict(tensors))
    return save(tensors, {HEADER: text})


def _step(weight_scale: float, weight_exponent: int = 0, **_) -> float:
    """Real value of a weight of 1, of the scalars of a layer."""
    return weight_scale * 2.0**weight_exponent


def _whole_weights(layer: FloatLayer) -> dict[str, np.ndarray]:
    """The weights to pack, by the names of their tensors in the layer: all of its sets as integers, or none."""
    if not (isinstance(layer.weight_scale, float) and 0 < layer.weight_scale < np.inf and layer.gain is None
            and layer.weight_bits in WEIGHT_BITS):
        return {}
    sets = {"weight": layer.weight} | {
        f"branch{number}.weight": branch.weight for number, branch in enumerate(layer.branches)}
    step = _step(layer.weight_scale, layer.weight_exponent)
    whole = {name: steps for name, weight in sets.items()
             if (steps := whole_steps(weight, step, layer.weight_bits)) is not None}
    return whole if whole.keys() == sets.keys() else {}


def _stored(values: np.ndarray) -> np.ndarray:
    """The values as float32 if that loses nothing, else as float64."""
    wide = np.ascontiguousarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return narrow if np.array_equal(narrow, wide) else wide


def _layer_head(layer: FloatLayer) -> dict:
    head: dict[str, Any] = {name: getattr(layer, name) for name in _LAYER_SCALARS}
    head |= {name: value for name in _NEURON_SCALARS if name not in layer.neuron.idle()
             and not isinstance(value := getattr(layer.neuron, name), np.ndarray)}
    for name, default in (("current_pool", None), ("events", None), ("weight_exponent", 0)):
        if head[name] == default:  # files without them stay as they are
            del head[name]
    if layer.current_pool is not None:
        head["current_pool"] = asdict(layer.current_pool)
    if layer.connectivity is not None:
        head["connectivity"] = to_plain(layer.connectivity)
    if whole := _whole_weights(layer):
        head["packed"] = {name: list(weights.shape) for name, weights in whole.items()}
    head["branches"] = [
        {"source": branch.source, "connectivity": to_plain(branch.connectivity), "average_pool": branch.average_pool}
        for branch in layer.branches]
    return head


def load_network(path: str | Path) -> FloatNetwork:
    """Read a file that `save_network` wrote; arrays become float64.

    Raises
    ------
    CheckpointError
        The file is missing, truncated or malformed, or a tensor has a wrong shape or holds NaN or infinity.
    """
    path = Path(path)
    raw = _read(path, "firstspike network")
    kind = file_kind(path)
    try:
        parts = _deserialize(raw)
        size = int.from_bytes(raw[:8], "little")
        metadata = json.loads(raw[8 : 8 + size]).get("__metadata__", {})
        if HEADER not in metadata:
            kind = kind or "a safetensors file of another tool, whose numbers do not say how the network runs"
        head = json.loads(metadata[HEADER])
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: must be a firstspike network, " + (
            f"not {kind}" if kind else f"whole and unaltered: {said(error)}")) from None
    tensors = {}
    for name, part in parts:
        if part["dtype"] not in _DTYPES:
            raise CheckpointError(f"{path}: tensor {name} must be float64, float32 or packed (U8), not {part['dtype']}")
        flat = np.frombuffer(part["data"], dtype=_DTYPES[part["dtype"]]).reshape(part["shape"])
        tensors[name] = flat if part["dtype"] == "U8" else flat.astype(np.float64)
    return _network_from_parts(path, head, tensors)


def _network_from_parts(path: Path, head: Any, tensors: dict[str, np.ndarray]) -> FloatNetwork:
    """Make the network from a parsed header and its tensors; all rules of the format are checked here."""
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise CheckpointError(f"{path}: must be a firstspike network of format {FORMAT}")
    if not isinstance(head.get("layers"), list) or not head["layers"]:
        raise CheckpointError(f"{path}: layers must be a list of at least one layer")
    layers: list[FloatLayer] = []
    shapes: list[Shape] = []
    for index, plain in enumerate(head["layers"]):
        where = f"{path}: layer {index}"
        try:
            arguments = read_fields(FloatLayer, plain, _LAYER_SCALARS)
            options = read_fields(FloatNeuron, plain, _NEURON_SCALARS)
            synapses = from_plain(plain["connectivity"]) if "connectivity" in plain else None
            branches = _branches(plain.get("branches", []))
        except ValueError as error:
            raise CheckpointError(f"{where}: {error}") from None
        if arguments.get("weight_bits", 8) not in WEIGHT_BITS:
            raise CheckpointError(f"{where}: weight_bits must be 2…8, not {shown(arguments['weight_bits'])}")
        if not 0 <= arguments.get("weight_exponent", 0) <= WEIGHT_EXPONENT_MAX:
            raise CheckpointError(f"{where}: weight_exponent must be 0…{WEIGHT_EXPONENT_MAX}, not "
                                  f"{shown(arguments['weight_exponent'])}")
        if arguments.get("weight_scale") is not None and not arguments["weight_scale"] > 0:
            raise CheckpointError(f"{where}: weight_scale must be positive, not {shown(arguments['weight_scale'])}")
        if (arguments.get("events") or 0) < 0:
            raise CheckpointError(f"{where}: events must be ≥ 0, not {shown(arguments['events'])}")
        _unpack(path, tensors, index, plain.get("packed", {}), arguments)
        weight = _tensor(path, tensors, f"{index}.weight", None if synapses is None else synapses.weight_shape)
        reaches = synapses or Dense(in_shape=weight.shape[1:], neurons=len(weight))
        if shapes and reaches.in_shape != shapes[-1]:
            raise CheckpointError(
                f"{path}: tensor {index}.weight must have inputs of the shape {shapes[-1]} that layer {index - 1} "
                f"gives, not {reaches.in_shape}"
            )
        pool = arguments.get("current_pool")
        try:
            shapes.append(reaches.out_shape if pool is None else pool.out_shape(reaches.out_shape))
        except ValueError as error:
            raise CheckpointError(f"{where}: current_pool: {error}") from None
        arrays, numbers = (
            {name: _tensor(path, tensors, f"{index}.{name}", _array_shape(name, reaches, tensors, index))
             for name in names if f"{index}.{name}" in tensors}
            for names in (_LAYER_ARRAYS, FloatNeuron.arrays() + FloatNeuron.ratios()))
        if twice := numbers.keys() & options.keys():
            raise CheckpointError(f"{where}: {min(twice)} must be a number or a tensor, not both")
        made = tuple(
            FloatBranch(weight=_tensor(path, tensors, f"{index}.branch{number}.weight",
                                       branch["connectivity"].weight_shape), **branch,
                        delays=_delays(path, tensors, f"{index}.branch{number}.delays", branch["connectivity"]))
            for number, branch in enumerate(branches))
        layers.append(FloatLayer(weight=weight, connectivity=synapses, branches=made,
                                 delays=_delays(path, tensors, f"{index}.delays", reaches),
                                 neuron=FloatNeuron(**numbers, **options), **arrays, **arguments))
    if tensors:
        raise CheckpointError(f"{path}: tensor {min(tensors)} must belong to one of the {len(layers)} layers")
    try:
        arguments = read_fields(FloatNetwork, head, _NETWORK_SCALARS)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if arguments["steps"] < 1:
        raise CheckpointError(f"{path}: steps must be at least 1, not {shown(arguments['steps'])}")
    return FloatNetwork(layers=tuple(layers), **arguments)


def _unpack(path: Path, tensors: dict[str, np.ndarray], index: int, shapes: Any, arguments: dict[str, Any]) -> None:
    """Replace packed weights of a layer in ``tensors`` by their real values; ``shapes`` are those in the header."""
    if not isinstance(shapes, dict) or not all(
            isinstance(shape, list) and 2 <= len(shape) <= 4 and all(type(side) is int and side > 0 for side in shape)
            for shape in shapes.values()):
        raise CheckpointError(f"{path}: layer {index}: packed must be shapes of weights, by name, not {shown(shapes)}")
    if shapes and arguments.get("weight_scale") is None:
        raise CheckpointError(f"{path}: layer {index}: weight_scale must be a number beside packed weights, not None")
    for name, shape in shapes.items():
        where, packed = f"{path}: tensor {index}.{name}", tensors.get(f"{index}.{name}")
        if packed is None or packed.dtype != np.uint8:
            raise CheckpointError(f"{where} must be packed (U8), as its layer says, but is "
                                  f"{'missing' if packed is None else 'not'}")
        try:
            whole = unpack_weights(packed, arguments.get("weight_bits", 8), tuple(shape))
        except ValueError as error:
            raise CheckpointError(f"{where} {error}") from None
        tensors[f"{index}.{name}"] = whole * _step(**arguments)


def _branches(plain: Any) -> list[dict[str, Any]]:
    """Arguments of `FloatBranch` for each branch, without the weight."""
    if not isinstance(plain, list):
        raise ValueError(f"branches must be a list, not {shown(plain)}")
    return [{**read_fields(FloatBranch, one, ("source", "average_pool")),
             "connectivity": from_plain(one.get("connectivity"))} for one in plain]


def _array_shape(name: str, synapses: Dense | Conv2d, tensors: dict[str, np.ndarray], index: int) -> tuple[int, ...]:
    """The shape that an array of a layer must have; the numbers of thresholds and steps are taken from the array
    itself."""
    given = tensors[f"{index}.{name}"].shape
    if name in FloatNeuron.numbers("steps"):
        return given[:1] or (0,)
    levels = given[1:2] if name in FloatNeuron.numbers("thresholds") and 0 not in given else ()
    return synapses.channels, *levels


def _delays(path: Path, tensors: dict[str, np.ndarray], name: str, synapses: Dense | Conv2d) -> np.ndarray | None:
    """Take delays out of ``tensors``, as int64[N], checked; None: there are none."""
    if name not in tensors:
        return None
    values = _tensor(path, tensors, name, (size_of(synapses.in_shape),))
    wrong = values[(values != np.rint(values)) | (values < 0) | (values > DELAY_MAX)]
    if wrong.size:
        raise CheckpointError(f"{path}: tensor {name} must be whole numbers 0…{DELAY_MAX}, not {float(wrong[0])!r}")
    return values.astype(np.int64)


def _tensor(path: Path, tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """Take a tensor out of ``tensors``, checked; if ``shape`` is None, it must be a matrix that is not empty."""
    if name not in tensors:
        raise CheckpointError(f"{path}: tensor {name} must be there, but is missing")
    value = tensors.pop(name)
    if value.dtype == np.uint8:
        raise CheckpointError(f"{path}: tensor {name} must be float64 or float32, or its layer must say that it is "
                              "packed")
    if shape is None and (value.ndim != 2 or 0 in value.shape):
        raise CheckpointError(f"{path}: tensor {name} must have shape (neurons, inputs), not {value.shape}")
    if shape is not None and value.shape != shape:
        raise CheckpointError(f"{path}: tensor {name} must have shape {shape}, not {value.shape}")
    if not np.isfinite(value).all():
        raise CheckpointError(f"{path}: tensor {name} must be finite everywhere, but holds NaN or infinity")
    return value
