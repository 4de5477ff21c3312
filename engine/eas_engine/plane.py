"""The data plane of one service: gate, lanes and gateway, joined.

Everything here lives on one loop and is mutated only from it. The control plane (``supervisor``) knows it as
a maker of channels; it tells the plane what the fleet is like, and the plane tells it which host is stuck.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eas_engine.admission.gate import Fleet, Gate, Limits
from eas_engine.errors import Draining, InstanceCrashed, ServiceStopped
from eas_engine.gateway.front import Front, Log, Rules
from eas_engine.gateway.threads import IoThreads
from eas_engine.request import UNKNOWN
from eas_engine.telemetry.counters import Counters
from eas_engine.workers.bodies import Bodies
from eas_engine.workers.lane import Ground, Kind
from eas_engine.workers.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.batching.cut import Rules as BatchRules
    from eas_engine.clock import Clock
    from eas_engine.errors import Refusal
    from eas_engine.gateway.access import AccessLog
    from eas_engine.request import Ticket
    from eas_engine.supervisor.observe import FleetSnapshot
    from eas_engine.telemetry.comparison import Comparison, ShadowComparison
    from eas_engine.workers.link import Link

_TICK = 1.0
_OFTEN = 0.05
_TOO_LATE = "the service has ended before it came to this request"
_LAST_MOMENT = 0.5  # seconds for clients to close connections that the engine has ended


@dataclass(frozen=True)
class PlaneSettings:
    """Everything that can be changed at once, without another process.

    Attributes:
        rules: which requests are for the service, and who may call.
        limits: what one instance takes; ``threads`` counts until an instance has said its own number.
        inflight: bytes of all bodies (``rpc.max_inflight_bytes``).
        stuck_ms: ``rpc.stuck_timeout``; None: ten times the keepalive.
        retry: ``rpc.retry_on_crash``.
        batching: by which rules requests leave together. Whether they do at all is settled when a lane is
            made: one that batches goes on by its last rules when this is None, and one that doesn't ignores
            this.
        io_threads: that inflate bodies, and as many that compress answers.
        keepalive_given: ``limits.keepalive`` was set; else a processor's own (``Plane.keep_alive``) counts.
    """

    rules: Rules
    limits: Limits
    inflight: int
    stuck_ms: int | None = None
    retry: bool = False
    batching: BatchRules | None = None
    io_threads: int = 1
    keepalive_given: bool = True


@dataclass(frozen=True)
class Reports:
    """Whom the plane tells about hosts: the supervisor's ``stuck`` and ``broken``."""

    stuck: Callable[[str], None]
    broken: Callable[[str, str], None]


class Plane:
    """Requests of one service, from the listening socket to the links and back."""

    def __init__(
        self,
        settings: PlaneSettings,
        *,
        prefix: str,
        clock: Clock,
        log: Log,
        descriptors: int,
        access: AccessLog | None = None,
    ) -> None:
        """``descriptors``: how many the process may have (``gateway.room``)."""
        loop = asyncio.get_running_loop()
        self._clock, self._settings = clock, settings
        self._reports: Reports | None = None
        self._processors_keepalive: float | None = None
        self._slept = False
        self.on_wake: Callable[[], None] = lambda: None
        """Called when a request was admitted while the service was asleep."""
        self.counters = Counters()
        self.bodies = Bodies(settings.inflight)
        self.gate = Gate(settings.limits, loop=loop, clock=clock.now, refuse=self._refuse)
        self.gate.on_wake = self._wake
        ground = Ground(
            gate=self.gate,
            bodies=self.bodies,
            counters=self.counters,
            loop=loop,
            clock=clock.now,
            request_prefix=prefix,
            broken=self._broken,
        )
        self.lanes = Lanes(ground, settings.batching, retry=settings.retry, log=log)
        self.io_threads = IoThreads(settings.io_threads, loop)
        self.answer_threads = IoThreads(settings.io_threads, loop)
        self.front = Front(
            settings.rules,
            gate=self.gate,
            bodies=self.bodies,
            counters=self.counters,
            submit=self.lanes.main.pool.submit,
            look=self.lanes.main.pool.look,
            loop=loop,
            log=log,
            request_prefix=prefix,
            threads=self.io_threads,
            answer_threads=self.answer_threads,
            descriptors=descriptors,
            access=access,
        )
        self.lanes.lead = self.front.lead

    def __repr__(self) -> str:
        return f"<Plane {self.front!r} {self.lanes!r}>"

    @property
    def settings(self) -> PlaneSettings:
        """In force now."""
        return self._settings

    def configure(self, settings: PlaneSettings) -> None:
        """Other settings from now on. Hosts aren't touched, and requests that are in keep their deadlines."""
        self._settings = settings
        self.bodies.budget.configure(settings.inflight)
        self.front.configure(settings.rules)
        self.gate.configure(
            replace(settings.limits, threads=self.gate.limits.threads, keepalive=self._keepalive())
        )
        self.lanes.retry(on=settings.retry)
        self.lanes.configure(settings.batching)
        self.io_threads.configure(settings.io_threads)
        self.answer_threads.configure(settings.io_threads)

    # -- for the supervisor

    def report_to(self, reports: Reports) -> None:
        """Whom to tell about hosts."""
        self._reports = reports

    def channel(self, name: str, release: int = 0) -> Link:
        """The data plane's side of a new host of that release."""
        return self.lanes.link(name, release)

    def observe(self, fleet: FleetSnapshot) -> None:
        """The instances have changed."""
        self.front.room.configure(len(fleet.hosts))
        shadows = self.lanes.see(frozenset(host.name for host in fleet.hosts))
        if shadows:  # what they hold is no place for a request
            serving = (one for one in fleet.instances if not any(host.name in shadows for host in one.hosts))
            fleet = replace(fleet, instances=tuple(serving))
        due = fleet.next_start_due
        self._slept = self._slept or fleet.asleep
        self.gate.configure(replace(self.gate.limits, threads=fleet.threads))
        self.gate.observe(
            Fleet(
                live=fleet.admitting_or_starting_count,
                ever_ready=fleet.ever_ready or self._slept,
                next_start=due if 0.0 < due < math.inf else None,
                hopeless="no instance will be started again" if math.isinf(due) else "",
                asleep=fleet.asleep,
                stopped=fleet.stopped,
            )
        )
        self.lanes.settle()
        if fleet.stopped and not self.lanes.links():
            self._end_all(ServiceStopped())

    def overdue(self) -> dict[str, int]:
        """How many requests each host has had for longer than ``rpc.keepalive``. Only reads."""
        now, keepalive = self._clock.now(), self.gate.keepalive
        return {one.name: one.overdue(now, keepalive) for one in self.lanes.links()}

    def delay(self, count: int) -> str:
        """What is the matter with a ready instance that has so many requests overdue; empty: nothing."""
        if not count:
            return ""
        calls = "1 request has" if count == 1 else f"{count} requests have"
        ends = f"ended as stuck after {self._stuck_seconds():g} s"
        return f"{calls} been in it for longer than rpc.keepalive ({self.gate.keepalive:g} s); {ends}"

    def keep_alive(self, milliseconds: int) -> None:
        """The effective ``rpc.keepalive`` of a host is known: the processor's own, where none was set."""
        self._processors_keepalive = milliseconds / 1000
        self.gate.configure(replace(self.gate.limits, keepalive=self._keepalive()))

    # -- for several releases: see ``workers.lanes``

    def open_lane(self, release: int, kind: Kind, batching: BatchRules | None) -> None:
        """Hosts of this release, made from now on, get a lane of their own.

        Raises:
            ValueError: it has hosts already, another one is being tried out, or the share is none.
        """
        self.lanes.open(release, kind, batching)

    def merge_lane(self, release: int) -> None:
        """Its hosts and who waits for them join main, or take from main's line if only one of them batches.

        Raises:
            LookupError: it has no lane.
        """
        self.lanes.merge(release)

    def close_lane(self, release: int) -> None:
        """Its hosts, which are about to leave, get nothing new; who waits for them goes to main.

        Raises:
            LookupError: it has no lane.
        """
        self.lanes.close(release)

    def comparison(self, release: int) -> Comparison | ShadowComparison:
        """How the release that is being tried out does.

        Raises:
            LookupError: it isn't, or not any more.
        """
        return self.lanes.comparison(release)

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

    def pause(self, *, paused: bool) -> None:
        """Whether an operator wants nobody to be admitted; connections, hosts and who is in stay."""
        self.gate.pause(paused=paused)

    def drain(self) -> None:
        """Refuse whoever comes from now on; connections end behind the answers that they wait for."""
        self.gate.drain()
        self.lanes.drain()
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
        self._end_all(Draining(_TOO_LATE))
        self.lanes.shut()
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
        self.bodies.close()

    def _keepalive(self) -> float:
        settings = self._settings
        if settings.keepalive_given or self._processors_keepalive is None:
            return settings.limits.keepalive
        return self._processors_keepalive

    def _stuck_seconds(self) -> float:
        if self._settings.stuck_ms is not None:
            return self._settings.stuck_ms / 1000
        return 10 * self.gate.keepalive

    def _look_for_stuck_calls(self) -> None:
        now, longest = self._clock.now(), self._stuck_seconds()
        for link in self.lanes.links():
            if link.find_stuck(now, longest) and self._reports is not None:
                self._reports.stuck(link.name)

    def _end_all(self, refusal: Refusal) -> None:
        """Nobody will come to whoever is in."""
        for ticket in self.gate.deadlines.tickets():
            begun = ticket.begun == UNKNOWN
            self._refuse(ticket, InstanceCrashed() if begun else refusal, self._clock.now())

    def _wake(self) -> None:
        self.on_wake()

    def _refuse(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        self.front.expire(ticket, refusal, now)

    def _broken(self, name: str, why: str) -> None:
        if self._reports is not None:
            self._reports.broken(name, why)
