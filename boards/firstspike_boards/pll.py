# SPDX-License-Identifier: MIT
"""Clock synthesis: the exact frequencies that a PLL can make within the ranges of its data sheet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["PllError", "PllLimits", "PllSetting"]


class PllError(ValueError):
    """The PLL cannot make a frequency; the message names the nearest."""


@dataclass(frozen=True, kw_only=True)
class PllSetting:
    """Dividers of a PLL, and the frequencies that follow from them.

    Parameters
    ----------
    input_hz : int
    reference, feedback, output : int
        Dividers of the input, in the loop, and behind the oscillator, as factors rather than register values.
    vco_hz, hz : Fraction
        Exact frequencies of the oscillator and of the output.
    """

    input_hz: int
    reference: int
    feedback: int
    output: int
    vco_hz: Fraction
    hz: Fraction

    @property
    def mhz(self) -> float:
        return float(self.hz) / 1e6


@dataclass(frozen=True, kw_only=True)
class PllLimits:
    """Ranges of a family's PLL. Frequencies are in Hz, and bounds are included.

    Parameters
    ----------
    name : str
    input_hz, detector_hz, vco_hz, output_hz : (int, int)
        Ranges of the input, of the phase detector (input / reference), of the oscillator and of the output.
    reference, feedback, output : sequence of int
        Available dividers.
    divided_feedback : bool
        True if the loop closes behind the output divider: hz = input · feedback / reference, vco = hz · output. False
        if it closes before it: vco = input · feedback / reference, hz = vco / output.
    """

    name: str
    input_hz: tuple[int, int]
    detector_hz: tuple[int, int]
    vco_hz: tuple[int, int]
    output_hz: tuple[int, int]
    reference: Sequence[int]
    feedback: Sequence[int]
    output: Sequence[int]
    divided_feedback: bool

    def settings(self, input_hz: int) -> Iterator[PllSetting]:
        """Yield every setting within all ranges."""
        if not _within(input_hz, self.input_hz):
            return
        for reference in self.reference:
            detector = Fraction(input_hz, reference)
            if not _within(detector, self.detector_hz):
                continue
            for feedback in self.feedback:
                multiple = detector * feedback
                if not (self.divided_feedback or _within(multiple, self.vco_hz)):
                    continue
                for output in self.output:
                    vco, hz = (multiple * output, multiple) if self.divided_feedback else (multiple, multiple / output)
                    if _within(vco, self.vco_hz) and _within(hz, self.output_hz):
                        yield PllSetting(input_hz=input_hz, reference=reference, feedback=feedback, output=output,
                                         vco_hz=vco, hz=hz)

    def fastest(self, input_hz: int, limit_hz: Fraction | float) -> PllSetting:
        """Return the setting with the highest frequency of at most ``limit_hz``.

        Among settings of the same frequency, the one with the fastest phase detector, then the fastest oscillator, is
        taken, as it has the least jitter.

        Raises
        ------
        PllError
            The input is out of range, or every frequency is higher than the limit.
        """
        settings = list(self.settings(input_hz))
        allowed = [setting for setting in settings if setting.hz <= limit_hz]
        if allowed:
            return max(allowed, key=lambda setting: (setting.hz, -setting.reference, setting.vco_hz))
        if settings:
            slowest = min(setting.hz for setting in settings)
            raise PllError(f"clock must be ≥ {float(slowest) / 1e6:g} MHz, the slowest that {self.name} makes of "
                           f"{input_hz / 1e6:g} MHz, not {float(limit_hz) / 1e6:g} MHz")
        low, high = (bound / 1e6 for bound in self.input_hz)
        raise PllError(f"input of {self.name} must be {low:g} … {high:g} MHz, not {input_hz / 1e6:g} MHz")


def _within(value: Fraction | int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= value <= bounds[1]
