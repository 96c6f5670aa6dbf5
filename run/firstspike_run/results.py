# SPDX-License-Identifier: MIT
"""Result beats of a device as classes, steps and scores."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Answers", "decode_results"]


class Answers(NamedTuple):
    """Results of inferences, one a row.

    Attributes
    ----------
    classes, steps : int64[R]
        Class, and the step in which it was decided.
    decided_by : int64[R]
        What decided: 0 plain, 1 tie by membrane, 2 tie by index, 3 silent.
    scores : int64[R, classes]
        Evidence, as in the golden model.
    cycles : int
        Clock cycles of the device from before the first word until after the last result, with the time that the
        processor took between the parts of a batch.
    """

    classes: np.ndarray
    steps: np.ndarray
    decided_by: np.ndarray
    scores: np.ndarray
    cycles: int


def decode_results(facts: dict[str, Any], beats: np.ndarray, cycles: int) -> Answers:
    """Decode the beats of whole results, uint64[R × beats], by the "result" part of an export's facts."""
    octets = np.ascontiguousarray(beats, dtype="<u8").reshape(-1, facts["beats"]).view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    at = 0
    columns = []
    for width in [facts["class_bits"], facts["step_bits"], facts["decided_by_bits"]] + (
            [facts["score_bits"]] * facts["classes"]):
        columns.append(bits[:, at : at + width].astype(np.int64) @ (1 << np.arange(width, dtype=np.int64)))
        at += width
    sign = 1 << (facts["score_bits"] - 1)
    scores = (np.stack(columns[3:], axis=1) ^ sign) - sign
    steps = columns[1]
    if facts["step_weights"]:  # a score is −1 for the weight of the step
        scores = -scores * np.array(facts["step_weights"], dtype=np.int64)[steps][:, None]
    return Answers(columns[0], steps, columns[2], scores, cycles)
