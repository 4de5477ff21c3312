"""Time as an object: whoever waits or measures is given a ``Clock``, and tests give one that jumps.

This is the only module of the engine that touches ``time`` and ``asyncio.sleep`` (a few hot-path files that
read the monotonic clock directly say so at their head). Instants are monotonic seconds; ``wall()`` is only
for showing a time to people.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Any, Protocol


class Clock(Protocol):
    """What the engine knows about time."""

    def now(self) -> float:
        """Monotonic seconds; only differences and comparisons mean something."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch, for display; may jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return no earlier than ``seconds`` from now; after one turn of the loop if not positive."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """See ``Clock``."""
        return time.monotonic()

    def wall(self) -> float:
        """See ``Clock``."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        await asyncio.sleep(max(0.0, seconds))


async def wait_any(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when the first of them has finished; the others are cancelled. Its exception is raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def wait_until(clock: Clock, deadline: float, *waits: Coroutine[Any, Any, object]) -> bool:
    """``wait_any``, given up at ``deadline`` (monotonic; infinity = never). Says whether it was in time."""
    if math.isinf(deadline):
        await wait_any(*waits)
        return True
    late = False

    async def alarm() -> None:
        nonlocal late
        await clock.sleep(deadline - clock.now())
        late = True

    await wait_any(alarm(), *waits)
    return not late
