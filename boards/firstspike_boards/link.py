# SPDX-License-Identifier: MIT
"""The host's end of the link: requests and their answers, whatever happens on the wire. See docs/host_link.md."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cobs import cobs
from firstspike_hw.link.frames import (
    FRAME_BYTES_MIN,
    RESPONSE,
    FrameError,
    Identity,
    Kind,
    Reason,
    Transport,
    frame_body,
    parse_body,
)

__all__ = ["Link", "LinkError"]

_SEQUENCES = (1 << 16) - 1
"""Sequence numbers are 1 … this; 0 is that of a frame which the device could not read."""


class LinkError(ConnectionError):
    """A request that got no answer, or a device that is not the one expected.

    Attributes
    ----------
    answers : list of bytes or None
        Payloads of the requests of the same exchange that did get one.
    """

    def __init__(self, message: str, answers: Sequence[bytes | None] = ()):
        super().__init__(message)
        self.answers = list(answers)


@dataclass(kw_only=True, eq=False)
class _Request:
    index: int
    kind: Kind
    payload: bytes
    attempts: int = 0
    answered: bool = False

    @property
    def size(self) -> int:
        """Of the body."""
        return FRAME_BYTES_MIN + len(self.payload)


class _Exchange:
    """Requests on their way.

    Attributes
    ----------
    waiting : requests to be sent, the next first
    sent : sequence number and request of each transmission that may still be answered, in their order on the wire
    doubts : frames since the last answer that could not be read, here or there: so many of ``sent`` are lost, at most
    """

    def __init__(self, requests: Sequence[tuple[Kind, bytes]]):
        self.waiting = deque(_Request(index=index, kind=kind, payload=payload)
                             for index, (kind, payload) in enumerate(requests))
        self.sent: deque[tuple[int, _Request]] = deque()
        self.numbers: dict[int, _Request] = {}
        self.answers: list[bytes | None] = [None] * len(requests)
        self.doubts = self.answered = 0

    def answer(self, sequence: int, request: _Request, payload: bytes) -> None:
        """Take an answer; what was sent before this transmission, and has not been answered, is lost."""
        if not request.answered:
            request.answered = True
            self.answered += 1
            self.answers[request.index] = payload
            if request in self.waiting:  # to be sent again: needless
                self.waiting.remove(request)
        if (sequence, request) in self.sent:
            self.doubts = 0
            self.lose(self.sent.index((sequence, request)))
            self.sent.popleft()

    def doubt(self) -> None:
        """A frame could not be read. The next answer will say whose it was, if one is to come."""
        self.doubts += 1
        if self.doubts >= len(self.sent):
            self.lose(len(self.sent))

    def time_out(self) -> None:
        """The oldest that is not answered is lost."""
        while self.sent and not self.lose(1):
            pass

    def lose(self, count: int) -> int:
        """The oldest ``count`` transmissions are lost; how many requests that sends again."""
        lost = [request for _, request in (self.sent.popleft() for _ in range(count)) if not request.answered]
        self.waiting.extendleft(reversed(lost))
        self.doubts = 0
        return len(lost)


class Link:
    """Sends requests, never more at a time than the device has room for, and again those that are lost.

    The device answers in order: a request, or its answer, is lost if one that was sent later is answered first; only
    those are sent again, under new sequence numbers. All are lost if as many frames as are under way cannot be read,
    here or there; the oldest is if nothing comes for ``timeout``. A request can be carried out twice with the same
    outcome; the first answer counts.

    Parameters
    ----------
    connect : function that opens a Transport
        Called again if the connection breaks.
    timeout : float
        Seconds without an answer once all requests have had the time to arrive: more than all inferences of a
        request, and their answer on the wire, take.
    attempts : int
        How often a request is sent, and a connection tried, before it is given up.

    Attributes
    ----------
    identity : Identity
        Of the device, when it was met.
    resent, unreadable : int
        Requests sent again; frames received whose COBS or CRC was wrong.

    Raises
    ------
    LinkError
        Nothing answers, or what does speaks another version of the protocol.
    """

    def __init__(self, connect: Callable[[], Transport], *, timeout: float = 1.0, attempts: int = 16):
        self._connect, self._timeout, self._attempts = connect, timeout, attempts
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self.resent = self.unreadable = 0
        self._room = FRAME_BYTES_MIN
        self._transport = connect()
        try:
            self._begin()
            self.identity = _identity(self._exchange([(Kind.IDENTIFY, b"")], None, reconnects=False))
        except BaseException:
            self._transport.close()
            raise
        self._room = self.identity.buffer_bytes

    def identify(self) -> Identity:
        """The identity of the device as it is now.

        Raises
        ------
        LinkError
        """
        return _identity(self.exchange([(Kind.IDENTIFY, b"")]))

    def exchange(
        self, requests: Sequence[tuple[Kind, bytes]], progress: Callable[[int, int], None] | None = None,
    ) -> list[bytes]:
        """Payloads of the answers to requests (kind, payload), in their order.

        Parameters
        ----------
        progress : function of the number of answers so far, and of all

        Raises
        ------
        ValueError
            A request is larger than the device's buffer.
        LinkError
            A request got no answer, or the device refused it.
        """
        return self._exchange(requests, progress, reconnects=True)

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def _begin(self) -> None:
        """A new connection: what the device takes for the beginning of a frame ends here."""
        self._received = b""
        self._line_free = self._heard = self._transport.now()
        self._transport.write(b"\0")

    def _exchange(self, requests, progress, *, reconnects: bool) -> list[bytes]:
        one = _Exchange(requests)
        for request in one.waiting:
            if request.size > self._room:
                raise ValueError(f"request {request.index} ({request.kind.name}) must fit the device's buffer of "
                                 f"{self._room} bytes, not need {request.size}")
        self._heard = self._transport.now()
        try:
            while one.answered < len(requests):
                try:
                    while one.waiting and sum(
                            request.size for _, request in one.sent) + one.waiting[0].size <= self._room:
                        self._send(one, one.waiting.popleft())
                    self._listen(one)
                except LinkError:
                    raise
                except OSError as error:
                    if not reconnects:
                        raise
                    self._reconnect(error)
                    one.lose(len(one.sent))
                if progress:
                    progress(one.answered, len(requests))
        except LinkError as error:
            error.answers = one.answers
            raise
        return [answer for answer in one.answers if answer is not None]

    def _send(self, exchange: _Exchange, request: _Request) -> None:
        if request.attempts == self._attempts:
            raise LinkError(f"request {request.index} ({request.kind.name}) must be answered, but none of "
                            f"{request.attempts} attempts was")
        self._sequence = self._sequence % _SEQUENCES + 1
        exchange.sent.append((self._sequence, request))
        exchange.numbers[self._sequence] = request
        data = cobs.encode(frame_body(request.kind, self._sequence, request.payload)) + b"\0"
        if request.attempts:
            self.resent += 1
            data = b"\0" + data  # what was lost may have been the end of the frame before
        request.attempts += 1
        self._line_free = max(self._line_free, self._transport.now()) + len(data) / self._transport.octets_per_second
        self._transport.write(data)

    def _listen(self, exchange: _Exchange) -> None:
        """Take what comes."""
        deadline = max(self._heard, self._line_free) + self._timeout
        data = self._transport.read(max(0.0, deadline - self._transport.now()))
        if data:
            *frames, self._received = (self._received + data).split(b"\0")
            for frame in filter(None, frames):
                self._take(exchange, frame)
        elif self._transport.now() >= deadline:
            self._heard = self._transport.now()
            exchange.time_out()

    def _take(self, exchange: _Exchange, frame: bytes) -> None:
        try:
            kind, sequence, payload = parse_body(cobs.decode(frame))
        except (cobs.DecodeError, FrameError):
            self.unreadable += 1
            exchange.doubt()
            return
        self._heard = self._transport.now()
        if (kind, sequence) == (Kind.ERROR | RESPONSE, 0):
            exchange.doubt()
            return
        request = exchange.numbers.get(sequence)
        if request is None:
            return  # of another exchange
        if kind == Kind.ERROR | RESPONSE:
            raise LinkError(f"request {request.index} ({request.kind.name}) must be one that the device carries out, "
                            f"but it answered {Reason(payload[0]).name}")
        if kind == request.kind | RESPONSE:
            exchange.answer(sequence, request, payload)

    def _reconnect(self, cause: OSError) -> None:
        for _ in range(self._attempts):
            with suppress(OSError):
                self._transport.close()
            time.sleep(self._timeout)
            try:
                self._transport = self._connect()
                self._begin()
                identity = _identity(self._exchange([(Kind.IDENTIFY, b"")], None, reconnects=False))
            except OSError:
                continue
            if identity != self.identity:
                raise LinkError(f"the device must be {self.identity.name} ({self.identity.program}) after the "
                                f"connection broke as before, not {identity.name} ({identity.program})")
            return
        raise LinkError(f"the connection must come back within {self._attempts} attempts, but it did not: {cause}")


def _identity(payloads: list[bytes]) -> Identity:
    try:
        return Identity.unpack(payloads[0])
    except FrameError as error:
        raise LinkError(str(error)) from None
