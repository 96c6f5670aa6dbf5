# SPDX-License-Identifier: MIT
"""Reads the networks that lava-dl's slayer exports (``.net``, HDF5) as an `IntegerNetwork`, to the bit."""

# Ref: lava-dl 0.6.0, lava/lib/dl/slayer/block/base.py (export_hdf5), slayer/neuron/cuba.py and
# slayer/neuron/dynamics/leaky_integrator.py; lava 0.10.0, lava/proc/lif/models.py

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, Shape, size_of
from firstspike_arch.fixed import bits_for_signed
from firstspike_arch.network import Branch, IntegerNetwork, Layer, NetworkError, Neuron
from firstspike_arch.shown import shown

from ..errors import CompileError
from .hdf5_tree import Tree, TreeReader

__all__ = ["load_lava", "network_of_tree"]

DECAY_BITS = 12
"""Bits after the point of a decay: states keep 1 − decay / 2^12 of themselves in a step."""

STATE_BITS = 6
"""Bits that currents and membranes have after the point of weights, biases and thresholds."""

THRESHOLD_MAX = 1 << 17
"""Thresholds from here on are beyond membranes of 24 bits: the neurons never fire."""

NEURONS = ("CUBA", "LOIHI")
"""Types of neurons that are current-based leaky integrators."""

_NEURON = {"type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike", "messageBits"}
_SYNAPSES = {"type", "shape", "weight", "bias", "delay", "neuron"}
_SIDES = {"kernelSize", "stride", "padding", "dilation"}
_KNOWN = {
    "input": {"type", "shape"}, "flatten": {"type", "shape"}, "average": {"type", "shape"},
    "dense": {*_SYNAPSES, "inFeatures", "outFeatures"},
    "dense_rec": {*_SYNAPSES, "inFeatures", "outFeatures", "weight_rec"},
    "conv": {*_SYNAPSES, *_SIDES, "inChannels", "outChannels", "groups"},
    "pool": {*_SYNAPSES, *_SIDES},
}
"""Kinds of blocks that can be read, and what each may hold."""


def load_lava(
    path: str | Path, *, steps: int, readout: str, input_shape: Sequence[int] | None = None, **fields: Any,
) -> IntegerNetwork:
    """Read a network that lava-dl exported; its numbers are integers, and stay what they are.

    Every block's neurons do what Loihi's do: current and membrane decay toward 0 by numbers of 12 bits, a neuron fires
    above its threshold and then starts from 0. lava-dl's blocks send their spikes a step late. Here a spike reaches the
    next layer in its step, so that all is the same, sooner by a step for each block; layers behind the first that have
    a bias take their input as late as there, as the bias does not wait.

    Parameters
    ----------
    path : path
        Blocks ``input`` without neurons, ``dense``, ``dense_rec``, ``conv``, ``pool``, ``flatten`` and, at the end,
        ``average``, with neurons of the types CUBA or LOIHI.
    steps : int
        Number of steps of an inference.
    readout : "first_spike", "spike_count", "weighted_spikes" or "potential"
        The "spike_count" of a network that ends in an average becomes the potential of neurons that add up the spikes
        of each group. "potential" reads an affine block, whose neurons never fire.
    input_shape : (int,) or (int, int, int)
        Neurons, or channels, height and width, of the input. It must be given if a network starts with a convolution
        with a stride, or a pool, and has no input block.
    fields
        Further fields of `IntegerNetwork`, such as name and in_max; the default input is "events".

    Raises
    ------
    CompileError
        The file is no network of lava-dl, or a block has no counterpart; the message names it.
    """
    with TreeReader() as reader:
        tree = reader.read(path, kind="lava-dl")
    return network_of_tree(Path(path), tree, steps=steps, readout=readout, input_shape=input_shape, **fields)


def network_of_tree(
    path: Path, tree: Tree, *, steps: int, readout: str, input_shape: Sequence[int] | None = None, **fields: Any,
) -> IntegerNetwork:
    """The network in the contents of a file; see `load_lava`."""
    blocks = _blocks(path, tree)
    if input_shape is not None and (len(input_shape) not in (1, 3) or min(input_shape) < 1):
        raise CompileError("input_shape must be one number, or channels, height and width, not "
                           f"{shown(tuple(input_shape))}")
    network = _Network(path, blocks, readout, None if input_shape is None else tuple(input_shape))
    default = {"name": re.sub(r"[^A-Za-z0-9_.+-]", "_", path.stem)[:80] or "lava", "input_kind": "events",
               "steps_max": steps}
    try:
        return IntegerNetwork(steps=steps, layers=tuple(network.layers), readout=network.readout,  # pyright: ignore
                              **{**default, **fields})
    except TypeError as error:
        raise CompileError(f"a network must have the fields of IntegerNetwork: {error}") from None
    except NetworkError as error:
        raise CompileError(f"{path}: {error}") from None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Block:
    """A block of the file: its fields by name, those of its neurons as "neuron/iDecay"."""

    where: str
    kind: str
    fields: dict[str, Any]

    def error(self, sentence: str) -> CompileError:
        return CompileError(f"{self.where}: {sentence}")

    def integers(self, name: str) -> np.ndarray:
        """A field as int64 of the shape that it has."""
        value = self.fields.get(name)
        if not isinstance(value, np.ndarray) or not value.size:
            raise self.error(f"{name} must be there, as numbers")
        if not np.isfinite(value).all() or (value != np.rint(value)).any() or np.abs(value).max() >= 1 << 31:
            wrong = value[~np.isfinite(value) | (value != np.rint(value)) | (np.abs(value) >= 1 << 31)]
            raise self.error(f"{name} must be whole numbers below 2^31, not {float(wrong.flat[0])!r}")
        return value.astype(np.int64)

    def integer(self, name: str, low: int, high: int) -> int:
        """A field as one number in ``low`` … ``high``."""
        value = self.integers(name)
        if value.size != 1 or not low <= value.flat[0] <= high:
            allowed = low if low == high else f"{low}…{high}"
            raise self.error(f"{name} must be {allowed}, not {shown(value.ravel().tolist()).strip('[]')}")
        return int(value.flat[0])

    def pair(self, name: str) -> tuple[int, int]:
        """A field as height and width."""
        value = self.integers(name).ravel()
        if value.size not in (1, 2) or value.min() < 0:
            raise self.error(f"{name} must be one number or two, not {shown(value.tolist())}")
        return int(value[0]), int(value[-1])

    def of_channels(self, name: str, channels: int, low: int, high: int) -> int | np.ndarray:
        """A field as one number, or as one for each channel, in ``low`` … ``high``."""
        value = self.integers(name).ravel()
        if value.size not in (1, channels) or value.min() < low or value.max() > high:
            raise self.error(f"{name} must be {low}…{high}, one number or one for each of {channels} channels, not "
                             f"{value.min()}…{value.max()} of {value.size}")
        return int(value[0]) if value.size == 1 else value


def _blocks(path: Path, tree: Tree) -> list[_Block]:
    """The blocks of a file, in their order."""
    if tree.error:
        raise CompileError(f"{path}: the file must be whole: {tree.error}")
    if "/layer" not in tree.groups:
        raise CompileError(f"{path}: the group 'layer' of lava-dl must be there"
                           + (", not that of NIR: load_nir reads it" if "/node" in tree.groups else ""))
    names = {one.split("/")[2] for one in (*tree.groups, *tree.values, *tree.errors) if one.startswith("/layer/")}
    wanted = {str(number) for number in range(len(names))}
    if not names or names != wanted:
        raise CompileError(f"{path}: layers must be numbered 0, 1, … without a gap, not "
                           f"{shown(sorted(names - wanted) or sorted(names))}")
    found = []
    for number in range(len(names)):
        prefix = f"/layer/{number}/"
        for wrong, why in tree.errors.items():
            if wrong.startswith(prefix) or wrong == prefix[:-1]:
                name = wrong.removeprefix(prefix) if wrong.startswith(prefix) else "the group"
                raise CompileError(f"{path}: layer {number}: {name} must be readable: {why}")
        fields = {name.removeprefix(prefix): value for name, value in tree.values.items() if name.startswith(prefix)}
        kind = _text(fields.get("type"))
        block = _Block(where=f"{path}: layer {number} ({kind})", kind=kind, fields=fields)
        if kind not in _KNOWN:
            raise CompileError(f"{path}: layer {number} must be one of {', '.join(_KNOWN)}, not {shown(kind)}")
        _check_known(block)
        found.append(block)
    return found


def _text(value: Any) -> str:
    """A text, also where it is the only one of a list."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value[:60] if isinstance(value, str) else "?"


def _check_known(block: _Block) -> None:
    """Refuse fields that would mean something else."""
    for name in block.fields:
        first, _, rest = name.partition("/")
        if first == "weight" and rest:
            raise block.error("weight must be real, not complex, as of resonate-and-fire neurons")
        if first == "neuron" and block.kind in ("input", "flatten", "average"):
            raise block.error("neuron must not be there: the input must be spikes, and not the current of neurons")
        if first not in _KNOWN[block.kind] or (rest and (first != "neuron" or rest not in _NEURON)):
            known = _NEURON if rest else _KNOWN[block.kind]
            raise block.error(f"{name} is not known; known here: {', '.join(sorted(known))}")


class _Network:
    """Layers of the blocks, one after the other.

    Attributes
    ----------
    layers : list of Layer
    readout : str
    """

    def __init__(self, path: Path, blocks: list[_Block], readout: str, shape: Shape | None):
        self.layers: list[Layer] = []
        self.readout = readout
        self._path, self._shape = path, shape
        self._delays: np.ndarray | None = None  # of the spikes of the last layer
        self._flat = False  # their order is that of addresses already
        self._late = 0  # steps by which these are late, as those of lava-dl are
        last = max((number for number, one in enumerate(blocks) if "weight" in one.fields), default=-1)
        for number, block in enumerate(blocks):
            if block.kind in ("input", "flatten"):
                self._reshape(block, number)
            elif block.kind == "average":
                self._average(block, end=number == len(blocks) - 1)
            else:
                self._layer(block, number, end=number == last)
        if not self.layers:
            raise CompileError(f"{path}: there must be a block with neurons")
        if self._delays is not None and self._delays.any():
            raise blocks[last].error("delay must be 0 in the last layer, whose spikes no layer takes")

    def _reshape(self, block: _Block, number: int) -> None:
        if block.kind == "input" and number:
            raise block.error("an input must come first")
        if self._shape is None or "shape" in block.fields:
            given = tuple(block.integers("shape").ravel().tolist())
            if block.kind == "flatten":
                given = (int(np.prod(given)),)
            if self._shape is None:
                if len(given) not in (1, 3) or min(given) < 1:
                    raise block.error("shape must be one number, or channels, height and width, not "
                                      f"{shown(given)}")
                self._shape = given
            elif size_of(given) != size_of(self._shape):
                raise block.error(f"shape must have the {size_of(self._shape)} neurons that come in, not "
                                  f"{shown(given)}")
        self._flat |= block.kind == "flatten"

    def _average(self, block: _Block, *, end: bool) -> None:
        """Neurons that add up the spikes of each group, unless it has one neuron only."""
        if not end or not self.layers:
            raise block.error("an average must come last, behind neurons")
        if self.readout != "spike_count":
            raise block.error("readout must be spike_count, of which an average is the mean, not "
                              f"{shown(self.readout)}")
        shape = self._shape or ()
        count, neurons = int(block.integers("shape").ravel()[0]), size_of(shape)
        if count < 1 or neurons % count:
            raise block.error(f"shape must divide the {neurons} neurons that come in, not {count}")
        if count == neurons and not (self._delays is not None and self._delays.any()):
            return
        zeros = np.zeros(count, dtype=np.int64)
        groups = np.repeat(np.eye(count, dtype=np.int64), neurons // count, axis=1)
        self.layers.append(Layer(
            name=f"average{len(self.layers)}", weights=groups, weight_bits=2,
            connectivity=Dense(in_shape=shape, neurons=count), delays=self._taken(zeros),
            neuron=Neuron(bias=zeros, v_init=zeros)))
        self.readout, self._delays, self._shape = "potential", None, (count,)

    def _layer(self, block: _Block, number: int, *, end: bool) -> None:
        synapses, weights = self._synapses(block)
        channels, sets = synapses.channels, [weights]
        if block.kind == "dense_rec":
            sets.append(block.integers("weight_rec"))
            if sets[1].shape != (channels, channels):
                raise block.error(f"weight_rec must have shape {channels, channels}, not {sets[1].shape}")
        nonzero = np.concatenate([one[one != 0] for one in sets])
        unit = int(np.min(nonzero & -nonzero, initial=1 << 8))  # the largest power of two that divides all
        neuron, exponent = self._neuron(block, channels, unit, end=end)
        own = ()
        if block.kind == "dense_rec":
            own = (Branch(source=len(self.layers), weights=sets[1] // unit,
                          connectivity=Dense(in_shape=(channels,), neurons=channels)),)
        low, high = (int(limit(nonzero, initial=0)) // unit for limit in (np.min, np.max))
        if low < -128 or high > 127:
            raise block.error("weights must be even numbers −256…254, or whole numbers −128…127, not "
                              f"{low * unit}…{high * unit} in steps of {unit}")
        self.layers.append(Layer(
            name=f"{block.kind}{number}", weights=weights // unit, weight_bits=max(2, bits_for_signed(low, high)),
            weight_exponent=exponent, neuron=neuron, connectivity=synapses, branches=own,
            delays=self._taken(neuron.bias), scale=unit / 64 / (1 << exponent)))
        self._shape, self._delays = synapses.out_shape, self._sent(block, synapses.out_shape)
        given = tuple(block.integers("shape").ravel().tolist()) if "shape" in block.fields else self._shape
        if tuple(side for side in given if side != 1) != tuple(side for side in self._shape if side != 1):
            raise block.error(f"shape must be {self._shape}, that of its neurons, not {shown(given)}")

    def _taken(self, bias: np.ndarray) -> np.ndarray | None:
        """Delays of the spikes that the next layer takes, whose neurons have this bias."""
        delays = np.zeros(size_of(self._shape or ()), dtype=np.int64) if self._delays is None else self._delays
        if bias.any() and self.layers:
            delays, self._late = delays + len(self.layers) - self._late, len(self.layers)
        return delays if delays.any() else None

    def _sent(self, block: _Block, shape: Shape) -> np.ndarray | None:
        """Delays of the block's own spikes: one number, or one for each channel."""
        if "delay" not in block.fields:
            return None
        if block.kind == "dense_rec":
            raise block.error("delay must not be of dense_rec: slayer delays what the block sends, and netx what it "
                              "takes and its own spikes, too")
        delays = block.fields["delay"]
        if not isinstance(delays, np.ndarray) or not np.isfinite(delays).all() or delays.size not in (1, shape[0]):
            raise block.error(f"delay must be one number, or one for each of {shape[0]} channels")
        if delays.min() < 0:
            raise block.error(f"delay must be ≥ 0, not {float(delays.min())!r}")
        whole = np.floor(np.broadcast_to(delays.ravel(), shape[0])).astype(np.int64)
        return np.repeat(whole, size_of(shape) // shape[0])

    def _synapses(self, block: _Block) -> tuple[Dense | Conv2d, np.ndarray]:
        """Connectivity and weights of a block."""
        weights = block.integers("weight")
        if block.kind.startswith("dense"):
            if weights.ndim != 2:
                raise block.error(f"weight must have shape (neurons, inputs), not {weights.shape}")
            shape = self._shape or (weights.shape[1],)
            if size_of(shape) != weights.shape[1]:
                raise block.error(f"weight must have the {size_of(shape)} inputs that come in, not {weights.shape[1]}")
            self._shape = shape
            return Dense(in_shape=shape, neurons=len(weights)), weights
        if weights.ndim != 4:
            raise block.error(f"weight must have four dimensions, not {weights.ndim}")
        sides = {name: block.pair(name) for name in ("stride", "padding", "dilation")}
        self._shape = shape = self._shape or self._shape_before(block, weights, **sides)
        if len(shape) != 3 or self._flat:
            raise block.error(f"what comes in must be a map, not a vector of {size_of(shape)}")
        if block.kind == "pool":
            return self._pool(block, shape, weights, **sides)
        groups = block.integer("groups", 1, shape[0])
        try:
            synapses = Conv2d(in_shape=shape, channels=len(weights), kernel=weights.shape[2:], groups=groups, **sides)
        except ValueError as error:
            raise block.error(str(error)) from None
        if synapses.weight_shape != weights.shape:
            raise block.error(f"weight must have shape {synapses.weight_shape}, not {weights.shape}")
        return synapses, weights

    def _shape_before(
        self, block: _Block, weights: np.ndarray, stride: tuple[int, int], padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Shape:
        """Shape of the input of a first convolution, which its own shape says unless it has a stride."""
        given = block.integers("shape").ravel().tolist()
        if block.kind == "pool" or stride != (1, 1) or len(given) != 3 or "groups" not in block.fields:
            raise block.error("input_shape must be given: the file does not say which map comes in")
        sides = [size + gap * (tap - 1) - 2 * pad for size, gap, tap, pad in zip(
            given[1:], dilation, weights.shape[2:], padding, strict=True)]
        return (weights.shape[1] * block.integer("groups", 1, len(weights)), *sides)

    def _pool(
        self, block: _Block, shape: Shape, weights: np.ndarray, stride: tuple[int, int], padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> tuple[Conv2d, np.ndarray]:
        """A sum pool in front of one weight for each channel; or, if a window reaches beyond the map, a convolution.

        slayer adds as many zeros as the division of a side by that of the window leaves over, and then takes all
        channels as one map that is so many times as high: windows must not reach from one into the next.
        """
        channels, *size = shape
        kernel = weights.shape[2:]
        if weights.shape[:2] != (1, 1) or stride != kernel or padding != (0, 0) or dilation != (1, 1):
            raise block.error("windows must lie side by side, without padding and dilation: lava-dl lays the channels "
                              "one below the other, and others reach from one into the next")
        left = [side % window for side, window in zip(size, kernel, strict=True)]
        if channels > 1 and (size[0] + left[0]) % kernel[0]:
            raise block.error(f"the height of the windows must divide that of the map, {size[0]}, not {kernel[0]}: "
                              "lava-dl lays the channels one below the other")
        beyond = [over > 0 and 2 * over >= window for over, window in zip(left, kernel, strict=True)]
        if not any(beyond) and (weights == weights.flat[0]).all():
            synapses = Conv2d(in_shape=shape, channels=channels, kernel=(1, 1), groups=channels, pool=kernel)
            return synapses, np.full(synapses.weight_shape, weights.flat[0])
        # The first half of a kernel of twice the size, which lies in the padding at first, is 0.
        sides = [window if more else 0 for window, more in zip(kernel, beyond, strict=True)]
        wide = np.pad(weights, ((0, 0), (0, 0), (sides[0], 0), (sides[1], 0)))
        synapses = Conv2d(in_shape=shape, channels=channels, kernel=wide.shape[2:], groups=channels, stride=stride,
                          padding=(sides[0], sides[1]))
        return synapses, np.repeat(wide, channels, axis=0)

    def _neuron(self, block: _Block, channels: int, unit: int, *, end: bool) -> tuple[Neuron, int]:
        """Neurons, and the exponent of the weights, which count in steps of ``unit``.

        Membranes that are rounded have `STATE_BITS` bits after the point; others count in the largest step of which
        weights and biases are whole numbers.
        """
        if not any(name.startswith("neuron/") for name in block.fields):
            raise block.error("neuron must be there: without it, slayer and netx do not do the same")
        kind = _text(block.fields.get("neuron/type"))
        if kind not in NEURONS:
            raise block.error(f"neurons must be of the type {' or '.join(NEURONS)}, not {shown(kind)}")
        for name, only in (("refDelay", 1), ("gradedSpike", 0), ("messageBits", 0)):
            if f"neuron/{name}" in block.fields:
                block.integer(f"neuron/{name}", only, only)
        whole = 1 << DECAY_BITS
        current, voltage = (whole - block.of_channels(f"neuron/{name}", channels, 0, whole)
                            for name in ("iDecay", "vDecay"))
        threshold = np.broadcast_to(block.of_channels("neuron/vThMant", channels, 0, (1 << 24) - 1), channels)
        bias = np.zeros(channels, dtype=np.int64)
        if "bias" in block.fields:
            bias = np.broadcast_to(block.of_channels("bias", channels, -(1 << 24), 1 << 24), channels)
        silent = bool((threshold >= THRESHOLD_MAX).all())
        if silent and not (end and self.readout == "potential"):
            raise block.error(f"neurons that never fire, as no membrane is above their vThMant of {threshold[0]}, must "
                              "be the last, and be read by potential")
        if end and self.readout == "potential" and not silent:
            raise block.error("neurons must never fire to be read by potential, as those of an affine block, but their "
                              f"vThMant is {threshold[0]}")
        rounds = any(bool(((kept > 0) & (kept < whole)).any()) for kept in map(np.asarray, (current, voltage)))
        step = np.gcd.reduce([unit, *np.abs(bias)])
        bits = STATE_BITS if rounds else 1 - int(step & -step).bit_length()
        lasting: dict[str, Any] = {}
        if np.any(current):
            lasting = {"current_leak_num": current, "current_leak_shift": DECAY_BITS}
        neuron = Neuron(
            bias=_shifted(bias, bits), v_init=np.zeros(channels, dtype=np.int64), reset="zero", leak_num=voltage,
            theta=None if silent else _shifted(threshold, bits) + 1, leak_shift=DECAY_BITS, leak_toward_zero=rounds,
            **lasting)
        return neuron, unit.bit_length() - 1 + bits


def _shifted(values: np.ndarray, bits: int) -> np.ndarray:
    """values·2^bits, rounded down."""
    return values << bits if bits >= 0 else values >> -bits
