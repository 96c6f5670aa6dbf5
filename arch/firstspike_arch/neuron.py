# SPDX-License-Identifier: MIT
"""Neurons: one description of what they do, for networks of real numbers and of integers.

Everything that copies, rounds, stores, checks or draws neurons goes over the fields of `NeuronDescription`, and asks
each what it holds (`NeuronDescription.numbers`). A new option is a field here, and what it does in `microcode`.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import numpy as np

__all__ = ["FloatNeuron", "Neuron", "NeuronDescription", "Over", "Reset"]

Reset = Literal["subtract", "zero", "none"]

Over = Literal["channels", "thresholds", "steps", "layer"]
"""What a number on the membrane has a value for: each channel, each threshold of each channel, each step, or all."""


_CHANNELS, _THRESHOLDS, _STEPS, _LAYER = ({"over": over} for over in get_args(Over))
"""Metadata of the fields in units of the membrane."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronDescription:
    """What the neurons of one layer do in every step, in this order::

        v = leak(v)
        v = v + Σ W·s + bias                    (− s[t−1]·reset_step, or v_reset beforehand, if reset_delay)
        s = #{k: v ≥ theta[k]}                  (0 if single_spike and it has fired)
        reset unless reset_delay: v −= s·reset_step | v = v_reset where s > 0 | nothing
        v = clip(v, v_min, v_max)

    Vectors are over the layer's C channels; a dense layer's neurons are its channels.

    Parameters
    ----------
    bias : [C]
        Added at every step, or at t = 0 only (``bias_once``).
    theta : [C, n], or [C] for n = 1
        n ≤ 15 ascending thresholds > 0; the magnitude of a spike is the number of them that v reaches. None: the
        neurons never fire; they are read by their potential.
    reset : "subtract", "zero" or "none"
    reset_step : [C]
        What "subtract" takes away for each threshold reached; None: the first threshold.
    v_reset : [C]
        What "zero" sets the membrane to, where it is not 0.
    v_init : [C]
        Membrane before the first step.
    v_min, v_max : one number
        Clamp at the end of every step; None: there is none.
    theta_fall : [T]
        A learned latency encoder: in step t all thresholds are lower by theta_fall[t], ascending from 0. Its neurons
        fire once, and their current comes once, from a direct input.
    reset_delay : bool
        The reset comes in the next step, after its leak.
    single_spike : bool
        A neuron that has fired is silent, and its membrane stays as it was before the reset.
    bias_once : bool
    """

    # Ref: docs/semantics.md, section 1
    bias: np.ndarray | None = field(default=None, metadata=_CHANNELS)
    theta: np.ndarray | None = field(default=None, metadata=_THRESHOLDS)
    v_init: np.ndarray | None = field(default=None, metadata=_CHANNELS)
    reset_step: np.ndarray | None = field(default=None, metadata=_CHANNELS)
    v_reset: np.ndarray | None = field(default=None, metadata=_CHANNELS)
    reset: Reset = "subtract"
    reset_delay: bool = False
    single_spike: bool = False
    bias_once: bool = False
    theta_fall: np.ndarray | None = field(default=None, metadata=_STEPS)
    v_min: float | None = field(default=None, metadata=_LAYER)
    v_max: float | None = field(default=None, metadata=_LAYER)

    @classmethod
    def numbers(cls, *over: Over) -> tuple[str, ...]:
        """Names of the fields in units of the membrane, all of them or those over any of ``over``."""
        return tuple(item.name for item in fields(cls)
                     if "over" in item.metadata and (not over or item.metadata["over"] in over))

    @classmethod
    def arrays(cls) -> tuple[str, ...]:
        """Names of the fields that are arrays, None where not given."""
        return cls.numbers("channels", "thresholds", "steps")

    def given(self) -> dict[str, Any]:
        """The numbers on the membrane that are given, by name."""
        return {name: getattr(self, name) for name in self.numbers() if getattr(self, name) is not None}

    def options(self) -> dict[str, Any]:
        """The other fields that neurons of real numbers and of integers have in common, by name."""
        return {item.name: getattr(self, item.name) for item in fields(NeuronDescription)
                if item.name not in self.numbers()}

    @property
    def levels(self) -> int:
        """Largest magnitude of a spike; 0 without a threshold."""
        return 0 if self.theta is None else 1 if self.theta.ndim == 1 else self.theta.shape[1]

    @property
    def clamped(self) -> bool:
        return self.v_min is not None or self.v_max is not None

    @property
    def shares_numbers(self) -> bool:
        """Whether all channels share a number, so that they must count in one unit."""
        return any(getattr(self, name) is not None for name in self.numbers("steps", "layer"))


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNeuron(NeuronDescription):
    """Neurons in real numbers, arrays of float64; what is None is 0, or as `NeuronDescription` says.

    Parameters
    ----------
    leak : float
        leak(v) = leak·v, in 0 … 1; 1 is an integrate-and-fire neuron.
    strict : bool
        Thresholds must be exceeded: v > theta in place of v ≥ theta.
    """

    leak: float = 1.0
    strict: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Neuron(NeuronDescription):
    """Neurons in integers, arrays of int64, thresholds ≥ 1.

    Parameters
    ----------
    leak_num, leak_shift : int
        leak(v) = (v·leak_num) >> leak_shift, toward −∞, with 0 ≤ leak_num ≤ 2^leak_shift and leak_shift ≤ 15;
        leak_num = 2^leak_shift is an integrate-and-fire neuron.
    """

    bias: np.ndarray = field(metadata=_CHANNELS)
    v_init: np.ndarray = field(metadata=_CHANNELS)
    leak_num: int = 1
    leak_shift: int = 0
    v_min: int | None = field(default=None, metadata=_LAYER)
    v_max: int | None = field(default=None, metadata=_LAYER)

    def __post_init__(self) -> None:
        if self.theta is not None and np.ndim(self.theta) == 1:
            object.__setattr__(self, "theta", np.asarray(self.theta)[:, None])

    @property
    def first_theta(self) -> np.ndarray:
        """The lowest threshold of each channel, int64[C]; 0 without any."""
        return np.zeros(len(self.bias), dtype=np.int64) if self.theta is None else self.theta[:, 0].astype(np.int64)

    @property
    def leaky(self) -> bool:
        return self.leak_num != 1 << self.leak_shift

    @property
    def after_reset(self) -> np.ndarray | None:
        """v right after a reset by a spike of each magnitude from its threshold, int64[C, n]; None: nothing resets."""
        if self.theta is None or self.single_spike or self.reset == "none":
            return None
        theta = np.asarray(self.theta, dtype=np.int64)
        if self.reset == "zero":
            return np.zeros_like(theta) if self.v_reset is None else np.broadcast_to(self.v_reset[:, None], theta.shape)
        step = self.first_theta if self.reset_step is None else np.asarray(self.reset_step, dtype=np.int64)
        return theta - step[:, None] * np.arange(1, self.levels + 1)
