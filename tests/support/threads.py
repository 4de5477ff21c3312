"""Threads that work when a test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from support.loop import FakeLoop


class FakeThreads:
    """Work is done in the loop's next turn, or with ``held`` when ``finish`` is called."""

    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop
        self.held = False
        self.waiting: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self.count = 0  # pieces of work so far

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """See ``gateway.threads.Threads``."""
        self.count += 1
        self.waiting.append((work, done))
        if not self.held:
            self._loop.call_soon(self.finish)

    def finish(self) -> None:
        """Do the oldest work; its result is on the loop, as a thread would bring it."""
        work, done = self.waiting.popleft()
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits is told
            result = error
        self._loop.call_soon(done, result)
