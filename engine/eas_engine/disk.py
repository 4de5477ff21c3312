"""The one thread of an engine that waits for its disk, so that the loop never does.

A disk that is busy, or a file system that is far away, may take seconds for one ``fsync``; the loop, which
answers every request of the service, must not be held by it. Whatever is written while the service serves
goes through here, in the order in which it was asked for: one thread, one line.

What is only read (a configuration, artifacts) goes to other threads, so that no write has to wait for it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from eas_engine.clock import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.clock import Clock

P = ParamSpec("P")
T = TypeVar("T")

MOST: Final = 10_000
"""Pieces of work that wait at most; of what nobody waits for, more are dropped."""


class Disk:
    """Lives on one loop. ``failed`` is told what raised, of what nobody waits for."""

    def __init__(self, clock: Clock, failed: Callable[[Exception], object]) -> None:
        self._clock = clock
        self._failed = failed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._waiting: set[asyncio.Future[Any]] = set()

    def __repr__(self) -> str:
        return f"<Disk {len(self._waiting)} waiting>"

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Its result, or what it raises. It is done also if whoever waits for it is cancelled."""
        return await asyncio.shield(self.begin(partial(work, *args, **kwargs)))

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """It is asked for now; what becomes of it. Who cancels that takes back what hasn't begun."""
        ended = asyncio.wrap_future(self._thread.submit(work))
        self._waiting.add(ended)
        ended.add_done_callback(self._waiting.discard)
        return ended

    def later(self, work: Callable[[], object]) -> None:
        """Nobody waits for it. Dropped if the disk has been stuck for very long."""
        if len(self._waiting) < MOST:
            self.begin(work).add_done_callback(self._ended)

    async def settled(self, seconds: float) -> bool:
        """Wait until all that was asked for before is done; False: that takes longer."""
        before = set(self._waiting)
        if not before:
            return True
        return await wait_until(self._clock, self._clock.now() + seconds, asyncio.wait(before))

    async def close(self) -> None:
        """Return when everything is done. Nothing more can be asked for."""
        await asyncio.to_thread(self._thread.shutdown)

    def _ended(self, work: asyncio.Future[Any]) -> None:
        error = None if work.cancelled() else work.exception()
        if isinstance(error, Exception):
            self._failed(error)
