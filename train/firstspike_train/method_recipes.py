# SPDX-License-Identifier: MIT
"""The parameters of the training methods, of which a recipe has one."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from firstspike_arch.events import MAGNITUDE_MAX

from .recipe_rules import at_least, positive, require, share, within

__all__ = ["DietRecipe", "EttfsRecipe", "LatencyCodingRecipe", "MethodRecipe", "MultiThresholdRecipe"]


@dataclass(frozen=True, kw_only=True)
class EttfsRecipe:
    """Parameters of `methods.ettfs`.

    Parameters
    ----------
    input : str
        How a pixel p enters: as a spike, the earlier the brighter ("latency"), or as a current W·p/255 of the first
        layer in every step ("direct"), which its neurons turn into times of spikes.
    cutoff : int
        Darkest grey level that spikes as a latency, 0 … 255.
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
    input: Literal["latency", "direct"] = "latency"
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
        within("method", self, 0, 255, "cutoff")
        require(self.input == "latency" or self.cutoff == 1, "method.cutoff", "left out with a direct input",
                self.cutoff)
        positive("method", self, "surrogate_width", "score_gain")
        at_least("method", self, 0, "membrane_loss", "decision_loss", "spread")


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
        at_least("method", self, 0, "pretraining_epochs")
        within("method", self, 50, 100, "percentile")
        within("method", self, 0, 1, "leak")
        share("method", self, "dropout")
        positive("method", self, "pretraining_learning_rate", "scaling", "surrogate_height")


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
        within("method", self, 0, 1, "leak")
        positive("method", self, "encoder_width", "surrogate_width", "score_gain")


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
        within("method", self, 1, MAGNITUDE_MAX, "levels")
        within("method", self, 0, 1, "leak", *["current_leak"] * (self.current_leak is not None))
        require(self.current_leak is not None or "current_leak" not in self.learns, "method.current_leak",
                 "given where it is learned", self.current_leak)
        positive("method", self, "spread", "surrogate_width", "surrogate_height", "score_gain")


MethodRecipe = EttfsRecipe | DietRecipe | LatencyCodingRecipe | MultiThresholdRecipe
