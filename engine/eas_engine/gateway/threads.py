"""The threads of ``rpc.io_threads``: long work on bodies that releases the GIL, away from the loop.

Threads are started when there is something to do for them, so a service that compresses nothing has none.
They are daemons, and not of ``concurrent.futures``, whose threads the interpreter waits for when it ends:
what one is in the middle of when the engine has stopped is nobody's any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

_Job = tuple[Callable[[], Any], Callable[[Any], None]]


class Threads(Protocol):
    """Where long work goes."""

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do `work` elsewhere; afterwards `done` is called on the loop, with the result or the exception."""


class IoThreads:
    """At most ``count`` threads of one engine. Its methods are the loop's."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.count = count
        self._loop = loop
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0  # that were started and not told to end
        self._open = 0  # pieces of work that haven't been told yet

    def __repr__(self) -> str:
        return f"<IoThreads {self._open} at work, {self._threads} of {self.count} started>"

    def configure(self, count: int) -> None:
        """At most so many from now on; surplus ones end when they have done what waits now."""
        self.count = count
        for _ in range(self._threads - count):
            self._threads -= 1
            self._jobs.put(None)

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """See ``Threads``."""

        def told(result: Any) -> None:
            self._open -= 1
            done(result)

        self._open += 1
        if self._threads < min(self._open, self.count):
            Thread(target=self._serve, name=f"eas-io_{self._threads}", daemon=True).start()
            self._threads += 1
        self._jobs.put((work, told))

    def _serve(self) -> None:
        """What each thread does until the end."""
        while (job := self._jobs.get()) is not None:
            work, told = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the one who waits is told
                result = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(told, result)
            del job, work, told, result  # an idle thread keeps nobody's body

    def close(self) -> None:
        """What wasn't begun won't be; doesn't wait for the rest."""
        with contextlib.suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in range(self._threads):
            self._jobs.put(None)
