"""An event loop that does nothing by itself: a test turns it, and moves its clock.

It has what the data plane uses: ``call_soon``, ``call_later``, readers and writers, ``create_future``.
``turn`` runs what is ready, looks at the descriptors without waiting, and goes on until nothing is left to
do; ``advance`` lets time pass from timer to timer.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any


class Timer:
    """What ``call_later`` returns."""

    def __init__(self, when: float, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.when = when
        self.cancelled = False
        self.call, self.arguments = call, arguments

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """A loop in a bottle. Its clock begins at the machine's, which code on the hot path reads by itself."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self.readers: dict[int, Callable[[], object]] = {}
        self.writers: dict[int, Callable[[], object]] = {}
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def call_soon(self, call: Callable[..., object], *arguments: Any, context: object = None) -> None:
        self._ready.append((call, arguments))

    def call_later(self, delay: float, call: Callable[..., object], *arguments: Any) -> Timer:
        timer = Timer(self.now + delay, call, arguments)
        heapq.heappush(self._timers, (timer.when, next(self._order), timer))
        return timer

    def add_reader(self, fd: int, call: Callable[[], object]) -> None:
        self.readers[fd] = call

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def add_writer(self, fd: int, call: Callable[[], object]) -> None:
        self.writers[fd] = call

    def remove_writer(self, fd: int) -> bool:
        return self.writers.pop(fd, None) is not None

    @property
    def timers(self) -> int:
        """How many will still ring."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    @property
    def ready(self) -> bool:
        """Whether the next turn has something to do."""
        return bool(self._ready)

    def turn(self) -> None:
        """Until there is nothing to do without time passing."""
        while True:
            while self._ready:
                call, arguments = self._ready.popleft()
                call(*arguments)
            events = self._poll()
            if not events:
                return
            for fd, event in events:
                # Neither, when one before has removed it.
                if event & ~select.POLLOUT and fd in self.readers:
                    self.readers[fd]()
                if event & ~select.POLLIN and fd in self.writers:
                    self.writers[fd]()

    def _poll(self) -> list[tuple[int, int]]:
        poll = select.poll()
        for fd in self.readers.keys() | self.writers.keys():
            poll.register(fd, select.POLLIN * (fd in self.readers) | select.POLLOUT * (fd in self.writers))
        return poll.poll(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        self.turn()
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            if not timer.cancelled:
                timer.call(*timer.arguments)
                self.turn()
        self.now = until

    def jump(self, seconds: float) -> None:
        """Time passes while the loop was busy: every timer that is due rings late."""
        self.now += seconds
        self.advance(0.0)
