# SPDX-License-Identifier: MIT
"""Layout of a result word, from the lowest bit: class, step, decided_by, then a signed score for each class."""

from dataclasses import dataclass

import numpy as np

from .core_specs import result_score_bits
from .fixed import bits_for_unsigned
from .program import Program

__all__ = ["DECIDED_BY_BITS", "ResultLayout", "result_layout", "scores_from_raw"]

DECIDED_BY_BITS = 2
"""Width of `firstspike_arch.backend.DecidedBy` in a result."""


@dataclass(frozen=True, kw_only=True)
class ResultLayout:
    """Field widths of a result word.

    Parameters
    ----------
    classes, steps_max : int
    score_bits : int
        Width of a score, a signed number. For weighted_spikes of single-spike neurons a score is −1 if the neuron fired
        at the decision step, and 0 if not; −1 then stands for the weighted sum w[step].
    """

    classes: int
    steps_max: int
    score_bits: int

    @property
    def class_bits(self) -> int:
        return bits_for_unsigned(self.classes - 1)

    @property
    def step_bits(self) -> int:
        return bits_for_unsigned(self.steps_max - 1)

    @property
    def bits(self) -> int:
        return self.class_bits + self.step_bits + DECIDED_BY_BITS + self.classes * self.score_bits

    def unpack(self, word: int) -> tuple[int, int, int, list[int]]:
        """Unpack a result word into (class, step, decided_by, scores)."""
        label, word = word & (1 << self.class_bits) - 1, word >> self.class_bits
        step, word = word & (1 << self.step_bits) - 1, word >> self.step_bits
        decided_by, word = word & (1 << DECIDED_BY_BITS) - 1, word >> DECIDED_BY_BITS
        sign = 1 << (self.score_bits - 1)
        scores = []
        for _ in range(self.classes):
            scores.append(((word & (1 << self.score_bits) - 1) ^ sign) - sign)
            word >>= self.score_bits
        return label, step, decided_by, scores


def result_layout(program: Program) -> ResultLayout:
    """Return the result layout of a program's accelerator."""
    network = program.network
    bits = result_score_bits(network, program.cores[-1].plan)
    return ResultLayout(classes=network.classes, steps_max=network.steps_max, score_bits=bits)


def scores_from_raw(program: Program, raw: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Convert raw scores of result words, int64[B, classes], to evidence, given the decision steps, int64[B]."""
    network = program.network
    if network.readout == "weighted_spikes" and network.earliest_decides:
        return -raw * np.asarray(network.step_weights)[steps][:, None]
    return raw
