"""The loop of a generator process that speaks gRPC: unary calls whose messages are bytes that we don't know.

It counts as the loop for HTTP does. An answer's status is ``200`` for OK, else gRPC's own name
(``RESOURCE_EXHAUSTED``); where there was no answer (the deadline passed, nobody listens) it is a failure. A
connection carries many calls at once, so ``connections`` are calls here: at once (open: at most).

The package grpc makes calls from threads of its own, which tell the loop of every end; the loop alone counts.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from eas_bench.client.book import Book, Page
from eas_bench.client.loop import Checking, Ending
from eas_bench.client.tls import context
from eas_bench.record import Load
from eas_bench.schedule import SECOND
from eas_bench.target import NotWanted, Wanted

_CHANNELS: Final = 8  # connections at most
_CHORES: Final = 20_000_000  # ns
_NEVER: Final = 1 << 62
_LARGEST: Final = -1  # bytes of a message: no limit
_FAILURES: Final = {"DEADLINE_EXCEEDED": "timeout", "UNAVAILABLE": "refused", "CANCELLED": "cut"}


class _Due(NamedTuple):
    since: int
    counts: bool  # it belongs to the measured part


class _End(NamedTuple):
    due: _Due
    at: int
    turn: int
    call: Any  # grpc.Future, and grpc.Call


def package() -> Any:
    """Grpc. Raises NotWanted: it isn't installed."""
    try:
        import grpc  # noqa: PLC0415 - an extra
    except ImportError:
        raise NotWanted("gRPC needs a package: pip install 'eas-engine[grpc]'") from None
    return grpc


def channel(wanted: Wanted, options: Sequence[tuple[str, int]] = ()) -> Any:
    """A connection to be, with TLS or without. Raises NotWanted: there are no certificates to be trusted."""
    grpc = package()
    if not wanted.tls:
        return grpc.insecure_channel(wanted.place, options=options)
    context(wanted)  # it tells what is wrong with the file; gRPC doesn't
    trusted = Path(wanted.cacert).read_bytes() if wanted.cacert else None
    credentials = grpc.ssl_channel_credentials(root_certificates=trusted)
    return grpc.secure_channel(wanted.place, credentials, options=options)


class Calls:
    """One process's part of a load. ``moments``: of an open one; None: closed."""

    def __init__(
        self,
        wanted: Wanted,
        load: Load,
        *,
        start: int,
        connections: int,
        moments: Iterator[list[int]] | None,
        deliver: Callable[[Page], None],
        checking: Checking | None = None,
    ) -> None:
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", _LARGEST),
            ("grpc.max_receive_message_length", _LARGEST),
        ]
        self._channels = [channel(wanted, options) for _ in range(min(_CHANNELS, connections))]
        self._methods = [channel.unary_unary(wanted.grpc) for channel in self._channels]
        self._metadata = metadata_of(wanted)
        self._bodies = wanted.bodies
        self._timeout = load.timeout
        self._start = start
        self._end = round(load.duration * SECOND)
        self._most = connections
        self._moments = moments
        self._plan: list[int] = []
        self._deliver = deliver
        self._checking = checking
        self._complaints: list[str] = []
        self._book = Book()
        self._ends: queue.SimpleQueue[_End] = queue.SimpleQueue()
        self._waiting: deque[_Due] = deque()  # due, but too many calls are under way
        self._under_way = 0
        self._counted = 0  # of those that are under way or wait, belong to the measured part
        self._ahead = 0  # the same when the page began
        self._page_ends = 0
        self._cpu = 0.0
        self._made = 0

    @property
    def ending(self) -> Ending:
        """How it went, once it is over."""
        return Ending(self._end / SECOND, complaints=tuple(self._complaints))

    def stop(self) -> None:
        """Make no more calls; those under way have their end."""
        self._end = min(self._end, max(self._clock(), 1))

    def run(self) -> None:
        """Until every call of the measured part has its end."""
        due, chore = self._planned(), -_NEVER
        while True:
            now = self._clock()
            while due <= now and due < self._end:
                if due >= 0 and self._page_ends == 0:
                    self._turn_page(now)
                self._book.was_late(now - due)
                self._ask(due)
                due, now = self._planned(), self._clock()
            if self._moments is None:
                while self._under_way < self._most and now < self._end:
                    self._ask(now)
            if now >= chore:
                if not self._chores(now):
                    break
                chore = min(now + _CHORES, self._page_ends)
            self._take_ends(min(due if due < self._end else _NEVER, chore))
        for channel in self._channels:
            channel.close()

    def _clock(self) -> int:
        return time.monotonic_ns() - self._start

    def _planned(self) -> int:
        while not self._plan:
            chunk = next(self._moments, None) if self._moments is not None else None
            if chunk is None:
                return _NEVER
            self._plan = chunk[::-1]
        return self._plan.pop()

    def _ask(self, since: int) -> None:
        due = _Due(since, since >= 0 and self._page_ends > 0)
        self._counted += due.counts
        if self._under_way >= self._most:
            self._waiting.append(due)
        else:
            self._call(due)

    def _call(self, due: _Due) -> None:
        turn = self._made % len(self._bodies)
        method = self._methods[self._made % len(self._methods)]
        self._made += 1
        self._under_way += 1
        self._book.bytes_sent += len(self._bodies[turn])
        left = max(0.001, self._timeout - (self._clock() - due.since) / SECOND)
        call = method.future(self._bodies[turn], timeout=left, metadata=self._metadata)
        call.add_done_callback(lambda done: self._ends.put(_End(due, self._clock(), turn, done)))

    def _take_ends(self, until: int) -> None:
        """What ended; waits for it until then at most."""
        try:
            end = self._ends.get(timeout=max(0.0, (until - self._clock()) / SECOND))
        except queue.Empty:
            return
        while True:
            self._ended(end)
            try:
                end = self._ends.get_nowait()
            except queue.Empty:
                return

    def _ended(self, end: _End) -> None:
        self._under_way -= 1
        if end.due.counts:
            self._counted -= 1
            self._count(end)
        if self._waiting:
            self._call(self._waiting.popleft())

    def _count(self, end: _End) -> None:
        status = end.call.code().name
        if status in _FAILURES:
            self._book.failures[_FAILURES[status]] += 1
            return
        if status == "OK":
            answer = end.call.result()
            self._book.bytes_received += len(answer)
            complaint = self._checking(self._bodies[end.turn], answer) if self._checking else None
            if complaint is not None:
                self._book.failures["wrong"] += 1
                self._complaints += [complaint] if len(self._complaints) < 5 else []
                return
        self._book.of("200" if status == "OK" else status).append(end.at - end.due.since)

    def _chores(self, now: int) -> bool:
        if now >= self._page_ends:
            self._turn_page(now)
        self._book.settle()
        while self._waiting and self._waiting[0].since < now - self._timeout * SECOND:
            if self._waiting.popleft().counts:
                self._counted -= 1
                self._book.failures["unsent"] += 1
        if now >= self._end and not self._counted:
            self._turn_page(now)
            return False
        return True

    def _turn_page(self, now: int) -> None:
        cpu = time.process_time()
        if self._page_ends == 0:
            self._book.forget()
        else:
            page = self._book.turn(self._book.ended() + self._counted - self._ahead, now // SECOND)
            page.until, page.cpu = now / SECOND, cpu - self._cpu
            self._ahead = self._counted
            self._deliver(page)
        self._cpu = cpu
        self._page_ends = (now // SECOND + 1) * SECOND


def metadata_of(wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """Header fields and the token, in gRPC's way. Raises NotWanted."""
    if wanted.signed:
        raise NotWanted("--sign is for HTTP: with gRPC the token itself is sent")
    given = tuple((name.lower(), value) for name, value in wanted.headers)
    if wanted.token and "authorization" not in dict(given):
        return (*given, ("authorization", wanted.token))
    return given
