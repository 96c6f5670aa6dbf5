# SPDX-License-Identifier: MIT
"""The host's end of the link: requests and their answers, whatever happens on the wire. See docs/host_link.md."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cobs import cobs
from firstspike_arch.frames import RESPONSE, FrameError, Identity, Kind, Reason, Transport, frame_body, parse_body

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
    sequence: int
    body: bytes
    attempts: int = 0


class Link:
    """Sends requests, never more at a time than the device has room for, and again those that are lost.

    The device answers in order: a request is lost if one that was sent later is answered first. The oldest is lost,
    or its answer, if a frame comes that cannot be read, if the device says so of a frame, or if nothing comes for
    ``timeout``. A request can be carried out twice with the same outcome; the first answer counts.

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
        self._room = len(frame_body(Kind.IDENTIFY, 0))
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
        waiting = deque(self._number(index, kind, payload) for index, (kind, payload) in enumerate(requests))
        answers: list[bytes | None] = [None] * len(requests)
        sent: deque[_Request] = deque()  # in the order of their last attempts
        self._heard = self._transport.now()
        try:
            while waiting or sent:
                try:
                    while waiting and sum(len(one.body) for one in sent) + len(waiting[0].body) <= self._room:
                        sent.append(waiting.popleft())
                        self._send(sent[-1])
                    self._listen(sent, answers)
                except LinkError:
                    raise
                except OSError as error:
                    if not reconnects:
                        raise
                    self._reconnect(error)
                    for _ in range(len(sent)):
                        self._send_again(sent)
                if progress:
                    progress(len(requests) - len(waiting) - len(sent), len(requests))
        except LinkError as error:
            error.answers = answers
            raise
        return [answer for answer in answers if answer is not None]

    def _number(self, index: int, kind: Kind, payload: bytes) -> _Request:
        self._sequence = self._sequence % _SEQUENCES + 1
        body = frame_body(kind, self._sequence, payload)
        if len(body) > self._room:
            raise ValueError(f"request {index} ({kind.name}) must fit the device's buffer of {self._room} bytes, "
                             f"not need {len(body)}")
        return _Request(index=index, kind=kind, sequence=self._sequence, body=body)

    def _send(self, request: _Request) -> None:
        if request.attempts == self._attempts:
            raise LinkError(f"request {request.index} ({request.kind.name}) must be answered, but none of "
                            f"{request.attempts} attempts was")
        request.attempts += 1
        data = cobs.encode(request.body) + b"\0"
        self._line_free = max(self._line_free, self._transport.now()) + len(data) / self._transport.octets_per_second
        self._transport.write(data)

    def _send_again(self, sent: deque[_Request]) -> None:
        """The oldest."""
        if sent:
            self.resent += 1
            sent.rotate(-1)
            self._send(sent[-1])

    def _listen(self, sent: deque[_Request], answers: list[bytes | None]) -> None:
        """Take what comes, and send again what is lost."""
        deadline = max(self._heard, self._line_free) + self._timeout
        data = self._transport.read(max(0.0, deadline - self._transport.now()))
        if data:
            *frames, self._received = (self._received + data).split(b"\0")
            for frame in filter(None, frames):
                self._take(frame, sent, answers)
        elif self._transport.now() >= deadline:
            self._heard = self._transport.now()
            self._send_again(sent)

    def _take(self, frame: bytes, sent: deque[_Request], answers: list[bytes | None]) -> None:
        try:
            kind, sequence, payload = parse_body(cobs.decode(frame))
        except (cobs.DecodeError, FrameError):
            self.unreadable += 1
            self._send_again(sent)
            return
        self._heard = self._transport.now()
        if (kind, sequence) == (Kind.ERROR | RESPONSE, 0):
            self._send_again(sent)
            return
        request = next((one for one in sent if one.sequence == sequence), None)
        if request is None:
            return  # a second answer
        if kind == Kind.ERROR | RESPONSE:
            raise LinkError(f"request {request.index} ({request.kind.name}) must be one that the device carries out, "
                            f"but it answered {Reason(payload[0]).name}")
        if kind != request.kind | RESPONSE:
            return  # an answer from before this connection
        while sent[0] is not request:
            self._send_again(sent)
        sent.popleft()
        answers[request.index] = payload

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
