# SPDX-License-Identifier: MIT
"""Recipes: all parameters of a training run, with the rules that they must follow."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from firstspike_arch.connectivity import Shape
from firstspike_arch.events import MAGNITUDE_MAX
from firstspike_arch.fixed import LEAK_SHIFT
from firstspike_arch.network import NAME_RULE, is_name
from pydantic import Discriminator
from pydantic_core import to_jsonable_python

from .alterations import STRENGTH_MAX
from .builder import Wiring, build_layers
from .data import DATASETS, ImageSet
from .recordings import RECORDINGS, RecordingSet

__all__ = [
    "DataRecipe", "DietRecipe", "EttfsRecipe", "LatencyCodingRecipe", "MethodRecipe", "MultiThresholdRecipe",
    "NetworkRecipe", "Phase", "QuantisationRecipe", "Recipe", "RecipeError", "TeacherRecipe", "TrainingRecipe",
]


class RecipeError(ValueError):
    """A recipe breaks a rule; the message names the key."""


def _require(condition: bool, key: str, rule: str, value: object) -> None:
    if not condition:
        raise RecipeError(f"{key} must be {rule}, not {value!r}")


def _positive(table: str, recipe: object, *keys: str) -> None:
    for key in keys:
        _require(getattr(recipe, key) > 0, f"{table}.{key}", "positive", getattr(recipe, key))


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """Training data and how it is augmented.

    Parameters
    ----------
    shifts : int
        Largest random shift of a training image in each direction, 0 … 4 pixels; of sound, 0 … 40 channels.
    mirrors : bool
        Training images are mirrored left to right at random, with probability 1/2.
    cutout : int
        Side, in pixels, of a square that is blackened at a random place of each training image.
    alterations, strength : int
        RandAugment: number of random alterations of each training image, 0 … 8, and their strength, 0 … 30.
    mixup : float
        Each training image, with its label, is mixed with another by a share drawn from Beta(mixup, mixup); 0: no
        mixing.
    samples : int
        Number of training images that are used, from the first; 0: all.
    step_us : int
        Length of a step in µs, for recordings of event cameras or sound; events after the network's last step are left
        out. 0 for data sets of images.
    count_max : int
        Most events that an address of a recording counts in a step; 1 for images.
    """

    dataset: Literal[
        "digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet", "imagenet", "nmnist",
        "dvs-gesture", "cifar10-dvs", "shd", "glides",
    ]
    shifts: int = 0
    mirrors: bool = False
    cutout: int = 0
    alterations: int = 0
    strength: int = 9
    mixup: float = 0.0
    samples: int = 0
    step_us: int = 0
    count_max: int = 1

    def __post_init__(self) -> None:
        recorded = self.dataset in RECORDINGS
        _require(self.step_us >= 1 if recorded else self.step_us == 0, "data.step_us",
                 f"{'at least 1' if recorded else '0'} with {self.dataset}", self.step_us)
        _require(1 <= self.count_max <= (MAGNITUDE_MAX if recorded else 1), "data.count_max",
                 f"{f'1…{MAGNITUDE_MAX}' if recorded else '1'} with {self.dataset}", self.count_max)
        _require(self.samples >= 0, "data.samples", "at least 0", self.samples)
        if recorded and RECORDINGS[self.dataset].shape[1] == 1:
            _require(0 <= self.shifts <= 40, "data.shifts", f"0…40 channels with {self.dataset}", self.shifts)
            _require(not self.mirrors, "data.mirrors", f"false with {self.dataset}", self.mirrors)
        else:
            _require(0 <= self.shifts <= 4, "data.shifts", "0…4 pixels", self.shifts)
        _require(self.cutout >= 0, "data.cutout", "at least 0 pixels", self.cutout)
        _require(0 <= self.alterations <= 8, "data.alterations", "0…8", self.alterations)
        _require(0 <= self.strength <= STRENGTH_MAX, "data.strength", f"0…{STRENGTH_MAX}", self.strength)
        _require(self.mixup >= 0, "data.mixup", "at least 0", self.mixup)
        for key in ("alterations", "mixup"):
            _require(not (recorded and getattr(self, key)), f"data.{key}", f"0 with {self.dataset}",
                     getattr(self, key))


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe:
    """Layers and read-out of the network.

    Parameters
    ----------
    layers : str
        Layers in words, such as "15C5-P2-40C5-P2-300-10", "16C3p1-16C3p1-16C3p1+2-P8-10" or "128r-20"; see
        `builder.build_layers`. Recurrent layers only with multi_threshold.
    steps : int
        Number T of steps of an inference.
    readout : str
        "best": of the read-outs that the method trains for, the one with the highest validation accuracy.
    normalisation : str
        "batch": batch normalisation of the currents of hidden layers, which quantisation folds into weights and a bias;
        with diet_snn that of the ANN, folded before the spiking network is trained. Not for ettfs.
    delays : int
        Longest delay of a spike on its way to the next layer of neurons that fire, in steps: each neuron, and each
        address of recordings, has a delay of its own, random or learned. Only with multi_threshold. 0: none.
    """

    layers: str
    steps: int
    readout: Literal["best", "first_spike", "weighted_spikes", "potential", "spike_count"] = "best"
    normalisation: Literal["none", "batch"] = "none"
    delays: int = 0

    def __post_init__(self) -> None:
        most = max(self.steps - 1, 0)
        _require(0 <= self.delays <= most, "network.delays", f"0…{most}, below the steps", self.delays)


@dataclass(frozen=True, kw_only=True)
class EttfsRecipe:
    """Parameters of `methods.ettfs`.

    Parameters
    ----------
    cutoff : int
        Darkest grey level that spikes, 0 … 255.
    initialisation : str
        Distribution of the first weights for N inputs: U(±√(3T/N)) ("uniform"), or Kaiming's U(±√(6/N)).
    normalise, affine : bool
        Whether the weights of each channel are standardised, and whether each channel learns a gain and a shift.
    pool : str
        A pool passes the mean of its window ("average"), or only its first spike ("max"; several in that step are one).
    decay : str
        Weight w[t] of a spike in step t: T − t ("linear"), 2^(T−1−t) ("exponential"), or 1 ("none": a late spike then
        counts as much in the loss as an early one).
    surrogate_width : float
        Distance from the threshold, in thresholds, at which the slope ends.
    score_gain : float
        Factor on Σ w[t]·s[t] / w[0] before the softmax.
    membrane_loss, decision_loss : float
        Weights of the losses on the output membranes after the last step and at the step that decides.
    spread : float
        Standard deviation of the membranes, in thresholds, to which the first gains are fitted; 0: the first gains are
        1.
    """

    kind: Literal["ettfs"]
    cutoff: int = 1
    initialisation: Literal["uniform", "kaiming"] = "uniform"
    normalise: bool = True
    affine: bool = True
    pool: Literal["average", "max"] = "average"
    decay: Literal["linear", "exponential", "none"] = "linear"
    surrogate: Literal["triangle", "sigmoid"] = "triangle"
    surrogate_width: float = 1.0
    score_gain: float = 8.0
    membrane_loss: float = 0.5
    decision_loss: float = 0.0
    spread: float = 0.0

    LAYERS_MIN: ClassVar = 1
    STEPS: ClassVar = (2, 16)
    READOUTS: ClassVar = ("first_spike", "weighted_spikes")

    def __post_init__(self) -> None:
        _require(0 <= self.cutoff <= 255, "method.cutoff", "0…255", self.cutoff)
        _positive("method", self, "surrogate_width", "score_gain")
        for key in ("membrane_loss", "decision_loss", "spread"):
            _require(getattr(self, key) >= 0, f"method.{key}", "at least 0", getattr(self, key))


@dataclass(frozen=True, kw_only=True)
class DietRecipe:
    """Parameters of `methods.diet_snn`.

    Parameters
    ----------
    pretraining_epochs, pretraining_learning_rate :
        Epochs and learning rate for the training of the ANN; the rate is the peak of a one-cycle schedule of its own. 0
        epochs: the recipe's teacher, which has the same layers, is the ANN.
    percentile, scaling : float
        The first thresholds are this percentile of the currents, 50 … 100, times this factor.
    leak : float
        Leak at the start of training, 0 … 1.
    learns : tuple of str
        Which of "theta" and "leak" are learned.
    surrogate_height : float
        γ of the slope γ·max(0, 1 − |v/theta − 1|).
    dropout : float
        Share of the neurons of each hidden layer that are left out, at random, for each training image.
    """

    kind: Literal["diet_snn"]
    pretraining_epochs: int
    pretraining_learning_rate: float = 1e-3
    percentile: float = 99.7
    scaling: float = 0.2
    leak: float = 1.0
    learns: tuple[Literal["theta", "leak"], ...] = ("theta", "leak")
    surrogate_height: float = 0.3
    dropout: float = 0.0

    LAYERS_MIN: ClassVar = 2
    STEPS: ClassVar = (1, 16)
    READOUTS: ClassVar = ("potential",)

    def __post_init__(self) -> None:
        _require(self.pretraining_epochs >= 0, "method.pretraining_epochs", "at least 0", self.pretraining_epochs)
        _require(50 <= self.percentile <= 100, "method.percentile", "50…100", self.percentile)
        _require(0 <= self.leak <= 1, "method.leak", "0…1", self.leak)
        _require(0 <= self.dropout < 1, "method.dropout", "at least 0 and below 1", self.dropout)
        _positive("method", self, "pretraining_learning_rate", "scaling", "surrogate_height")


@dataclass(frozen=True, kw_only=True)
class LatencyCodingRecipe:
    """Parameters of `methods.latency_coding`.

    Parameters
    ----------
    loss : str
        "tad": cross entropies of all steps, weighted by confidence. "cross_entropy": cross entropy of the output
        averaged over the steps.
    leak : float
        Leak of the hidden layers at the start of training, 0 … 1.
    learns : tuple of str
        Which of "theta" and "leak" of the hidden layers are learned.
    encoder_width : float
        Width of the slope around each threshold of the encoder, in standard deviations of its current.
    surrogate_width : float
        Distance from the threshold, in thresholds, at which the slope of the hidden neurons ends.
    score_gain : float
        Factor on the output membranes before the softmax: the logit at which an output fires.
    """

    kind: Literal["latency_coding"]
    loss: Literal["tad", "cross_entropy"] = "tad"
    leak: float = 1.0
    learns: tuple[Literal["theta", "leak"], ...] = ("leak",)
    encoder_width: float = 1.0
    surrogate_width: float = 1.0
    score_gain: float = 8.0

    LAYERS_MIN: ClassVar = 2
    STEPS: ClassVar = (1, 8)
    READOUTS: ClassVar = ("first_spike",)

    def __post_init__(self) -> None:
        _require(0 <= self.leak <= 1, "method.leak", "0…1", self.leak)
        _positive("method", self, "encoder_width", "surrogate_width", "score_gain")


@dataclass(frozen=True, kw_only=True)
class MultiThresholdRecipe:
    """Parameters of `methods.multi_threshold`.

    Parameters
    ----------
    levels : int
        Number of thresholds of a neuron, and the largest magnitude of its spikes, 1 … 15.
    spacing : str
        Thresholds k·theta ("floor") or (k − ½)·theta ("round").
    leak : float
        Leak at the start of training, 0 … 1; theta starts at 1.
    current_leak : float
        Currents last: their leak at the start of training, 0 … 1. Left out: they do not.
    learns : tuple of str
        Which of "theta", "leak", "current_leak" and "delays" are learned.
    spread : float
        Standard deviation of the currents of a step, as long as they last, in the highest theta, to which the first
        weights are fitted.
    surrogate : str
        Shape of the slope around each threshold.
    surrogate_width : float
        Width of the rectangle, half the width of the triangle, or standard deviation of the Gaussian, in thetas.
    surrogate_height : float
        Factor on the slope; below 1, gradients do not grow from step to step in recurrent layers.
    score_gain : float
        Factor on the potential or the spike counts of the output before the softmax.
    """

    kind: Literal["multi_threshold"]
    levels: int = 4
    spacing: Literal["floor", "round"] = "floor"
    leak: float = 0.5
    current_leak: float | None = None
    learns: tuple[Literal["theta", "leak", "current_leak", "delays"], ...] = ()
    spread: float = 0.5
    surrogate: Literal["rectangle", "triangle", "gaussian"] = "rectangle"
    surrogate_width: float = 1.0
    surrogate_height: float = 1.0
    score_gain: float = 1.0

    LAYERS_MIN: ClassVar = 2
    STEPS: ClassVar = (1, 256)
    READOUTS: ClassVar = ("potential", "spike_count")

    def __post_init__(self) -> None:
        _require(1 <= self.levels <= 15, "method.levels", "1…15", self.levels)
        _require(0 <= self.leak <= 1, "method.leak", "0…1", self.leak)
        if self.current_leak is not None:
            _require(0 <= self.current_leak <= 1, "method.current_leak", "0…1", self.current_leak)
        _require(self.current_leak is not None or "current_leak" not in self.learns, "method.current_leak",
                 "given where it is learned", self.current_leak)
        _positive("method", self, "spread", "surrogate_width", "surrogate_height", "score_gain")


MethodRecipe = EttfsRecipe | DietRecipe | LatencyCodingRecipe | MultiThresholdRecipe


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Optimisation in real numbers.

    Parameters
    ----------
    learning_rate : float
        Peak of the one-cycle schedule.
    spike_loss : float
        Weight of the loss on the mean number of spikes of a hidden neuron in an inference; fewer spikes are less work
        for the hardware.
    label_smoothing : float
        Share of a label that is spread over all classes.
    average : float
        Factor by which each batch decays the moving average of the weights; the average is validated and kept. 0: no
        average.
    precision : str
        "mixed": training in real numbers multiplies in bfloat16 and adds in float32.
    """

    epochs: int
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    spike_loss: float = 0.0
    label_smoothing: float = 0.0
    average: float = 0.0
    precision: Literal["full", "mixed"] = "full"

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "training.epochs", "at least 1", self.epochs)
        _require(self.batch_size >= 1, "training.batch_size", "at least 1", self.batch_size)
        _positive("training", self, "learning_rate")
        for key in ("weight_decay", "spike_loss"):
            _require(getattr(self, key) >= 0, f"training.{key}", "at least 0", getattr(self, key))
        for key in ("label_smoothing", "average"):
            _require(0 <= getattr(self, key) < 1, f"training.{key}", "at least 0 and below 1", getattr(self, key))


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe:
    """A network without spikes (ReLU, batch normalisation) that is trained first and then teaches the spiking one.

    Parameters
    ----------
    layers : str
        Layers in words, as in `NetworkRecipe`, without skips.
    epochs : int
    learning_rate : float
        Peak of the teacher's own one-cycle schedule.
    share : float
        Weight of the teacher's answer in the training target, above 0 and at most 1; the label has the rest.
    temperature : float
        Divisor of the teacher's logits.
    """

    layers: str
    epochs: int
    learning_rate: float = 2e-3
    share: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "teacher.epochs", "at least 1", self.epochs)
        _require(0 < self.share <= 1, "teacher.share", "above 0 and at most 1", self.share)
        _positive("teacher", self, "learning_rate", "temperature")


@dataclass(frozen=True, kw_only=True)
class QuantisationRecipe:
    """Fine-tuning with integer weights; with ``epochs`` 0, the network is only rounded.

    Parameters
    ----------
    weight_bits : tuple of int
        Bits of the weights of each layer, 2 … 8.
    leak_shift : int
        Leaks become num/2^leak_shift; each bit may cost the hardware a pass over all rows in every step.
    precision : str
        "mixed": training multiplies in bfloat16, which holds spikes and weights exactly but rounds their sums to 8
        bits; validation and test compute exact integers all the same. "full": training does so, too.
    """

    weight_bits: tuple[int, ...]
    leak_shift: int = 4
    epochs: int = 0
    learning_rate: float = 1e-3
    precision: Literal["full", "mixed"] = "full"

    def __post_init__(self) -> None:
        _require(all(2 <= bits <= 8 for bits in self.weight_bits), "quantisation.weight_bits", "2…8", self.weight_bits)
        _require(0 <= self.leak_shift <= LEAK_SHIFT, "quantisation.leak_shift", f"0…{LEAK_SHIFT}",
                 self.leak_shift)
        _require(self.epochs >= 0, "quantisation.epochs", "at least 0", self.epochs)
        _positive("quantisation", self, "learning_rate")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of training with its own learning-rate schedule, named "teacher", "pretraining", "real" or "quantised"."""

    name: str
    epochs: int
    learning_rate: float
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All parameters of a training run; if ``teacher`` is None, the labels are the only target."""

    name: str
    seed: int = 0
    data: DataRecipe
    network: NetworkRecipe
    method: Annotated[MethodRecipe, Discriminator("kind")]
    training: TrainingRecipe
    quantisation: QuantisationRecipe
    teacher: TeacherRecipe | None = None

    def __post_init__(self) -> None:
        network, method = self.network, self.method
        _require(is_name(self.name), "name", NAME_RULE, self.name)
        _require(not self.data.step_us or isinstance(method, MultiThresholdRecipe), "method.kind",
                 "'multi_threshold' with recordings", method.kind)
        layers = self._layers("network", network.layers)
        if self.teacher is not None:
            _require(all(layer.skip is None and layer.loop is None
                         for layer in self._layers("teacher", self.teacher.layers)),
                     "teacher.layers", "a chain without skips or recurrent layers", self.teacher.layers)
            _require(not self.data.step_us, "teacher", "left out with recordings", self.teacher.layers)
        _require(self.data.cutout <= min(self.shape[1:]), "data.cutout",
                 f"at most the {min(self.shape[1:])} pixels of an image", self.data.cutout)
        _require(network.normalisation == "none" or not isinstance(method, EttfsRecipe),
                 "network.normalisation", f"'none' with {method.kind}, which has none", network.normalisation)
        _require(not isinstance(method, EttfsRecipe) or all(layer.skip is None for layer in layers), "network.layers",
                 "a chain without skips with ettfs", network.layers)
        self._check_times(layers)
        _require(len(layers) >= method.LAYERS_MIN, "network.layers",
                 f"of at least {method.LAYERS_MIN} layers with {method.kind}", network.layers)
        _require(len(self.quantisation.weight_bits) == len(layers), "quantisation.weight_bits",
                 f"one number for each of the {len(layers)} layers", self.quantisation.weight_bits)
        if isinstance(method, DietRecipe) and not method.pretraining_epochs:
            _require(self.teacher is not None and self.teacher.layers == network.layers, "method.pretraining_epochs",
                     "at least 1 without a teacher of the same layers", 0)
            _require(network.normalisation == "batch", "network.normalisation",
                     "'batch' where the teacher is the ANN of diet_snn", network.normalisation)
        low, high = method.STEPS
        _require(low <= network.steps <= high, "network.steps", f"{low}…{high} with {method.kind}", network.steps)
        _require(network.readout in ("best", *method.READOUTS), "network.readout",
                 f"{' or '.join(('best', *method.READOUTS))} with {method.kind}", network.readout)
        _require(network.readout != "weighted_spikes" or not isinstance(method, EttfsRecipe) or method.decay != "none",
                 "network.readout", "first_spike where method.decay is 'none'", network.readout)

    def _check_times(self, layers: tuple[Wiring, ...]) -> None:
        """Check what carries spikes from step to step: loops and delays."""
        network, method, loops = self.network, self.method, [layer.loop is not None for layer in layers]
        if not isinstance(method, MultiThresholdRecipe):
            _require(not any(loops), "network.layers", f"without recurrent layers with {method.kind}", network.layers)
            _require(not network.delays, "network.delays", f"0 with {method.kind}", network.delays)
            return
        _require(not loops[-1] or network.readout == "spike_count", "network.layers",
                 "closed by a layer that is not recurrent where network.readout is not 'spike_count'", network.layers)
        _require(not loops[0] or self.data.step_us > 0, "network.layers",
                 f"begun by a layer that is not recurrent with {self.data.dataset}, whose images are no spikes",
                 network.layers)
        _require(not network.delays or all(layer.skip is None for layer in layers), "network.layers",
                 "a chain without skips with delays", network.layers)
        _require(network.delays > 0 or "delays" not in method.learns, "network.delays",
                 "at least 1 where delays are learned", network.delays)

    def _layers(self, table: str, text: str) -> tuple[Wiring, ...]:
        try:
            layers = build_layers(text, self.shape)
        except ValueError as error:
            raise RecipeError(f"{table}.layers {text!r}: {error}") from None
        _require(layers[-1].synapses.out_shape == (self.classes,), f"{table}.layers",
                 f"closed by {self.classes} outputs", text)
        return layers

    @property
    def classes(self) -> int:
        return self._data_set.classes

    @property
    def _data_set(self) -> ImageSet | RecordingSet:
        return RECORDINGS[self.data.dataset] if self.data.step_us else DATASETS[self.data.dataset]

    @property
    def shape(self) -> Shape:
        """Shape (C, H, W) of an image, or of the events of a step."""
        return self._data_set.shape

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases of training in order, each at least one epoch long."""
        training, quantisation, found = self.training, self.quantisation, []
        if self.teacher is not None:
            found.append(Phase(name="teacher", epochs=self.teacher.epochs, learning_rate=self.teacher.learning_rate,
                               weight_decay=training.weight_decay))
        if isinstance(self.method, DietRecipe) and self.method.pretraining_epochs:
            found.append(Phase(name="pretraining", epochs=self.method.pretraining_epochs,
                               learning_rate=self.method.pretraining_learning_rate,
                               weight_decay=training.weight_decay))
        found.append(Phase(name="real", epochs=training.epochs, learning_rate=training.learning_rate,
                           weight_decay=training.weight_decay))
        if quantisation.epochs:
            found.append(Phase(name="quantised", epochs=quantisation.epochs, learning_rate=quantisation.learning_rate))
        return tuple(found)

    @property
    def table(self) -> dict:
        """The recipe as plain JSON values."""
        return to_jsonable_python(self)

    @property
    def real_table(self) -> dict:
        """`table` without name and quantisation: all parameters of the training in real numbers."""
        return {key: value for key, value in self.table.items() if key not in ("name", "quantisation")}
