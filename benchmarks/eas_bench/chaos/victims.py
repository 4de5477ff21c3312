"""The instances of an engine as processes, which somebody kills."""

from __future__ import annotations

import asyncio
import random
import time

import psutil

from eas_bench.servers import NotServing
from eas_bench.trend import Sample

_LOOK = 0.02
_SPREAD = 0.05
_START_WITHIN = 300.0


class Victims:
    """The instances of an engine, as processes."""

    def __init__(self, pid: int) -> None:
        self._engine = psutil.Process(pid)

    def wait(self, count: int) -> None:
        """Until so many are there. Errors: NotServing."""
        until = time.monotonic() + _START_WITHIN
        while len(self._hosts()) < count:
            if time.monotonic() > until:
                raise NotServing(f"{len(self._hosts())} of {count} instances have started")
            time.sleep(_LOOK)

    async def kill_oldest(self) -> int:
        """SIGKILL to the one that has lived longest: it is ready, and its earlier deaths are forgotten.

        By a process of its own, after a moment: whenever this one, which also is the clients, has its turn,
        what it has asked for is answered already, as a rule, and the victim would die with nothing to do.
        How many were killed: none, when it ended by itself in that moment.
        """
        hosts = self._hosts()
        if not hosts:
            return 0
        moment = random.uniform(0.0, _SPREAD)  # noqa: S311 - nothing secret
        told = f"sleep {moment:.4f}; kill -KILL {hosts[0].pid} 2>/dev/null"
        killer = await asyncio.create_subprocess_exec("sh", "-c", told)
        return int(await killer.wait() == 0)

    def sample(self, seconds: float) -> Sample:
        """The engine now."""
        with self._engine.oneshot():
            memory = self._engine.memory_info()
            return Sample(seconds, memory.rss - memory.shared, self._engine.num_fds())

    def _hosts(self) -> list[psutil.Process]:
        living = []
        for child in self._engine.children():
            try:
                if child.status() != psutil.STATUS_ZOMBIE:
                    living.append((child.create_time(), child.pid, child))
            except psutil.NoSuchProcess:
                continue
        return [child for _, _, child in sorted(living)]
