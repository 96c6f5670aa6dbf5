# SPDX-License-Identifier: MIT
"""Recipes: all parameters of a training run, with the rules that they must follow."""

from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any

from firstspike_arch.connectivity import Shape
from firstspike_arch.network import NAME_RULE, is_name
from firstspike_arch.shown import shown
from pydantic import Discriminator
from pydantic_core import to_jsonable_python

from .builder import Wiring, build_layers
from .data import DATASETS, ImageSet
from .method_recipes import DietRecipe, EttfsRecipe, LatencyCodingRecipe, MethodRecipe, MultiThresholdRecipe
from .recipe_rules import RecipeError, require
from .recipe_tables import DataRecipe, NetworkRecipe, QuantisationRecipe, TeacherRecipe, TrainingRecipe
from .recordings import RECORDINGS, RecordingSet

__all__ = [
    "DataRecipe", "DietRecipe", "EttfsRecipe", "LatencyCodingRecipe", "MethodRecipe", "MultiThresholdRecipe",
    "NetworkRecipe", "Phase", "QuantisationRecipe", "Recipe", "RecipeError", "TeacherRecipe", "TrainingRecipe",
    "without_defaults",
]


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
        require(is_name(self.name), "name", NAME_RULE, self.name)
        require(not self.data.step_us or isinstance(method, MultiThresholdRecipe), "method.kind",
                 "'multi_threshold' with recordings", method.kind)
        layers = self._layers("network", network.layers)
        if self.teacher is not None:
            require(all(layer.skip is None and layer.loop is None
                         for layer in self._layers("teacher", self.teacher.layers)),
                     "teacher.layers", "a chain without skips or recurrent layers", self.teacher.layers)
            require(not self.data.step_us, "teacher", "left out with recordings", self.teacher.layers)
        require(self.data.cutout <= min(self.shape[1:]), "data.cutout",
                 f"at most the {min(self.shape[1:])} pixels of an image", self.data.cutout)
        require(network.normalisation == "none" or not isinstance(method, EttfsRecipe),
                 "network.normalisation", f"'none' with {method.kind}, which has none", network.normalisation)
        require(not isinstance(method, EttfsRecipe) or all(layer.skip is None for layer in layers), "network.layers",
                 "a chain without skips with ettfs", network.layers)
        self._check_times(layers)
        require(len(layers) >= method.LAYERS_MIN, "network.layers",
                 f"of at least {method.LAYERS_MIN} layers with {method.kind}", network.layers)
        require(len(self.quantisation.weight_bits) == len(layers), "quantisation.weight_bits",
                 f"one number for each of the {len(layers)} layers", self.quantisation.weight_bits)
        if isinstance(method, DietRecipe) and not method.pretraining_epochs:
            require(network.normalisation == "batch", "network.normalisation",
                     "'batch' where diet_snn begins as another network", network.normalisation)
        low, high = method.STEPS
        require(low <= network.steps <= high, "network.steps", f"{low}…{high} with {method.kind}", network.steps)
        require(network.readout in ("best", *method.READOUTS), "network.readout",
                 f"{' or '.join(('best', *method.READOUTS))} with {method.kind}", network.readout)
        require(network.readout != "weighted_spikes" or not isinstance(method, EttfsRecipe) or method.decay != "none",
                 "network.readout", "first_spike where method.decay is 'none'", network.readout)

    def _check_times(self, layers: tuple[Wiring, ...]) -> None:
        """Check what carries spikes from step to step: loops and delays."""
        network, method, loops = self.network, self.method, [layer.loop is not None for layer in layers]
        if not isinstance(method, MultiThresholdRecipe):
            require(not any(loops), "network.layers", f"without recurrent layers with {method.kind}", network.layers)
            require(not network.delays, "network.delays", f"0 with {method.kind}", network.delays)
            return
        require(not loops[-1] or network.readout == "spike_count", "network.layers",
                 "closed by a layer that is not recurrent where network.readout is not 'spike_count'", network.layers)
        require(not loops[0] or self.data.step_us > 0, "network.layers",
                 f"begun by a layer that is not recurrent with {self.data.dataset}, whose images are no spikes",
                 network.layers)
        require(not network.delays or all(layer.skip is None for layer in layers), "network.layers",
                 "a chain without skips with delays", network.layers)
        require(network.delays > 0 or "delays" not in method.learns, "network.delays",
                 "at least 1 where delays are learned", network.delays)

    def _layers(self, table: str, text: str) -> tuple[Wiring, ...]:
        try:
            layers = build_layers(text, self.shape)
        except ValueError as error:
            raise RecipeError(f"{table}.layers {shown(text)}: {error}") from None
        require(layers[-1].synapses.out_shape == (self.classes,), f"{table}.layers",
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
    def teacher_table(self) -> dict:
        """All parameters of the training of the teacher, as plain JSON values."""
        table = self.table
        kept = {"teacher": ("layers", "epochs", "learning_rate"),
                "training": ("batch_size", "weight_decay", "decays", "label_smoothing", "average", "precision")}
        return {"seed": self.seed, "data": table["data"], **{
            name: {key: table[name][key] for key in keys} for name, keys in kept.items()}}

    @property
    def real_table(self) -> dict:
        """`table` without name and quantisation: all parameters of the training in real numbers."""
        return {key: value for key, value in self.table.items() if key not in ("name", "quantisation")}


_KINDS = {"ettfs": EttfsRecipe, "diet_snn": DietRecipe, "latency_coding": LatencyCodingRecipe,
          "multi_threshold": MultiThresholdRecipe}
_TABLES = {"data": DataRecipe, "network": NetworkRecipe, "training": TrainingRecipe, "quantisation": QuantisationRecipe,
           "teacher": TeacherRecipe}


def without_defaults(table: dict[str, Any]) -> dict[str, Any]:
    """Return `Recipe.table`, or a part of it, without values that are defaults: a table of before there was an option
    is then equal to one that does not use it."""
    found = {}
    for name, values in table.items():
        kind = values.get("kind") if isinstance(values, dict) and name == "method" else None
        recipe: Any = _KINDS.get(kind) if isinstance(kind, str) else _TABLES.get(name)
        if recipe is not None and isinstance(values, dict):
            defaults = {one.name: to_jsonable_python(one.default) for one in fields(recipe)
                        if one.default is not MISSING}
            values = {key: value for key, value in values.items() if key not in defaults or value != defaults[key]}
        found[name] = values
    return found
