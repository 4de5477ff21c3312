"""The composition root: one engine, from its options to its exit status.

``serve`` is what the command line calls. Everything that can be checked before anything starts has been
(``prepare``); here the data plane (``plane``) and the control plane (``supervisor``), which don't know each
other, are joined on one loop; changes come through ``updates``. The admin plane has a thread of its own and
asks ``operators``.

The end: the first SIGTERM or SIGINT refuses new requests (503), finishes what is in flight and queued within
``eas.termination_grace_period``, and exits with 0; a second signal ends at once. SIGHUP reads service.json
again and updates the service to it; SIGUSR1 opens the access log anew.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from eas_engine import __version__, assembly
from eas_engine.announce import announce
from eas_engine.artifacts.resolve import Places
from eas_engine.cards import Cards
from eas_engine.clock import Clock, SystemClock, wait_until
from eas_engine.disk import Disk
from eas_engine.errors import ConfigurationError, StartError
from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.entrance import Entrance
from eas_engine.gateway.listen import raise_descriptor_limit
from eas_engine.gateway.room import share_of_admin
from eas_engine.gauge import Gauge
from eas_engine.moving import Moving
from eas_engine.notes import Notes
from eas_engine.operations import Update
from eas_engine.operators import Operators, Running
from eas_engine.plane import Reports
from eas_engine.prepare import Parts, prepare, reachable
from eas_engine.spec.engine import load as engine_settings
from eas_engine.spec.load import read_text
from eas_engine.state import EngineRecord
from eas_engine.supervisor.autoscale.driver import Scaler
from eas_engine.supervisor.gpu_memory import InThread
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import execute
from eas_engine.supervisor.pools.placer import LedgerPlacer
from eas_engine.supervisor.pools.placing import Placing
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release, RolloutStatus, TrialStatus
from eas_engine.supervisor.scene import Scenes
from eas_engine.telemetry.logs import Logs, StderrLogs
from eas_engine.telemetry.metrics import Metrics, service_labels
from eas_engine.telemetry.watch import Watch
from eas_engine.telemetry.window import Window
from eas_engine.updates.joined import Joined
from eas_engine.updates.planes import PlaneLanes
from eas_engine.updates.releases import strategy
from eas_engine.updates.updates import Updates

if TYPE_CHECKING:
    from pathlib import Path

    from eas_engine.card_faults import CardFaults
    from eas_engine.configuration import Configured
    from eas_engine.devices.inventory import Inventory
    from eas_engine.gateway.access import AccessLog
    from eas_engine.options import ServeOptions
    from eas_engine.spec import Machine
    from eas_engine.supervisor.observe import FleetSnapshot


def serve(options: ServeOptions) -> int:
    """Serve until told to stop; the exit status.

    Raises:
        StartError: with its own exit status and a message for a person.
    """
    gc.set_threshold(50_000, 50, 100)  # tickets die by their reference count, and so does most of a start
    clock = SystemClock()
    with (
        StderrLogs(clock, options.log_format, debug=options.debug) as logs,
        logs.capture_stdlib(),
        prepare(options, logs, raise_descriptor_limit()) as parts,
    ):
        return uvloop.run(Engine(parts, logs, clock).run())


class Engine:
    """One service while it runs."""

    def __init__(self, parts: Parts, logs: Logs, clock: Clock) -> None:
        self._parts, self._logs, self._clock = parts, logs, clock
        self._started = clock.now()
        self._stop = asyncio.Event()
        self._hangup = asyncio.Event()
        self._token = parts.token
        self._stopping = self._stopped = False
        self._signals = 0

    async def run(self) -> int:
        """From the first host to the last answer; the exit status."""
        self._loop = asyncio.get_running_loop()
        first = self._parts.first
        self._disk = Disk(self._clock, self._not_written)
        self._notes = Notes(self._parts.state.path, self._logs, self._clock, self._disk)
        self._plane = assembly.plane(self._parts, self._logs, self._clock)
        self._window = Window(self._clock, self._plane.counters)
        self._scenes = Scenes(self._parts.state.path / "crashes", __version__)
        mps = assembly.mps(self._parts, self._logs)
        nvml = assembly.nvml(self._parts)
        cards = assembly.inventory(nvml)
        self._enforcer = assembly.enforcer(self._parts, self._logs, cards, mps)
        shared = mps.hold if mps is not None else None
        self._placer = Placing(LedgerPlacer.of(first.loaded, self._parts.root, shared=shared), self._disk)
        if mps is not None:
            mps.on_death = partial(self._disk.later, mps.renew)
            self._disk.later(mps.tidy)
        self._supervisor = self._supervise(first, cards)
        self._placer.found = self._supervisor.placed
        self._plane.report_to(Reports(self._supervisor.stuck, self._supervisor.broken))
        self._updates = Updates(self._joined(), first)
        self._cards = Cards(nvml, lambda: self._placer.cards, self._clock, self._notes)
        if nvml is not None:
            self._cards.on_fault = self._card_faults(first).happened
        self._gauge = Gauge(
            self._plane,
            self._supervisor.snapshot,
            self._enforcer.usage,
            self._clock,
            gpu=self._cards.percent,
        )
        self._scaler = Scaler(None, self._gauge.sample, self._autoscale, self._clock, self._notes.info)
        self._plane.on_wake = self._scaler.wake
        self._moving = Moving(self._supervisor, self._placer, self._clock, self._notes.info)
        self._operators = Operators(self._running())
        self._metrics = self._labelled(first)
        self._watch_signals()
        options = self._parts.options
        self._admin_token = self._parts.state.admin_token()
        admin = AdminServer(
            self._operators,
            options.admin_host,
            options.admin_port,
            self._admin_token.text,
            connections=share_of_admin(self._parts.descriptors),
            instead="EAS_ADMIN_PORT" if options.any_path else "",
        )
        self._admin_port = admin.start()
        self._cards.start()
        try:
            with Watch(self._window, self._logs.log.warning):
                return await self._serve()
        finally:
            await asyncio.to_thread(admin.stop)
            await asyncio.to_thread(self._cards.close)
            await asyncio.to_thread(self._enforcer.close)
            await self._disk.close()

    async def _serve(self) -> int:
        entrance = Entrance(self._parts.listener, self._plane.front, self._clock)
        await entrance.open()
        await self._publish(self._parts.first)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(one)
                for one in (
                    self._plane.tick(),
                    self._window.run(),
                    entrance.run(),
                    self._updates.run(),
                    self._scaler.run(),
                    self._moving.run(),
                    self._reread(),
                )
            ]
            supervision = tasks.create_task(self._supervisor.run())
            ready = tasks.create_task(self._when_ready())
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

    # -- its parts

    def _supervise(self, first: Configured, cards: Inventory | None) -> Supervisor:
        return Supervisor(
            self._release(1, first),
            self._plane.channel,
            instances=first.loaded.spec.start_count,
            clock=self._clock,
            hooks=Hooks(
                log=self._notes.info,
                warn=self._notes.warning,
                output=self._notes.output,
                on_change=self._changed,
                on_properties=self._plane.keep_alive,
                on_rollout=self._rolled_out,
                on_trial=self._tried_out,
            ),
            scenes=self._scenes,
            placer=self._placer,
            execute=partial(execute, enforcer=self._enforcer),
            cards=None if cards is None else InThread(cards.used_by),
        )

    def _card_faults(self, first: Configured) -> CardFaults:
        from eas_engine.card_faults import CardFaults  # noqa: PLC0415 - only where there are cards

        gpus = first.loaded.machine.gpus
        return CardFaults(self._supervisor, self._placer.lose, self._placer.regain, lambda: gpus)

    def _joined(self) -> Joined:
        return Joined(
            supervisor=self._supervisor,
            lanes=PlaneLanes(self._plane),
            history=self._parts.history,
            disk=self._disk,
            events=self._notes.events,
            logs=self._logs,
            clock=self._clock,
            release=self._release,
            places=self._places,
            adopt=self._adopt,
            machine=self._machine,
        )

    def _running(self) -> Running:
        return Running(
            parts=self._parts,
            plane=self._plane,
            supervisor=self._supervisor,
            updates=self._updates,
            window=self._window,
            scenes=self._scenes,
            enforcer=self._enforcer,
            scaler=self._scaler,
            events=self._notes.events,
            tail=self._notes.tail,
            logs=self._logs,
            clock=self._clock,
            started=self._started,
            metrics=lambda: self._metrics,
            stopping=lambda: self._stopping,
            is_open=lambda: self._token is None,
            admin_url=self._admin_url,
        )

    def _release(self, number: int, of: Configured) -> Release:
        if assembly.on_card(of):  # before its first host is told where bodies lie
            self._plane.bodies.read_by_card()
        return Release(number, of.version, assembly.settings(of, self._parts.sdk))

    def _places(self, in_use: tuple[Path, ...]) -> Places:
        options = self._parts.options
        return Places(
            self._parts.root, self._parts.state.path, options.any_path, options.cache_size, in_use=in_use
        )

    def _machine(self) -> Machine:
        return engine_settings.here(self._parts.options.settings, self._parts.root, os.environ)

    def _labelled(self, of: Configured) -> Metrics:
        service = of.loaded.spec
        return Metrics(
            self._plane.counters,
            self._operators.load,
            self._window,
            version=__version__,
            labels=service_labels(service.name, service.metadata.workspace_id, service.labels),
            cards=self._cards.view,
        )

    # -- what holds

    async def _adopt(self, of: Configured) -> None:
        """A configuration holds from now on: what needs no new process applies."""
        service, state = of.loaded.spec, self._parts.state
        self._token = await self._disk.do(state.token, service.token, generate=service.generate_token)
        if self._token is not None:
            self._logs.hide(self._token.text)
        self._logs.describe(service.name, service.metadata.workspace_id, service.labels)
        self._plane.configure(assembly.plane_settings(of, self._token, self._parts.options))
        self._supervisor.adjust(self._release(0, of), strategy(service))
        self._configure_scaler(stopped=self._stopped)
        self._moving.configure(float(service.metadata.rollout_timeout))
        self._metrics = self._labelled(of)
        try:
            await self._publish(of)
        except ConfigurationError as error:  # the disk is full, say: it holds all the same
            self._logs.log.warning("what commands find the engine by can't be written", reason=str(error))

    def _not_written(self, error: Exception) -> None:
        """Of what nobody waits for: the file of events tells by itself what it can't."""
        self._logs.log.warning("what was left to do on disk could not be done", reason=str(error))

    def _changed(self, fleet: FleetSnapshot) -> None:
        self._plane.observe(fleet)
        self._updates.observe(fleet)
        if fleet.stopped != self._stopped:
            self._stopped = fleet.stopped
            self._configure_scaler(stopped=fleet.stopped)

    def _configure_scaler(self, *, stopped: bool) -> None:
        """By what holds; a service that an operator has stopped has as many instances as that one wants."""
        settings = None if stopped else assembly.autoscaling(self._updates.current)
        self._gauge.measures_cpu = settings is not None and "cpu" in settings.thresholds
        self._gauge.measures_gpu = settings is not None and "gpu[util]" in settings.thresholds
        limits = assembly.limits(self._updates.current.loaded.spec)
        self._cards.configure(limits, often=self._gauge.measures_gpu)
        self._scaler.configure(settings)

    def _autoscale(self, instances: int) -> None:
        fleet = self._supervisor.snapshot()
        if not instances and fleet.rollout is not None and fleet.rollout.state == "rolling":
            return  # asleep, a new version could prove nothing: it is asked again in a second
        before = fleet.wanted
        self._supervisor.scale(instances)
        text = f"{before} -> {instances} instances"
        self._notes.events.tell(
            "autoscaled", text, by="autoscaler", before=before, after=instances, logged=True
        )

    def _rolled_out(self, status: RolloutStatus) -> None:
        self._updates.releases.on_rollout(status)

    def _tried_out(self, status: TrialStatus) -> None:
        self._updates.releases.on_trial(status)

    def _admin_url(self) -> str:
        return f"http://{reachable(self._parts.options.admin_host)}:{self._admin_port}"

    async def _publish(self, of: Configured) -> None:
        parts, options = self._parts, self._parts.options
        self._record = EngineRecord(
            name=of.loaded.spec.name,
            pid=os.getpid(),
            version=__version__,
            started=self._clock.wall(),
            host=options.host,
            port=parts.port,
            admin_host=options.admin_host,
            admin_port=self._admin_port,
            url=parts.url,
            admin_url=self._admin_url(),
            config=str(of.loaded.source.absolute()),
            admin_token_file=str(self._admin_token.file),
            token_file=str(self._token.file) if self._token else None,
            workspace_id=of.loaded.spec.metadata.workspace_id,
        )
        await self._disk.do(parts.state.publish, self._record)

    # -- the beginning

    async def _when_ready(self) -> None:
        await self._supervisor.wait_ready()
        await self._updates.started()
        self._configure_scaler(stopped=False)
        self._moving.configure(float(self._updates.current.loaded.spec.metadata.rollout_timeout))
        if self._parts.options.announce:
            spec = self._parts.first.loaded.spec
            data, codec = "" if spec.processor else "hello", spec.metadata.rpc.decompressor
            announce(self._record, self._parts.token, data=data, codec=codec or "")
        gc.collect()
        gc.freeze()  # what is here now stays; collections need not walk it again

    # -- signals, and the end

    def _watch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signalled, number)
        self._loop.add_signal_handler(signal.SIGUSR1, self._reopen)
        self._loop.add_signal_handler(signal.SIGHUP, self._hangup.set)

    def _reopen(self) -> None:
        """Logs were rotated. Without an access log it is no reason to end, which the signal would be."""
        access = self._parts.access
        if access is not None:
            self._disk.later(partial(self._open_anew, access))

    def _open_anew(self, access: AccessLog) -> None:
        try:
            access.reopen()
        except OSError as error:
            self._logs.log.warning("the access log could not be opened anew", reason=error.strerror)

    async def _reread(self) -> None:
        """At each SIGHUP, update to what the file says now; one that can't be taken changes nothing."""
        options = self._parts.options
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            try:
                text = await asyncio.to_thread(read_text, options.config)
                source = str(options.config.absolute())
                asked = Update(by="SIGHUP", text=text, source=source, overrides=options.overrides)
                operation = await self._updates.change(asked)
            except StartError as error:
                self._logs.log.warning("SIGHUP: refused, and nothing was changed", reason=str(error))
            else:
                self._logs.log.info("SIGHUP: the file was read again", operation=operation.number)

    def _signalled(self, number: int) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + number)  # the hosts are set to die with this process
        self._logs.log.info("stopping", signal=signal.Signals(number).name)
        self._stop.set()

    async def _end_when_told(self) -> None:
        await self._stop.wait()
        self._stopping = True
        grace = self._updates.current.loaded.spec.metadata.eas.termination_grace_period
        until = self._clock.now() + grace
        self._plane.drain()
        if not await wait_until(self._clock, until, self._plane.wait_empty()):
            self._logs.log.warning("the grace period is over", unanswered=self._plane.gate.count)
        await self._supervisor.stop(max(0.0, until - self._clock.now()))
