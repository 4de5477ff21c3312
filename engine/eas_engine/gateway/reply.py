"""The bytes of answers: the only place where a status number meets a socket.

Everything that doesn't change with the request is built once a second (because of ``Date``) and shared.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Final

from eas_engine.errors import MethodNotAllowed, RateLimited, Refusal, Unauthorized
from eas_engine.request import UNKNOWN

if TYPE_CHECKING:
    from eas_engine.gateway.head import Head
    from eas_engine.request import Body, Ticket

IDLE_ANNOUNCED: Final = 75
"""Seconds that ``Keep-Alive`` promises; the engine waits a little longer, so that the client closes first."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_TYPE: Final = b"application/octet-stream"
_CHALLENGE: Final = b'WWW-Authenticate: Bearer realm="eas"\r\n'
"""What RFC 9110 wants with a 401. No browser asks its user for a name because of this scheme."""
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus} | {450: b"Queue Full"}
_LOW: Final = tuple(b"%03x" % n for n in range(0x1000))
BODILESS: Final = frozenset({204, 304})
"""Statuses whose answers have no body."""


class Replies:
    """Builds answers for one listener."""

    def __init__(self, request_prefix: str) -> None:
        self.prefix = request_prefix.encode()
        self._common = b""
        self._usual = b""
        self._high = -1
        self._usual_high = b""
        self._lengths: dict[int, bytes] = {}
        self._refusals: dict[tuple[str, bool], tuple[bytes, bytes]] = {}
        self.refresh(time.time())

    def refresh(self, wall: float) -> None:
        """Call once a second with the time of day."""
        date = formatdate(wall, usegmt=True).encode()
        self._common = b"Server: eas-engine\r\nDate: %b\r\n" % date
        self._usual = (
            b"HTTP/1.1 200 OK\r\n%bKeep-Alive: timeout=%d\r\nContent-Type: %b\r\nX-Request-Id: %b-"
            % (self._common, IDLE_ANNOUNCED, _TYPE, self.prefix)
        )
        self._high = -1
        self._refusals.clear()

    def usual(self, number: int, body: Body, size: int) -> bytes:
        """The whole of a plain 200, joined from ready pieces: formatting would cost more than the rest."""
        high = number >> 12
        if high != self._high:
            self._high = high
            self._usual_high = b"%b%x" % (self._usual, high)
        length = self._lengths.get(size)
        if length is None:
            length = self._lengths[size] = b"\r\nContent-Length: %d\r\n\r\n" % size
        return b"".join((self._usual_high, _LOW[number & 0xFFF], length, body))

    def request_id(self, head: Head | None, number: int) -> bytes:
        """The client's id, else ours."""
        if head is not None and head.request_id is not None:
            return head.request_id
        return b"%b-%04x" % (self.prefix, number)

    def answer(  # noqa: PLR0917 - the hot path passes no keywords
        self,
        head: Head,
        ticket: Ticket,
        status: int,
        headers: bytes,
        size: int,
        now: float,
        *,
        close: bool,
    ) -> bytes:
        """The head of a processor's answer."""
        lines = [self._start(status, head, close=close)]
        if b"\ncontent-type:" not in b"\n" + headers.lower():
            lines.append(b"Content-Type: %b\r\n" % _TYPE)
        lines.append(b"X-Request-Id: %b\r\n" % self.request_id(head, ticket.number))
        lines.append(headers)
        if head.timing:
            lines.append(server_timing(ticket, now))
        if status not in BODILESS:
            lines.append(b"Content-Length: %d\r\n" % size)
        lines.append(b"\r\n")
        return b"".join(lines)

    def refusal(
        self,
        refusal: Refusal,
        head: Head | None,
        number: int,
        ticket: Ticket | None,
        now: float,
        *,
        close: bool,
    ) -> bytes:
        """A whole engine-made answer, body included: one line of text."""
        if refusal.usual and head is not None and head.plain:
            key = (refusal.code, close)
            before, after = self._refusals.get(key) or self._prepare(refusal, head, key)
            return b"%b%04x%b" % (before, number, after)
        body = _one_line(str(refusal))
        lines = [
            self._start(refusal.status, head, close=close),
            b"Content-Type: text/plain; charset=utf-8\r\nX-Request-Id: %b\r\n"
            % self.request_id(head, number),
            b"X-EAS-Error: %b\r\nX-EAS-Retryable: %b\r\n"
            % (refusal.code.encode(), b"true" if refusal.retryable else b"false"),
        ]
        if isinstance(refusal, RateLimited):
            lines.append(b"Retry-After: %d\r\n" % max(1, ceil(refusal.retry_after)))
        if isinstance(refusal, MethodNotAllowed):
            lines.append(b"Allow: GET, HEAD, POST\r\n")
        if isinstance(refusal, Unauthorized):
            lines.append(_CHALLENGE)
        if head is not None and head.timing:
            lines.append(server_timing(ticket, now))
        lines.append(b"Content-Length: %d\r\n\r\n" % len(body))
        if head is None or head.method != b"HEAD":
            lines.append(body)
        return b"".join(lines)

    def _prepare(self, refusal: Refusal, head: Head, key: tuple[str, bool]) -> tuple[bytes, bytes]:
        """A refusal as nearly all are, but for the id: they come by the thousand when there is too much."""
        body = _one_line(str(refusal))
        before = b"%bContent-Type: text/plain; charset=utf-8\r\nX-Request-Id: %b-" % (
            self._start(refusal.status, head, close=key[1]),
            self.prefix,
        )
        after = b"\r\nX-EAS-Error: %b\r\nX-EAS-Retryable: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
            refusal.code.encode(),
            b"true" if refusal.retryable else b"false",
            _CHALLENGE if isinstance(refusal, Unauthorized) else b"",
            len(body),
            body,
        )
        self._refusals[key] = (before, after)
        return before, after

    def _start(self, status: int, head: Head | None, *, close: bool) -> bytes:
        reason = _REASONS.get(status, b"Unknown")
        if close:
            connection = b"Connection: close\r\n"
        elif head is not None and head.minor == 0:
            connection = b"Connection: keep-alive\r\nKeep-Alive: timeout=%d\r\n" % IDLE_ANNOUNCED
        else:
            connection = b"Keep-Alive: timeout=%d\r\n" % IDLE_ANNOUNCED
        return b"HTTP/1.1 %d %b\r\n%b%b" % (status, reason, self._common, connection)


def has_body(status: int, head: Head) -> bool:
    """Whether bytes follow the head of the answer."""
    return status not in BODILESS and head.method != b"HEAD"


def server_timing(ticket: Ticket | None, now: float) -> bytes:
    """``Server-Timing`` (W3C): milliseconds waiting, in a batch, in the processor, and in total.

    Without a ticket the request was refused at once, when its head was complete: all are 0. Of one that ended
    while the processor was at work on it only the host knew when that began: then `queue` and `process` have
    no duration.
    """
    queue = batch = process = total = 0.0
    if ticket is not None and ticket.begun == UNKNOWN:
        total = (now - ticket.arrived) * 1e3
        return (
            b'Server-Timing: queue;desc="unknown", batch;dur=0.000, process;desc="unfinished", '
            b"total;dur=%.3f\r\n" % total
        )
    if ticket is not None:
        batch = getattr(ticket, "batched", 0.0) * 1e3
        queue = max(0.0, ((ticket.begun or now) - ticket.queued) * 1e3 - batch)
        process = ticket.process_us / 1e3 if ticket.begun else 0.0
        total = (now - ticket.arrived) * 1e3
    return b"Server-Timing: queue;dur=%.3f, batch;dur=%.3f, process;dur=%.3f, total;dur=%.3f\r\n" % (
        queue,
        batch,
        process,
        total,
    )


def _one_line(text: str) -> bytes:
    return text.replace("\r", " ").replace("\n", " ").strip().encode("utf-8", "replace") + b"\n"
