# SPDX-License-Identifier: MIT
"""The tables of a recipe, but for that of the method: data, network, training, teacher and quantisation."""

from dataclasses import dataclass
from typing import Literal

from firstspike_arch.events import MAGNITUDE_MAX
from firstspike_arch.fixed import LEAK_SHIFT

from .alterations import STRENGTH_MAX
from .recipe_rules import at_least, positive, require, share, within
from .recordings import RECORDINGS

__all__ = ["DataRecipe", "NetworkRecipe", "QuantisationRecipe", "TeacherRecipe", "TrainingRecipe"]


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
        require(self.step_us >= 1 if recorded else self.step_us == 0, "data.step_us",
                 f"{'at least 1' if recorded else '0'} with {self.dataset}", self.step_us)
        require(1 <= self.count_max <= (MAGNITUDE_MAX if recorded else 1), "data.count_max",
                 f"{f'1…{MAGNITUDE_MAX}' if recorded else '1'} with {self.dataset}", self.count_max)
        at_least("data", self, 0, "samples")
        if recorded and RECORDINGS[self.dataset].shape[1] == 1:
            require(0 <= self.shifts <= 40, "data.shifts", f"0…40 channels with {self.dataset}", self.shifts)
            require(not self.mirrors, "data.mirrors", f"false with {self.dataset}", self.mirrors)
        else:
            require(0 <= self.shifts <= 4, "data.shifts", "0…4 pixels", self.shifts)
        require(self.cutout >= 0, "data.cutout", "at least 0 pixels", self.cutout)
        within("data", self, 0, 8, "alterations")
        within("data", self, 0, STRENGTH_MAX, "strength")
        at_least("data", self, 0, "mixup")
        for key in ("alterations", "mixup"):
            require(not (recorded and getattr(self, key)), f"data.{key}", f"0 with {self.dataset}",
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
        require(0 <= self.delays <= most, "network.delays", f"0…{most}, below the steps", self.delays)


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
    decays : str
        What the weight decay shrinks: "all" that is learned, or "weights" alone, not gains and shifts of a
        normalisation, biases, thresholds, leaks and delays.
    average : float
        Factor by which each batch decays the moving average of the weights; the average is validated and kept. 0: no
        average.
    precision : str
        "mixed": training in real numbers multiplies in bfloat16 and adds in float32; on processors without AVX-512 it
        multiplies in float32, too, and another network results.
    """

    epochs: int
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    decays: Literal["all", "weights"] = "all"
    spike_loss: float = 0.0
    label_smoothing: float = 0.0
    average: float = 0.0
    precision: Literal["full", "mixed"] = "full"

    def __post_init__(self) -> None:
        at_least("training", self, 1, "epochs", "batch_size")
        positive("training", self, "learning_rate")
        at_least("training", self, 0, "weight_decay", "spike_loss")
        share("training", self, "label_smoothing", "average")


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
        at_least("teacher", self, 1, "epochs")
        require(0 < self.share <= 1, "teacher.share", "above 0 and at most 1", self.share)
        positive("teacher", self, "learning_rate", "temperature")


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
        require(all(2 <= bits <= 8 for bits in self.weight_bits), "quantisation.weight_bits", "2…8", self.weight_bits)
        within("quantisation", self, 0, LEAK_SHIFT, "leak_shift")
        at_least("quantisation", self, 0, "epochs")
        positive("quantisation", self, "learning_rate")
