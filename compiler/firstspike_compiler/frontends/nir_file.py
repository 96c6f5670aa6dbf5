# SPDX-License-Identifier: MIT
"""NIR files: a chain of synapses, pools and integrate-and-fire neurons becomes a `FloatNetwork`."""

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, pooled
from firstspike_arch.model import FloatLayer, FloatNetwork, Readout

from ..errors import CompileError

__all__ = ["load_nir"]


def load_nir(
    path: str | Path, *, steps: int, reset: Literal["subtract", "zero"], strict: bool, readout: Readout,
) -> FloatNetwork:
    """Read a file. What it does not say must be given; what cannot be mapped is refused by name.

    Parameters
    ----------
    steps : int
        Steps of an inference.
    reset : "subtract" or "zero"
        NIR's ``v_reset`` = 0 says neither.
    strict : bool
        Fire on v > v_threshold, not on v ≥ v_threshold.

    Raises
    ------
    CompileError
        The file is not a NIR graph, is no chain, or has a node that has no counterpart.
    """
    try:
        import nir
    except ImportError:
        raise CompileError("nir must be installed to read NIR files: pip install 'firstspike[nir]'") from None
    path = Path(path)
    try:
        graph = nir.read(path, type_check=False)
    except Exception as error:  # whatever h5py or nir make of a file that is none
        raise CompileError(f"{path}: must be a NIR file: {error}") from None
    layers: list[FloatLayer] = []
    shape, pool, pending = None, 1, None
    for name, node in _chain(path, graph):
        where, kind = f"{path}: node {name!r}", type(node).__name__
        if kind == "Input":
            shape = _whole(node.input_type["input"])
        elif kind == "Output" or (kind == "Flatten" and (int(node.start_dim), int(node.end_dim)) == (0, -1)):
            continue
        elif pending is None and kind == "SumPool2d":
            pool *= _pool(where, node)
        elif pending is None and kind in ("Conv2d", "Affine", "Linear"):
            pending = _synapses(where, kind, node, shape, pool)
            pool = 1
        elif pending is not None and kind == "IF":
            connectivity, weight, bias = pending
            layers.append(FloatLayer(
                weight=weight, connectivity=connectivity, bias=bias, strict=strict, reset=reset,
                theta=_thresholds(where, node, connectivity),
            ))
            shape, pending = connectivity.out_shape, None
        else:
            after = "synapses" if pending else "neurons"
            raise CompileError(f"{where}: {kind} must not follow {after}; what can be mapped is Conv2d, Affine or "
                               "Linear followed by IF, and SumPool2d and whole Flatten between them")
    if pending is not None or not layers:
        raise CompileError(f"{path}: the chain must end in IF neurons")
    return FloatNetwork(name=_clean(path.stem), steps=steps, layers=tuple(layers), readout=readout, input_kind="events")


def _chain(path: Path, graph: Any) -> list[tuple[str, Any]]:
    following: dict[str, str] = {}
    for source, target in graph.edges:
        if source in following:
            raise CompileError(
                f"{path}: node {source!r} must have one successor, not {following[source]!r} and {target!r}")
        following[source] = target
    starts = [name for name, node in graph.nodes.items() if type(node).__name__ == "Input"]
    if len(starts) != 1:
        raise CompileError(f"{path}: must have one Input node, not {len(starts)}")
    names = [starts[0]]
    while names[-1] in following:
        names.append(following[names[-1]])
        if names[-1] not in graph.nodes or names[-1] in names[:-1]:
            raise CompileError(f"{path}: edge to {names[-1]!r} must lead to a node further on")
    return [(name, graph.nodes[name]) for name in names]


def _synapses(where: str, kind: str, node: Any, shape: Shape | None, pool: int):
    weight = np.asarray(node.weight, dtype=np.float64)
    if shape is None:
        raise CompileError(f"{where}: must come behind an Input of known shape")
    try:
        if kind == "Conv2d":
            if any(value != 1 for value in _pair(node.dilation)):
                raise CompileError(f"{where}: dilation must be 1, not {node.dilation!r}")
            if isinstance(node.padding, str):
                raise CompileError(f"{where}: padding must be two numbers, not {node.padding!r}")
            connectivity: Conv2d | Dense = Conv2d(
                in_shape=shape, channels=weight.shape[0], kernel=(weight.shape[2], weight.shape[3]),
                stride=_pair(node.stride), padding=_pair(node.padding), groups=int(node.groups), pool=pool,
            )
        else:
            connectivity = Dense(in_shape=shape, neurons=weight.shape[0], pool=pool)
    except CompileError:
        raise
    except (ValueError, IndexError, TypeError) as error:
        raise CompileError(f"{where}: {error}") from None
    if weight.shape != connectivity.weight_shape:
        raise CompileError(f"{where}: weight must have shape {connectivity.weight_shape} for an input of shape "
                           f"{pooled(shape, pool)}, not {weight.shape}")
    bias = getattr(node, "bias", None)
    return connectivity, weight, None if bias is None else np.asarray(bias, dtype=np.float64)


def _thresholds(where: str, node: Any, connectivity: Dense | Conv2d) -> np.ndarray:
    size = int(np.prod(connectivity.out_shape))
    values = {}
    for name in ("v_threshold", "r", "v_reset"):
        value = np.asarray(getattr(node, name), dtype=np.float64)
        try:
            by_channel = np.broadcast_to(value.reshape(-1) if value.size == size else value, size)
        except ValueError:
            raise CompileError(f"{where}: {name} must have shape {connectivity.out_shape}, not {value.shape}") from None
        by_channel = by_channel.reshape(connectivity.channels, -1)
        if (by_channel != by_channel[:, :1]).any():
            raise CompileError(f"{where}: {name} must be the same for all neurons of a channel")
        values[name] = by_channel[:, 0]
    if (values["v_reset"] != 0).any():
        raise CompileError(f"{where}: v_reset must be 0, not {float(np.abs(values['v_reset']).max())!r}")
    if (values["r"] <= 0).any():
        raise CompileError(f"{where}: r must be > 0, not {float(values['r'].min())!r}")
    return values["v_threshold"] / values["r"]  # v grows by r times its input


def _pool(where: str, node: Any) -> int:
    kernel, stride = _pair(node.kernel_size), _pair(node.stride)
    if kernel != stride or kernel[0] != kernel[1] or any(_pair(node.padding)):
        raise CompileError(f"{where}: SumPool2d must have equal kernel and stride and no padding, not {kernel}, "
                           f"{stride}, {_pair(node.padding)}")
    return kernel[0]


def _pair(value: Any) -> tuple[int, int]:
    first, second = np.broadcast_to(np.asarray(value), 2).tolist()
    return int(first), int(second)


def _whole(value: Any) -> Shape:
    return tuple(int(one) for one in np.asarray(value).ravel())


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", name)[:80]
