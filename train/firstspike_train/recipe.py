# SPDX-License-Identifier: MIT
"""Recipes: TOML files that say everything a training run depends on."""

import tomllib
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from firstspike_arch.connectivity import Shape
from firstspike_arch.events import MAGNITUDE_MAX
from firstspike_arch.fixed import LEAK_SHIFT_MAX
from firstspike_arch.model import FloatNetwork

from .builder import build_layers
from .data import DATASETS, ImageSet
from .recordings import RECORDINGS, RecordingSet

__all__ = [
    "DataRecipe", "DietRecipe", "EttfsRecipe", "LatencyCodingRecipe", "MethodRecipe", "MultiThresholdRecipe",
    "NetworkRecipe", "Phase", "QuantisationRecipe", "Recipe", "RecipeError", "TrainingRecipe", "load_recipe",
    "read_recipe", "recipe_of",
]


class RecipeError(ValueError):
    """A recipe that breaks a rule; the sentence names the key."""


def _require(condition: bool, key: str, rule: str, value: object) -> None:
    if not condition:
        raise RecipeError(f"{key} must be {rule}, not {value!r}")


def _positive(table: str, recipe: object, *keys: str) -> None:
    for key in keys:
        _require(getattr(recipe, key) > 0, f"{table}.{key}", "positive", getattr(recipe, key))


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """What to learn from.

    Parameters
    ----------
    shifts : int
        Training images are moved by up to so many pixels each way.
    mirrors : bool
        Every other training image, at random, is mirrored left to right.
    samples : int
        Only so many training images, from the first; 0: all.
    step_us : int
        Recordings of event cameras: µs of a step. What comes later than the network's steps is left out. 0: images.
    count_max : int
        Recordings: an address counts at most so many events in a step.
    """

    dataset: Literal[
        "digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet", "imagenet", "nmnist",
        "dvs-gesture", "cifar10-dvs",
    ]
    shifts: int = 0
    mirrors: bool = False
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
        _require(0 <= self.shifts <= 4, "data.shifts", "0…4 pixels", self.shifts)


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe:
    """Shape of the network.

    Parameters
    ----------
    layers : str
        Such as "15C5-P2-40C5-P2-300-10" or "16C3p1-16C3p1-16C3p1+2-P8-10"; see `builder.build_layers`.
    steps : int
        T.
    readout : str
        "best" takes the one of the method's read-outs with the highest validation accuracy.
    """

    layers: str
    steps: int
    readout: Literal["best", "first_spike", "weighted_spikes", "potential", "spike_count"] = "best"


@dataclass(frozen=True, kw_only=True)
class EttfsRecipe:
    """See `methods.ettfs`.

    Parameters
    ----------
    cutoff : int
        The darkest pixel that spikes.
    initialisation : str
        Of the weights: U(±√(3T/N)) ("uniform"), or Kaiming's, U(±√(6/N)).
    normalise, affine : bool
        Standardise the weights of each channel; learn a gain and a shift of each.
    pool : str
        A pool passes the mean of its window, or the first spike of it ("max"; two of the same step are one).
    decay : str
        w[t] = T − t ("linear"), 2^(T−1−t) ("exponential"), or 1 ("none": then a late spike counts as much as an early
        one in the loss).
    surrogate_width : float
        Distance from the threshold, in thresholds, at which the slope ends.
    score_gain : float
        Factor on Σ w[t]·s[t] / w[0] before the softmax.
    membrane_loss, decision_loss : float
        Weights of the losses on the output membranes: after the last step, and at the decision step.
    spread : float
        Standard deviation of the membranes at the start, in thresholds, to which the gains are fitted; 0: gains of 1.
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
    """See `methods.diet_snn`.

    Parameters
    ----------
    pretraining_epochs, pretraining_learning_rate :
        Of the ANN; the rate is the peak of its own one-cycle schedule.
    percentile, scaling : float
        First thresholds: this percentile of the currents, times this factor.
    leak : float
        At the start.
    learns : tuple of str
        Which of "theta" and "leak" are learned.
    surrogate_height : float
        γ of the slope γ·max(0, 1 − |v/theta − 1|).
    dropout : float
        Share of the neurons of each hidden layer that an image does without.
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
        _require(self.pretraining_epochs >= 1, "method.pretraining_epochs", "at least 1", self.pretraining_epochs)
        _require(50 <= self.percentile <= 100, "method.percentile", "50…100", self.percentile)
        _require(0 <= self.leak <= 1, "method.leak", "0…1", self.leak)
        _require(0 <= self.dropout < 1, "method.dropout", "at least 0 and below 1", self.dropout)
        _positive("method", self, "pretraining_learning_rate", "scaling", "surrogate_height")


@dataclass(frozen=True, kw_only=True)
class LatencyCodingRecipe:
    """See `methods.latency_coding`.

    Parameters
    ----------
    loss : str
        Cross entropies of the steps weighted by confidence ("tad"), or the one of the output averaged over the steps
        ("cross_entropy").
    leak : float
        At the start, of the hidden layers; it is learned.
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
    """See `methods.multi_threshold`.

    Parameters
    ----------
    levels : int
        Thresholds of a neuron, and its largest magnitude.
    spacing : str
        Thresholds k·theta ("floor") or (k − ½)·theta ("round").
    leak : float
    surrogate : str
        Shape of the slope around each threshold.
    surrogate_width : float
        Of the rectangle, half of the triangle, or standard deviation of the Gaussian, in thetas.
    score_gain : float
        Factor on the output's potential or spikes before the softmax.
    """

    kind: Literal["multi_threshold"]
    levels: int = 4
    spacing: Literal["floor", "round"] = "floor"
    leak: float = 0.5
    surrogate: Literal["rectangle", "triangle", "gaussian"] = "rectangle"
    surrogate_width: float = 1.0
    score_gain: float = 1.0

    LAYERS_MIN: ClassVar = 2
    STEPS: ClassVar = (1, 32)
    READOUTS: ClassVar = ("potential", "spike_count")

    def __post_init__(self) -> None:
        _require(1 <= self.levels <= 15, "method.levels", "1…15", self.levels)
        _require(0 <= self.leak <= 1, "method.leak", "0…1", self.leak)
        _positive("method", self, "surrogate_width", "score_gain")


MethodRecipe = EttfsRecipe | DietRecipe | LatencyCodingRecipe | MultiThresholdRecipe


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Optimisation in real numbers.

    Parameters
    ----------
    learning_rate : float
        Peak of the one-cycle schedule.
    spike_loss : float
        Loss of one spike of every hidden neuron in an inference: fewer spikes, less work for the hardware.
    """

    epochs: int
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    spike_loss: float = 0.0

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "training.epochs", "at least 1", self.epochs)
        _require(self.batch_size >= 1, "training.batch_size", "at least 1", self.batch_size)
        _positive("training", self, "learning_rate")
        for key in ("weight_decay", "spike_loss"):
            _require(getattr(self, key) >= 0, f"training.{key}", "at least 0", getattr(self, key))


@dataclass(frozen=True, kw_only=True)
class QuantisationRecipe:
    """Fine-tuning with integer weights; ``epochs`` 0 only rounds.

    Parameters
    ----------
    weight_bits : tuple of int
        One number a layer.
    leak_shift : int
        Leaks become num/2^leak_shift; each bit may cost the hardware a pass over the neurons at every step.
    """

    weight_bits: tuple[int, ...]
    leak_shift: int = 4
    epochs: int = 0
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        _require(all(2 <= bits <= 8 for bits in self.weight_bits), "quantisation.weight_bits", "2…8", self.weight_bits)
        _require(0 <= self.leak_shift <= LEAK_SHIFT_MAX, "quantisation.leak_shift", f"0…{LEAK_SHIFT_MAX}",
                 self.leak_shift)
        _require(self.epochs >= 0, "quantisation.epochs", "at least 0", self.epochs)
        _positive("quantisation", self, "learning_rate")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training with its own schedule: "pretraining", "real" or "quantised"."""

    name: str
    epochs: int
    learning_rate: float
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run."""

    name: str
    seed: int = 0
    data: DataRecipe
    network: NetworkRecipe
    method: MethodRecipe
    training: TrainingRecipe
    quantisation: QuantisationRecipe

    def __post_init__(self) -> None:
        network, method = self.network, self.method
        classes = self._data_set.classes
        _require(not self.data.step_us or isinstance(method, MultiThresholdRecipe), "method.kind",
                 "'multi_threshold' with recordings of event cameras", method.kind)
        try:
            layers = build_layers(network.layers, self.shape)
        except ValueError as error:
            raise RecipeError(f"network.layers {network.layers!r}: {error}") from None
        _require(layers[-1].synapses.out_shape == (classes,), "network.layers",
                 f"closed by {classes} outputs", network.layers)
        _require(not isinstance(method, EttfsRecipe) or all(layer.skip is None for layer in layers), "network.layers",
                 "a chain without skips with ettfs", network.layers)
        _require(len(layers) >= method.LAYERS_MIN, "network.layers",
                 f"of at least {method.LAYERS_MIN} layers with {method.kind}", network.layers)
        _require(len(self.quantisation.weight_bits) == len(layers), "quantisation.weight_bits",
                 f"one number for each of the {len(layers)} layers", self.quantisation.weight_bits)
        low, high = method.STEPS
        _require(low <= network.steps <= high, "network.steps", f"{low}…{high} with {method.kind}", network.steps)
        _require(network.readout in ("best", *method.READOUTS), "network.readout",
                 f"{' or '.join(('best', *method.READOUTS))} with {method.kind}", network.readout)
        _require(network.readout != "weighted_spikes" or not isinstance(method, EttfsRecipe) or method.decay != "none",
                 "network.readout", "first_spike where method.decay is 'none'", network.readout)

    @property
    def _data_set(self) -> ImageSet | RecordingSet:
        return RECORDINGS[self.data.dataset] if self.data.step_us else DATASETS[self.data.dataset]

    @property
    def shape(self) -> Shape:
        """(C, H, W) of an image, or of the events of a step."""
        return self._data_set.shape

    @property
    def phases(self) -> tuple[Phase, ...]:
        """In order; each at least one epoch long."""
        training, quantisation, found = self.training, self.quantisation, []
        if isinstance(self.method, DietRecipe):
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
        return _plain(asdict(self))

    @property
    def real_table(self) -> dict:
        """`table` without name and quantisation: all that a training in real numbers depends on."""
        return {key: value for key, value in self.table.items() if key not in ("name", "quantisation")}


def load_recipe(path: str | Path) -> Recipe:
    """Read a TOML recipe.

    Raises
    ------
    RecipeError
        Naming the file and the key: an unknown key, a missing one, a wrong type, a value out of range.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: must be TOML: {error}") from None
    try:
        return read_recipe(table)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def read_recipe(table: dict) -> Recipe:
    """A recipe from plain values, as `Recipe.table` gives them or a TOML file; what is left out has its default.

    Raises
    ------
    RecipeError
        Naming the key.
    """
    return _build(Recipe, table, "")


def recipe_of(network: FloatNetwork) -> Recipe:
    """The recipe that a network was trained by, as its file keeps it.

    Raises
    ------
    RecipeError
        It was not trained by one.
    """
    return read_recipe({key: value for key, value in network.recipe.items() if key != "history"})


_KINDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def _build(kind: Any, table: Any, prefix: str) -> Any:
    if not isinstance(table, dict):
        raise RecipeError(f"{prefix.rstrip('.')} must be a table, not {table!r}")
    if isinstance(kind, UnionType):
        kind = _chosen(kind, table, prefix)
    hints = {item.name: get_type_hints(kind)[item.name] for item in fields(kind)}
    for key in table:
        if key not in hints:
            raise RecipeError(f"{prefix}{key} is no key of a recipe; known here: {', '.join(hints)}")
    for item in fields(kind):
        if item.name not in table and item.default is MISSING and item.default_factory is MISSING:
            raise RecipeError(f"{prefix}{item.name} must be given")
    return kind(**{key: _value(hints[key], value, prefix + key) for key, value in table.items()})


def _chosen(kinds: UnionType, table: dict, prefix: str) -> Any:
    """The one of several tables that ``kind`` names."""
    by_name = {get_args(get_type_hints(kind)["kind"])[0]: kind for kind in get_args(kinds)}
    if "kind" not in table:
        raise RecipeError(f"{prefix}kind must be given: {', '.join(by_name)}")
    name = table["kind"]
    _require(isinstance(name, str) and name in by_name, f"{prefix}kind", " or ".join(map(repr, by_name)), name)
    return by_name[name]


def _value(hint: Any, value: Any, key: str) -> Any:
    if is_dataclass(hint) or isinstance(hint, UnionType):
        return _build(hint, value, f"{key}.")
    if get_origin(hint) is Literal:
        _require(value in get_args(hint), key, " or ".join(map(repr, get_args(hint))), value)
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise RecipeError(f"{key} must be a list, not {value!r}")
        return tuple(_value(get_args(hint)[0], item, f"{key}[{index}]") for index, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise RecipeError(f"{key} must be {_KINDS[hint]}, not {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
