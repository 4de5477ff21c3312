"""What the admin plane shows and changes: the parts of a running engine, asked in the words of operators.

Implements ``gateway.admin_source.AdminSource``. Coroutines run on the engine's loop; plain methods are called
from the admin thread, and only read.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from eas_engine import __version__, overview
from eas_engine.configuration import read
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass
from eas_engine.spec.loops import has_gil, loops
from eas_engine.supervisor.autoscale.document import document
from eas_engine.telemetry.batches import batches
from eas_engine.telemetry.status import Cleared, Load, Readiness, ServiceStatus, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eas_engine.clock import Clock
    from eas_engine.operations import Asked, Event, Operation, Plan, Update, Version
    from eas_engine.plane import Plane
    from eas_engine.prepare import Parts
    from eas_engine.supervisor.autoscale.driver import Scaler
    from eas_engine.supervisor.limits.enforcer import Enforcer
    from eas_engine.supervisor.observe import FleetSnapshot
    from eas_engine.supervisor.reconcile import Supervisor
    from eas_engine.supervisor.scene import Scenes
    from eas_engine.telemetry.events import Events
    from eas_engine.telemetry.logs import Logs
    from eas_engine.telemetry.metrics import Metrics
    from eas_engine.telemetry.tail import Tail
    from eas_engine.telemetry.window import Window
    from eas_engine.updates.updates import Updates


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The parts of an engine that runs.

    Attributes:
        started: monotonic.
        metrics: those of the configuration that holds, with its labels.
        stopping: whether the engine is ending.
        is_open: whether no token is asked for.
    """

    parts: Parts
    plane: Plane
    supervisor: Supervisor
    updates: Updates
    window: Window
    scenes: Scenes
    enforcer: Enforcer
    scaler: Scaler
    events: Events
    tail: Tail
    logs: Logs
    clock: Clock
    started: float
    metrics: Callable[[], Metrics]
    stopping: Callable[[], bool]
    is_open: Callable[[], bool]
    admin_url: Callable[[], str]


class Operators:
    """See above."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def __repr__(self) -> str:
        return f"<Operators of {self._running.updates!r}>"

    # -- read from the admin thread

    def heartbeat_age(self) -> float:
        """Seconds since the loop last came round."""
        return self._running.window.heartbeat_age

    def readiness(self) -> Readiness:
        """Whether an instance is ready, and if not, why."""
        if self._running.stopping():
            return Readiness(ready=False, reasons=("the engine is shutting down",))
        fleet = self._running.supervisor.snapshot()
        if self._running.plane.gate.paused and not fleet.stopped:
            return Readiness(ready=False, reasons=("drained by the operator: eas-engine start ends that",))
        if fleet.asleep:  # whoever sends requests only where this says ready would never wake it
            return Readiness(ready=True, reasons=fleet.reasons)
        return Readiness(ready=not fleet.reasons, reasons=fleet.reasons)

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return self._running.metrics().render(accept)

    def load(self) -> Load:
        """How full the service is."""
        running = self._running
        return overview.load(running.supervisor.snapshot(), running.plane, running.enforcer.usage)

    def workspace_id(self) -> str:
        """``metadata.workspace_id``."""
        return self._running.updates.current.loaded.spec.metadata.workspace_id

    def events(self, since: int) -> tuple[Event, ...]:
        """Those behind a number."""
        return self._running.events.since(since)

    def log_lines(self, since: int, instance: str) -> tuple[int, tuple[tuple[str, str, str], ...]]:
        """Those behind a number, and the number to ask with the next time."""
        return self._running.tail.since(since, instance)

    # -- asked on the loop

    async def plan(self, asked: Update) -> Plan:
        """What an update would do. Errors: RefusedError."""
        return await self._running.updates.plan(asked)

    async def change(self, asked: Asked) -> Operation:
        """Begin it. Errors: StartError, RefusedError."""
        return await self._running.updates.change(asked)

    async def operations(self) -> tuple[Operation, ...]:
        """Those that are remembered, oldest first."""
        return self._running.updates.book.records()

    async def versions(self) -> tuple[Version, ...]:
        """Those that are kept, oldest first."""
        return await self._running.updates.versions()

    async def configuration(self, version: int) -> Mapping[str, object] | None:
        """The effective configuration of a version, without its secrets. Errors: ConfigurationError."""
        kept = self._running.parts.history.find(version)
        if kept is None:
            return None
        try:
            checked = await asyncio.to_thread(
                read, kept.text, Path(kept.version.source), kept.version.overrides
            )
        except ConfigurationError as error:
            return {"unreadable": str(error)}
        shown = without_secrets(checked.loaded.spec.model_dump(mode="json", by_alias=True))
        return shown if isinstance(shown, dict) else None

    async def autoscale(self) -> Mapping[str, object]:
        """The autoscaler's settings, last decisions and samples."""
        scaler = self._running.scaler
        return document(scaler.settings, scaler.decisions(), scaler.samples())

    async def comparison(self) -> Mapping[str, object] | None:
        """The canary, or the shadow, beside the service; None when there is none."""
        trial = self._running.supervisor.snapshot().trial
        if trial is None or trial.state != "trying":
            return None
        try:
            found = self._running.plane.comparison(trial.release)
        except LookupError:
            return None
        how = self._running.updates.tried(trial.release)
        counts = {"ready": trial.ready, "wanted": trial.wanted}
        return {"version": trial.version, **how, **counts, **asdict(found)}

    async def clear_crashes(self, scene: str | None) -> Cleared:
        """Delete what was kept of one crash, or of all, and start the instances again that they block."""
        running = self._running
        restarted = await running.supervisor.clear(scene)
        deleted = await asyncio.to_thread(running.scenes.clear, scene)
        running.logs.log.info("crashes_cleared", deleted=deleted, restarted=restarted)
        return Cleared(tuple(deleted), tuple(restarted))

    async def status(self) -> ServiceStatus:
        """Everything that ``/api/v1/service`` tells."""
        running, current = self._running, self._running.updates.current
        service, plane, fleet = current.loaded.spec, running.plane, running.supervisor.snapshot()
        here = loops(service.metadata.rpc.io_threads, gil=has_gil())
        return ServiceStatus(
            name=service.name,
            version=__version__,
            pid=os.getpid(),
            uptime=running.clock.now() - running.started,
            url=running.parts.url,
            admin_url=running.admin_url(),
            load=overview.load(fleet, plane, running.enforcer.usage, running.supervisor.last_lines),
            readiness=self.readiness(),
            rates=running.window.rates(),
            lag=running.window.lag,
            lag_max=running.window.lag_max,
            workspace_id=service.metadata.workspace_id,
            labels=dict(service.labels),
            open=running.is_open(),
            io_threads_requested=here.requested,
            io_threads_effective=here.effective,
            io_threads_reason=here.reason,
            body_threads=plane.io_threads.count,
            statuses=dict(plane.counters.statuses),
            batches=batches(plane.counters) if service.metadata.rpc.batching else None,
            closed_for_room=plane.counters.closed_for_room,
            refused_connections=plane.counters.refused_connections,
            warnings=current.warnings,
            configuration=service.model_dump(mode="json", by_alias=True),
            configuration_version=current.version,
            wanted=fleet.wanted,
            rollout=None if fleet.rollout is None else asdict(fleet.rollout),
            trial=self._trial(fleet),
        )

    def _trial(self, fleet: FleetSnapshot) -> Mapping[str, object] | None:
        if fleet.trial is None:
            return None
        return {**asdict(fleet.trial), **self._running.updates.tried(fleet.trial.release)}
