"""The two kinds of loop: closed, whose clients wait for their answers, and open, whose don't."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from eas_bench.client.book import UNCOUNTED, Page
from eas_bench.client.loop import MEASURED, NEVER, Loop, Settings
from eas_bench.client.wire import Wire

_BACK_OFF: Final = 10_000_000  # ns after a refused connect, so that nobody spins


class Closed(Loop):
    """Each connection sends its next request when it has its answer."""

    def __init__(
        self, wire: Wire, requests: list[bytes], settings: Settings, deliver: Callable[[Page], None]
    ) -> None:
        super().__init__(wire, requests, settings, deliver)
        self._missing: list[int] = [-NEVER] * settings.connections  # when each may be opened

    def _due(self, now: int) -> int:
        missing = self._missing
        if now >= self._end:
            return NEVER
        while missing and missing[-1] <= now:
            missing.pop()
            self._connect(now, now)
        return missing[-1] if missing else NEVER

    def _again(self, descriptor: int, now: int) -> None:
        if self.going:
            self._send(descriptor, now)
        else:
            self._drop(descriptor)

    def _lost(self, now: int, *, refused: bool) -> None:
        if refused:
            self._missing.insert(0, now + _BACK_OFF)
        else:
            self._missing.append(now)

    def _is_busy(self, descriptor: int) -> bool:
        return True

    def _waiting(self) -> int:
        return 0


class Open(Loop):
    """Requests are made at moments fixed in advance, on whichever connection is free, or on a new one."""

    def __init__(
        self,
        wire: Wire,
        requests: list[bytes],
        settings: Settings,
        deliver: Callable[[Page], None],
        moments: Iterator[list[int]],
    ) -> None:
        super().__init__(wire, requests, settings, deliver)
        self._moments = moments
        self._plan: list[int] = []  # the next ones, latest first
        self._next = self._planned()
        self._free: dict[int, None] = {}  # the one used last is used first
        self._queue: deque[int] = deque()  # due, but no connection was free

    def _planned(self) -> int:
        while not self._plan:
            chunk = next(self._moments, None)
            if chunk is None:
                return NEVER
            self._plan = chunk[::-1]
        return self._plan.pop()

    def _due(self, now: int) -> int:
        while self._next <= now:
            moment = self._next
            if not self.going and moment >= self._end:
                self._next = NEVER  # stopped
                break
            self._next = self._planned()
            if moment >= 0 and self._page_ends == 0:
                self._turn_page(now)
            self.book.was_late(now - moment)
            self._ask(moment, now)
            now = self._wire.clock()
        return self._next

    def _ask(self, moment: int, now: int) -> None:
        if moment < 0 and self._page_ends > 0:
            moment -= UNCOUNTED  # of the warm-up, and late
        if self._free:
            self._send(self._free.popitem()[0], moment)
        elif len(self._open) - len(self._leaving) < self._settings.connections:
            self._connect(moment, now)
        else:
            self._queue.append(moment)

    def _again(self, descriptor: int, now: int) -> None:
        if self._queue:
            self._send(descriptor, self._queue.popleft())
        else:
            self._plain[descriptor] = False
            self._free[descriptor] = None
        if self._next <= now:
            self._due(now)

    def _lost(self, now: int, *, refused: bool) -> None:
        if self._queue and not refused:
            self._connect(self._queue.popleft(), now)

    def _drop(self, descriptor: int) -> None:
        self._free.pop(descriptor, None)
        super()._drop(descriptor)

    def _is_busy(self, descriptor: int) -> bool:
        return descriptor not in self._free

    def _waiting(self) -> int:
        return sum(1 for moment in self._queue if moment > MEASURED)

    def _measure(self) -> None:
        super()._measure()
        self._queue = deque(moment - UNCOUNTED for moment in self._queue)

    def _give_up(self, now: int) -> None:
        while self._queue and _of(self._queue[0]) < now - self._settings.timeout:
            self._count(self._queue.popleft(), "unsent")
        super()._give_up(now)
        if (
            self._queue
            and not self._free
            and len(self._open) - len(self._leaving) < self._settings.connections
        ):
            self._connect(self._queue.popleft(), now)


def _of(moment: int) -> int:
    """When it was, also of one that isn't counted."""
    return moment if moment > MEASURED else moment + UNCOUNTED
