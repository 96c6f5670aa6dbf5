# SPDX-License-Identifier: MIT
"""An accelerator of firstspike on AXI, as a program on its processor uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .errors import DeviceError, DeviceTimeoutError, MemoryReadError, ParityError, WrongDeviceError
from .export import Export
from .inputs import InputEncoder
from .placed_weights import PlacedWeights
from .ports import Allocate, Registers, Streams
from .results import Answers, decode_results

__all__ = ["Accelerator"]

COUNTER_MASK = (1 << 32) - 1
NO_PACKETS = (1 << 32) - 1
"""Results in a packet that never ends."""

REPAIRS = ("bad_address", "overrun", "cut", "completed")
"""Counters that say that the device has repaired its input: none may move."""


class Accelerator:
    """Writes weights, gives inputs, takes results, and notices when the device does anything else.

    After an error the next call first stops all that is under way (`recover`), so it begins anew.

    Parameters
    ----------
    registers : Registers
        Those of the accelerator.
    streams : Streams
        An `AxiDma` or a `StreamFifo`.
    allocate : Allocate, optional
        Makes a buffer for external weights, such as ``pynq.allocate``; needed for networks that have some.
    timeout : float
        Seconds without any movement after which a transfer is given up.
    now : callable
        The time in seconds.
    """

    name = "axi"

    def __init__(self, registers: Registers, streams: Streams, *, allocate: Allocate | None = None,
                 timeout: float = 1.0, now: Callable[[], float] = time.monotonic):
        self._registers, self._streams, self._timeout, self._now = registers, streams, timeout, now
        self._weights = PlacedWeights(registers, allocate)
        self._export: Export | None = None
        self._lost = True  # whether something may be under way: nothing is known of a device before it is loaded

    def load(self, export: Export) -> None:
        """Make sure that the device holds the weights of an export: write them if it holds others, or has read words
        that did not fit their parity since it got them. External weights are put into a buffer, and the device is told
        its address.

        Raises
        ------
        ValueError
            The network has external weights, and there is no ``allocate``.
        WrongDeviceError
            The device was built for another architecture.
        DeviceError
            It does not take the weights.
        MemoryReadError
            The memory of external weights has been given up.
        """
        self._weights.require(export)
        self._export = None
        octets = self._identity(export)
        if export.identity_field(octets, "architecture").hex() != export.architecture:
            name = export.identity_field(octets, "name").rstrip(b"\0").decode(errors="replace")
            raise WrongDeviceError(
                f"the device must be built for {export.network} (architecture {export.architecture}), not for "
                f"{name or 'nothing known'} (architecture {export.identity_field(octets, 'architecture').hex()})")
        damaged = "parity" in export.facts and self._count_of(export, "parity_errors") > 0
        if self._lost:
            self._recover(export)
        if damaged or export.identity_field(octets, "program").hex() != export.program:
            self._write(export, export.port_words.tolist())
            if self._identity(export) != export.identity:
                raise DeviceError("the device must report the new program after it was written, but does not")
        self._weights.place(export)
        self._export = export

    def infer(self, inputs: Any) -> Answers:
        """Run a batch of images, numbers or spike counts; see `InputEncoder.encode`.

        Raises
        ------
        ValueError
            The inputs have a wrong shape, type or range.
        RuntimeError
            Nothing is loaded.
        DeviceError
            A transfer ended in an error or not at all, or the device was reset or given other weights meanwhile.
        MemoryReadError
            External weights could not be read; its ``inferences`` are those whose results are not to be trusted.
        ParityError
            Words in the device's memories did not fit their parity; likewise.
        """
        return self.run(*self._encoder().encode(inputs))

    def infer_events(self, recordings: Sequence[Any], steps: int | None = None) -> Answers:
        """Run recordings, each an array of (step, neuron) or (step, neuron, value); see `InputEncoder.encode_events`.

        Raises as `infer`.
        """
        return self.run(*self._encoder().encode_events(recordings, steps))

    def run(self, words: np.ndarray, starts: np.ndarray) -> Answers:
        """Run inferences given as input words, uint64[K]; inference i is words[starts[i] : starts[i + 1]].

        Raises as `infer`.
        """
        export, encoder = self._loaded(), self._encoder()
        if self._lost:
            self.recover()
        counts = encoder.results(words, starts)
        self._weights.place(export)
        before = self.counters()
        parts, unread, damaged, self._lost = [], [], [], True
        faults, errors = before.get("faults", 0), before.get("parity_errors", 0)
        for first, end in self._parts(encoder, starts, counts):
            octets = words[starts[first] : starts[end]].astype(encoder.beat).view(np.uint8)
            parts.append(self._transfer(octets, int(counts[first:end].sum())))
            if export.memory and (found := self._count("faults")) != faults:
                faults = found
                unread += range(first, end)
            if "parity" in export.facts:
                found = self._count("parity_errors")
                if found != errors or found == export.facts["parity"]["most"]:
                    damaged += range(first, end)
                errors = found
        after = self.counters()
        moved = {name: (after[name] - before[name]) & COUNTER_MASK for name in after}
        repaired = [f"{name} {moved[name]}" for name in REPAIRS if moved[name]]
        if repaired:
            raise DeviceError(f"the device must take every word as it was meant, but had to repair some: "
                              f"{', '.join(repaired)}")
        if moved["inferences"] != counts.sum():
            raise DeviceError(f"the device must count the {counts.sum()} results that it gave, not "
                              f"{moved['inferences']}: it was reset, or something else uses it")
        if self._identity(export) != export.identity:
            raise WrongDeviceError(
                f"the device must keep the program of {export.network} during a run, but now reports another")
        answers = decode_results(export.facts["result"], np.concatenate(parts).view("<u8"), moved["cycles"])
        if unread:
            raise MemoryReadError(
                f"the external weights must be read without errors, but {moved['faults']} slices were not: the results "
                f"of {len(unread)} of {len(counts)} inferences, from {unread[0]} on, are not to be trusted"
                f"{self._weights.state(export)}", unread, answers)
        if damaged:
            raise ParityError(
                f"words in the memories of {', '.join(self._damaged_layers(export))} must be as they were written, but "
                f"do not fit their parity: the results of {len(damaged)} of {len(counts)} inferences, from "
                f"{damaged[0]} on, are not to be trusted; load writes the weights again", damaged, answers)
        self._lost = False
        return answers

    def counters(self) -> dict[str, int]:
        """Read all counters, by name; each wraps at 2**32."""
        facts = self._loaded().facts
        base = facts["registers"]["COUNTERS"]
        return {name: self._registers.read(base + 4 * place) for place, name in enumerate(facts["counters"])}

    def recover(self) -> None:
        """Stop all that is under way, in the engine and in the device. Weights stay.

        Raises
        ------
        RuntimeError
            Nothing is loaded.
        DeviceError
            That is not possible.
        """
        self._recover(self._loaded())

    def _loaded(self) -> Export:
        if self._export is None:
            raise RuntimeError("load an export first")
        return self._export

    def _encoder(self) -> InputEncoder:
        return InputEncoder(self._loaded().facts["input"])

    def _identity(self, export: Export) -> bytes:
        """Read the identity registers."""
        base = export.facts["registers"]["IDENTITY"]
        return b"".join(self._registers.read(base + place).to_bytes(4, "little")
                        for place in range(0, len(export.identity), 4))

    def _write(self, export: Export, port_words: Sequence[int]) -> None:
        """Write words of the program port; the address only where it is not the one after the last."""
        registers, following = export.facts["registers"], None
        for word in port_words:
            place, data = word >> 32, word & 0xFFFF_FFFF
            if place != following:
                self._registers.write(registers["PROGRAM_ADDRESS"], place)
            self._registers.write(registers["PROGRAM_DATA"], data)
            following = place + 1

    def _parts(
        self, encoder: InputEncoder, starts: np.ndarray, counts: np.ndarray,
    ) -> Iterator[tuple[int, int]]:
        """Divide inferences into transfers; yields (first, end) of each."""
        room = self._streams.limit
        sent = starts * encoder.beat.itemsize
        taken = np.concatenate([[0], np.cumsum(counts)]) * self._result_octets()
        for end, (one, other) in enumerate(zip(np.diff(sent), np.diff(taken)), start=1):
            if max(one, other) > room:
                raise ValueError(f"inference {end - 1} must have at most {room} bytes each way, which is what a "
                                 f"transfer takes, not {one} and {other}")
        first = 0
        while first < len(counts):
            end = min(int(np.searchsorted(edges, edges[first] + room, side="right")) - 1 for edges in (sent, taken))
            yield first, end
            first = end

    def _result_octets(self) -> int:
        return 8 * self._loaded().facts["result"]["beats"]

    def _transfer(self, octets: np.ndarray, results: int) -> np.ndarray:
        """Send one packet and return that of its results, as octets."""
        self._registers.write(self._loaded().facts["registers"]["PACKET"], results)
        self._streams.begin(octets, results * self._result_octets())
        seen, deadline = None, self._now() + self._timeout
        while not self._streams.done():
            moved = self._count("words_in"), self._count("inferences")
            if moved != seen:
                seen, deadline = moved, self._now() + self._timeout
            elif self._now() > deadline:
                raise DeviceTimeoutError(
                    f"nothing has moved for {self._timeout:g} s, with {results} results to come in one packet; the "
                    f"device has counted {moved[0]} words and {moved[1]} results")
        return self._streams.results()

    def _count(self, name: str) -> int:
        """Read one counter."""
        return self._count_of(self._loaded(), name)

    def _count_of(self, export: Export, name: str) -> int:
        facts = export.facts
        return self._registers.read(facts["registers"]["COUNTERS"] + 4 * facts["counters"].index(name))

    def _damaged_layers(self, export: Export) -> list[str]:
        """Names of the layers in whose memories words did not fit their parity; the last bit is for all from it on."""
        cores, last = self._count_of(export, "parity_cores"), 31
        return [name for place, name in enumerate(export.facts["parity"]["layers"]) if cores >> min(place, last) & 1]

    def _recover(self, export: Export) -> None:
        """See `recover`.

        Results are taken and dropped until there is silence. Then a word, one that the device holds already, is
        written to the program port: the device answers only when no inference is inside. The last beats leave after it.
        """
        registers = export.facts["registers"]
        self._lost = True
        self._streams.reset()
        self._registers.write(registers["CONTROL"], export.facts["restart"])
        self._registers.write(registers["PACKET"], NO_PACKETS)
        self._wait_for_silence(export)
        self._write(export, [export.facts["barrier"]])
        self._wait_for_silence(export)
        self._streams.reset()
        self._lost = False

    def _wait_for_silence(self, export: Export) -> None:
        """Take results until none has come for as many cycles as one may take.

        A result that waited when PACKET was written may still end a packet, and the engine must then be told to go on.
        """
        drain = export.facts["drain_cycles"]
        given, since = self._count_of(export, "inferences"), self._count_of(export, "cycles")
        deadline, at = self._now() + self._timeout, since
        while (at - since) & COUNTER_MASK < drain:
            self._streams.drain()
            count, before, at = self._count_of(export, "inferences"), at, self._count_of(export, "cycles")
            if count != given:
                given, since = count, at
            if at != before:
                deadline = self._now() + self._timeout
            elif self._now() > deadline:
                raise DeviceTimeoutError(
                    f"the device must count cycles, but has not for {self._timeout:g} s: has it a clock?")
