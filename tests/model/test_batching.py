"""Everything that can happen to requests, in any order, while they leave in batches (``rpc.batching``).

What ``test_data_plane`` asks for must hold here, too, and beside it:

* a batch has at least one request and at most a full one, its frames stand together, and no host has more of
  them than threads and one ahead, which is full;
* with ``batch_when_idle`` nobody waits beside an idle thread; without it nobody waits there beyond what the
  latency contract (``batching.cut``) allows;
* the metrics account for every batch that was worked on.
"""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from eas_engine.batching.cut import REASONS, Rules, Waiting, begin_by
from eas_engine.workers.batch_link import BatchLink
from model.test_data_plane import THREADS, DataPlane, Retrying, pick
from support.wire_host import Call, WireHost

MOST = 3
TIMERS = 0.0011
"""Seconds that a timer may be late: it is never set for less than a millisecond."""


class Batching(DataPlane):
    """The same with ``rpc.batching`` and ``batch_when_idle``."""

    batching = Rules(MOST, 0.05, when_idle=True)

    @property
    def links(self) -> list[BatchLink]:
        return [host.link for host in self.parts.hosts if isinstance(host.link, BatchLink)]

    # -- hosts: a thread takes a whole unit

    def free(self) -> list[tuple[WireHost, Call]]:
        """What a thread could take: units are begun in the order in which they came."""
        found = []
        for host in self.parts.hosts:
            host.read()
            waiting = [unit for unit in host.units if not unit.begun]
            if waiting and sum(unit.begun > 0 for unit in host.units) < THREADS:
                found.append((host, waiting[0].calls[0]))
        return found

    @precondition(lambda self: self.free())
    @rule(n=pick)
    def thread_takes(self, n: int) -> None:
        free = self.free()
        self.begin(*free[n % len(free)])

    def begin(self, host: WireHost, call: Call) -> None:
        for one in [one for one in call.unit.calls if not one.began]:
            super().begin(host, one)

    @precondition(lambda self: self.parts.hosts)
    @rule(n=pick, rows=st.sampled_from([1, 1, 1, 2, 4]))
    def requests_have_other_sizes(self, n: int, rows: int) -> None:
        self.parts.hosts[n % len(self.parts.hosts)].rows = rows

    @precondition(lambda self: len(self.tickets) > 12)
    @rule()
    def engine_drains(self) -> None:
        self.parts.pool.drain()
        super().engine_drains()

    # -- what must hold

    def due(self) -> float:
        """When somebody must go although there is no other reason."""
        assert self.parts.batcher is not None
        batcher, line = self.parts.batcher, self.parts.backlog.line
        if batcher.rules.when_idle or batcher.draining or len(line) >= batcher.pace.full:
            return -math.inf
        oldest, deadline = min(t.arrived for t in line), min(t.deadline for t in line)
        waiting = Waiting(len(line), oldest, deadline)
        return min(oldest + batcher.rules.timeout, begin_by(waiting, batcher.pace.seconds))

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        if not self.parts.backlog or self.parts.loop.ready:  # the end of the turn is to come
            return
        if any(link.free_threads() > 0 for link in self.links):
            assert self.due() > self.parts.loop.now - TIMERS, "waits beside an idle thread"
        assert self.parts.batcher is not None
        if len(self.parts.backlog) >= self.parts.batcher.pace.full:
            assert not any(link.room() for link in self.links), "a full batch waits although there is room"

    @invariant()
    def batches_are_no_larger_and_no_more_than_allowed(self) -> None:
        for host in self.parts.hosts:
            host.read()
            assert all(1 <= unit.size <= MOST for unit in host.units)
        for link in self.links:
            assert 0 <= link.units <= link.credit.threads + 1
            assert link.count <= MOST * link.units
            assert link.busy() <= link.units

    @invariant()
    def metrics_account_for_batches(self) -> None:
        counters = self.parts.counters
        assert set(counters.batches) <= set(REASONS)
        reported = sum(counters.batch_sizes)
        assert reported <= sum(counters.batches.values())
        assert reported == counters.batch_calls
        assert sum(counters.batch) >= counters.batch_requests >= reported

    def finish(self) -> None:
        super().finish()
        assert all(link.units == 0 for link in self.links)


Batching.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, report_multiple_bugs=False
)
TestBatching = Batching.TestCase


class Waits(Batching):
    """The same without ``batch_when_idle``."""

    batching = Rules(MOST, 0.05, when_idle=False)


Waits.TestCase.settings = Batching.TestCase.settings
TestWaits = Waits.TestCase


class RetryingBatches(Batching, Retrying):
    """Batches with ``rpc.retry_on_crash``: a suspect is a batch of its own."""


RetryingBatches.TestCase.settings = Batching.TestCase.settings
TestRetryingBatches = RetryingBatches.TestCase
