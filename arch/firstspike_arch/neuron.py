# SPDX-License-Identifier: MIT
"""Neurons: one description of their behaviour, for networks in real numbers and in integers.

All code that copies, rounds, stores, checks or draws neurons iterates over the fields of `NeuronDescription`; the
metadata of a field say what its values are for (`NeuronDescription.numbers`). A new option needs a field here, and its
passes in `microcode`.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import numpy as np

__all__ = ["FloatNeuron", "Neuron", "NeuronDescription", "Over", "Reset"]

Reset = Literal["subtract", "zero", "none"]

Over = Literal["channels", "thresholds", "steps", "layer"]
"""What a field in units of the membrane has one value for: each channel, each threshold of each channel, each step, or
the whole layer."""


_CHANNELS, _THRESHOLDS, _STEPS, _LAYER = ({"over": over} for over in get_args(Over))
"""Metadata of the fields in units of the membrane."""

_RATIO = {"ratio": True}
"""Metadata of a factor without a unit, which all channels of a layer share, or of which each has its own."""

_LATER = {"later": True}
"""Metadata of a field that files leave out where it has its default, so that files of before stay as they are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronDescription:
    """The neurons of one layer, which do the following in every step, in this order::

        v = leak(v)
        i = current_leak(i) + Σ W·s             (i = Σ W·s if currents do not last; + bias, if current_bias)
        v = v + i + bias                        (no bias, if current_bias;
                                                 − s[t−1]·reset_step, or v_reset beforehand, if reset_delay)
        s = #{k: v ≥ theta[k] + a}              (0 if single_spike and it has fired)
        reset unless reset_delay: v −= s·reset_step (+ s·a, if reset_rise) | v = v_reset where s > 0 | nothing
        v = clip(v, v_min, v_max)
        a = rise_leak(a) + s·theta_rise         (a = 0 if thresholds do not adapt)

    Vectors have one value for each of the layer's C channels; the channels of a dense layer are its neurons.

    Parameters
    ----------
    bias : [C]
        Added at every step, or at t = 0 only (``bias_once``).
    theta : [C, n], or [C] for n = 1
        n ≤ 15 ascending thresholds, > 0 or above v_init; the magnitude of a spike is the number of thresholds that v
        reaches. None: the neurons never fire, and the read-out takes their potential.
    reset : "subtract", "zero" or "none"
    reset_step : [C]
        Amount that the reset "subtract" takes from v for each threshold reached; None: the first threshold.
    v_reset : [C]
        Value to which the reset "zero" sets the membrane; None: 0.
    v_init : [C]
        Membrane before the first step.
    v_min, v_max : one number
        Clamp at the end of every step; None: no clamp on that side.
    theta_fall : [T]
        Fall of all thresholds in step t, ascending from 0, which makes the layer a learned latency encoder: its neurons
        fire once, and get their current once, from a direct input. None: the thresholds are constant.
    reset_delay : bool
        The reset takes place in the next step, after the leak.
    single_spike : bool
        A neuron fires at most once in an inference; it is then silent, and its membrane is not reset.
    bias_once : bool
        The bias is added at t = 0 only.
    leak_toward_zero : bool
        Membranes in integers, and currents that last, are rounded toward 0 as they leak, instead of down.
    current_delay : bool
        The membrane takes the current of the step before: i before its leak and the events of this step, 0 at t = 0.
        Currents must last.
    current_bias : bool
        The bias is added to the current, in every step, instead of the membrane. Currents must last.
    theta_rise : [C]
        What a spike adds to all thresholds of its neuron from the next step on, times its magnitude; ≥ 0. Thresholds
        must adapt.
    reset_rise : bool
        The reset "subtract" also takes the rise a of the thresholds from v: with a ``reset_step`` as the threshold, it
        takes the threshold as it is. Thresholds must adapt.

    Currents last in layers with a ``current_leak``, which `FloatNeuron` and `Neuron` have; i is 0 before the first
    step. Of the layer's own spikes, those of the step before are among Σ W·s. Thresholds adapt in layers with a
    ``rise_leak``; a is 0 before the first step.
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
    leak_toward_zero: bool = field(default=False, metadata=_LATER)
    current_delay: bool = field(default=False, metadata=_LATER)
    current_bias: bool = field(default=False, metadata=_LATER)
    theta_rise: np.ndarray | None = field(default=None, metadata=_CHANNELS | _LATER)
    reset_rise: bool = field(default=False, metadata=_LATER)
    theta_fall: np.ndarray | None = field(default=None, metadata=_STEPS)
    v_min: float | None = field(default=None, metadata=_LAYER)
    v_max: float | None = field(default=None, metadata=_LAYER)

    @classmethod
    def numbers(cls, *over: Over) -> tuple[str, ...]:
        """Names of the fields in units of the membrane: all, or those that have values for one of ``over``."""
        return tuple(item.name for item in fields(cls)
                     if "over" in item.metadata and (not over or item.metadata["over"] in over))

    @classmethod
    def arrays(cls) -> tuple[str, ...]:
        """Names of the fields that hold arrays, or None where not given."""
        return cls.numbers("channels", "thresholds", "steps")

    @classmethod
    def ratios(cls) -> tuple[str, ...]:
        """Names of the fields that hold one number, or, where channels differ, an array [C]; they have no unit."""
        return tuple(item.name for item in fields(cls) if "ratio" in item.metadata)

    def idle(self) -> set[str]:
        """Names of the fields that files leave out, as they are at their defaults."""
        return {item.name for item in fields(self) if "later" in item.metadata
                and not isinstance(value := getattr(self, item.name), np.ndarray) and value == item.default}

    def given(self) -> dict[str, Any]:
        """The fields in units of the membrane that are not None, by name."""
        return {name: getattr(self, name) for name in self.numbers() if getattr(self, name) is not None}

    def options(self) -> dict[str, Any]:
        """The other fields that `FloatNeuron` and `Neuron` have in common, by name."""
        return {item.name: getattr(self, item.name) for item in fields(NeuronDescription)
                if item.name not in self.numbers()}

    @property
    def levels(self) -> int:
        """Largest magnitude of a spike; 0 without a threshold."""
        return 0 if self.theta is None else 1 if self.theta.ndim == 1 else self.theta.shape[1]

    @property
    def adapts(self) -> bool:
        """Whether thresholds rise with spikes."""
        return self.theta_rise is not None

    @property
    def clamped(self) -> bool:
        return self.v_min is not None or self.v_max is not None

    @property
    def shares_numbers(self) -> bool:
        """Whether some number is the same for all channels, so that the channels must share one scale."""
        return any(getattr(self, name) is not None for name in self.numbers("steps", "layer"))


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNeuron(NeuronDescription):
    """Neurons in real numbers; arrays are float64. A field that is None counts as 0 unless `NeuronDescription` says
    otherwise.

    Parameters
    ----------
    leak : float or float64[C]
        leak(v) = leak·v with leak in 0 … 1, of the layer or of each channel; 1 makes an integrate-and-fire neuron. An
        array of equal numbers becomes the number.
    strict : bool
        A neuron fires where v > theta instead of v ≥ theta.
    current_leak : float or float64[C]
        Currents last: current_leak(i) = current_leak·i with a factor in 0 … 1, of the layer or of each channel. None:
        they do not.
    rise_leak : float or float64[C]
        Thresholds adapt, with ``theta_rise``: rise_leak(a) = rise_leak·a with a factor in 0 … 1, of the layer or of
        each channel. None: they do not.
    """

    leak: float | np.ndarray = field(default=1.0, metadata=_RATIO)
    strict: bool = False
    current_leak: float | np.ndarray | None = field(default=None, metadata=_RATIO | _LATER)
    rise_leak: float | np.ndarray | None = field(default=None, metadata=_RATIO | _LATER)

    def __post_init__(self) -> None:
        for name in self.ratios():
            if _all_equal(value := getattr(self, name)):
                object.__setattr__(self, name, float(np.ravel(value)[0]))

    @property
    def lasts(self) -> bool:
        """Whether currents last."""
        return self.current_leak is not None

    def risen(self, spikes: np.ndarray) -> np.ndarray:
        """What the thresholds of M neurons have risen by after some steps, float64[M], from the magnitudes of their
        spikes in these, [T, M]; 0 if thresholds do not adapt."""
        rise = np.zeros(spikes.shape[1])
        if self.theta_rise is None or self.rise_leak is None:
            return rise
        positions = len(rise) // len(self.theta_rise)
        leak, each = (np.repeat(np.broadcast_to(values, len(self.theta_rise)), positions)
                      for values in (self.rise_leak, self.theta_rise))
        for magnitudes in spikes:
            rise = rise * leak + magnitudes * each
        return rise


@dataclass(frozen=True, kw_only=True, eq=False)
class Neuron(NeuronDescription):
    """Neurons in integers; arrays are int64, thresholds ≥ 1 or above v_init.

    Parameters
    ----------
    leak_num : int or int64[C]
    leak_shift : int
        leak(v) = v·leak_num / 2^leak_shift, rounded toward −∞, or toward 0 (``leak_toward_zero``), with
        0 ≤ leak_num ≤ 2^leak_shift and leak_shift ≤ 15;
        leak_num = 2^leak_shift makes an integrate-and-fire neuron. An array of equal numbers becomes the number.
    current_leak_num : int or int64[C]
    current_leak_shift : int
        Currents last: current_leak(i) = i·current_leak_num / 2^current_leak_shift, with the same rounding and limits.
        None: they do not.
    rise_leak_num : int or int64[C]
    rise_leak_shift : int
        Thresholds adapt, with ``theta_rise``: rise_leak(a) = a·rise_leak_num / 2^rise_leak_shift, rounded down, with
        the same limits. None: they do not.
    """

    bias: np.ndarray = field(metadata=_CHANNELS)
    v_init: np.ndarray = field(metadata=_CHANNELS)
    leak_num: int | np.ndarray = field(default=1, metadata=_RATIO)
    leak_shift: int = 0
    current_leak_num: int | np.ndarray | None = field(default=None, metadata=_RATIO | _LATER)
    current_leak_shift: int = field(default=0, metadata=_LATER)
    rise_leak_num: int | np.ndarray | None = field(default=None, metadata=_RATIO | _LATER)
    rise_leak_shift: int = field(default=0, metadata=_LATER)
    v_min: int | None = field(default=None, metadata=_LAYER)
    v_max: int | None = field(default=None, metadata=_LAYER)

    def __post_init__(self) -> None:
        if self.theta is not None and np.ndim(self.theta) == 1:
            object.__setattr__(self, "theta", np.asarray(self.theta)[:, None])
        for name in self.ratios():
            value = getattr(self, name)
            if _all_equal(value) and np.asarray(value).dtype.kind in "iu":
                object.__setattr__(self, name, int(np.ravel(value)[0]))

    @property
    def first_theta(self) -> np.ndarray:
        """The lowest threshold of each channel, int64[C]; 0 if the neurons never fire."""
        return np.zeros(len(self.bias), dtype=np.int64) if self.theta is None else self.theta[:, 0].astype(np.int64)

    @property
    def leaky(self) -> bool:
        """Whether the neurons of some channel leak."""
        return bool(np.any(self.leak_num != 1 << self.leak_shift))

    @property
    def leak(self) -> float | np.ndarray:
        """The factor leak_num / 2^leak_shift, a number or float64[C]."""
        return self.leak_num / (1 << self.leak_shift)

    @property
    def lasts(self) -> bool:
        """Whether currents last."""
        return self.current_leak_num is not None

    @property
    def current_leak(self) -> float | np.ndarray | None:
        """The factor current_leak_num / 2^current_leak_shift, a number or float64[C]; None: currents do not last."""
        return None if self.current_leak_num is None else self.current_leak_num / (1 << self.current_leak_shift)

    @property
    def rise_leak(self) -> float | np.ndarray | None:
        """The factor rise_leak_num / 2^rise_leak_shift, a number or float64[C]; None: thresholds do not adapt."""
        return None if self.rise_leak_num is None else self.rise_leak_num / (1 << self.rise_leak_shift)

    @property
    def after_reset(self) -> np.ndarray | None:
        """v right after the reset, int64[C, n], if a spike of magnitude k + 1 left from v = theta[k], with thresholds
        that have not risen; None: no reset."""
        if self.theta is None or self.single_spike or self.reset == "none":
            return None
        theta = np.asarray(self.theta, dtype=np.int64)
        if self.reset == "zero":
            return np.zeros_like(theta) if self.v_reset is None else np.broadcast_to(self.v_reset[:, None], theta.shape)
        step = self.first_theta if self.reset_step is None else np.asarray(self.reset_step, dtype=np.int64)
        return theta - step[:, None] * np.arange(1, self.levels + 1)


def _all_equal(values: Any) -> bool:
    """Whether the values are an array of equal numbers, which stand for one of the layer."""
    return isinstance(values, np.ndarray) and values.ndim == 1 and values.size > 0 and not (values != values[0]).any()
