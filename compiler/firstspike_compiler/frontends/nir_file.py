# SPDX-License-Identifier: MIT
"""NIR files: a chain of synapses, pools and (leaky) integrate-and-fire neurons becomes a `FloatNetwork`."""

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
    dt: float | None = None,
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
    dt : float
        Seconds of a step. LIF and CubaLIF need it (forward Euler; of a CubaLIF, tau_syn must be dt); None: IF nodes
        grow by r times their input in a step.

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
    shape, pool, averages, pending = None, 1, False, None
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise CompileError(f"dt must be a positive number of seconds, not {dt!r}")
    for name, node in _chain(path, graph):
        where, kind = f"{path}: node {name!r}", type(node).__name__
        if kind == "Input":
            shape = _whole(node.input_type["input"])
        elif kind == "Output" or (kind == "Flatten" and (int(node.start_dim), int(node.end_dim)) == (0, -1)):
            continue
        elif pending is None and kind in ("SumPool2d", "AvgPool2d"):
            if pool > 1 and averages != (kind == "AvgPool2d"):
                raise CompileError(f"{where}: {kind} must not follow a pool of the other kind")
            pool, averages = pool * _pool(where, kind, node), kind == "AvgPool2d"
        elif pending is None and kind in ("Conv2d", "Affine", "Linear"):
            pending = _synapses(where, kind, node, shape, pool)
        elif pending is not None and kind == "Scale":
            connectivity, weight, bias = pending
            scale = _per_channel(where, node, "scale", connectivity)
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            pending = connectivity, weight, None if bias is None else bias * scale
        elif pending is not None and kind in ("IF", "LIF", "CubaLIF", "Threshold"):
            connectivity, weight, bias = pending
            layers.append(FloatLayer(
                weight=weight, connectivity=connectivity, bias=bias, strict=strict, average_pool=averages and pool > 1,
                **_neurons(where, kind, node, connectivity, reset, dt),
            ))
            pool = 1
            shape, pending = connectivity.out_shape, None
        else:
            after = "synapses" if pending else "neurons"
            raise CompileError(f"{where}: {kind} must not follow {after}; what can be mapped is Conv2d, Affine or "
                               "Linear, then Scale if any, then IF, LIF, CubaLIF or Threshold, and SumPool2d, "
                               "AvgPool2d and whole Flatten between them")
    if pending is not None or not layers:
        raise CompileError(f"{path}: the chain must end in neurons")
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


def _neurons(
    where: str, kind: str, node: Any, connectivity: Dense | Conv2d, reset: Literal["subtract", "zero"],
    dt: float | None,
) -> dict[str, Any]:
    """Fields of `FloatLayer`; by forward Euler, V grows by ``gain`` times its input in a step."""
    if kind == "Threshold":
        return {"theta": _per_channel(where, node, "threshold", connectivity), "leak": 0.0, "reset": "none"}
    theta = _per_channel(where, node, "v_threshold", connectivity)
    for name in ("v_reset", "v_leak") if kind != "IF" else ("v_reset",):
        if (wrong := _per_channel(where, node, name, connectivity)).any():
            raise CompileError(f"{where}: {name} must be 0, not {float(wrong[np.abs(wrong).argmax()])!r}")
    gain = _per_channel(where, node, "r", connectivity)
    if (gain <= 0).any():
        raise CompileError(f"{where}: r must be > 0, not {float(gain.min())!r}")
    leak = 1.0
    if kind == "IF":
        gain = gain * (1.0 if dt is None else dt)
    else:
        if dt is None:
            raise CompileError(f"{where}: dt must be given for {kind}: the file does not say how long a step is")
        rates = dt / _per_channel(where, node, "tau_mem" if kind == "CubaLIF" else "tau", connectivity)
        if (rates != rates[0]).any() or not 0 < rates[0] <= 1:
            raise CompileError(f"{where}: dt / tau must be in 0 … 1 and the same for all neurons, not "
                               f"{float(rates.min())!r} … {float(rates.max())!r}")
        leak, gain = 1.0 - float(rates[0]), gain * rates[0]
    if kind == "CubaLIF":
        decays = _per_channel(where, node, "tau_syn", connectivity)
        if not np.allclose(decays, dt, rtol=1e-6, atol=0):  # pyright: ignore[reportArgumentType]
            raise CompileError(f"{where}: tau_syn must be dt, {dt!r}, so that a step's current is gone after it, not "
                               f"{float(decays.max())!r}")
        gain = gain * _per_channel(where, node, "w_in", connectivity)
        if (gain <= 0).any():
            raise CompileError(f"{where}: w_in must be > 0, not {float(gain.min())!r}")
    return {"theta": theta / gain, "leak": leak, "reset": reset}


def _per_channel(where: str, node: Any, name: str, connectivity: Dense | Conv2d) -> np.ndarray:
    """float64[C] of a value that NIR has for every neuron."""
    size = int(np.prod(connectivity.out_shape))
    value = np.asarray(getattr(node, name), dtype=np.float64)
    try:
        spread = np.broadcast_to(value.reshape(-1) if value.size == size else value, size)
    except ValueError:
        raise CompileError(f"{where}: {name} must have shape {connectivity.out_shape}, not {value.shape}") from None
    by_channel = spread.reshape(connectivity.channels, -1)
    if (by_channel != by_channel[:, :1]).any():
        raise CompileError(f"{where}: {name} must be the same for all neurons of a channel")
    return by_channel[:, 0]


def _pool(where: str, kind: str, node: Any) -> int:
    kernel, stride = _pair(node.kernel_size), _pair(node.stride)
    if kernel != stride or kernel[0] != kernel[1] or any(_pair(node.padding)):
        raise CompileError(f"{where}: {kind} must have equal kernel and stride and no padding, not {kernel}, "
                           f"{stride}, {_pair(node.padding)}")
    return kernel[0]


def _pair(value: Any) -> tuple[int, int]:
    first, second = np.broadcast_to(np.asarray(value), 2).tolist()
    return int(first), int(second)


def _whole(value: Any) -> Shape:
    return tuple(int(one) for one in np.asarray(value).ravel())


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", name)[:80]
