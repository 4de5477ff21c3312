"""One client's connection to 8080, from its first byte to its last.

A buffered protocol of our own: heads and small bodies are received into one buffer shared by all connections
(its bytes are taken out before the loop goes on), larger bodies straight into the memory where the processor
will read them. There is no task, no scope and no framework on this path, and a client that repeats its head
byte for byte, as most do, has it parsed and checked only once.

States
------
``HEAD``     waiting for, or in the middle of, a request's head
``BODY``     receiving a body (``upload``)
``BUSY``     a ticket is in the system, or its answer is being compressed; what comes now is kept for later
             (pipelining), up to ``AHEAD`` bytes
``SKIP``     answered already, dropping the rest of a body that nobody wants (at most ``_DRAIN``)
``LINGER``   answered for the last time: half-closed, dropping what comes until the client closes or its time
             is up. Closing a socket with unread bytes in it would reset it, and the client would lose its
             answer.

One request at a time is in the system for each connection; so answers keep their order by themselves.

A connection is one object in three files: ``ending`` has its fields and its end, ``answering`` sends, and
here it reads.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from eas_engine.errors import BadRequest, DeadlineExceeded, HeadTooLarge, Refusal
from eas_engine.gateway import head as heads
from eas_engine.gateway.access import GONE
from eas_engine.gateway.answering import SEPARATE, Answering
from eas_engine.gateway.compressing import WORTH
from eas_engine.gateway.ending import AHEAD, BODY, BUSY, END, HEAD, LINGER, LINGER_SECONDS, SKIP
from eas_engine.gateway.reply import CONTINUE
from eas_engine.gateway.upload import upload
from eas_engine.request import Ticket

if TYPE_CHECKING:
    from eas_engine.gateway.head import Head

_DRAIN: Final = 1024 * 1024


class Connection(Answering):
    """The protocol of one connection (``asyncio.BufferedProtocol``); also the client of its tickets."""

    __slots__ = ()

    @property
    def spare(self) -> int:
        """Whether it can be closed for room: 0 no, 1 it is idle, 2 it has ended and lingers."""
        if self.unsent or self._transport.is_closing():
            return 0
        return 2 if self._state == LINGER else int(self.idle)

    # -- the transport's calls

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        self._transport = transport
        self._write = transport.write
        self.active = monotonic()
        if self._front.local_only:
            self.screen_anew(local_only=True)
        self._front.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._state == HEAD:
            return self._front.head_buffer
        upload = self._upload
        return self._front.buffer if upload is None else upload.space

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` bytes have come."""
        state = self._state
        if state == HEAD:
            data = self._front.received[:nbytes]
            if self._tail:  # taken up once and for all: whoever still wants to take it up finds nothing
                data, self._tail = self._tail + data, b""
            self._take_head(data)
        elif state == BODY:
            self._take_body(nbytes)
        elif state == BUSY:
            self._keep(self._front.received[:nbytes])
        elif state == SKIP:
            self._drop(self._front.received[:nbytes])

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
        if self._state in {HEAD, BUSY}:
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
        full = self._state == BUSY and len(self._tail) >= AHEAD
        if not full and self._state != BODY:  # an upload pauses and resumes by itself
            self._transport.resume_reading()
        self._again()

    # -- reading a request

    def _take_head(self, data: bytes) -> None:
        """A request begins. Nearly every request goes straight down here; everything else branches off."""
        if self._raw and data.startswith(self._raw):  # the last head again: nobody need look for its end
            start = len(self._raw)
        else:
            start = data.find(END) + 4
            if not self._new_head(data, start):
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
        self._state = BUSY
        if self._first:
            self._started_slowly(now)
        front.submit(ticket)

    def _new_head(self, data: bytes, start: int) -> bool:
        """The head isn't the last one again. False: nothing more can be done with it now."""
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
            head, refused = self._front.read_head(raw, foreign=self._foreign)
        except Refusal as malformed:
            self._reject(malformed, None, behind, now)
            return False
        if refused is not None:
            self._reject(refused, head, behind, now)
            return False
        self._raw, self._head, self._length = raw, head, head.length
        self._plain = head.plain and self._front.access is None
        coding = head.coding
        self._short = 1 if coding.always else WORTH if coding.name else SEPARATE
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
        if self._state == HEAD:
            refusal = DeadlineExceeded("the request's head took longer than rpc.keepalive")
            self._reject(refusal, None, b"", monotonic())

    def _start_body(self, data: bytes) -> None:
        """The body isn't (all) here yet, something is behind it, or there is no room for it."""
        self._stop_timer()
        head, ticket = self._head, self._ticket
        if head is None or ticket is None:
            return
        self._tail = b""
        self._state = BODY
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
        self._state = BUSY
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
        if len(self._tail) >= AHEAD:
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
            self._state = HEAD
            if rest:
                self._take_head(rest)

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
            self._state, self._skip = SKIP, left
            self._timer = self._front.loop.call_later(LINGER_SECONDS, self._transport.close)

    def _fail(self, refusal: Refusal) -> None:
        """The body of an admitted request is bad."""
        self._forget_body()
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._front.drop(ticket)
        self._refuse(refusal, ticket, monotonic(), keep=False, unread=True)
