# SPDX-License-Identifier: MIT
"""Small random networks with all options of docs/semantics.md, for the comparison of implementations."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from firstspike_arch.banks import bank_shapes
from firstspike_arch.bias_rows import BIAS_ROWS_MAX
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, Pool, Shape, Window, pooled, size_of
from firstspike_arch.fixed import largest_weight
from firstspike_arch.float_network import InputKind, Readout
from firstspike_arch.network import INPUT, Branch, IntegerNetwork, Layer
from firstspike_arch.neuron import Neuron

__all__ = ["is_bounded", "random_banks", "random_connectivity", "random_delays", "random_inputs", "random_layer",
           "random_network", "random_rotates"]

Choice = TypeVar("Choice")

INPUT_KINDS: tuple[InputKind, ...] = ("latency", "events", "direct")
READOUTS: tuple[Readout, ...] = ("first_spike", "weighted_spikes", "potential", "spike_count")


def _pick(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    return options[int(rng.choice(len(options)))]


def random_connectivity(rng: np.random.Generator, in_shape: Shape, neurons: int | None = None) -> Dense | Conv2d:
    """Draw a dense connectivity onto ``neurons``, or, if that is None, a convolution of a map, perhaps a transposed
    one."""
    pool: Pool = 1 if len(in_shape) == 1 else int(rng.integers(1, min(2, *in_shape[1:]) + 1))
    other = rng.spawn(1)[0]  # a separate stream, so that these options do not change the draws of others
    if len(in_shape) == 3 and other.random() < 0.2:
        pool = int(other.integers(1, min(3, in_shape[1]) + 1)), int(other.integers(1, min(3, in_shape[2]) + 1))
    if neurons is not None:
        return Dense(in_shape=in_shape, neurons=neurons, pool=pool)
    channels, *size = pooled(in_shape, pool)
    groups = _pick(rng, [count for count in range(1, channels + 1) if channels % count == 0])
    padding = int(rng.integers(0, 2)), int(rng.integers(0, 3))
    kernel = [int(rng.integers(1, min(4, length + 2 * pad) + 1)) for length, pad in zip(size, padding, strict=True)]
    plain = Conv2d(
        in_shape=in_shape, channels=groups * int(rng.integers(1, 4)),
        kernel=(kernel[0], kernel[1]), stride=(int(rng.integers(1, 4)), int(rng.integers(1, 3))), padding=padding,
        groups=groups, pool=pool,
    )
    spread = other.random() >= 0.6
    wider = other.spawn(1)[0]
    if wider.random() < 0.4:  # an event reaches several outputs along both axes
        plain = replace(plain, stride=(1, 1), kernel=tuple(
            int(wider.integers(min(2, length), min(5, length) + 1))
            for length in (side + 2 * pad for side, pad in zip(size, padding, strict=True))))
    return _spread(other, plain) if spread else plain


def _spread(rng: np.random.Generator, plain: Conv2d) -> Conv2d:
    """The convolution with random dilation, or transposed; itself, if its map is too small for that, or the output
    would be large."""
    dilation = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    try:
        if rng.random() < 0.5:
            return replace(plain, dilation=dilation)
        more = [int(rng.integers(0, max(both))) for both in zip(plain.stride, dilation, strict=True)]
        options: dict[str, Any] = {item.name: getattr(plain, item.name) for item in fields(Conv2d)}
        options |= {"dilation": dilation, "output_padding": (more[0], more[1])}
        made = ConvTranspose2d(**options)
    except ValueError:
        return plain
    return made if size_of(made.out_shape[1:]) <= 8 * 8 else plain


def random_layer(
    rng: np.random.Generator, name: str, connectivity: Dense | Conv2d, *, fires: bool = True,
) -> Layer:
    """Draw a layer with random weights and a random choice for every option of neurons; with ``fires`` it has
    thresholds."""
    bits = int(rng.integers(2, 9))
    limit, count = largest_weight(bits), connectivity.channels
    weights = rng.integers(-limit, limit + 1, connectivity.weight_shape)
    weights.flat[0] = weights.flat[0] or 1
    spread = max(1, limit * (weights.size // count) // 3)

    def sometimes(share: float) -> bool:
        return bool(rng.random() < share)

    def vector(low: int, high: int) -> np.ndarray:
        return rng.integers(low, high + 1, count)

    shift = int(rng.integers(0, 6)) if sometimes(0.5) else 0
    leak = {0: 1 << shift, 1: max((1 << shift) - 1, 0), 2: int(rng.integers(0, (1 << shift) + 1))}[int(rng.integers(3))]
    theta = reset_step = None
    if fires:
        theta = np.sort(rng.integers(1, spread + 1, (count, _pick(rng, (1, 1, 2, 3, 7)))), axis=1)
        reset_step = np.maximum(theta[:, 0] - 1, 0) if sometimes(0.25) else vector(0, 2 * spread)
        reset_step = reset_step if sometimes(0.5) else None
    v_min = int(rng.integers(-spread, spread // 2 + 1)) if sometimes(0.3) else None
    v_max = int(rng.integers(v_min if v_min is not None else -spread // 2, 2 * spread)) if sometimes(0.3) else None
    reach = limit * (BIAS_ROWS_MAX + 4 if sometimes(0.2) else 3)  # some biases are too large for rows of weights
    # Drawn from a separate stream, so that further fields do not change the networks of a seed.
    other = rng.spawn(1)[0]
    others: dict[str, Any] = {
        name: other.integers(-spread, spread + 1, count) for name in Neuron.numbers("channels")
        if name not in ("bias", "v_init", "reset_step", "theta_rise") and other.random() < 0.5}
    if other.random() < 0.2:  # a leak for each channel, some of them 1
        shift = shift or int(other.integers(0, 5))
        slow = np.where(other.random(count) < 0.4, 1 << shift, max((1 << shift) - 1, 0))
        leak = slow if other.random() < 0.3 else np.where(
            other.random(count) < 0.2, slow, other.integers(0, (1 << shift) + 1, count))
    if other.random() < 0.1:  # a slow one
        shift = int(other.integers(9, 16))
        leak = (1 << shift) - int(other.integers(1, 1 << (shift - 5)))
    rare = other.spawn(1)[0]
    toward_zero = bool(rare.random() < 0.25)
    neuron = Neuron(
        bias=vector(-reach, reach) if sometimes(0.5) else vector(0, 0), theta=theta,
        v_init=vector(-spread, spread) if sometimes(0.4) else vector(0, 0), reset_step=reset_step,
        leak_num=leak, leak_shift=shift, reset=_pick(rng, ("subtract", "zero", "none")),
        reset_delay=sometimes(0.3), single_spike=sometimes(0.4), bias_once=sometimes(0.3), v_min=v_min, v_max=v_max,
        leak_toward_zero=toward_zero, **others,
    )
    pool = None
    if isinstance(connectivity, Conv2d) and other.random() < 0.3:
        pool = _window(other, connectivity.out_shape)
    if other.random() < 0.3:  # one more step below than above
        weights.flat[-1] = -(1 << (bits - 1))
    exponent = 0
    if rare.random() < 0.15:
        # Membranes, of whose steps a weight's is several, and a bias that is perhaps no whole number of these.
        exponent = int(rare.integers(1, 8))
        fine = {name: value * (1 << exponent) + (name == "bias" and bool(rare.random() < 0.3))
                for name, value in neuron.given().items()}
        neuron = replace(neuron, **fine)
    layer = Layer(name=name, weights=weights, weight_bits=bits, neuron=neuron, connectivity=connectivity,
                  current_pool=pool, weight_exponent=exponent)
    last = rare.spawn(1)[0]
    layer = _with_lasting_current(last, layer) if last.random() < 0.3 else layer
    later = last.spawn(1)[0]
    adapts = fires and not neuron.single_spike and later.random() < 0.3
    return _with_adaptive_thresholds(later, layer) if adapts else layer


def random_network(
    rng: np.random.Generator, *, layers_max: int = 3, neurons_max: int = 7, steps_max: int = 6,
    input_kind: InputKind | None = None, readout: Readout | None = None, maps: bool = False,
) -> IntegerNetwork:
    """Draw a network; options that are None are drawn too. With ``maps`` its input is a map and its first layers are
    convolutions."""
    depth = int(rng.integers(1, layers_max + 1))
    sizes = rng.integers(1, neurons_max + 1, depth + 1).tolist()
    convolutions = int(rng.integers(0, depth)) if maps else 0
    if maps and convolutions == depth - 1 and rng.spawn(1)[0].random() < 0.4:
        convolutions = depth  # the output is a map, too
    shape: Shape = (int(rng.integers(1, 4)), int(rng.integers(2, 8)), int(rng.integers(2, 8))) if maps else (sizes[0],)
    readout = readout or _pick(rng, READOUTS)
    kind = input_kind or _pick(rng, INPUT_KINDS)
    longest = int(rng.integers(1, steps_max + 1))
    in_min = int(rng.choice([0, 0, -3, -256])) if kind == "direct" else 0
    in_max = int(rng.choice([1, 1, 3, 20, 255] if kind == "direct" else [1, 1, 3, 20]))
    layers: list[Layer] = []
    shapes: list[Shape] = [shape]
    for index, neurons in enumerate(sizes[1:]):
        connectivity = random_connectivity(rng, shapes[-1], None if index < convolutions else neurons)
        fires = index < depth - 1 or readout != "potential"
        layer = random_layer(rng, f"layer{index}", connectivity, fires=fires)
        if kind == "direct" and index == 0:
            unit = max(-in_min, in_max)
            layer = _with_larger_thresholds(layer, 1 + unit // 2)
            if depth > 1 and rng.random() < 0.5:
                layer = _as_encoder(rng, layer, longest)
        elif rng.random() < 0.5:
            layer = _with_branches(rng, layer, index, shapes if kind != "direct" else [None, *shapes[1:]])
        layers.append(layer)
        shapes.append(layer.out_shape)
    # Drawn last, and from a separate stream, so that it does not change the networks of a seed.
    other = rng.spawn(1)[0]
    if kind == "events" and other.random() < 0.5:
        in_min, in_max = (int(other.choice(choices)) for choices in ([0, -1, -1, -7, -256], [1, 1, 9, 255]))
        layers[0] = _with_larger_thresholds(layers[0], 1 + max(-in_min, in_max) // 4)
    rest = other.spawn(1)[0]
    for index, layer in enumerate(layers[:-1]):
        if isinstance(layer.connectivity, Conv2d) and layer.current_pool is None and (
                layer.neuron.theta_fall is None) and not layer.neuron.lasts and not layer.neuron.adapts and (
                rest.random() < 0.7):
            layers[index] = replace(layer, neuron=_at_rest(rest, layer.neuron))
    endless = kind == "events" and not layers[-1].neuron.single_spike and all(map(is_bounded, layers)) and bool(
        other.random() < 0.9)
    network = IntegerNetwork(
        name="random", layers=tuple(layers), readout=readout, steps=int(rng.integers(1, longest + 1)),
        steps_max=longest, input_kind=kind, cutoff=int(rng.choice([0, 1, 100, 256])), in_min=in_min, in_max=in_max,
        step_weights=tuple(range(2 * longest, 0, -2)) if readout == "weighted_spikes" else (), endless=endless,
    )
    late = rest.spawn(1)[0]
    return random_delays(late, network) if late.random() < 0.3 else network


def _with_lasting_current(rng: np.random.Generator, layer: Layer) -> Layer:
    """Draw a leak of currents, so that they last; thresholds grow with them."""
    num, shift = _random_leak(rng, layer.channels)
    layer = replace(layer, neuron=replace(
        layer.neuron, current_leak_num=num, current_leak_shift=shift, current_delay=bool(rng.random() < 0.3),
        current_bias=not layer.neuron.bias_once and bool(rng.random() < 0.5)))
    return _with_larger_thresholds(layer, 2)


def _with_adaptive_thresholds(rng: np.random.Generator, layer: Layer) -> Layer:
    """Draw what a spike adds to the thresholds, and a leak of that."""
    neuron, (num, shift) = layer.neuron, _random_leak(rng, layer.channels)
    assert neuron.theta is not None
    other = rng.spawn(1)[0]  # drawn apart, as it came later
    if np.ndim(num) == 0 and other.random() < 0.5:  # one that is rarely 1 − 2^−shift
        shift = int(other.integers(3, 6))
        num = int(other.integers(1, 1 << shift))
    if rng.random() < 0.4:  # so that the reset can take what the threshold rises by
        neuron = replace(neuron, theta=neuron.theta[:, :1], reset="subtract", reset_delay=False, v_reset=None,
                         reset_rise=True)
    return replace(layer, neuron=replace(
        neuron, rise_leak_num=num, rise_leak_shift=shift,
        theta_rise=rng.integers(0, 2 + int(np.max(neuron.first_theta)), layer.channels)))


def _random_leak(rng: np.random.Generator, channels: int) -> tuple[Any, int]:
    """Draw num and shift of a leak, often 1 − 2^−shift, or 1; sometimes one for each channel, or a slow one."""
    shift, kind = int(rng.integers(0, 6)), rng.random()
    whole = 1 << shift
    num: Any = int(rng.integers(0, whole + 1)) if kind < 0.3 else whole - (rng.random() < 0.9)
    if rng.random() < 0.2:  # one for each channel, some of them 1
        num = np.where(rng.random(channels) < 0.4, whole, rng.integers(0, whole + 1, channels)
                       if rng.random() < 0.5 else whole - 1)
    elif rng.random() < 0.1:  # a slow one
        shift = int(rng.integers(9, 16))
        num = (1 << shift) - int(rng.integers(1, 1 << (shift - 5)))
    return num, shift


def is_bounded(layer: Layer) -> bool:
    """Whether membranes stay within bounds in any number of steps: every neuron has a leak, or both clamps, and its
    current and the rise of its thresholds have a leak."""
    neuron = layer.neuron
    if neuron.adapts and np.any(neuron.rise_leak_num == 1 << neuron.rise_leak_shift):
        return False
    if neuron.lasts and np.any(neuron.current_leak_num == 1 << neuron.current_leak_shift):
        return False
    leaks = bool((np.asarray(neuron.leak_num) < 1 << neuron.leak_shift).all())
    return leaks or (neuron.v_min is not None and neuron.v_max is not None and not neuron.single_spike)


def _with_larger_thresholds(layer: Layer, factor: int) -> Layer:
    theta = layer.neuron.theta
    return layer if theta is None else replace(layer, neuron=replace(layer.neuron, theta=theta * factor))


def _at_rest(rng: np.random.Generator, neuron: Neuron) -> Neuron:
    """Make neurons such that they stay as they are in a step without events."""
    theta = neuron.first_theta
    once = bool(rng.random() < 0.3)
    start = np.minimum(neuron.v_init, theta - 1)
    neuron = replace(
        neuron, leak_num=1, leak_shift=0, reset="zero", reset_delay=False, single_spike=once or (
            neuron.v_reset is None and bool((theta < 1).any())), bias_once=True,
        v_init=start, bias=np.minimum(neuron.bias, theta - 1 - start),
        v_reset=None if neuron.v_reset is None else np.minimum(neuron.v_reset, theta - 1))
    start = start + neuron.bias
    return replace(
        neuron, v_min=None if neuron.v_min is None else min(neuron.v_min, int(start.min())),
        v_max=None if neuron.v_max is None else max(neuron.v_max, int(start.max())))


def _as_encoder(rng: np.random.Generator, layer: Layer, steps: int) -> Layer:
    """Make the layer a learned latency encoder with random ``theta_fall``."""
    theta = layer.neuron.theta
    assert theta is not None
    fall = np.cumsum(rng.integers(0, 2 + int(theta.max()) // steps, steps))
    return replace(layer, neuron=replace(
        layer.neuron, theta=theta[:, :1], theta_fall=fall - fall[0], leak_num=1, leak_shift=0, v_min=None, v_max=None,
        single_spike=True, bias_once=True, current_leak_num=None, current_leak_shift=0, current_delay=False,
        current_bias=False, theta_rise=None, rise_leak_num=None, rise_leak_shift=0, reset_rise=False,
    ))


def _with_branches(
    rng: np.random.Generator, layer: Layer, index: int, shapes: Sequence[Shape | None],
) -> Layer:
    """Add random branches from earlier layers (``shapes`` starts with that of the input) or from the layer itself, or
    none."""
    branches = []
    limit = largest_weight(layer.weight_bits)

    def add(source: int, connectivity: Dense | Conv2d) -> None:
        weights = rng.integers(-limit, limit + 1, connectivity.weight_shape)
        weights.flat[0] = weights.flat[0] or 1
        branches.append(Branch(source=source, weights=weights, connectivity=connectivity))

    for source, shape in enumerate(shapes[: index + 1], start=-1):
        if shape is None or rng.random() < 0.6:
            continue
        if isinstance(layer.connectivity, Dense):
            add(source, Dense(in_shape=shape, neurons=layer.neurons))
        elif len(shape) == 3:
            synapses = _matching(shape, layer.sums_shape)
            if synapses is not None:
                add(source, synapses)
    if isinstance(layer.connectivity, Dense) and layer.neuron.theta is not None and rng.random() < 0.4:
        add(index, Dense(in_shape=layer.out_shape, neurons=layer.neurons))
    return replace(layer, branches=tuple(branches))


def random_delays(rng: np.random.Generator, network: IntegerNetwork, share: float = 0.5) -> IntegerNetwork:
    """Draw delays for a ``share`` of the sets of synapses, without those of a direct input: equal ones, or one for each
    address; few are longer than an inference."""
    def draw(branch: Branch) -> np.ndarray | None:
        if (branch.source == INPUT and network.input_kind == "direct") or rng.random() >= share:
            return branch.delays
        count, longest = size_of(branch.connectivity.in_shape), int(rng.integers(1, network.steps_max + 3))
        if rng.random() < 0.3:
            return np.full(count, longest)
        return rng.integers(0, longest + 1, count) * (rng.random(count) < 0.8)

    return replace(network, layers=tuple(
        replace(layer, delays=draw(layer.synapses(index)[0]),
                branches=tuple(replace(branch, delays=draw(branch)) for branch in layer.branches))
        for index, layer in enumerate(network.layers)))


def _window(rng: np.random.Generator, shape: Shape) -> Window | None:
    """Draw a pool of currents that fits the sums; None if the one that was drawn does not."""
    kernel, stride = ((int(rng.integers(1, 4)), int(rng.integers(1, 4))) for _ in range(2))
    try:
        window = Window(
            kernel=kernel, stride=stride, dilation=(int(rng.integers(1, 3)), 1), ceil_mode=bool(rng.random() < 0.5),
            padding=(int(rng.integers(0, kernel[0] // 2 + 1)), int(rng.integers(0, kernel[1] // 2 + 1))))
        window.out_shape(shape)
    except ValueError:
        return None
    return window


def _matching(shape: Shape, wanted: Shape) -> Conv2d | None:
    """A convolution between maps of these shapes with stride 1, depthwise if the channels are equal; None if none
    fits."""
    kernel = [max(1, one - other + 1) for one, other in zip(shape[1:], wanted[1:], strict=True)]
    padding = [max(0, other - one + size - 1) for one, other, size in zip(shape[1:], wanted[1:], kernel, strict=True)]
    if any(pad % 2 for pad in padding):
        return None
    groups = wanted[0] if shape[0] == wanted[0] else 1
    return Conv2d(in_shape=shape, channels=wanted[0], kernel=(kernel[0], kernel[1]), groups=groups,
                  padding=(padding[0] // 2, padding[1] // 2))


def random_banks(rng: np.random.Generator, network: IntegerNetwork) -> list[tuple[int, int]]:
    """Draw the banks of each layer: in half of the networks, several of any shape for each layer that can have them."""
    other, parallel = rng.spawn(1)[0], rng.random() < 0.5
    shapes = [bank_shapes(layer) if parallel else [(1, 1)] for layer in network.layers]
    return [_pick(other, some[1:] or some) for some in shapes]


def random_rotates(rng: np.random.Generator, network: IntegerNetwork) -> list[tuple[bool, bool]]:
    """Draw along which axes the kernel of each layer is rotated to its banks."""
    other = rng.spawn(1)[0]
    return [(bool(other.random() < 0.5), bool(other.random() < 0.5)) for _ in network.layers]


def random_inputs(rng: np.random.Generator, network: IntegerNetwork, batch: int) -> np.ndarray:
    """Draw inputs of the network's kind, some dense, some sparse: images uint8[B, N], spike counts uint8[B, T, N],
    signed numbers int16[B, T, N], or, for direct input, numbers int16[B, N]."""
    if network.input_kind == "latency":
        images = rng.integers(0, 256, (batch, network.inputs))
        return np.where(rng.random(images.shape) < rng.random((batch, 1)), images, 255 * (images & 1)).astype(np.uint8)
    if network.input_kind == "direct":
        numbers = rng.integers(network.in_min, network.in_max + 1, (batch, network.inputs))
        return np.where(rng.random(numbers.shape) < rng.random((batch, 1)), numbers, 0).astype(np.int16)
    shape = (batch, int(rng.integers(1, network.steps_max * (3 if network.endless else 1) + 1)), network.inputs)
    counts = rng.integers(network.in_min or 1, network.in_max + 1, shape)
    return np.where(rng.random(shape) < rng.random((batch, 1, 1)), counts, 0).astype(
        np.int16 if network.in_min else np.uint8)
