"""The composition root: one engine, from its options to its exit status.

``serve`` is what the command line calls. Everything that can be checked before anything starts has been
(``prepare``); here the data plane (``plane``) and the control plane (``supervisor``), which don't know each
other, are joined on one loop; the admin plane has a thread of its own and only reads.

The end: the first SIGTERM or SIGINT refuses new requests (503), finishes what is in flight and queued within
``eas.termination_grace_period``, and exits with 0; a second signal ends at once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from eas_engine import __version__, assembly, overview
from eas_engine.announce import announce
from eas_engine.clock import Clock, SystemClock, wait_until
from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.entrance import Entrance
from eas_engine.gateway.listen import raise_descriptor_limit
from eas_engine.gateway.room import share_of_admin
from eas_engine.plane import Reports
from eas_engine.prepare import Parts, prepare, reachable
from eas_engine.spec.loops import has_gil, loops
from eas_engine.state import EngineRecord
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import execute
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.scene import Scenes
from eas_engine.telemetry.batches import batches
from eas_engine.telemetry.logs import Logs, StderrLogs
from eas_engine.telemetry.metrics import Metrics, service_labels
from eas_engine.telemetry.status import Cleared, Load, Readiness, ServiceStatus
from eas_engine.telemetry.window import Window

if TYPE_CHECKING:
    from eas_engine.options import ServeOptions
    from eas_engine.supervisor.observe import FleetSnapshot


def serve(options: ServeOptions) -> int:
    """Serve until told to stop; the exit status.

    Raises:
        StartError: with its own exit status and a message for a person.
    """
    clock = SystemClock()
    with (
        StderrLogs(clock, options.log_format, debug=options.debug) as logs,
        logs.capture_stdlib(),
        prepare(options, logs, raise_descriptor_limit()) as parts,
    ):
        return uvloop.run(Engine(parts, logs, clock).run())


class Engine:
    """One service while it runs. Also what the admin plane reads (``gateway.admin.AdminSource``)."""

    def __init__(self, parts: Parts, logs: Logs, clock: Clock) -> None:
        self._parts, self._logs, self._clock = parts, logs, clock
        self._started = clock.now()
        self._stop = asyncio.Event()
        self._fleet: FleetSnapshot | None = None
        self._stopping = False
        self._signals = 0

    async def run(self) -> int:
        """From the first host to the last answer; the exit status."""
        self._loop = asyncio.get_running_loop()
        self._plane = assembly.plane(self._parts, self._logs, self._clock)
        self._window = Window(self._clock, self._plane.counters)
        self._scenes = Scenes(self._parts.state.path / "crashes", __version__)
        self._enforcer = assembly.enforcer(self._parts, self._logs)
        self._supervisor = Supervisor(
            assembly.settings(self._parts),
            self._plane.channel,
            clock=self._clock,
            hooks=Hooks(
                log=self._logs.log.info,
                warn=self._logs.log.warning,
                output=lambda instance, stream, line: self._logs.output(instance, [line], stream),
                on_change=self._changed,
                on_properties=self._plane.keep_alive,
            ),
            scenes=self._scenes,
            execute=partial(execute, enforcer=self._enforcer),
        )
        self._plane.report_to(Reports(self._supervisor.stuck, self._supervisor.broken))
        service = self._parts.loaded.spec
        self._metrics = Metrics(
            self._plane.counters,
            self.load,
            self._window,
            version=__version__,
            labels=service_labels(service.name, service.metadata.workspace_id, service.labels),
        )
        self._watch_signals()
        options = self._parts.options
        admin = AdminServer(
            self,
            options.admin_host,
            options.admin_port,
            self._parts.state.admin_token().text,
            connections=share_of_admin(self._parts.descriptors),
            instead="EAS_ADMIN_PORT" if options.any_path else "",
        )
        self._admin_port = admin.start()
        self._admin_url = f"http://{reachable(options.admin_host)}:{self._admin_port}"
        try:
            return await self._serve()
        finally:
            await asyncio.to_thread(admin.stop)
            await asyncio.to_thread(self._enforcer.close)

    async def _serve(self) -> int:
        entrance = Entrance(self._parts.listener, self._plane.front, self._clock)
        await entrance.open()
        record = self._publish()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(one) for one in (self._plane.tick(), self._window.run(), entrance.run())
            ]
            supervision = tasks.create_task(self._supervisor.run())
            ready = tasks.create_task(self._when_ready(record))
            ending = tasks.create_task(self._end_when_told())
            try:
                await supervision
            finally:
                for task in (*background, ready, ending):
                    task.cancel()
        await self._clock.sleep(0.0)  # connections that the kernel has taken become ours; the rest is reset
        entrance.close()
        await self._plane.close()
        self._logs.log.info("stopped")
        return 0

    # -- the end

    def _watch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signalled, number)
        self._loop.add_signal_handler(signal.SIGUSR1, self._reopen)

    def _reopen(self) -> None:
        """Logs were rotated. Without an access log it is no reason to end, which the signal would be."""
        access = self._parts.access
        if access is None:
            return
        try:
            access.reopen()
        except OSError as error:
            self._logs.log.warning("the access log could not be opened anew", reason=error.strerror)

    def _signalled(self, number: int) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + number)  # the hosts are set to die with this process
        self._logs.log.info("stopping", signal=signal.Signals(number).name)
        self._stop.set()

    async def _end_when_told(self) -> None:
        await self._stop.wait()
        self._stopping = True
        grace = self._parts.loaded.spec.metadata.eas.termination_grace_period
        until = self._clock.now() + grace
        self._plane.drain()
        if not await wait_until(self._clock, until, self._plane.wait_empty()):
            self._logs.log.warning("the grace period is over", unanswered=self._plane.gate.count)
        await self._supervisor.stop(max(0.0, until - self._clock.now()))

    # -- the beginning

    def _publish(self) -> EngineRecord:
        parts, options = self._parts, self._parts.options
        record = EngineRecord(
            name=parts.loaded.spec.name,
            pid=os.getpid(),
            version=__version__,
            started=self._clock.wall(),
            host=options.host,
            port=parts.port,
            admin_host=options.admin_host,
            admin_port=self._admin_port,
            url=parts.url,
            admin_url=self._admin_url,
            config=str(parts.loaded.source.absolute()),
            admin_token_file=str(parts.state.admin_token().file),
            token_file=str(parts.token.file) if parts.token else None,
            workspace_id=parts.loaded.spec.metadata.workspace_id,
        )
        parts.state.publish(record)
        return record

    async def _when_ready(self, record: EngineRecord) -> None:
        await self._supervisor.wait_ready()
        if self._parts.options.announce:
            spec = self._parts.loaded.spec
            data, codec = "" if spec.processor else "hello", spec.metadata.rpc.decompressor
            announce(record, self._parts.token, data=data, codec=codec or "")
        gc.collect()
        gc.freeze()  # what is here now stays; collections need not walk it again
        gc.set_threshold(50_000, 50, 100)  # tickets die by their reference count

    # -- what others see (gateway.admin.AdminSource)

    def _changed(self, fleet: FleetSnapshot) -> None:
        self._fleet = fleet
        self._plane.observe(fleet)

    def heartbeat_age(self) -> float:
        """Seconds since the loop last came round."""
        return self._window.heartbeat_age

    def readiness(self) -> Readiness:
        """Whether an instance is ready, and if not, why."""
        fleet = self._fleet
        if self._stopping:
            return Readiness(ready=False, reasons=("the engine is shutting down",))
        if fleet is None:
            return Readiness(ready=False, reasons=("no instance was started yet",))
        if fleet.ready_count:
            return Readiness(ready=True)
        return Readiness(ready=False, reasons=tuple(f"{i.name}: {i.reason}" for i in fleet.instances))

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return self._metrics.render(accept)

    def load(self) -> Load:
        """How full the service is; safe from the admin thread."""
        return overview.load(self._supervisor.snapshot(), self._plane, self._enforcer.usage)

    async def clear_crashes(self, scene: str | None) -> Cleared:
        """Delete what was kept of one crash, or of all, and start the instances again that they block."""
        restarted = await self._supervisor.clear(scene)
        deleted = await asyncio.to_thread(self._scenes.clear, scene)
        self._logs.log.info("crashes_cleared", deleted=deleted, restarted=restarted)
        return Cleared(tuple(deleted), tuple(restarted))

    async def status(self) -> ServiceStatus:
        """Everything that ``/api/v1/service`` tells."""
        parts, service = self._parts, self._parts.loaded.spec
        here = loops(service.metadata.rpc.io_threads, gil=has_gil())
        return ServiceStatus(
            name=service.name,
            version=__version__,
            pid=os.getpid(),
            uptime=self._clock.now() - self._started,
            url=parts.url,
            admin_url=self._admin_url,
            load=overview.load(
                self._supervisor.snapshot(), self._plane, self._enforcer.usage, self._supervisor.last_lines
            ),
            readiness=self.readiness(),
            rates=self._window.rates(),
            lag=self._window.lag,
            lag_max=self._window.lag_max,
            workspace_id=service.metadata.workspace_id,
            labels=dict(service.labels),
            open=parts.token is None,
            io_threads_requested=here.requested,
            io_threads_effective=here.effective,
            io_threads_reason=here.reason,
            body_threads=self._plane.io_threads.count,
            statuses=dict(self._plane.counters.statuses),
            batches=batches(self._plane.counters) if service.metadata.rpc.batching else None,
            closed_for_room=self._plane.counters.closed_for_room,
            refused_connections=self._plane.counters.refused_connections,
            warnings=parts.warnings,
            configuration=service.model_dump(mode="json", by_alias=True),
        )
