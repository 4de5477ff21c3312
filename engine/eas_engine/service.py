"""The composition root: one engine, from its options to its exit status.

``serve`` is what the command line calls. It reads and checks everything that can be checked before anything
starts, then joins the data plane (``plane``) and the control plane (``supervisor``), which don't know each
other, on one loop; the admin plane has a thread of its own and only reads.

The end: the first SIGTERM or SIGINT refuses new requests (503), finishes what is in flight and queued within
``eas.termination_grace_period``, and exits with 0; a second signal ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop

from eas_engine import __version__, overview, spec
from eas_engine.admission.gate import Limits
from eas_engine.announce import announce
from eas_engine.artifacts import libraries
from eas_engine.artifacts.class_path import class_path
from eas_engine.artifacts.fetching.progress import LogProgress, Progress, TerminalProgress
from eas_engine.artifacts.local import look
from eas_engine.artifacts.resolve import Places, provide, without_secrets
from eas_engine.artifacts.workspace import variables
from eas_engine.clock import Clock, SystemClock, wait_until
from eas_engine.gateway.access import AccessLog
from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.entrance import Entrance
from eas_engine.gateway.front import Rules
from eas_engine.gateway.listen import check_descriptors, listen, raise_descriptor_limit
from eas_engine.gateway.room import share_of_admin
from eas_engine.plane import Plane, Reports
from eas_engine.state import EngineRecord, StateDirectory, default_root
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.mounts import workspace_mounts
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.scene import Scenes
from eas_engine.supervisor.sdk import held_sdk_directory
from eas_engine.supervisor.settings import Processor, Settings
from eas_engine.telemetry.logs import Logs, StderrLogs, wants_bars
from eas_engine.telemetry.metrics import Metrics, service_labels
from eas_engine.telemetry.status import Cleared, Load, Readiness, ServiceStatus
from eas_engine.telemetry.window import Window

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from eas_engine.artifacts.local import Artifacts
    from eas_engine.options import ServeOptions
    from eas_engine.spec.load import Loaded
    from eas_engine.state import Token
    from eas_engine.supervisor.observe import FleetSnapshot


@dataclass(frozen=True)
class Parts:
    """What was found and checked before anything starts."""

    options: ServeOptions
    loaded: Loaded
    artifacts: Artifacts
    state: StateDirectory
    token: Token | None
    listener: socket.socket
    sdk: Path
    warnings: tuple[str, ...]
    descriptors: int
    access: AccessLog | None

    @property
    def url(self) -> str:
        """Where predictions are asked for, reachable from this machine."""
        return f"http://{_reachable(self.options.host)}:{self.port}/api/predict/{self.loaded.spec.name}"

    @property
    def port(self) -> int:
        """The port that 8080 became."""
        return int(self.listener.getsockname()[1])


def serve(options: ServeOptions) -> int:
    """Serve until told to stop; the exit status.

    Raises:
        StartError: with its own exit status and a message for a person.
    """
    clock = SystemClock()
    with (
        StderrLogs(clock, options.log_format, debug=options.debug) as logs,
        logs.capture_stdlib(),
        _prepare(options, logs, raise_descriptor_limit()) as parts,
    ):
        return uvloop.run(Engine(parts, logs, clock).run())


@contextlib.contextmanager
def _prepare(options: ServeOptions, logs: Logs, descriptors: int) -> Iterator[Parts]:
    """Everything that can fail before a process is started, cheapest first."""
    loaded = spec.load(options.config, overrides=options.overrides, strict=options.strict)
    refusals, later = spec.startable(loaded)
    if refusals:
        raise spec.ConfigurationError(loaded.source, refusals)
    for problem in (*loaded.warnings, *later):
        logs.log.warning(problem.message, parameter=problem.path, line=problem.line)
    service = loaded.spec
    logs.describe(service.name, service.metadata.workspace_id, service.labels)
    check_descriptors(descriptors, service.start_count)
    look(service, loaded.base)
    root = (options.state_dir or default_root()).absolute()
    with StateDirectory.acquire(root, service.name, service.metadata.workspace_id) as state:
        token = state.token(service.token, generate=service.generate_token)
        if token is None:
            logs.log.warning(
                "the service is open: whoever reaches the port may call it (generate_token is false)"
            )
        else:
            logs.hide(token.text)
        _listen(options).close()  # a taken port is found before anything is fetched; nobody is kept waiting
        with (
            provide(
                service,
                loaded.base,
                places=Places(root, state.path, options.any_path, options.cache_size),
                environ=os.environ,
                clock=logs.clock,
                progress=_progress(options, logs),
            ) as artifacts,
            contextlib.closing(_listen(options)) as listener,
            held_sdk_directory(root) as sdk,
            _access_log(options, logs, token) as access,
        ):
            notes = variables.notes(without_secrets(service), artifacts)
            for note in notes:
                logs.log.warning(note)
            told = tuple(f"{problem.path}: {problem.message}" for problem in (*loaded.warnings, *later))
            told = (*told, *notes)
            yield Parts(options, loaded, artifacts, state, token, listener, sdk, told, descriptors, access)


def _access_log(
    options: ServeOptions, logs: Logs, token: Token | None
) -> contextlib.AbstractContextManager[AccessLog | None]:
    if not options.access_log:
        return contextlib.nullcontext()
    return AccessLog(options.access_log, logs.clock, token.text if token else "")


def _progress(options: ServeOptions, logs: Logs) -> Progress:
    """Bars where somebody looks at a terminal, else lines in the log."""
    if options.log_format == "console" and wants_bars(sys.stderr):
        return TerminalProgress()
    return LogProgress(logs.clock, logs.log.info, logs.log.warning)


def _listen(options: ServeOptions) -> socket.socket:
    """As ``listen``; who started a script by hand (``any_path``) has no flag, but its code and EAS_PORT."""
    instead = 'EAS_PORT, or with endpoint="127.0.0.1:8081" in the code' if options.any_path else ""
    return listen(options.host, options.port, instead=instead)


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
        self._plane = _plane(self._parts, self._logs, self._clock)
        self._window = Window(self._clock, self._plane.counters)
        self._scenes = Scenes(self._parts.state.path / "crashes", __version__)
        self._supervisor = Supervisor(
            _settings(self._parts),
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
        self._admin_url = f"http://{_reachable(options.admin_host)}:{self._admin_port}"
        try:
            return await self._serve()
        finally:
            await asyncio.to_thread(admin.stop)

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
            announce(record, self._parts.token)
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
        return overview.load(self._supervisor.snapshot(), self._plane)

    async def clear_crashes(self, scene: str | None) -> Cleared:
        """Delete what was kept of one crash, or of all, and start the instances again that they block."""
        restarted = await self._supervisor.clear(scene)
        deleted = await asyncio.to_thread(self._scenes.clear, scene)
        self._logs.log.info("crashes_cleared", deleted=deleted, restarted=restarted)
        return Cleared(tuple(deleted), tuple(restarted))

    async def status(self) -> ServiceStatus:
        """Everything that ``/api/v1/service`` tells."""
        parts, service = self._parts, self._parts.loaded.spec
        return ServiceStatus(
            name=service.name,
            version=__version__,
            pid=os.getpid(),
            uptime=self._clock.now() - self._started,
            url=parts.url,
            admin_url=self._admin_url,
            load=overview.load(self._supervisor.snapshot(), self._plane, self._supervisor.last_lines),
            readiness=self.readiness(),
            rates=self._window.rates(),
            lag=self._window.lag,
            lag_max=self._window.lag_max,
            workspace_id=service.metadata.workspace_id,
            labels=dict(service.labels),
            open=parts.token is None,
            io_threads_requested=service.metadata.rpc.io_threads,
            io_threads_effective=1,
            statuses=dict(self._plane.counters.statuses),
            closed_for_room=self._plane.counters.closed_for_room,
            refused_connections=self._plane.counters.refused_connections,
            warnings=parts.warnings,
            configuration=service.model_dump(mode="json", by_alias=True),
        )


def _plane(parts: Parts, logs: Logs, clock: Clock) -> Plane:
    service = parts.loaded.spec
    rpc = service.metadata.rpc
    return Plane(
        Rules(
            service.name, parts.token.text if parts.token else "", rpc.max_body_size, parts.options.any_path
        ),
        Limits(rpc.max_queue_size, rpc.threads, float(rpc.rate_limit), rpc.keepalive_ms / 1000),
        inflight=rpc.max_inflight_bytes,
        stuck_ms=rpc.stuck_timeout,
        retry=rpc.retry_on_crash,
        prefix=secrets.token_hex(4),
        clock=clock,
        log=logs.log,
        descriptors=parts.descriptors,
        access=parts.access,
    )


def _settings(parts: Parts) -> Settings:
    service, artifacts = parts.loaded.spec, parts.artifacts
    rpc, workspace = service.metadata.rpc, artifacts.workspace
    return Settings(
        service=service.name,
        program=Program(
            interpreter=_interpreter(str(artifacts.interpreter)),
            sdk_directory=parts.sdk,
            environment=_environment(parts),
            core_files=service.runtime.enable_crash_block,
            mounts=workspace_mounts(workspace.root, workspace.links) if workspace else (),
        ),
        processor=Processor(
            entry=str(artifacts.entry),
            entry_class=artifacts.entry_class,
            processor_type=service.processor_type,
            processor_dir=str(artifacts.processor_dir),
            model_path=artifacts.model_path,
            model_entry=artifacts.model_entry,
            model_config=service.model_config_text,
            warm_up=str(artifacts.warm_up or ""),
            warm_up_count=service.metadata.warm_up_count,
            cpp_batch=rpc.cpp_batch,
            main_class=service.processor_mainclass,
            class_path=_class_path(parts),
            java_opts=service.metadata.java_opts,
            memory_mb=service.metadata.memory,
        ),
        instances=service.start_count,
        threads=rpc.worker_threads,
        keepalive_ms=rpc.keepalive,
        enable_sigterm=rpc.enable_sigterm,
        crash_block=service.runtime.enable_crash_block,
        grace=float(service.metadata.eas.termination_grace_period),
    )


def _class_path(parts: Parts) -> tuple[str, ...]:
    """Of a Java processor; empty for others."""
    service, artifacts = parts.loaded.spec, parts.artifacts
    if service.processor_type != "java":
        return ()
    return class_path(service.processor_path, artifacts.processor_dir, artifacts.entry)


def _environment(parts: Parts) -> dict[str, str]:
    """``processor_envs`` and where things are; for libraries also their search path, which exec must know."""
    service, artifacts = parts.loaded.spec, parts.artifacts
    given = variables.variables(without_secrets(service), artifacts)
    given |= {variable.name: variable.value for variable in service.processor_envs}
    if service.processor_type in ("cpp", "java"):
        path = given.get(libraries.VARIABLE, os.environ.get(libraries.VARIABLE, ""))
        given[libraries.VARIABLE] = libraries.search_path(artifacts.processor_dir, artifacts.entry, path)
    return given


def _interpreter(found: str) -> str:
    """A processor started by hand says which Python it was started with, unless its package brings one."""
    return os.environ.get("EAS_PROCESSOR_PYTHON", found) if found == sys.executable else found


def _reachable(host: str) -> str:
    """An address by which this machine reaches a listener on `host`."""
    if host in ("", "0.0.0.0"):
        return "127.0.0.1"
    return "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
