"""What every connection has, and how it comes to its end: refusals, the next request, gentle closing."""

from __future__ import annotations

from os import write
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from eas_engine.gateway.callers import is_ours
from eas_engine.gateway.head import CHUNKED
from eas_engine.request import Client

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.errors import Refusal
    from eas_engine.gateway.front import Front
    from eas_engine.gateway.head import Head
    from eas_engine.gateway.upload import Upload
    from eas_engine.request import Ticket

# The states of a connection; ``http`` says what they mean.
HEAD: Final = 0
BODY: Final = 1
BUSY: Final = 2
SKIP: Final = 3
LINGER: Final = 4
_NAMES: Final = ("HEAD", "BODY", "BUSY", "SKIP", "LINGER")

END: Final = b"\r\n\r\n"
"""Of a head."""
AHEAD: Final = 64 * 1024
"""Bytes of the next requests that are kept while one is in the system."""
LINGER_SECONDS: Final = 5.0


def _nowhere(_data: object) -> None:
    """Where a connection writes before it is made."""


class Ending(Client):
    """The lowest part of a ``Connection``: its fields, and its end."""

    __slots__ = (
        "_first",
        "_foreign",
        "_front",
        "_head",
        "_left",
        "_length",
        "_pipelines",
        "_plain",
        "_raw",
        "_received",
        "_sent",
        "_short",
        "_skip",
        "_socket",
        "_state",
        "_tail",
        "_ticket",
        "_timer",
        "_transport",
        "_upload",
        "_write",
        "active",
        "stalled",
    )

    def __init__(self, front: Front) -> None:
        self._front = front
        self._transport: Any = None
        self._write: Callable[[Any], None] = _nowhere
        self._socket: Any = None  # the transport's, once it was needed
        self._state = HEAD
        self._raw = b""  # the last head that was screened, as bytes and parsed
        self._head: Head | None = None
        self._length = 0
        self._plain = False  # its answer may go the short way ...
        self._short = 0  # ... when it has fewer bytes than this
        self._tail = b""
        self._pipelines = False  # it has sent a request before it had the answer to the one before
        self._foreign = False  # may not call (`networking.disable_internet_endpoint`)
        self._first = 0.0  # when the first byte of the request being read came
        self._ticket: Ticket | None = None
        self._upload: Upload | None = None
        self._received = 0  # bytes of the last chunked body; for the access log alone
        self._skip = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sent: Callable[[], None] | None = None
        self._left = 0  # bytes that were unsent when it was last looked at
        self.active = 0.0
        self.stalled = False

    def __repr__(self) -> str:
        return f"<Connection {_NAMES[self._state]} {self._ticket!r}>"

    @property
    def idle(self) -> bool:
        """Between two requests."""
        return self._state == HEAD and not self._tail

    def _take_head(self, data: bytes) -> None:
        """A request begins: see ``Connection``."""
        raise NotImplementedError  # the one class that is ever made, ``Connection``, has it

    def _send(self, data: bytes) -> None:
        """Write a whole small answer, at once where that can be done.

        The transport would keep it until the end of the loop's turn. So the client can go on earlier, and the
        transport's accounting is saved. What the socket doesn't take, errors included, is the transport's.
        """
        transport, sent = self._transport, 0
        if not transport.get_write_buffer_size():
            if self._socket is None:
                self._socket = transport.get_extra_info("socket")
            try:
                sent = write(self._socket.fileno(), data)  # -1 once the transport has closed it
            except OSError:
                sent = 0
            if sent == len(data):
                return
        self._write(data[sent:])

    @property
    def unsent(self) -> int:
        """Bytes of answers that haven't left yet."""
        return int(self._transport.get_write_buffer_size())

    def _next(self, now: float) -> None:
        """This request is done; the next may be here already."""
        self._state = HEAD
        self.active = now
        if not self._tail:
            self._first = 0.0
        elif not self.stalled:  # else `resume_writing` goes on
            if len(self._tail) >= AHEAD:
                self._transport.resume_reading()
            self._front.loop.call_soon(self._again)

    def _again(self) -> None:
        """Take up the bytes that came while the last request was in the system."""
        if self._state == HEAD and self._tail and not self._transport.is_closing():
            data, self._tail = self._tail, b""
            self._take_head(data)

    def _keeps(self, refusal: Refusal) -> bool:
        head = self._head
        return head is not None and head.keep_alive and not refusal.closes and not self._front.closing

    def _refuse(
        self, refusal: Refusal, ticket: Ticket | None, now: float, *, keep: bool, unread: bool
    ) -> None:
        front = self._front
        head = self._head
        number = ticket.number if ticket is not None else front.next_number()
        front.refused(refusal, ticket, now)
        answer = front.replies.refusal(refusal, head, number, ticket, now, close=not keep)
        self._send(answer)
        self._note(ticket, refusal.status, len(answer) - answer.find(END) - 4, now, refusal.code, number)
        if keep:
            self._next(now)
        else:
            self._end(unread=unread)

    def _end(self, *, unread: bool) -> None:
        """Close behind what was written; gently, if the client may still be sending.

        A client that waits for each answer isn't, and a gentle end would make each refusal dearer. One that
        has pipelined may have its next request on the way, and that would reset the connection.
        """
        if unread or self._pipelines:
            self._close_gently()
        else:
            self._state = LINGER
            self._transport.close()

    def _close_gently(self) -> None:
        """Half-close, then drop what still comes, so that the answer isn't lost to a reset."""
        self._state = LINGER
        self._tail = b""
        transport = self._transport
        if transport.is_closing():
            return
        transport.resume_reading()
        transport.write_eof()
        self._stop_timer()
        self._timer = self._front.loop.call_later(LINGER_SECONDS, transport.close)

    def hang_up(self) -> None:
        """The engine ends an idle connection: half-close and linger, in case a request is on its way."""
        if self._state == HEAD:
            self._close_gently()

    def screen_anew(self, *, local_only: bool) -> None:
        """Other rules from now on: the next head is looked at, whatever this client sent before."""
        self._raw = b""
        self._foreign = local_only and not is_ours(self._transport.get_extra_info("peername"))

    def dismiss(self) -> None:
        """End the connection now: somebody else needs its descriptor."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection now, whatever is unsent."""
        self._transport.abort()

    def look_whether_it_reads(self) -> None:
        """It has been slow for long: abort, unless it has read something since the last look."""
        left = self._transport.get_write_buffer_size()
        if left == self._left:
            self.abort()
        self._left = left
        self.active = monotonic()

    def _note(  # noqa: PLR0917 - as ``AccessLog.note``
        self, ticket: Ticket | None, status: int, sent: int, now: float, code: str = "", number: int = 0
    ) -> None:
        """For the access log, if there is one."""
        front, head = self._front, self._head
        if front.access is None:
            return
        received = 0 if head is None else self._received if head.length == CHUNKED else head.length
        request_id = front.replies.request_id(head, number if ticket is None else ticket.number)
        peer = self._transport.get_extra_info("peername")
        front.access.note(peer, head, ticket, status, sent, now, request_id, received, code)

    def _forget_body(self) -> None:
        """Stop receiving a body."""
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
