"""A wire of the load generator in which time is the test's: it jumps to whatever happens next.

The server behind it is a function: given when a request was whole, the request, and its connection's number
from 0, it says what comes back when. Nothing else takes time.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from eas_bench.client.wire import BUFFER, ENDED, READY, WRITABLE

MS: Final = 1_000_000
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
END: Final = b""


@dataclass(frozen=True)
class Coming:
    """Bytes, the END, or an error, at a moment."""

    at: int
    what: bytes | OSError


Server = Callable[[int, bytes, int], list[Coming]]


@dataclass
class _Line:
    number: int
    taken: bytearray = field(default_factory=bytearray)
    there: list[bytes | OSError] = field(default_factory=list)
    closed: bool = False
    connected: bool = True


class VirtualWire:
    """``refuses``: connects that fail, by number. ``takes``: bytes that one send takes at most.

    ``lag``: nanoseconds by which every wait is too long, as on a core that others use, too.
    """

    def __init__(
        self,
        server: Server,
        *,
        now: int = 0,
        refuses: Callable[[int], bool] = lambda _: False,
        takes: int = 1 << 30,
        lag: int = 0,
    ) -> None:
        self.now = now
        self.buffer = bytearray(BUFFER)
        self.into = [self.buffer]
        self.opened = 0
        self.requests: list[tuple[int, bytes]] = []  # when they were whole
        self.left: list[int] = []  # connections closed by the client
        self._server = server
        self._refuses = refuses
        self._takes = takes
        self._lag = lag
        self._blocked: set[int] = set()
        self._lines: dict[int, _Line] = {}
        self._coming: list[tuple[int, int, int, bytes | OSError | None]] = []  # None: it may be written to
        self._order = itertools.count()

    @property
    def all_closed(self) -> bool:
        """Whether the client has ended every connection that it opened, once."""
        refused = [number for number in range(self.opened) if self._refuses(number)]
        return sorted([*self.left, *refused]) == list(range(self.opened))

    def clock(self) -> int:
        return self.now

    def cpu(self) -> float:
        return self.now / 1e9 / 2

    def connect(self) -> int:
        number = self.opened
        self.opened += 1
        if self._refuses(number):
            raise ConnectionRefusedError(111, "refused")
        descriptor = 10 + number
        self._lines[descriptor] = _Line(number)
        self._post(self.now, descriptor, None)
        return descriptor

    def send(self, descriptor: int, data: bytes | memoryview) -> int:
        line = self._lines[descriptor]
        if descriptor in self._blocked:
            raise BlockingIOError
        part = bytes(data[: self._takes])
        if len(part) < len(data):
            self._blocked.add(descriptor)
            self._post(self.now + MS, descriptor, None)
        line.taken += part
        while (whole := _whole(line.taken)) is not None:
            request = bytes(line.taken[:whole])
            del line.taken[:whole]
            self.requests.append((self.now, request))
            for coming in self._server(self.now, request, line.number):
                self._post(coming.at, descriptor, coming.what)
        return len(part)

    def receive(self, descriptor: int, into: list[bytearray]) -> int:
        line = self._lines[descriptor]
        if not line.there:
            raise BlockingIOError
        what = line.there[0]
        if isinstance(what, OSError):
            raise what
        if what == END:
            return 0
        del line.there[0]
        part, rest = what[:BUFFER], what[BUFFER:]
        if rest:
            line.there.insert(0, rest)
        into[0][: len(part)] = part
        return len(part)

    def close(self, descriptor: int) -> None:
        self.left.append(self._lines.pop(descriptor).number)
        self._blocked.discard(descriptor)

    def fault(self, descriptor: int) -> int:
        return 0

    def wait(self, until: int) -> list[tuple[int, int]]:
        if not self._coming or self._coming[0][0] > until:
            self.now = max(self.now, until + self._lag)
            return []
        self.now = max(self.now, self._coming[0][0] + self._lag)
        events: dict[int, int] = {}
        while self._coming and self._coming[0][0] <= self.now:
            _, _, descriptor, what = heapq.heappop(self._coming)
            line = self._lines.get(descriptor)
            if line is None:
                continue
            if what is None:
                self._blocked.discard(descriptor)
                mask = WRITABLE
            else:
                line.there.append(what)
                mask = READY if isinstance(what, bytes) and what else READY | ENDED
            events[descriptor] = events.get(descriptor, 0) | mask
        return list(events.items())

    def _post(self, at: int, descriptor: int, what: bytes | OSError | None) -> None:
        heapq.heappush(self._coming, (at, next(self._order), descriptor, what))


def _whole(taken: bytearray) -> int | None:
    """How long the first request is, once it is whole."""
    head = taken.find(b"\r\n\r\n")
    if head < 0:
        return None
    found = re.search(rb"content-length: *([0-9]+)", taken[:head], re.IGNORECASE)
    end = head + 4 + (int(found[1]) if found else 0)
    return end if len(taken) >= end else None
