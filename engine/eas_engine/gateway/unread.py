"""Answers that wait in memory because their clients don't read them.

A connection has one answer at most (nothing more is done for a client before it has read), and each answer is
in memory once: in the engine if it is small, in its host's arena if it is large. But its place in the queue
is free again, so many slow readers of large answers together could fill the memory. Together they may have
``limit`` bytes; over it, those that have been slow for longest are cut off.

The last one is never cut off, so one answer may be larger than the limit. What the kernel and the transports
take before they call a client slow (64 KiB for each connection) isn't counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from eas_engine.telemetry.counters import Counters


class Reader(Protocol):
    """A connection whose client is slow."""

    @property
    def unsent(self) -> int:
        """Bytes of its answer that haven't left."""

    def abort(self) -> None:
        """Close it now."""


class Unread:
    """Bytes that slow readers keep."""

    def __init__(self, limit: int, counters: Counters) -> None:
        self.limit = limit
        self.total = 0
        self._counters = counters
        self._slow: dict[Reader, int] = {}  # who has been slow for longest comes first

    def __repr__(self) -> str:
        return f"<Unread {self.total} of {self.limit} bytes, {len(self._slow)} readers>"

    def hold(self, reader: Reader) -> None:
        """It is slow, and this much is unsent now."""
        self._note(reader)
        if self.total <= self.limit:
            return
        for one in self._slow:  # they may have read something since
            self._note(one)
        while self.total > self.limit and len(self._slow) > 1:
            slowest = next(iter(self._slow))
            self.drop(slowest)
            self._counters.answers_cut += 1
            slowest.abort()

    def drop(self, reader: Reader) -> None:
        """It has caught up, or it is gone."""
        self.total -= self._slow.pop(reader, 0)

    def _note(self, reader: Reader) -> None:
        unsent = reader.unsent
        self.total += unsent - self._slow.get(reader, 0)
        self._slow[reader] = unsent
