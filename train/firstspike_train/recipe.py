# SPDX-License-Identifier: MIT
"""Recipes: TOML files that say everything a training run depends on."""

import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = [
    "DataRecipe", "NetworkRecipe", "QuantisationRecipe", "Recipe", "RecipeError", "TrainingRecipe", "load_recipe",
]


class RecipeError(ValueError):
    """A recipe that breaks a rule; the sentence names the key."""


def _require(condition: bool, key: str, rule: str, value: object) -> None:
    if not condition:
        raise RecipeError(f"{key} must be {rule}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """``shifts``: training images are moved by up to so many pixels each way."""

    dataset: Literal["digits", "mnist", "fashion-mnist"]
    shifts: int = 0

    def __post_init__(self) -> None:
        _require(0 <= self.shifts <= 4, "data.shifts", "0…4 pixels", self.shifts)


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe:
    """Shape and code of the network.

    Parameters
    ----------
    hidden : tuple of int
        Neurons of each hidden layer.
    steps, cutoff : int
        T, and the darkest pixel that spikes.
    readout : str
        "best" takes the one of `first_spike` and `weighted_spikes` with the higher validation accuracy.
    decay : str
        w[t] = T − t ("linear"), or 2^(T−1−t) ("exponential").
    """

    method: Literal["ettfs"] = "ettfs"
    hidden: tuple[int, ...] = (128,)
    steps: int = 8
    cutoff: int = 1
    readout: Literal["best", "first_spike", "weighted_spikes"] = "best"
    decay: Literal["linear", "exponential"] = "linear"

    def __post_init__(self) -> None:
        _require(all(1 <= size <= 4096 for size in self.hidden), "network.hidden", "sizes of 1…4096", self.hidden)
        _require(2 <= self.steps <= 16, "network.steps", "2…16", self.steps)
        _require(0 <= self.cutoff <= 255, "network.cutoff", "0…255", self.cutoff)


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Optimisation in real numbers.

    Parameters
    ----------
    learning_rate : float
        Peak of the one-cycle schedule.
    surrogate_width : float
        Distance from the threshold, in thresholds, at which the slope ends.
    score_gain : float
        Factor on Σ w[t]·s[t] / w[0] before the softmax.
    membrane_loss, decision_loss : float
        Weights of the losses on the output membranes: after the last step, and at the decision step.
    """

    epochs: int
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    surrogate: Literal["triangle", "sigmoid"] = "triangle"
    surrogate_width: float = 1.0
    score_gain: float = 8.0
    membrane_loss: float = 0.5
    decision_loss: float = 0.0

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "training.epochs", "at least 1", self.epochs)
        _require(self.batch_size >= 1, "training.batch_size", "at least 1", self.batch_size)
        for key in ("learning_rate", "surrogate_width", "score_gain"):
            _require(getattr(self, key) > 0, f"training.{key}", "positive", getattr(self, key))
        for key in ("weight_decay", "membrane_loss", "decision_loss"):
            _require(getattr(self, key) >= 0, f"training.{key}", "at least 0", getattr(self, key))


@dataclass(frozen=True, kw_only=True)
class QuantisationRecipe:
    """Fine-tuning with integer weights; ``weight_bits`` is one number a layer. ``epochs`` 0 only rounds."""

    weight_bits: tuple[int, ...]
    epochs: int = 0
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        _require(all(2 <= bits <= 8 for bits in self.weight_bits), "quantisation.weight_bits", "2…8", self.weight_bits)
        _require(self.epochs >= 0, "quantisation.epochs", "at least 0", self.epochs)
        _require(self.learning_rate > 0, "quantisation.learning_rate", "positive", self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run."""

    name: str
    seed: int = 0
    data: DataRecipe
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    training: TrainingRecipe
    quantisation: QuantisationRecipe

    def __post_init__(self) -> None:
        layers = len(self.network.hidden) + 1
        _require(len(self.quantisation.weight_bits) == layers, "quantisation.weight_bits",
                 f"one number for each of the {layers} layers", self.quantisation.weight_bits)

    @property
    def table(self) -> dict:
        """The recipe as plain JSON values."""
        return _plain(asdict(self))


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
        return _build(Recipe, table, "")
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


_KINDS = {int: "an integer", float: "a number", str: "a string"}


def _build(kind: Any, table: Any, prefix: str) -> Any:
    if not isinstance(table, dict):
        raise RecipeError(f"{prefix.rstrip('.')} must be a table, not {table!r}")
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise RecipeError(f"{prefix}{key} is no key of a recipe; known here: {', '.join(hints)}")
    for item in fields(kind):
        if item.name not in table and item.default is MISSING and item.default_factory is MISSING:
            raise RecipeError(f"{prefix}{item.name} must be given")
    return kind(**{key: _value(hints[key], value, prefix + key) for key, value in table.items()})


def _value(hint: Any, value: Any, key: str) -> Any:
    if is_dataclass(hint):
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
    if not isinstance(value, hint) or isinstance(value, bool):
        raise RecipeError(f"{key} must be {_KINDS[hint]}, not {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
