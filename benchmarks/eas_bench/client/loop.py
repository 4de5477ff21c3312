"""The loop of one generator process: who sends when, and what every answer counts for.

Guarantees
- Every request of the measured part has exactly one end: an answer, or one failure. A request belongs to the
  measured part when it was due (open) or sent (closed) in it; its end may come later, and is waited for, at
  most for the timeout. Requests of the warm-up count for nothing, whenever they end.
- Latency runs from the moment a request was due (open), or was sent (closed; for the first of a connection:
  from the start of the connect), to the moment at which the last byte of the answer was read.
- A request is sent once. What ends before its answer is whole is a failure, and not tried again: a retry
  would hide what a load tester is there to find.
- Nothing here waits for one connection while another could go on.

The usual answer (whole in one read, on a connection of which nothing else is known) takes a path of few
steps; everything else is odd, and takes its time.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eas_bench.client.answers import Answer, Head, Malformed, Usual, head_of
from eas_bench.client.book import UNCOUNTED, Book, Page
from eas_bench.client.wire import BUFFER, ENDED, READABLE, READY, WRITABLE, Wire
from eas_bench.schedule import SECOND

Checking = Callable[[bytes, bytes], str | None]

_CHORES: Final = 20_000_000  # ns between two looks at timeouts and the end
_LAST_CHORES: Final = 1_000_000  # the same while only the last ends are waited for
NEVER: Final = 1 << 62
MEASURED: Final = -(UNCOUNTED >> 1)  # moments before this one belong to the warm-up


@dataclass(frozen=True, slots=True)
class Settings:
    """What a loop is told; times in nanoseconds."""

    connections: int
    duration: int
    timeout: int
    bodiless: bool = False  # the method is HEAD
    renewed: Callable[[], list[bytes]] | None = None  # the requests anew, each second: they are dated
    checking: Checking | None = None  # what is wrong with an answer
    bodies: tuple[bytes, ...] = ()  # what to check with: one for each request


@dataclass(frozen=True, slots=True)
class Ending:
    """What is to be told of a loop besides its pages."""

    seconds: float  # how long requests were made in the measured part
    unasked: int = 0  # connections on which bytes came that nobody had asked for
    complaints: tuple[str, ...] = ()  # the first few

    @property
    def notes(self) -> list[str]:
        """For the record."""
        told = [f"wrong: {complaint}" for complaint in self.complaints]
        if self.unasked:
            told.append(f"on {self.unasked} connections bytes came that nobody had asked for")
        return told


class Loop(ABC):
    """What open and closed have in common: connections, answers, failures, pages."""

    def __init__(
        self, wire: Wire, requests: list[bytes], settings: Settings, deliver: Callable[[Page], None]
    ) -> None:
        self.book = Book()
        self.complaints: list[str] = []  # the first few of the checks
        self.unasked = 0  # connections on which bytes came that nobody had asked for
        self.going = True  # requests are still made
        self._wire = wire
        self._requests = requests
        self._settings = settings
        self._deliver = deliver
        self._end = settings.duration
        self._turn = 0  # which request is next
        self._sent_ahead = 0  # counted requests without an end when the page began
        self._cpu = 0.0  # used before this page
        self._next_chore = -NEVER
        self._page_ends = 0  # the warm-up does at 0
        # By descriptor:
        self._since: list[int] = []  # the moment that the latency runs from
        self._plain: list[bool] = []  # it waits for an answer, and nothing else is to be known of it
        self._open: set[int] = set()
        self._rest: dict[int, memoryview] = {}  # not sent yet
        self._answers: dict[int, Answer] = {}  # begun
        self._asked: dict[int, int] = {}  # which request; only where answers are checked
        self._leaving: dict[int, int] = {}  # the server announced its end: since when we wait for it
        self._ended: set[int] = set()  # the server sends no more
        # The last usual answer:
        self._usual = Usual()
        self._head = b""
        self._append: Callable[[int], None] = self.book.of(200).append

    @property
    def ending(self) -> Ending:
        """How it went, once it is over."""
        return Ending(self._end / SECOND, self.unasked, tuple(self.complaints))

    def run(self) -> None:
        """Until every request of the measured part has its end."""
        wait, clock = self._wire.wait, self._wire.clock
        while True:
            now = clock()
            if now >= self._next_chore and not self._chores(now):
                break
            self._serve(wait(min(self._next_chore, self._due(now))))
        for descriptor in tuple(self._open):
            self._drop(descriptor)

    def stop(self) -> None:
        """Make no more requests; those under way have their end. May be called from another thread."""
        self._end = min(self._end, max(self._wire.clock(), 1))

    # -- what open and closed differ in

    @abstractmethod
    def _due(self, now: int) -> int:
        """Make the requests that are due; when the next one is."""

    @abstractmethod
    def _again(self, descriptor: int, now: int) -> None:
        """This connection is free for the next request."""

    @abstractmethod
    def _lost(self, now: int, *, refused: bool) -> None:
        """There is one connection less."""

    @abstractmethod
    def _is_busy(self, descriptor: int) -> bool:
        """Whether a request is under way on it."""

    @abstractmethod
    def _waiting(self) -> int:
        """How many counted requests are due, but not sent."""

    # -- the usual

    def _serve(self, events: list[tuple[int, int]]) -> None:
        wire, since, plain = self._wire, self._since, self._plain
        receive, into, buffer, clock, again = wire.receive, wire.into, wire.buffer, wire.clock, self._again
        whole, before, after, at, start = self._usual
        received = 0
        for descriptor, mask in events:
            if mask != READY or not plain[descriptor]:
                self._odd(descriptor, mask)
                continue
            try:
                size = receive(descriptor, into)
            except OSError as error:
                self._broke(descriptor, error)
                continue
            now = clock()
            received += size
            if (
                size == whole
                and buffer.startswith(before)
                and buffer.startswith(after, at)
                and buffer.find(b"\n", start, at) < 0
            ):
                self._append(now - since[descriptor])
                again(descriptor, now)
            else:
                self._came(descriptor, size, now)
                whole, before, after, at, start = self._usual
        self.book.bytes_received += received

    def _came(self, descriptor: int, size: int, now: int) -> None:
        """These bytes are the first of an answer; as a rule the last, too."""
        buffer = self._wire.buffer
        gap = buffer.find(b"\r\n\r\n", 0, size)
        if gap < 0 or size == BUFFER:
            if self._piece(descriptor, size, now) and size == BUFFER:
                self._read(descriptor)
            return
        try:
            head = head_of(buffer[:gap], bodiless=self._settings.bodiless)
        except Malformed:
            self._fail(descriptor, "malformed")
            return
        if gap + 4 + head.body != size or head.status < 200:
            self._piece(descriptor, size, now)
            return
        if not head.closes:
            last, self._head = self._head, bytes(buffer[: gap + 4])
            self._usual = Usual.of(size, self._head, last)
            self._append = self.book.of(head.status).append
        self._answered(descriptor, head, now)

    def _answered(self, descriptor: int, head: Head, now: int) -> None:
        self.book.of(head.status).append(now - self._since[descriptor])
        if head.closes or descriptor in self._rest or descriptor in self._ended:
            self._leave(descriptor, now)
        else:
            self._again(descriptor, now)

    def _send(self, descriptor: int, since: int) -> None:
        """The next request, whose latency runs from ``since``."""
        requests = self._requests
        turn = self._turn
        request = requests[turn]
        turn += 1
        self._turn = turn if turn < len(requests) else 0
        self._since[descriptor] = since
        if self._settings.checking is None:
            self._plain[descriptor] = True
        else:
            self._asked[descriptor] = turn - 1
        try:
            sent = self._wire.send(descriptor, request)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = 0  # why, and whether there is an answer all the same, is told by an event
        self.book.bytes_sent += sent
        if sent != len(request):
            self._rest[descriptor] = memoryview(request)[sent:]
            self._plain[descriptor] = False

    # -- the odd

    def _odd(self, descriptor: int, mask: int) -> None:
        """First what came: an answer may be there although the rest of the request can't be sent any more."""
        if descriptor not in self._open:
            return  # ended by an event before this one
        if mask & ENDED:
            self._ended.add(descriptor)
        if mask & (READABLE | ENDED) and not self._read(descriptor):
            return
        if mask & WRITABLE and descriptor in self._rest:
            self._write(descriptor)

    def _write(self, descriptor: int) -> None:
        rest = self._rest[descriptor]
        try:
            while rest:
                sent = self._wire.send(descriptor, rest)
                self.book.bytes_sent += sent
                rest = rest[sent:]
        except BlockingIOError:
            self._rest[descriptor] = rest
            return
        except OSError as error:
            self._broke(descriptor, error)
            return
        del self._rest[descriptor]
        self._plain[descriptor] = descriptor not in self._answers and self._settings.checking is None

    def _read(self, descriptor: int) -> bool:
        """All that there is; whether the connection goes on and the answer isn't whole."""
        while True:
            try:
                size = self._wire.receive(descriptor, self._wire.into)
            except BlockingIOError:
                return True
            except OSError as error:
                self._broke(descriptor, error)
                return False
            self.book.bytes_received += size
            if not self._piece(descriptor, size, self._wire.clock()):
                return False
            if size < BUFFER and descriptor not in self._ended:
                return True

    def _piece(self, descriptor: int, size: int, now: int) -> bool:
        """Bytes of an answer, or the end of the connection; whether more are to come."""
        if descriptor in self._leaving or not self._is_busy(descriptor):
            if size and descriptor not in self._leaving:
                self.unasked += 1
            self._drop(descriptor)
            return False
        answer = self._answers.get(descriptor)
        if answer is None:
            checked = self._settings.checking is not None
            answer = self._answers[descriptor] = Answer(bodiless=self._settings.bodiless, keep=checked)
            self._plain[descriptor] = False
        try:
            whole = answer.feed(memoryview(self._wire.buffer)[:size]) if size else answer.end()
        except Malformed:
            self._fail(descriptor, "malformed")
            return False
        if not whole:
            if not size:
                self._fail(descriptor, "cut")
            return bool(size)
        del self._answers[descriptor]
        assert answer.head is not None  # noqa: S101 - for the type checker: it is whole
        if self._is_right(descriptor, answer):
            self._answered(descriptor, answer.head, now)
        else:
            self._fail(descriptor, "wrong")
        return False

    def _is_right(self, descriptor: int, answer: Answer) -> bool:
        checking = self._settings.checking
        if checking is None or answer.head is None or not 200 <= answer.head.status < 300:
            return True
        complaint = checking(self._settings.bodies[self._asked[descriptor]], bytes(answer.body))
        if complaint is not None and len(self.complaints) < 5:
            self.complaints.append(complaint)
        return complaint is None

    def _broke(self, descriptor: int, error: OSError) -> None:
        """A call on it failed."""
        if isinstance(error, BlockingIOError):
            return
        fault = error.errno or 0
        if fault == errno.EPIPE:
            fault = self._wire.fault(descriptor) or fault
        if not self._is_busy(descriptor) or descriptor in self._leaving:
            self._drop(descriptor)
        elif fault == errno.ECONNREFUSED:
            self._fail(descriptor, "refused")
        elif fault in {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT}:
            self._fail(descriptor, "unreachable")
        elif fault == errno.EPROTO:
            self._fail(descriptor, "tls")
        else:
            self._fail(descriptor, "reset")

    # -- connections

    def _connect(self, since: int, now: int) -> bool:
        """A new connection, and the next request on it."""
        try:
            descriptor = self._wire.connect()
        except OSError as error:
            reason = {errno.ECONNREFUSED: "refused", errno.EADDRNOTAVAIL: "no port"}.get(error.errno or 0)
            self._count(since, reason or "unreachable")
            self._lost(now, refused=True)
            return False
        lacking = descriptor + 1 - len(self._since)
        if lacking > 0:
            self._since += [0] * lacking
            self._plain += [False] * lacking
        self._open.add(descriptor)
        self._send(descriptor, since)
        return True

    def _leave(self, descriptor: int, now: int) -> None:
        """Wait for the end that the server announced, so that its ports run out and not ours; but go on."""
        if descriptor in self._rest or descriptor in self._ended:
            self._drop(descriptor)
        else:
            self._forget(descriptor)
            self._leaving[descriptor] = now
        self._lost(now, refused=False)

    def _fail(self, descriptor: int, reason: str) -> None:
        self._count(self._since[descriptor], reason)
        self._drop(descriptor)
        self._lost(self._wire.clock(), refused=reason in {"refused", "unreachable", "tls"})

    def _count(self, since: int, reason: str) -> None:
        if since > MEASURED:
            self.book.failures[reason] += 1

    def _drop(self, descriptor: int) -> None:
        self._forget(descriptor)
        self._open.discard(descriptor)
        self._ended.discard(descriptor)
        self._leaving.pop(descriptor, None)
        self._wire.close(descriptor)

    def _forget(self, descriptor: int) -> None:
        self._plain[descriptor] = False
        self._rest.pop(descriptor, None)
        self._answers.pop(descriptor, None)

    # -- chores

    def _chores(self, now: int) -> bool:
        """Timeouts, pages, the end; whether it goes on."""
        if now >= self._page_ends:
            self._turn_page(now)
        self.book.settle()
        self._give_up(now)
        if now >= self._end:
            self._due(now)  # whoever looks late at the clock must still make those of before the end
            self.going = False
            if not self._outstanding():
                self._turn_page(now)
                return False
        if self.going:
            self._next_chore = min(now + _CHORES, self._page_ends, self._end)
        else:
            self._next_chore = now + _LAST_CHORES
        return True

    def _turn_page(self, now: int) -> None:
        if self._page_ends == 0:
            self._measure()
        else:
            ahead = self._outstanding()
            page = self.book.turn(self.book.ended() + ahead - self._sent_ahead, now // SECOND)
            page.until = now / SECOND
            page.cpu, self._cpu = self._wire.cpu() - self._cpu, self._wire.cpu()
            self._sent_ahead = ahead
            self._deliver(page)
        self._page_ends = (now // SECOND + 1) * SECOND
        if self._settings.renewed is not None:
            self._requests[:] = self._settings.renewed()

    def _measure(self) -> None:
        """The warm-up is over: what is under way belongs to it."""
        self.book.forget()
        self._cpu = self._wire.cpu()
        for descriptor in self._open:
            self._since[descriptor] -= UNCOUNTED

    def _outstanding(self) -> int:
        """How many counted requests have no end yet."""
        return self._waiting() + sum(
            1
            for descriptor in self._open
            if self._since[descriptor] > MEASURED
            and descriptor not in self._leaving
            and self._is_busy(descriptor)
        )

    def _give_up(self, now: int) -> None:
        late = now - self._settings.timeout
        for descriptor in [each for each in self._open if self._asked_before(each, late)]:
            self._fail(descriptor, "timeout")
        for descriptor in [each for each, since in self._leaving.items() if since < late]:
            self._drop(descriptor)

    def _asked_before(self, descriptor: int, moment: int) -> bool:
        since = self._since[descriptor]
        if since < MEASURED:
            since += UNCOUNTED
        return since < moment and descriptor not in self._leaving and self._is_busy(descriptor)
