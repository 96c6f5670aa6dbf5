# SPDX-License-Identifier: MIT
"""Host end of the host link: requests and answers, sent again where the wire loses them. See docs/host_link.md."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cobs import cobs
from firstspike_hw.link.frames import (
    BUFFER_BYTES_MIN,
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

FRAME_BYTES_MAX = 1 << 22
"""Octets without a zero that are taken for the beginning of a frame; no device sends so many."""

_SEQUENCES = (1 << 16) - 1
"""Largest sequence number of a request; the first is 1. A device answers an unreadable frame with number 0."""


class LinkError(ConnectionError):
    """A request got no answer, or the device is not the one expected.

    Attributes
    ----------
    answers : list of bytes or None
        Payloads of the answers in the same exchange, by request; None for a request without an answer.
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
        """Length of the frame's body in octets."""
        return FRAME_BYTES_MIN + len(self.payload)


class _Exchange:
    """State of the requests of one exchange.

    Attributes
    ----------
    waiting : deque of _Request
        Requests to be sent, the next first.
    sent : deque of (int, _Request)
        Sequence number and request of each transmission that may still be answered, in the order on the wire.
    doubts : int
        Frames since the last answer that host or device could not read: at most so many of ``sent`` are lost.
    """

    def __init__(self, requests: Sequence[tuple[Kind, bytes]]):
        self.waiting = deque(_Request(index=index, kind=kind, payload=payload)
                             for index, (kind, payload) in enumerate(requests))
        self.sent: deque[tuple[int, _Request]] = deque()
        self.numbers: dict[int, _Request] = {}
        self.answers: list[bytes | None] = [None] * len(requests)
        self.doubts = self.answered = 0

    def answer(self, sequence: int, request: _Request, payload: bytes) -> None:
        """Take an answer. Transmissions before the answered one that have no answer yet are lost."""
        if not request.answered:
            request.answered = True
            self.answered += 1
            self.answers[request.index] = payload
            if request in self.waiting:  # queued for retransmission, which is needless now
                self.waiting.remove(request)
        if (sequence, request) in self.sent:
            self.doubts = 0
            self.lose(self.sent.index((sequence, request)))
            self.sent.popleft()

    def doubt(self) -> None:
        """Count a frame that could not be read. The next answer, if one comes, tells whose it was."""
        self.doubts += 1
        if self.doubts >= len(self.sent):
            self.lose(len(self.sent))

    def time_out(self) -> None:
        """Give the oldest unanswered transmission up as lost."""
        while self.sent and not self.lose(1):
            pass

    def lose(self, count: int) -> int:
        """Give the oldest ``count`` transmissions up as lost; return how many requests are queued again."""
        lost = [request for _, request in (self.sent.popleft() for _ in range(count)) if not request.answered]
        self.waiting.extendleft(reversed(lost))
        self.doubts = 0
        return len(lost)


class Link:
    """Connection to a device, which sends requests and receives their answers.

    No more requests are under way at a time than fit the device's buffer. The device answers in order, so a request or
    its answer is lost if a later one is answered first; only lost requests are sent again, under new sequence numbers.
    All are lost if host and device cannot read as many frames as requests are under way; the oldest is lost if nothing
    arrives for ``timeout``. A request that is carried out twice has the same outcome; the first answer counts.

    Parameters
    ----------
    connect : callable
        Opens a Transport; called again if the connection breaks.
    timeout : float
        Seconds of silence, once all requests have had the time to arrive, after which the oldest is lost. It must be
        longer than all inferences of a request take.
    attempts : int
        How often a request is sent, or a connection tried, before it is given up.

    Attributes
    ----------
    identity : Identity
        Identity of the device when the connection was made.
    resent, unreadable : int
        Number of requests sent again; number of frames received with wrong COBS or CRC.

    Raises
    ------
    LinkError
        Nothing answers, or the device speaks another version of the protocol, or has no buffer that requests fit.
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
        """Ask the device for its present identity.

        Raises
        ------
        LinkError
            The request got no answer, or that of a device that `Link` would refuse.
        """
        return _identity(self.exchange([(Kind.IDENTIFY, b"")]))

    def exchange(
        self, requests: Sequence[tuple[Kind, bytes]], progress: Callable[[int, int], None] | None = None,
    ) -> list[bytes]:
        """Send requests and return the payloads of their answers, in the same order.

        Parameters
        ----------
        requests : sequence of (Kind, bytes)
            Kind and payload of each request.
        progress : callable
            Called as ``progress(answered, total)``, counts of requests.

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
        """Start on a new connection: a zero octet ends whatever the device takes for the beginning of a frame."""
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
            data = b"\0" + data  # the lost octet may have been the one that ends the previous frame
        request.attempts += 1
        self._line_free = max(self._line_free, self._transport.now()) + len(data) / self._transport.octets_per_second
        self._transport.write(data)

    def _listen(self, exchange: _Exchange) -> None:
        """Receive once and take the answers; at the deadline, give the oldest transmission up."""
        deadline = max(self._heard, self._line_free) + self._timeout
        data = self._transport.read(max(0.0, deadline - self._transport.now()))
        if data:
            self._heard = self._transport.now()
            *frames, self._received = (self._received + data).split(b"\0")
            if len(self._received) > FRAME_BYTES_MAX:  # no frame, but an endless stream
                self._received = b""
                frames.append(b"\xff")  # one that cannot be read
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
        if (kind, sequence) == (Kind.ERROR | RESPONSE, 0):
            exchange.doubt()
            return
        request = exchange.numbers.get(sequence)
        if request is None:
            return  # an answer to a request of an earlier exchange
        if kind == Kind.ERROR | RESPONSE:
            raise LinkError(f"request {request.index} ({request.kind.name}) must be accepted by the device, but it "
                            f"answered {_reason(payload)}")
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
                raise LinkError(f"the device must be the same after the connection broke, {self.identity.name} "
                                f"({self.identity.program}), not {identity.name} ({identity.program})")
            return
        raise LinkError(f"the connection must come back within {self._attempts} attempts, but did not: {cause}")


def _reason(payload: bytes) -> str:
    """The reason in the payload of an error frame, in words."""
    known = {int(one): one.name for one in Reason}
    return known.get(payload[0], f"reason {payload[0]}") if payload else "no reason"


def _identity(payloads: list[bytes]) -> Identity:
    try:
        found = Identity.unpack(payloads[0])
    except FrameError as error:
        raise LinkError(str(error)) from None
    if found.buffer_bytes < BUFFER_BYTES_MIN:  # no request would fit
        raise LinkError(
            f"the device must have a buffer of at least {BUFFER_BYTES_MIN} octets, not {found.buffer_bytes}")
    return found
