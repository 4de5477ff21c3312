"""The data plane of one service: gate, backlog, pool and gateway, joined.

Everything here lives on one loop and is mutated only from it. The control plane (``supervisor``) knows it as
a maker of channels; it tells the plane what the fleet is like, and the plane tells it which host is stuck.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from eas_engine.admission.backlog import Backlog
from eas_engine.admission.gate import Fleet, Gate, Limits
from eas_engine.batching.batcher import Batcher
from eas_engine.errors import Draining, InstanceCrashed
from eas_engine.gateway.front import Front, Log, Rules
from eas_engine.gateway.threads import IoThreads
from eas_engine.request import UNKNOWN
from eas_engine.telemetry.counters import Counters
from eas_engine.workers.batch_link import BatchLink
from eas_engine.workers.batch_pool import BatchPool
from eas_engine.workers.bodies import Bodies
from eas_engine.workers.link import Link
from eas_engine.workers.pool import Pool
from eas_engine.workers.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.batching.cut import Rules as BatchRules
    from eas_engine.clock import Clock
    from eas_engine.errors import Refusal
    from eas_engine.gateway.access import AccessLog
    from eas_engine.request import Ticket
    from eas_engine.supervisor.observe import FleetSnapshot

_TICK = 1.0
_OFTEN = 0.05
_TOO_LATE = "the service has ended before it came to this request"
_LAST_MOMENT = 0.5  # seconds for clients to close connections that the engine has ended


@dataclass(frozen=True)
class Reports:
    """Whom the plane tells about hosts: the supervisor's ``stuck`` and ``broken``."""

    stuck: Callable[[str], None]
    broken: Callable[[str, str], None]


class Plane:
    """Requests of one service, from the listening socket to the links and back."""

    def __init__(
        self,
        rules: Rules,
        limits: Limits,
        *,
        inflight: int,
        stuck_ms: int | None,
        retry: bool = False,
        batching: BatchRules | None = None,
        prefix: str,
        clock: Clock,
        log: Log,
        descriptors: int,
        io_threads: int = 1,
        access: AccessLog | None = None,
    ) -> None:
        """``descriptors``: how many the process may have (``gateway.room``)."""
        loop = asyncio.get_running_loop()
        self._loop, self._clock, self._prefix = loop, clock, prefix
        self._stuck_ms = stuck_ms
        self.counters = Counters()
        self.bodies = Bodies(inflight)
        self.backlog = Backlog()
        self.pool, self._link = self._without_batches() if batching is None else self._with_batches(batching)
        if retry:
            self.pool.quarantine = Quarantine(
                self.pool, loop=loop, clock=clock.now, counters=self.counters, log=log
            )
        self.gate = Gate(limits, loop=loop, clock=clock.now, refuse=self._refuse)
        self.io_threads = IoThreads(io_threads, loop)
        self.answer_threads = IoThreads(io_threads, loop)
        self.front = Front(
            rules,
            gate=self.gate,
            bodies=self.bodies,
            counters=self.counters,
            submit=self.pool.submit,
            look=self.pool.look,
            loop=loop,
            log=log,
            request_prefix=prefix,
            threads=self.io_threads,
            answer_threads=self.answer_threads,
            descriptors=descriptors,
            access=access,
        )
        self._reports: Reports | None = None

    def __repr__(self) -> str:
        return f"<Plane {self.front!r} {self.pool!r}>"

    # -- for the supervisor

    def report_to(self, reports: Reports) -> None:
        """Whom to tell about hosts."""
        self._reports = reports

    def channel(self, name: str, release: int = 1) -> Link:
        """The data plane's side of a new host, of the release with that number: one line for all of them."""
        link = self._link(
            name,
            pool=self.pool,
            gate=self.gate,
            bodies=self.bodies,
            counters=self.counters,
            loop=self._loop,
            clock=self._clock.now,
            request_prefix=self._prefix,
            broken=self._broken,
        )
        self.pool.add(link)
        return link

    def observe(self, fleet: FleetSnapshot) -> None:
        """The instances have changed."""
        due = fleet.next_start_due
        if self.pool.quarantine is not None:
            self.pool.quarantine.hosts = len(fleet.hosts)
        self.front.room.configure(sum(len(instance.hosts) for instance in fleet.instances))
        self.gate.configure(replace(self.gate.limits, threads=fleet.threads))
        self.gate.observe(
            Fleet(
                live=fleet.admitting_or_starting_count,
                ever_ready=fleet.ever_ready,
                next_start=due if 0.0 < due < math.inf else None,
                hopeless="no instance will be started again" if math.isinf(due) else "",
            )
        )

    def keep_alive(self, milliseconds: int) -> None:
        """The effective ``rpc.keepalive`` is known."""
        self.gate.configure(replace(self.gate.limits, keepalive=milliseconds / 1000))

    # -- its own life

    async def tick(self) -> None:
        """Until cancelled: what no request causes, once a second; stuck calls as often as need be."""
        ticked = self._clock.now()
        while True:
            await self._clock.sleep(min(_TICK, max(_OFTEN, self._stuck_seconds() / 4)))
            self._look_for_stuck_calls()
            if self._clock.now() - ticked >= _TICK:
                ticked = self._clock.now()
                self.front.tick()

    def drain(self) -> None:
        """Refuse whoever comes from now on; connections end behind the answers that they wait for."""
        self.gate.drain()
        self.pool.drain()
        self.front.closing = True

    async def wait_empty(self) -> None:
        """Until no admitted request is left, and no answer on its way to a client that reads slowly."""
        while self.gate.count or self.front.writing():
            await self._clock.sleep(0.005)

    async def close(self) -> None:
        """End what is left. Nobody is listening any more, and there are no hosts.

        Who still waits (the grace period was too short) is told so; what was begun and would have been tried
        once more may have had effects.
        Connections are half-closed first and given a moment: a client whose next request is on its way now
        sees a clean end without an answer, which says that it wasn't begun, instead of a reset.
        """
        self.front.closing = True
        for ticket in self.gate.deadlines.tickets():
            begun = ticket.begun == UNKNOWN
            self._refuse(ticket, InstanceCrashed() if begun else Draining(_TOO_LATE), self._clock.now())
        if self.pool.quarantine is not None:
            self.pool.quarantine.close()
        for connection in tuple(self.front.connections):
            connection.hang_up()
        until = self._clock.now() + _LAST_MOMENT
        while self.front.connections and self._clock.now() < until:
            await self._clock.sleep(0.005)
        for connection in tuple(self.front.connections):
            connection.abort()
        self.gate.deadlines.close()
        self.io_threads.close()
        self.answer_threads.close()
        self.pool.close()
        self.bodies.close()

    def _without_batches(self) -> tuple[Pool, Callable[..., Link]]:
        return Pool(self.backlog, self._loop), Link

    def _with_batches(self, rules: BatchRules) -> tuple[Pool, Callable[..., Link]]:
        batcher = Batcher(self.backlog, rules, loop=self._loop, clock=self._clock.now, counters=self.counters)
        return BatchPool(self.backlog, self._loop, batcher), partial(BatchLink, pace=batcher.pace)

    def _stuck_seconds(self) -> float:
        if self._stuck_ms is not None:
            return self._stuck_ms / 1000
        return 10 * self.gate.keepalive

    def _look_for_stuck_calls(self) -> None:
        now, longest = self._clock.now(), self._stuck_seconds()
        for link in tuple(self.pool.links):
            if link.find_stuck(now, longest) and self._reports is not None:
                self._reports.stuck(link.name)

    def _refuse(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        self.front.expire(ticket, refusal, now)

    def _broken(self, name: str, why: str) -> None:
        if self._reports is not None:
            self._reports.broken(name, why)
