"""The threads of ``rpc.io_threads``: long work on bodies that releases the GIL, away from the loop.

Threads are started when there is something to do for them, so a service that compresses nothing has none.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Threads(Protocol):
    """Where long work goes."""

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do `work` elsewhere; afterwards `done` is called on the loop, with the result or the exception."""


class IoThreads:
    """At most ``count`` threads of one engine."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.count = count
        self._loop = loop
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="eas-io")

    def __repr__(self) -> str:
        return f"<IoThreads {self.count}>"

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """See ``Threads``."""

        def tell(future: Future[Any]) -> None:
            if future.cancelled():
                return
            result = future.exception() or future.result()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(done, result)

        self._pool.submit(work).add_done_callback(tell)

    def close(self) -> None:
        """What wasn't begun won't be; doesn't wait for the rest."""
        self._pool.shutdown(wait=False, cancel_futures=True)
