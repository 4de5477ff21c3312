"""Takes batches out of the line, as ``cut`` decides; the one timer of batching is here.

Whoever knows the hosts (``workers.batch_pool``) asks for a batch when something has changed, and is called
when the instant comes that the cut waits for.

A request's *batch wait* is the part of its waiting in which a worker thread was idle: what batching has cost
it. The rest is waiting for a thread, as without batching.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from eas_engine.batching.cut import Hosts, Rules, Waiting, cut
from eas_engine.batching.pace import Pace

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.admission.backlog import Backlog
    from eas_engine.request import Ticket
    from eas_engine.telemetry.counters import Counters

_SHORTEST: Final = 0.001
"""Seconds: a timer set for less would ring early, and again, and again."""


class Batch(NamedTuple):
    """Requests that go together, longest waiting first, and why now."""

    tickets: list[Ticket]
    reason: str


class Batcher:
    """Batches of one service."""

    def __init__(
        self,
        backlog: Backlog,
        rules: Rules,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        counters: Counters,
    ) -> None:
        self.rules = rules
        self.pace = Pace(rules.max_batch_size)
        self.draining = False
        self._backlog, self._line = backlog, backlog.line
        self._loop, self._clock, self._counters = loop, clock, counters
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = math.inf
        self._look: Callable[[], None] | None = None
        self._idle_since = math.inf  # since when there is an idle thread without an interruption, if there is

    def __repr__(self) -> str:
        return f"<Batcher {self.pace!r}, looks again at {self._look_at}>"

    def call(self, look: Callable[[], None]) -> None:
        """Whom to call when it is time to ask for a batch."""
        self._look = look

    def configure(self, rules: Rules) -> None:
        """Other rules from now on: whoever asks next is told by them. The old ones' timer is stopped."""
        self.rules = rules
        self.pace.resize(rules.max_batch_size)
        self._stop_timer()

    def take(self, hosts: Hosts, most: int) -> Batch | None:
        """The next batch, of `most` requests at most, out of the line; None: not now."""
        now = self._clock()
        if not hosts.idle:
            self._idle_since = math.inf
        elif self._idle_since == math.inf:
            self._idle_since = now
        full = min(self.pace.full, most)
        decided = cut(
            self._waiting(full),
            now,
            self.rules,
            hosts,
            full=full,
            seconds=self.pace.seconds,
            draining=self.draining,
        )
        if not decided.requests:
            self._wait_for(decided.look, now)
            return None
        tickets = self._backlog.take(decided.requests)
        self._note_waits(tickets, now)
        return Batch(tickets, decided.reason)

    def close(self) -> None:
        """Look no more."""
        self._stop_timer()

    def _waiting(self, full: int) -> Waiting:
        """Of everybody; when there are enough for a full batch nobody asks for their instants."""
        count, oldest, deadline = len(self._line), math.inf, math.inf
        if count < full:
            for ticket in self._line:
                oldest = min(oldest, ticket.arrived)
                deadline = min(deadline, ticket.deadline)
        return Waiting(count, oldest, deadline)

    def _note_waits(self, tickets: list[Ticket], now: float) -> None:
        histogram, total = self._counters.batch, 0
        for ticket in tickets:
            waited = now - max(ticket.queued, self._idle_since)
            ticket.batched = waited = max(0.0, waited)
            microseconds = int(waited * 1e6)
            histogram[microseconds.bit_length()] += 1
            total += microseconds
        self._counters.batch_us += total

    def _wait_for(self, instant: float, now: float) -> None:
        """The timer rings at `instant`, or before: then it is set again."""
        if instant >= self._look_at:
            return
        self._stop_timer()
        self._look_at = instant
        self._timer = self._loop.call_later(max(_SHORTEST, instant - now), self._ring)

    def _ring(self) -> None:
        self._timer, self._look_at = None, math.inf
        if self._look is not None:
            self._look()

    def _stop_timer(self) -> None:
        self._look_at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
