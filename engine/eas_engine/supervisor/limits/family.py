"""A process and all that descend from it: who they are, and how much memory they have together.

Resident memory counts pages that processes share once for each of them. It is cheap, and never too little;
so what is more than the limit is counted again by *proportional* shares (``Pss``: a page of three processes
counts a third in each), for which the kernel walks the page tables. What was swapped out counts, too.

Members are remembered: one whose parent has ended, or that took a session of its own, still belongs to it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import NamedTuple


class Member(NamedTuple):
    """One process, told from a later one with the same number by when it started (clock ticks)."""

    pid: int
    started: int


class Family:
    """The process and its descendants.

    Args:
        pid: of the first one.
        proc: where the kernel's files are.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: set[Member] = set()
        started = self._started(pid)
        if started is not None:
            self._known.add(Member(pid, started))

    def __repr__(self) -> str:
        return f"<Family {sorted(self._known)}>"

    def members(self) -> frozenset[Member]:
        """Those that are alive now."""
        alive = {one for one in self._known if self._started(one.pid) == one.started}
        waiting = list(alive)
        while waiting:
            for pid in self._children(waiting.pop().pid):
                started = self._started(pid)
                child = None if started is None else Member(pid, started)
                if child is not None and child not in alive:
                    alive.add(child)
                    waiting.append(child)
        self._known = alive
        return frozenset(alive)

    def memory(self, limit: int | None = None) -> int:
        """Bytes that they have, rather too much than too little; exact when that is more than ``limit``."""
        members = self.members()
        resident = sum(self._status(one.pid) for one in members)
        if limit is None or resident <= limit:
            return resident
        return min(resident, sum(self._share(one.pid) for one in members))

    def kill(self) -> None:
        """SIGKILL to all of them."""
        for one in self.members():
            with contextlib.suppress(OSError):
                os.kill(one.pid, signal.SIGKILL)

    def _children(self, pid: int) -> list[int]:
        found: list[int] = []
        with contextlib.suppress(OSError):
            for thread in (self._proc / str(pid) / "task").iterdir():
                with contextlib.suppress(OSError):
                    found += map(int, (thread / "children").read_text().split())
        return found

    def _started(self, pid: int) -> int | None:
        """When it started; None when it is gone, or dead and only not reaped."""
        try:
            fields = (self._proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in ("Z", "X") else int(fields[19])

    def _status(self, pid: int) -> int:
        return self._sum(pid, "status", ("VmRSS:", "VmSwap:"))

    def _share(self, pid: int) -> int:
        return self._sum(pid, "smaps_rollup", ("Pss:", "SwapPss:")) or self._status(pid)

    def _sum(self, pid: int, file: str, names: tuple[str, ...]) -> int:
        """Bytes of some lines of a file that has kB; 0 when it can't be read."""
        total = 0
        with contextlib.suppress(OSError):
            for line in (self._proc / str(pid) / file).read_text().splitlines():
                words = line.split()
                if words and words[0] in names:
                    total += int(words[1]) * 1024
        return total
