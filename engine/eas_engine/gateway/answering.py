"""How answers leave a connection: the short way, the long way, compressed, from borrowed memory."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from eas_engine.gateway.ending import BUSY, HEAD, Ending
from eas_engine.gateway.reply import has_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.errors import Refusal
    from eas_engine.gateway.compressing import Compressed
    from eas_engine.request import Body, Ticket

SEPARATE: Final = 16 * 1024
"""Answers from this size on aren't joined to their heads: two buffers of one vectored write."""


class Answering(Ending):
    """The middle part of a ``Connection``: what a ``request.Client`` is told, and what it sends then."""

    __slots__ = ()

    def succeeded(self, ticket: Ticket, body: bytes, now: float, begun: float, process_us: int) -> None:
        """The processor has answered, and there is nothing special about it."""
        size = len(body)
        if not self._plain or size >= self._short or self._front.closing:
            ticket.begun, ticket.process_us = begun, process_us
            self.answered(ticket, 200, b"", body, now, None)
            return
        self._ticket = None
        self._send(self._front.replies.usual(ticket.number, body, size))
        self._state = HEAD
        self.active = now
        if self._tail:
            self._next(now)

    def answered(  # noqa: PLR0917 - see request.Client
        self,
        ticket: Ticket,
        status: int,
        headers: bytes,
        body: Body,
        now: float,
        sent: Callable[[], None] | None,
    ) -> None:
        """The processor has answered."""
        self._ticket = None
        head, compression = self._head, self._front.compression
        if (
            head is not None
            and head.coding.name
            and compression.wanted(head.coding, status, headers, len(body))
        ):

            def then(compressed: Compressed | None) -> None:
                self._compressed(ticket, status, headers, body, sent, compressed)

            compression.start(head.coding, body, then)
        else:
            self._answer(ticket, status, headers, body, now, sent)

    def _compressed(  # noqa: PLR0917 - as `answered`
        self,
        ticket: Ticket,
        status: int,
        headers: bytes,
        body: Body,
        sent: Callable[[], None] | None,
        compressed: Compressed | None,
    ) -> None:
        """The processor's answer has been compressed, or won't be; the client may be gone by now."""
        gone = self._transport.is_closing()
        if sent is not None and (gone or compressed is not None):
            sent()
            sent = None
        if gone:
            return
        if compressed is not None:
            headers, body = headers + compressed.lines, compressed.body
        self._answer(ticket, status, headers, body, monotonic(), sent)

    def _answer(  # noqa: PLR0917 - as `answered`
        self,
        ticket: Ticket,
        status: int,
        headers: bytes,
        body: Body,
        now: float,
        sent: Callable[[], None] | None,
    ) -> None:
        head, front, size = self._head, self._front, len(body)
        if head is None:
            return
        keep = head.keep_alive and not front.closing
        self._write(front.replies.answer(head, ticket, status, headers, size, now, close=not keep))
        if size and has_body(status, head):
            self._write_body(body, sent)
        elif sent is not None:
            sent()
        self._note(ticket, status, size if has_body(status, head) else 0, now)
        if keep:
            self._next(now)
        else:
            self._end(unread=bool(self._tail))

    def refused(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        """The engine ends the ticket: deadline, crash, or the processor's exception."""
        self._ticket = None
        if self._state == BUSY:
            self._refuse(refusal, ticket, now, keep=self._keeps(refusal), unread=bool(self._tail))
        else:
            self._forget_body()
            self._refuse(refusal, ticket, now, keep=False, unread=True)

    def _write_body(self, body: Body, sent: Callable[[], None] | None) -> None:
        """Write a large body; when it lies in borrowed memory, tell when the last byte has left."""
        transport = self._transport
        if sent is None:
            self._write(body)
        else:
            self._sent = sent
            transport.set_write_buffer_limits(0)
            transport.write(body)
        if self.stalled:
            self._front.unread.hold(self)
        elif sent is not None and not transport.get_write_buffer_size():
            self._all_sent()

    def _all_sent(self) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.set_write_buffer_limits()
            sent()
