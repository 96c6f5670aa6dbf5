# SPDX-License-Identifier: MIT
"""Backend that runs programs over the host link, on a board or on a simulated one."""

from collections.abc import Callable, Iterator

import numpy as np
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.fixed import CHUNK_BITS
from firstspike_arch.program import Program
from firstspike_arch.result import scores_from_raw
from firstspike_arch.status import COUNTER_BITS, PARITY_COUNT_MAX
from firstspike_hw.link.frames import (
    CHUNK_BYTES,
    FAULTS_COUNTER,
    FRAME_BYTES_MIN,
    NO_PROGRAM,
    PROGRAM_WORD_BYTES,
    READ_ADDRESS_BYTES,
    STAMP_BYTES,
    Capability,
    FrameError,
    Kind,
    identity_of,
    status_values,
    wire_format,
)

from .link import Link, LinkError
from .memory_loading import load_memory

__all__ = ["WireBackend"]


class WireBackend:
    """Backend for a device at the other end of a `Link`.

    Parameters
    ----------
    link : Link
    progress : callable
        Called as ``progress(answered, total)``, counts of requests, while they are answered.
    """

    name = "wire"

    def __init__(self, link: Link, *, progress: Callable[[int, int], None] | None = None):
        self.link, self._progress = link, progress
        self._program: Program | None = None

    def load(self, program: Program) -> None:
        """Make sure that the device holds the program: write its memories if they hold another one, or if words did not
        fit their parity since they were written.

        Raises
        ------
        ValueError
            The device was built for another architecture.
        LinkError
            A request got no answer, or the device refused it.
        """
        device, wanted = self.link.identity, program.architecture()[: len(NO_PROGRAM)]
        if device.architecture != wanted:
            raise ValueError(
                f"the device must be built for {program.network.name} (architecture {wanted}), not for "
                f"{device.name} (architecture {device.architecture})")
        damaged = program.has_parity and self.counters()["parity_errors"]
        if damaged or device.program != program.digest()[: len(NO_PROGRAM)]:
            self.write_memories(program)
        self._program = program

    def write_memories(self, program: Program) -> None:
        """Write all memories, first an external one. Until that is complete, the device reports that it holds no
        program.

        Raises
        ------
        LinkError
            A request got no answer, the external memory does not hold what was written, or the device does not report
            the new program.
        """
        old = self.link.identity
        new = identity_of(program, buffer_bytes=old.buffer_bytes, clk_hz=old.clk_hz)
        none = identity_of(program, buffer_bytes=old.buffer_bytes, clk_hz=old.clk_hz, initialised=False)
        self._write_words(none.port_words())
        if program.external:
            load_memory(self.link, program.external_image(), self._progress)
        self._write_words(program.port_words())
        self._write_words(new.port_words())
        if self.link.identify() != new:
            raise LinkError("the device must report the new program after it was written, but does not")
        self.link.identity = new

    def _write_words(self, words: np.ndarray) -> None:
        """Write words of the program port, uint64[K]."""
        octets, size = words.astype("<u8").tobytes(), self._payload_bytes(PROGRAM_WORD_BYTES)
        parts = [(Kind.PROGRAM, octets[start : start + size]) for start in range(0, len(octets), size)]
        if any(answer != b"\0" for answer in self.link.exchange(parts, self._progress)):
            raise LinkError("the device must accept whole words of the program port, but reports one cut short")

    def read_memories(self, program: Program) -> dict[str, list[int]]:
        """Read the memories of a device with this program's architecture; words by memory name, as `Program.images`.

        Raises
        ------
        ValueError
            The program was compiled without read-back.
        LinkError
            A request got no answer, or an answer has the wrong length.
        """
        device = self.link.identity
        if not device.capabilities & Capability.READ_BACK:
            raise ValueError(f"{device.name} must be compiled with --read-back for its memories to be read, but is not")
        places = (program.port_words() >> np.uint64(32)).astype("<u4")
        octets, size = places.tobytes(), self._payload_bytes(READ_ADDRESS_BYTES)
        parts = [(Kind.READ, octets[start : start + size]) for start in range(0, len(octets), size)]
        answers = self.link.exchange(parts, self._progress)
        for (_, asked), answer in zip(parts, answers, strict=True):
            if len(answer) != len(asked) // READ_ADDRESS_BYTES * CHUNK_BYTES + 1 or answer[-1]:
                raise LinkError(f"the device must answer {len(asked) // READ_ADDRESS_BYTES} addresses with as many "
                                f"chunks, not with {len(answer)} bytes")
        chunks = iter(np.frombuffer(b"".join(answer[:-1] for answer in answers), dtype="<u4").tolist())
        return {shape.name: [sum(next(chunks) << CHUNK_BITS * chunk for chunk in range(shape.chunks))
                             for _ in range(shape.depth)] for shape in program.memories()}

    def verify_memories(self, program: Program) -> int:
        """Compare the contents of the memories with a program's images, and return the number of words compared.

        Raises
        ------
        LinkError
            A word differs (the message names the first), or the memories could not be read.
        ValueError
            The program was compiled without read-back.
        """
        held, images = self.read_memories(program), program.images()
        for shape in program.memories():
            for word, (found, wanted) in enumerate(zip(held[shape.name], images[shape.name], strict=True)):
                if found != wanted:
                    raise LinkError(f"{shape.name} of the device must hold {wanted:#x} at word {word}, as in the image "
                                    f"of {program.network.name}, not {found:#x}")
        return sum(len(words) for words in images.values())

    def run(self, stimulus: Stimulus) -> Trace:
        """Run the inferences of a stimulus, several in a request, none in more than one.

        In the trace, ``accepted`` is 0 for the first word of a request and −1 (not observed) for the others;
        ``decided`` and ``taken`` count cycles from the transfer of that first word until the result is offered. Spikes
        are not observed.

        Raises
        ------
        RuntimeError
            No program is loaded.
        ValueError
            The stimulus has waits, or an inference does not fit the device's buffer or does not end.
        LinkError
            A request got no answer, the device lost its program, weights were not read as they should from an external
            memory, or words in the device's memories did not fit their parity.
        """
        program = self._program
        if program is None:
            raise RuntimeError("load a program first")
        if stimulus.gaps is not None or stimulus.sink_stalls is not None:
            raise ValueError("gaps and sink_stalls must be None over the host link, which has waits of its own")
        wire = wire_format(program)
        groups = list(self._groups(stimulus, wire.word_bytes))
        requests = [(Kind.INFER, wire.pack_words(stimulus.words[stimulus.starts[first] : stimulus.starts[last]]))
                    for first, last in groups]
        before = self.counters() if program.external or program.has_parity else {}
        answers = self.link.exchange(requests, self._progress)
        # A device that was reset or reprogrammed meanwhile may have answered by another program.
        if self.link.identify() != self.link.identity:
            raise LinkError("the device must keep its program during a run, but now reports another")
        counters = self.counters()
        if unread := (counters.get(FAULTS_COUNTER, 0) - before.get(FAULTS_COUNTER, 0)) % (1 << COUNTER_BITS):
            raise LinkError(f"the external memory must answer every request of weights, but {unread} slices were not "
                            "read as they should: the results are not to be trusted")
        errors = counters.get("parity_errors", 0)
        if errors != before.get("parity_errors", 0) or errors == PARITY_COUNT_MAX:
            cores = counters["parity_cores"]
            names = [core.layer.name for core in program.cores if cores >> min(core.index, COUNTER_BITS - 1) & 1]
            raise LinkError(f"words in the memories of {', '.join(names)} must be as they were written, but do not fit "
                            "their parity: the results are not to be trusted; run again, which loads the weights again")
        accepted = np.full(len(stimulus.words), -1)
        results_before = np.searchsorted(stimulus.first_words, stimulus.starts)  # each inference
        stamps, fields = [], []
        for (first, last), answer in zip(groups, answers, strict=True):
            accepted[stimulus.starts[first]] = 0
            if answer[-1:] == b"\1":
                raise ValueError(f"inference {last - 1} must end with a final marker, or have all words of an image")
            wanted = (results_before[last] - results_before[first]) * wire.record_bytes + 1
            if len(answer) != wanted:
                raise LinkError(f"the device must answer inferences {first}…{last - 1} with {wanted} bytes, not "
                                f"{len(answer)}")
            for start in range(0, len(answer) - 1, wire.record_bytes):
                record = answer[start : start + wire.record_bytes]
                stamps.append(int.from_bytes(record[:STAMP_BYTES], "little"))
                fields.append(wire.result.unpack(int.from_bytes(record[STAMP_BYTES:], "little")))
        steps = np.array([field[1] for field in fields])
        return Trace(
            accepted=accepted, classes=np.array([field[0] for field in fields]), steps=steps,
            decided_by=np.array([field[2] for field in fields]),
            scores=scores_from_raw(program, np.array([field[3] for field in fields]), steps),
            decided=np.array(stamps), taken=np.array(stamps), edge_tokens=(), edge_cycles=(),
            counters=counters,
        )

    def counters(self) -> dict[str, int]:
        """Read the counters of the accelerator and of the host link, by name.

        Raises
        ------
        LinkError
            The request got no answer, or one of the wrong size.
        """
        (payload,) = self.link.exchange([(Kind.STATUS, b"")])
        try:
            able = self.link.identity.capabilities
            return status_values(payload, external=bool(able & Capability.EXTERNAL_MEMORY),
                                 parity=bool(able & Capability.PARITY))
        except FrameError as error:
            raise LinkError(str(error)) from None

    def _payload_bytes(self, unit: int) -> int:
        """Largest payload of whole units, in bytes, that leaves room for two requests: one arrives as one is run."""
        return (self.link.identity.buffer_bytes // 2 - FRAME_BYTES_MIN) // unit * unit

    def _groups(self, stimulus: Stimulus, word_bytes: int) -> Iterator[tuple[int, int]]:
        """Divide the inferences into requests; yields (first, end) of each: as many as fit, at least one."""
        limit = self._payload_bytes(word_bytes) // word_bytes
        first = 0
        while first < stimulus.inferences:
            fitting = int(np.searchsorted(stimulus.starts, stimulus.starts[first] + limit, side="right")) - 1
            end = max(first + 1, fitting)
            yield first, end
            first = end
