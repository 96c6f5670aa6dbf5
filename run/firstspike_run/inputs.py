# SPDX-License-Identifier: MIT
"""Images, numbers and events as the words that a device takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["InputEncoder"]


class InputEncoder:
    """Makes input words by the "input" part of an export's facts.

    Parameters
    ----------
    facts : dict
    """

    def __init__(self, facts: dict[str, Any]):
        self._facts = facts
        self.beat = np.dtype("<u{}".format(facts["beat_bytes"]))

    def encode(self, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the words of a batch, and the index of the first word of each inference, and of the end.

        Parameters
        ----------
        inputs : array
            uint8[B, N] ("latency"), integers[B, N] ("direct") or integers[B, T, N] ("events"), or with the axes
            C, H, W in place of N.

        Raises
        ------
        ValueError
            Wrong shape, type or range.
        """
        values = self._checked(inputs)
        if self._facts["image_words"]:
            padded = np.zeros((len(values), self._facts["image_words"] * 8), dtype=np.uint8)
            padded[:, : values.shape[1]] = values.astype(np.int16) & 0xFF
            return padded.view("<u8").reshape(-1), np.arange(len(values) + 1) * self._facts["image_words"]
        if self._facts["kind"] == "latency":
            step = np.array(self._facts["step_of"])[values]  # −1: never
            inference, neuron = np.nonzero(step >= 0)
            return self._tokens(inference, step[inference, neuron], neuron, np.ones(len(neuron), dtype=np.int64),
                                np.full(len(values), self._facts["steps"]))
        if self._facts["kind"] == "direct":
            inference, neuron = np.nonzero(values)
            return self._tokens(inference, np.zeros(len(neuron), dtype=np.int64), neuron, values[inference, neuron],
                                np.full(len(values), self._facts["steps"]))
        inference, step, neuron = np.nonzero(values)
        return self._tokens(inference, step, neuron, values[inference, step, neuron],
                            np.full(len(values), values.shape[1]))

    def encode_events(
        self, recordings: Sequence[Any], steps: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the words of recordings, as `encode` does.

        Parameters
        ----------
        recordings : sequence of integer[K, 2] or integer[K, 3]
            Step, neuron (its number in the order of the network's input) and, in a third column, value of each event,
            in any order. Events of one neuron and step are added.
        steps : int
            Steps of each recording; None: as many as training used.

        Raises
        ------
        ValueError
            The network takes no events, or an event is out of range.
        """
        facts = self._facts
        if facts["kind"] != "events":
            raise ValueError("{} must be given as arrays, not as events".format(
                {"latency": "images", "direct": "numbers"}[facts["kind"]]))
        if not len(recordings):
            raise ValueError("recordings must be at least one, not none")
        length: int = facts["steps"] if steps is None else steps
        if length < 1 or (facts["longest"] is not None and length > facts["longest"]):
            raise ValueError(f"steps must be {self._steps_allowed()}, not {length}")
        keys, sums = [], []
        for number, recording in enumerate(recordings):
            events = np.asarray(recording)
            if events.size == 0:
                events = np.zeros((0, 2), dtype=np.int64)
            if events.ndim != 2 or events.shape[1] not in (2, 3) or events.dtype.kind not in "iu":
                raise ValueError(f"recording {number} must be integers of shape (events, 2) or (events, 3), not "
                                 f"{events.dtype} of shape {events.shape}")
            events = events.astype(np.int64)
            for column, (what, end) in enumerate((("step", length), ("neuron", facts["inputs"]))):
                wrong = np.flatnonzero((events[:, column] < 0) | (events[:, column] >= end))
                if len(wrong):
                    raise ValueError(f"recording {number} must have {what}s 0…{end - 1}, not "
                                     f"{events[wrong[0], column]} in event {wrong[0]}")
            values = events[:, 2] if events.shape[1] == 3 else np.ones(len(events), dtype=np.int64)
            place = (number * length + events[:, 0]) * facts["inputs"] + events[:, 1]
            unique, inverse = np.unique(place, return_inverse=True)
            total = np.zeros(len(unique), dtype=np.int64)
            np.add.at(total, inverse.reshape(-1), values)
            keys.append(unique)
            sums.append(total)
        key, value = np.concatenate(keys), np.concatenate(sums)
        self._check_range(value)
        key, value = key[value != 0], value[value != 0]
        rest, neuron = np.divmod(key, facts["inputs"])
        inference, step = np.divmod(rest, length)
        return self._tokens(inference, step, neuron, value, np.full(len(recordings), length))

    def results(self, words: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Return how many results each inference has: one, or one for each window of an endless network, also
        for a last one that is cut short."""
        if not self._facts["window_steps"]:
            return np.ones(len(starts) - 1, dtype=np.int64)
        markers = np.concatenate([[0], np.cumsum(words & self._facts["marker"] != 0)])
        return -(-np.diff(markers[starts]) // self._facts["window_steps"])

    def _checked(self, inputs: Any) -> np.ndarray:
        facts, values = self._facts, np.asarray(inputs)
        before = 2 if facts["kind"] == "events" else 1
        if values.shape[before:] == tuple(facts["shape"]):
            values = values.reshape((*values.shape[:before], facts["inputs"]))
        wanted = "(batch, {})".format(facts["inputs"])
        if facts["kind"] == "events":
            wanted = "(batch, {} steps, {})".format(self._steps_allowed(), facts["inputs"])
        shape: list[int] = list(values.shape)
        fits = len(shape) == before + 1 and shape[-1] == facts["inputs"] and (
            before == 1 or 1 <= shape[1] <= (facts["longest"] or shape[1]))
        is_type = values.dtype == np.uint8 if facts["kind"] == "latency" else values.dtype.kind in "iub"
        if not fits or not is_type:
            raise ValueError("inputs must be {} of shape {}, not {} of shape {}".format(
                "uint8" if facts["kind"] == "latency" else "integers", wanted, values.dtype, values.shape))
        if not len(values):
            raise ValueError(f"inputs must be at least one inference, not none, of shape {values.shape}")
        if facts["kind"] != "latency":
            self._check_range(values)
        return values

    def _steps_allowed(self) -> str:
        return "1…{}".format(self._facts["longest"]) if self._facts["longest"] is not None else "1 or more"

    def _check_range(self, values: np.ndarray) -> None:
        low, high = self._facts["lowest"], self._facts["highest"]
        if values.size and (int(values.min()) < low or int(values.max()) > high):
            raise ValueError(f"inputs must be {low}…{high}, not {int(values.min())}…{int(values.max())}")

    def _tokens(
        self, inference: np.ndarray, step: np.ndarray, neuron: np.ndarray, value: np.ndarray, steps: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens of events that are sorted by step, a marker behind each step, and the starts of inferences."""
        facts = self._facts
        before = np.concatenate([[0], np.cumsum(steps)])  # steps of earlier inferences
        place = before[inference] + step
        order = np.argsort(place, kind="stable")
        place, neuron, value = place[order], neuron[order], value[order]
        tokens = np.empty(len(place) + int(before[-1]), dtype=np.int64)
        rest, events = neuron, np.zeros(len(neuron), dtype=np.int64)
        for size, shift in zip(facts["shape"][::-1], facts["shifts"][::-1]):
            rest, part = np.divmod(rest, size)
            events |= part << shift
        if facts["value_bits"]:
            events |= (value.astype(np.int64) & (1 << facts["value_bits"]) - 1) << facts["value_shift"]
        tokens[np.arange(len(place)) + place] = events
        ends = np.searchsorted(place, np.arange(int(before[-1])), side="right") + np.arange(int(before[-1]))
        tokens[ends] = facts["marker"]
        last = ends[before[1:] - 1]
        tokens[last] = facts["final_marker"]
        return tokens.astype(np.uint64), np.concatenate([[0], last + 1])
