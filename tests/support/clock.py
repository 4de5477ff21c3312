"""A clock that only moves when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools


async def settle(turns: int = 30) -> None:
    """Let everything that can run without time passing run."""
    for _ in range(turns):
        await asyncio.sleep(0)


class FakeClock:
    """Implements ``eas_engine.clock.Clock``.

    ``advance`` goes from sleeper to sleeper, in the order of their deadlines, and lets the loop run after
    each: a sleeper that sleeps again within the time advanced is woken again. ``jump`` moves the hands and
    wakes those who are due without giving them a turn.
    """

    def __init__(self, now: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._now = now
        self._epoch = wall - now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._epoch + self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many wait for time to pass."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    @property
    def next_deadline(self) -> float | None:
        """When the first sleeper is due, None without one."""
        return min((when for when, _, woken in self._sleepers if not woken.done()), default=None)

    def jump(self, seconds: float) -> None:
        """Move on by ``seconds`` in one go."""
        target = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= target:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        self._now = target

    async def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, waking sleepers in order and letting the loop settle after each."""
        target = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            self.jump(max(0.0, self._sleepers[0][0] - self._now))
            await settle()
        self._now = target
        await settle()
