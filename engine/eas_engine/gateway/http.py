"""One client's connection to 8080, from its first byte to its last.

A buffered protocol of our own: heads and small bodies are received into one buffer shared by all connections
(its bytes are taken out before the loop goes on), larger bodies straight into the memory where the processor
will read them. There is no task, no scope and no framework on this path, and a client that repeats its head
byte for byte, as most do, has it parsed and checked only once.

States
------
``HEAD``     waiting for, or in the middle of, a request's head
``BODY``     receiving a body (``upload``)
``BUSY``     a ticket is in the system; what comes now is kept for later (pipelining), up to ``_AHEAD`` bytes
``SKIP``     answered already, dropping the rest of a body that nobody wants (at most ``_DRAIN``)
``LINGER``   answered for the last time: half-closed, dropping what comes until the client closes or time is
up.
             Closing a socket with unread bytes in it would reset it, and the client would lose its answer.

One request at a time is in the system for each connection; so answers keep their order by themselves.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from eas_engine.errors import BadRequest, DeadlineExceeded, HeadTooLarge, Refusal
from eas_engine.gateway import head as heads
from eas_engine.gateway.access import GONE
from eas_engine.gateway.compressing import WORTH
from eas_engine.gateway.reply import CONTINUE, has_body
from eas_engine.gateway.upload import Upload, upload
from eas_engine.request import Client, Ticket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.gateway.compressing import Compressed
    from eas_engine.gateway.front import Front
    from eas_engine.gateway.head import Head
    from eas_engine.request import Body

_END: Final = b"\r\n\r\n"
_AHEAD: Final = 64 * 1024
_DRAIN: Final = 1024 * 1024
_LINGER_SECONDS: Final = 5.0
_SEPARATE: Final = 16 * 1024
"""Answers from this size on aren't joined to their heads: two buffers of one vectored write."""


def _nowhere(_data: object) -> None:
    """Where a connection writes before it is made."""


_HEAD: Final = 0
_BODY: Final = 1
_BUSY: Final = 2
_SKIP: Final = 3
_LINGER: Final = 4
_NAMES: Final = ("HEAD", "BODY", "BUSY", "SKIP", "LINGER")


class Connection(Client):
    """The protocol of one connection (``asyncio.BufferedProtocol``); also the client of its tickets."""

    __slots__ = (
        "_first",
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
        self._state = _HEAD
        self._raw = b""  # the last head that was screened, as bytes and parsed
        self._head: Head | None = None
        self._length = 0
        self._plain = False  # its answer may go the short way ...
        self._short = 0  # ... when it has fewer bytes than this
        self._tail = b""
        self._pipelines = False  # it has sent a request before it had the answer to the one before
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
        return self._state == _HEAD and not self._tail

    @property
    def unsent(self) -> int:
        """Bytes of answers that haven't left yet."""
        return int(self._transport.get_write_buffer_size())

    @property
    def spare(self) -> int:
        """Whether it can be closed for room: 0 no, 1 it is idle, 2 it has ended and lingers."""
        if self.unsent or self._transport.is_closing():
            return 0
        return 2 if self._state == _LINGER else int(self.idle)

    # -- the transport's calls

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        self._transport = transport
        self._write = transport.write
        self.active = monotonic()
        self._front.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._state == _HEAD:
            return self._front.head_buffer
        upload = self._upload
        return self._front.buffer if upload is None else upload.space

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` bytes have come."""
        state = self._state
        if state == _HEAD:
            data = self._front.buffer[:nbytes].tobytes()
            if self._tail:  # taken up once and for all: whoever still wants to take it up finds nothing
                data, self._tail = self._tail + data, b""
            self._take_head(data)
        elif state == _BODY:
            self._take_body(nbytes)
        elif state == _BUSY:
            self._keep(self._front.buffer[:nbytes].tobytes())
        elif state == _SKIP:
            self._drop(self._front.buffer[:nbytes].tobytes())

    def eof_received(self) -> bool:
        """The client will send no more: it is gone (a half-close is taken as going, too)."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed, whoever did it."""
        self._stop_timer()
        self._forget_body()  # first: else the room that the ticket gives back is given to its own upload
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._note(ticket, GONE, 0, monotonic())
            self._front.left(ticket)
        self._front.unread.drop(self)
        self._all_sent()
        self._front.closed(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write: nothing more is done for it until it catches up.

        Nothing more is read, either: answers to what it sends meanwhile would pile up without bound.
        """
        self.stalled = True
        self.active = monotonic()
        if self._state in {_HEAD, _BUSY}:
            self._transport.pause_reading()
        self._front.unread.hold(self)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.stalled = False
        self.active = monotonic()
        self._front.unread.drop(self)
        self._all_sent()
        if self._transport.is_closing():
            return
        full = self._state == _BUSY and len(self._tail) >= _AHEAD
        if not full and self._state != _BODY:  # an upload pauses and resumes by itself
            self._transport.resume_reading()
        self._again()

    # -- reading a request

    def _take_head(self, data: bytes) -> None:
        """A request begins. Nearly every request goes straight down here; everything else branches off."""
        start = data.find(_END) + 4
        if data[:start] != self._raw and not self._new_head(data, start):
            return
        now = monotonic()
        front, length = self._front, self._length
        ticket = front.gate.admit(self, self._raw, self._first, now)
        if not isinstance(ticket, Ticket):
            self._reject(ticket, self._head, data[start:], now)
            return
        self._ticket = ticket
        budget = front.budget
        full = length and (budget.waiting or budget.used + length > budget.limit)
        if full or len(data) - start != length:
            self._start_body(data[start:])
            return
        budget.used += length
        ticket.size = length
        ticket.body = data[start:]
        self._state = _BUSY
        if self._first:
            self._started_slowly(now)
        front.submit(ticket)

    def _new_head(self, data: bytes, start: int) -> bool:
        """The head isn't the last one again, or not complete. False: nothing more can be done with it now."""
        if start < 4 or start > heads.MAX_HEAD:
            self._unfinished_head(data)
            return False
        return self._check_head(data[:start], data[start:], monotonic())

    def _started_slowly(self, now: float) -> None:
        """The head came in pieces, or behind another request."""
        self._stop_timer()
        self._tail = b""
        self._first = 0.0
        if self._ticket is not None:
            self._ticket.queued = now

    def _check_head(self, raw: bytes, behind: bytes, now: float) -> bool:
        """Parse and screen a head that wasn't seen on this connection before; False: it was refused."""
        raw = raw.lstrip(b"\r\n")
        try:
            head, refused = self._front.read_head(raw)
        except Refusal as malformed:
            self._reject(malformed, None, behind, now)
            return False
        if refused is not None:
            self._reject(refused, head, behind, now)
            return False
        self._raw, self._head, self._length = raw, head, head.length
        self._plain = head.plain and self._front.access is None
        coding = head.coding
        self._short = 1 if coding.always else WORTH if coding.name else _SEPARATE
        return True

    def _unfinished_head(self, data: bytes) -> None:
        now = monotonic()
        data = data.lstrip(b"\r\n")
        if len(data) > heads.MAX_HEAD:
            self._reject(HeadTooLarge(), None, b"", now)
        elif heads.suspicious(data):
            self._reject(BadRequest("bare LF or CR in the head"), None, b"", now)
        else:
            self._tail = data
            if data and self._timer is None:
                self._first = self._first or now
                left = self._first + self._front.gate.keepalive - now
                self._timer = self._front.loop.call_later(max(0.0, left), self._too_slow)

    def _too_slow(self) -> None:
        """The head alone took all the time there is."""
        self._timer = None
        if self._state == _HEAD:
            refusal = DeadlineExceeded("the request's head took longer than rpc.keepalive")
            self._reject(refusal, None, b"", monotonic())

    def _start_body(self, data: bytes) -> None:
        """The body isn't (all) here yet, something is behind it, or there is no room for it."""
        self._stop_timer()
        head, ticket = self._head, self._ticket
        if head is None or ticket is None:
            return
        self._tail = b""
        self._state = _BODY
        if head.expects and not data:
            self._transport.write(CONTINUE)
        self._upload = upload(self._front, ticket, head.length, self._transport, self._uploaded)
        try:
            self._upload.start(data)
        except Refusal as refusal:
            self._fail(refusal)

    def _take_body(self, nbytes: int) -> None:
        if self._upload is None:
            return
        try:
            self._upload.updated(nbytes)
        except Refusal as refusal:
            self._fail(refusal)

    def _uploaded(self, rest: bytes) -> None:
        """The body is complete; `rest` came behind it."""
        ticket, self._upload = self._ticket, None
        if ticket is None:
            return
        now = monotonic()
        self._state = _BUSY
        self._received = ticket.size
        self._tail = rest
        self._pipelines = self._pipelines or bool(rest)
        self._first = now if rest else 0.0
        ticket.queued = now
        self._front.submit(ticket)

    def _keep(self, data: bytes) -> None:
        """Bytes of the next request, while this one is in the system."""
        if not self._tail:
            self._first = monotonic()
            self._pipelines = True
        self._tail += data
        if len(self._tail) >= _AHEAD:
            self._transport.pause_reading()

    def _drop(self, data: bytes) -> None:
        """More of a body that was refused."""
        if self._skip >= len(data):
            self._skip -= len(data)
            rest = b""
        else:
            rest, self._skip = data[self._skip :], 0
        if not self._skip:
            self._stop_timer()
            self._state = _HEAD
            if rest:
                self._take_head(rest)

    # -- what a request.Client is told

    def succeeded(self, ticket: Ticket, body: bytes, now: float, begun: float, process_us: int) -> None:
        """The processor has answered, and there is nothing special about it."""
        size = len(body)
        if not self._plain or size >= self._short or self._front.closing:
            ticket.begun, ticket.process_us = begun, process_us
            self.answered(ticket, 200, b"", body, now, None)
            return
        self._ticket = None
        self._write(self._front.replies.usual(ticket.number, body, size))
        self._state = _HEAD
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
        if self._state == _BUSY:
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

    def _next(self, now: float) -> None:
        """This request is done; the next may be here already."""
        self._state = _HEAD
        self.active = now
        if not self._tail:
            self._first = 0.0
        elif not self.stalled:  # else `resume_writing` goes on
            if len(self._tail) >= _AHEAD:
                self._transport.resume_reading()
            self._front.loop.call_soon(self._again)

    def _again(self) -> None:
        """Take up the bytes that came while the last request was in the system."""
        if self._state == _HEAD and self._tail and not self._transport.is_closing():
            data, self._tail = self._tail, b""
            self._take_head(data)

    # -- refusals

    def _reject(self, refusal: Any, head: Head | None, behind: bytes, now: float) -> None:
        """Refuse a request that has no ticket. `behind`: what has come behind its head."""
        self._stop_timer()
        self._head, self._raw, self._tail, self._first = head, b"", b"", 0.0
        if head is None or head.length == heads.CHUNKED or head.expects:
            # Where the next request begins can't be known cheaply.
            self._refuse(refusal, None, now, keep=False, unread=True)
            return
        left = head.length - len(behind)
        keep = self._keeps(refusal) and left <= _DRAIN
        if keep and left <= 0:
            self._tail = behind[head.length :]
        self._refuse(refusal, None, now, keep=keep, unread=left != 0)
        if keep and left > 0:
            self._state, self._skip = _SKIP, left
            self._timer = self._front.loop.call_later(_LINGER_SECONDS, self._transport.close)

    def _fail(self, refusal: Refusal) -> None:
        """The body of an admitted request is bad."""
        self._forget_body()
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._front.drop(ticket)
        self._refuse(refusal, ticket, monotonic(), keep=False, unread=True)

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
        self._transport.write(answer)
        self._note(ticket, refusal.status, len(answer) - answer.find(_END) - 4, now, refusal.code, number)
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
            self._state = _LINGER
            self._transport.close()

    def _close_gently(self) -> None:
        """Half-close, then drop what still comes, so that the answer isn't lost to a reset."""
        self._state = _LINGER
        self._tail = b""
        transport = self._transport
        if transport.is_closing():
            return
        transport.resume_reading()
        transport.write_eof()
        self._stop_timer()
        self._timer = self._front.loop.call_later(_LINGER_SECONDS, transport.close)

    def hang_up(self) -> None:
        """The engine ends an idle connection: half-close and linger, in case a request is on its way."""
        if self._state == _HEAD:
            self._close_gently()

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

    # -- small things

    def _note(  # noqa: PLR0917 - as ``AccessLog.note``
        self, ticket: Ticket | None, status: int, sent: int, now: float, code: str = "", number: int = 0
    ) -> None:
        """For the access log, if there is one."""
        front, head = self._front, self._head
        if front.access is None:
            return
        received = 0 if head is None else self._received if head.length == heads.CHUNKED else head.length
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
