# SPDX-License-Identifier: MIT
"""Quantisation on sample data: the accuracy that integers cost, and the fewest bits within an accuracy budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense, pooled
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.shown import shown
from firstspike_compiler.compile import compile_network
from firstspike_compiler.errors import CompileError
from firstspike_compiler.passes.choose_scales import Powers
from firstspike_compiler.passes.fold_normalisation import fold_normalisation
from firstspike_compiler.passes.lower_max_pools import lower_max_pools
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.models.golden import GoldenModel

__all__ = ["BITS", "Calibration", "Quantised", "calibrate", "choose_bits", "labels_of_results",
           "quantise_at"]

BITS = (2, 3, 4, 5, 6, 7, 8)

BATCH = 32
"""Inferences run at once. With many steps and inputs, more would take gigabytes of memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Sample data, and the results of the float reference on them.

    Parameters
    ----------
    network : FloatNetwork
        The network, with its max pools lowered to layers of their own.
    inputs
        Samples, as `GoldenModel.run` takes them.
    labels : int64[B] or None
    classes : int64[B]
        Classes from the float reference.
    powers : Powers
        Mean square of the input of each weight.
    """

    network: FloatNetwork
    inputs: np.ndarray
    labels: np.ndarray | None
    classes: np.ndarray
    powers: Powers

    def score(self, classes: np.ndarray) -> float:
        """Return the percentage of right classes; without labels, of classes equal to the float reference's."""
        return 100 * float(np.mean(classes == (
            self.classes if self.labels is None else labels_of_results(self.labels, classes))))


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Results of one choice of weight bits on the samples.

    Parameters
    ----------
    bits : tuple of int
        Bits a weight, for each layer.
    score : float
        Percentage of right classes, see `Calibration.score`.
    agreement : float
        Percentage of classes equal to the float reference's.
    saturated : int
        Number of weights that were clipped.
    weight_bits : int
        Bits of all weights together.
    """

    bits: tuple[int, ...]
    score: float
    agreement: float
    saturated: int
    weight_bits: int


def labels_of_results(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the label of each result, int64[R], from those of the inferences, int64[B]: of all windows the same."""
    return np.repeat(labels, len(classes) // len(labels))


def calibrate(network: FloatNetwork, inputs: np.ndarray, labels: np.ndarray | None = None) -> Calibration:
    """Run samples through the float reference.

    Raises
    ------
    CompileError
        The network is not a FloatNetwork, or there are no inputs.
    """
    if not isinstance(network, FloatNetwork):
        raise CompileError(f"network must be a FloatNetwork to be quantised, not {type(network).__name__}")
    inputs = np.asarray(inputs)
    if not len(inputs):
        raise CompileError("inputs must be at least one sample, not 0")
    lowered = lower_max_pools(network)
    real = fold_normalisation(lowered)
    classes, powers = [], None
    for part in _batches(inputs):
        result = run_float(real, part)
        classes.append(result.classes)
        found = [[_power(branch.connectivity, result.spikes[source + 1], len(part) / len(inputs))
                  for source, branch in [(index - 1, layer), *((one.source, one) for one in layer.branches)]]
                 for index, layer in enumerate(real.layers)]
        powers = found if powers is None else [
            [one + other for one, other in zip(*pair, strict=True)] for pair in zip(powers, found, strict=True)]
    return Calibration(network=lowered, inputs=inputs, labels=None if labels is None else np.asarray(labels),
                       classes=np.concatenate(classes), powers=powers or ())


def quantise_at(calibration: Calibration, bits: int | Sequence[int], **options) -> Quantised:
    """Compile with ``bits`` a weight and run the samples through the golden model; options as for `compile`."""
    compilation = compile_network(calibration.network, weight_bits=bits, lanes=1, **options)
    network = compilation.program.network
    model = GoldenModel(network)
    classes = np.concatenate([model.run(part).classes for part in _batches(calibration.inputs)])
    return Quantised(
        bits=tuple(layer.weight_bits for layer in network.layers), score=calibration.score(classes),
        agreement=100 * float(np.mean(classes == calibration.classes)),
        saturated=sum(rounding.saturated for rounding in compilation.roundings),
        weight_bits=sum(one.weights.size * layer.weight_bits for index, layer in enumerate(network.layers)
                        for one in layer.synapses(index)),
    )


def choose_bits(calibration: Calibration, budget: float, **options) -> Quantised:
    """Choose the fewest weight bits that cost at most ``budget`` percentage points of accuracy on the samples.

    The smallest width that suffices for all layers is found first. Then each layer, the one with the most weights
    first, gets fewer bits as long as the budget allows.

    Raises
    ------
    CompileError
        The budget is negative, or even 8 bits cost more.
    """
    if not (isinstance(budget, int | float) and budget >= 0):
        raise CompileError(f"accuracy budget must be a number of points ≥ 0, not {shown(budget)}")
    least = calibration.score(calibration.classes) - budget
    best = None
    for bits in BITS:
        best = quantise_at(calibration, bits, **options)
        if best.score >= least:
            break
    assert best is not None
    if best.score < least:
        raise CompileError(f"accuracy budget must be at least {least + budget - best.score:.2f} points for this "
                           f"network: at 8 bits it has {best.score:.2f} %, in float {least + budget:.2f} %")
    sizes = [np.size(layer.weight) for layer in calibration.network.layers]
    for index in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        for bits in range(best.bits[index] - 1, BITS[0] - 1, -1):
            tried = quantise_at(calibration, [*best.bits[:index], bits, *best.bits[index + 1 :]], **options)
            if tried.score < least:
                break
            best = tried
    return best


def _batches(inputs: np.ndarray) -> Iterator[np.ndarray]:
    return (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))


def _power(synapses: Dense | Conv2d | None, spikes: np.ndarray, share: float) -> np.ndarray:
    """Return ``share`` of the mean square of spikes, float64[B, T, N], in a shape that broadcasts to the weights'."""
    assert synapses is not None  # `fold_normalisation` has filled it in
    shape, (down, across) = synapses.in_shape, synapses.pool_sides
    x = spikes.reshape(-1, *shape)
    if synapses.pool_size > 1:
        channels, height, width = pooled(shape, synapses.pool)
        x = x[:, :, : height * down, : width * across]
        x = x.reshape(len(x), channels, height, down, width, across).sum((3, 5))
    power = share * np.square(x).mean(0)
    if isinstance(synapses, Dense):
        return power.reshape(1, -1)
    by_group = power.mean((1, 2)).reshape(synapses.groups, 1, -1)
    return np.repeat(by_group, synapses.channels // synapses.groups, axis=1).reshape(synapses.channels, -1, 1, 1)
