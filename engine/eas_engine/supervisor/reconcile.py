"""The loop that keeps the instances as they should be.

    observe   an immutable snapshot of the hosts
    plan      a pure function: which actions
    act       each action is one synchronous call on one host

It wakes when a host has changed or when a moment comes that the plan waits for (the end of a back-off, of a
grace period), and never polls. Each living host has one task, and all of them one ``TaskGroup``, in ``run``:
if that is cancelled, every host is killed and reaped before it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from eas_engine.clock import Clock, SystemClock, wait_any, wait_until
from eas_engine.errors import ProcessorError, StartError
from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.host import DUMP_SECONDS, LAST_STEPS, Host
from eas_engine.supervisor.instance import Channel, Hooks, Surroundings
from eas_engine.supervisor.launch import Execute, execute
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import Crash, FleetSnapshot, HostSnapshot, InstanceSnapshot, Seat
from eas_engine.supervisor.plan import (
    Action,
    Block,
    Drain,
    End,
    Expire,
    GiveUp,
    Kill,
    Policy,
    Remove,
    Start,
    plan,
    wake_at,
)
from eas_engine.supervisor.scene import Scenes
from eas_engine.supervisor.settings import Settings

LINES_TOLD = 20
"""Last log lines in the message of an engine that gives up."""


class Supervisor:
    """Starts, watches, restarts and stops the hosts of one service.

    Args:
        settings: the service.
        channels: makes the data plane's side of a host, given the host's name.
        clock: for back-offs and grace periods.
        hooks: whom to tell.
        execute: how a host is executed; tests have another one.
        scenes: where crashes are kept with ``settings.crash_block``.
    """

    def __init__(
        self,
        settings: Settings,
        channels: Callable[[str], Channel],
        *,
        clock: Clock | None = None,
        hooks: Hooks | None = None,
        execute: Execute = execute,
        scenes: Scenes | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._hooks = hooks or Hooks()
        self._surroundings = Surroundings(
            settings, channels, execute, self._clock, self._hooks, scenes, self._scenes_in_use
        )
        self._policy = Policy(settings.instances, settings.crash_block, settings.grace)
        self._hosts: dict[Seat, Host] = {}
        for number in range(settings.instances):
            self._add(Seat(number, 0))
        self._ever_ready = False
        self._stop_by: float | None = None
        self._failure: StartError | None = None
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False

    def __repr__(self) -> str:
        hosts = ", ".join(f"{host.name} {host.state.value}" for host in self._hosts.values())
        return f"<Supervisor {self._settings.service}: {hosts or 'no hosts'}>"

    # -- its life

    async def run(self) -> None:
        """Until stopped. Raises ``ProcessorError`` when the processor can't be had."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                while not self._ended.is_set():
                    await self._reconcile(tasks)
        finally:
            self._ended.set()
        if self._failure is not None:
            raise self._failure

    async def stop(self, grace: float) -> None:
        """Drain all hosts at once and return when they are gone, after ``grace`` seconds at the latest.

        Called again, the earlier end counts; 0 kills what is left.
        """
        self._stop(self._clock.now() + grace)
        if self._running:
            await self._ended.wait()

    async def wait_ready(self) -> None:
        """Until an instance is ready. Raises ``StartError`` if that won't come."""
        await wait_any(self._ready.wait(), self._ended.wait())
        if not self._ready.is_set():
            raise self._failure or StartError("stopped before an instance was ready")

    # -- for the data plane

    def stuck(self, host: str) -> None:
        """A call in this host is longer than ``rpc.stuck_timeout``: it takes nothing new and is restarted."""
        by = self._clock.now() + max(self._settings.grace, DUMP_SECONDS + LAST_STEPS)
        cause = "stuck: a call takes longer than rpc.stuck_timeout"
        self._condemn(host, Condemned("stuck", cause, answers_first=True, dump=True), by)

    def broken(self, host: str, cause: str) -> None:
        """The channel was closed by the host, or speaks nonsense: unless it dies by itself, it is ended."""
        self._condemn(host, Condemned("link", cause), self._clock.now() + LAST_STEPS)

    # -- for operators

    async def clear(self, scene: str | None = None) -> list[str]:
        """Start instances again that are blocked by a crash: the one with this scene, or all.

        Returns the names of their hosts. The scenes stay; they are the caller's to delete.
        """
        blocked = [host for host in self._hosts.values() if host.state is State.BLOCKED]
        meant = [host for host in blocked if scene is None or scene == _scene_of(host.snapshot())]
        for host in meant:
            await host.release()
        return [host.name for host in meant]

    # -- for those who ask

    def snapshot(self) -> FleetSnapshot:
        """What is now."""
        now = self._clock.now()
        groups: dict[int, list[Host]] = {}
        for seat in sorted(self._hosts):
            groups.setdefault(seat.instance, []).append(self._hosts[seat])
        instances = tuple(
            InstanceSnapshot(hosts[0].instance, tuple(host.snapshot() for host in hosts), now)
            for hosts in groups.values()
        )
        return FleetSnapshot(self._settings.service, instances, self._ever_ready, self._stop_by)

    def last_lines(self, name: str) -> tuple[str, ...]:
        """What an instance, or one host of it, printed last: at most 100 lines a host, oldest first."""
        hosts = [host for host in self._hosts.values() if name in (host.name, host.instance)]
        return tuple(line for host in hosts for line in host.last_lines())

    # -- observe, plan, act

    async def _reconcile(self, tasks: asyncio.TaskGroup) -> None:
        self._news.clear()
        fleet = self.snapshot()
        actions = plan(fleet, self._policy, self._clock.now())
        for action in actions:
            self._act(action, tasks)
        if actions:  # look again at what they have changed, but let others have a turn
            await self._clock.sleep(0.0)
        else:
            await wait_until(self._clock, wake_at(fleet), self._news.wait())

    def _act(self, action: Action, tasks: asyncio.TaskGroup) -> None:
        match action:
            case Start(seat):
                host = self._hosts.get(seat) or self._add(seat)
                host.begin()
                tasks.create_task(host.run(), name=f"host {host.name}")
            case Drain(seat, by):
                self._hosts[seat].drain(by)
            case Kill(seat):
                self._hosts[seat].kill()
            case Expire(seat):
                self._hosts[seat].expire()
            case Block(seat):
                self._hosts[seat].block()
            case Remove(seat):
                del self._hosts[seat]
                self._changed()
            case GiveUp(seat):
                self._give_up(self._hosts[seat])
            case End():
                self._ended.set()

    def _add(self, seat: Seat) -> Host:
        instance = f"{self._settings.service}-{seat.instance}"
        name = f"{instance}.{seat.process}" if seat.process else instance
        host = self._hosts[seat] = Host(seat, name, instance, self._surroundings, self._changed)
        return host

    def _give_up(self, host: Host) -> None:
        seen = host.snapshot()
        crash = seen.last_crash
        cause = crash.cause if crash else "unknown"
        tries = "" if seen.refused else f" {seen.failed_starts} times in a row"
        lines = _without_traceback(crash)[-LINES_TOLD:] if crash else ()
        text = [f"{host.instance} failed to start{tries}: {cause}"]
        if lines:
            text += ["its last log lines:", *(f"  {line}" for line in lines)]
        self._failure = ProcessorError("\n".join(text))
        self._stop(self._clock.now())

    def _stop(self, by: float) -> None:
        self._stop_by = by if self._stop_by is None else min(by, self._stop_by)
        self._news.set()

    def _condemn(self, name: str, why: Condemned, by: float) -> None:
        for host in self._hosts.values():
            if host.name == name:
                host.condemn(why, by)

    def _scenes_in_use(self) -> frozenset[str]:
        seen = (host.snapshot() for host in self._hosts.values())
        return frozenset(_scene_of(one) for one in seen if one.state is State.BLOCKED)

    def _changed(self) -> None:
        self._news.set()
        fleet = self.snapshot()
        if not self._ever_ready and any(one.state is State.READY for one in fleet.instances):
            self._ever_ready = True
            self._ready.set()
            fleet = self.snapshot()
        self._hooks.on_change(fleet)


def _scene_of(host: HostSnapshot) -> str:
    """The id of its crash's scene; empty without one."""
    return Path(host.last_crash.scene).name if host.last_crash and host.last_crash.scene else ""


def _without_traceback(crash: Crash) -> tuple[str, ...]:
    """What it printed beside the traceback of its failed start: that is in the log, once."""
    trace = tuple(crash.traceback.splitlines())
    for at in range(len(crash.lines) - len(trace), -1, -1):
        if trace and crash.lines[at : at + len(trace)] == trace:
            return crash.lines[:at] + crash.lines[at + len(trace) :]
    return crash.lines
