"""One host of an instance: its place in the lifecycle, its process, its control conversation, its channel.

A ``Host`` outlives its processes: it is the occupant of a seat, with a memory of crashes; a ``Life`` is one
process of it. Whatever happens to a process arrives as a synchronous call on the loop and changes the state
there and then, so between an event and its consequences nothing else runs. The one task of a living host
(``run``) only waits: until it is to leave, until its requests are done, until it is dead.

*Guarantees*

* Every channel that was made is told ``started`` once and ``lost`` once, whatever happens in between.
* ``lost`` is called in the same turn of the loop in which the death became known.
* A host that was told to leave, or that is condemned, is handed nothing new, and is dead by ``leave_by`` if
  the planner's ``Kill`` comes in time.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from types import MappingProxyType

from eas_engine.clock import wait_any
from eas_engine.errors import InstanceCrashed
from eas_engine.supervisor.control import Failed, Hello, Message, Ready
from eas_engine.supervisor.instance import Channel, Surroundings
from eas_engine.supervisor.life import Condemned, Life
from eas_engine.supervisor.lifecycle import Event, IllegalEvent, State, advance
from eas_engine.supervisor.observe import Crash, HostSnapshot, Seat
from eas_engine.supervisor.restart import Deaths
from eas_engine.supervisor.settings import effective_keepalive, effective_threads

LAST_STEPS = 2.0
"""Seconds that a host which said ``failed``, or hung up, gets to flush its output and exit by itself."""

_PERMANENT = frozenset({errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EPERM})
"""Why an exec fails that another try won't change."""


class Host:
    """The occupant of a seat. Implements ``launch.Listener``.

    Args:
        seat: its place.
        name: unique among the hosts; what the data plane calls it.
        instance: the name of its instance.
        surroundings: what all hosts share.
        changed: called after every change that a plan may depend on.
    """

    def __init__(
        self, seat: Seat, name: str, instance: str, surroundings: Surroundings, changed: Callable[[], None]
    ) -> None:
        self.seat = seat
        self.name = name
        self.instance = instance
        self.state = State.PENDING
        self._all = surroundings
        self._clock = surroundings.clock
        self._changed = changed
        self._deaths = Deaths()
        self._refused = False
        self._restarts: dict[str, int] = {}
        self._last_crash: Crash | None = None
        self._next_start = math.inf
        self._leave_by = math.inf
        self._hello: Hello | None = None
        self._threads: int | None = None
        self._life: Life | None = None

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.state.value}>"

    # -- what it tells

    def snapshot(self) -> HostSnapshot:
        """What it is now."""
        seen = HostSnapshot(
            self.seat,
            self.name,
            self.instance,
            self.state,
            threads=self._threads,
            processes=self._hello.processes if self._hello else 1,
            python=self._hello.python if self._hello else "",
            restarts=MappingProxyType(dict(self._restarts)),
            last_crash=self._last_crash,
            next_start=self._next_start,
            failed_starts=self._deaths.failed_starts,
            refused=self._refused,
            leave_by=self._leave_by,
        )
        life = self._life
        if life is None:
            return seen
        return replace(
            seen, pid=life.running.pid, started=life.started, started_at=life.started_at, killed=life.killed
        )

    def last_lines(self) -> tuple[str, ...]:
        """What it printed last; of the process before, when there is none."""
        if self._life is not None:
            return self._life.tail.lines()
        return self._last_crash.lines if self._last_crash else ()

    # -- what it is told: by the planner's actions and by the data plane

    def begin(self) -> None:
        """Start: from here on ``run`` must be running."""
        self._advance(Event.START)
        if self._last_crash is not None:
            kind = self._last_crash.kind
            self._restarts[kind] = self._restarts.get(kind, 0) + 1
        self._next_start = self._leave_by = math.inf
        self._refused = False
        self._tell()

    def drain(self, by: float) -> None:
        """Finish and leave, by ``by`` at the latest. Told again, an earlier instant counts."""
        before = self.state
        if before is not State.DRAINING:
            self._advance(Event.DRAIN)
        self._leave_by = min(by, self._leave_by)
        if before is not State.DRAINING and self._life is not None:
            self._leave(self._life, before)
        self._tell()

    def condemn(self, why: Condemned, by: float) -> None:
        """It can't go on: it takes nothing new, is dead by ``by`` at the latest, and that is a crash.

        Without effect on one that is leaving or condemned already.
        """
        life = self._life
        if life is None or life.condemned or self.state is State.DRAINING:
            return
        life.condemned = why
        self._leave_by = min(by, self._leave_by)
        if self.state is State.READY:
            life.channel.drain()
            if why.answers_first:
                self._advance(Event.STUCK)
                life.answers_first = True
                life.leaving.set()
        self._tell()

    def kill(self) -> None:
        """Its time is over."""
        if self._life is not None:
            self._life.killed = True
            self._life.running.kill()

    def block(self) -> None:
        """Stay as it crashed."""
        self._advance(Event.BLOCK)
        self._next_start = math.inf
        self._tell()

    async def run(self) -> None:
        """One life: execute the host and see it through, until it is dead."""
        life = self._life = self._launch()
        if life is None:
            return
        try:
            life.channel.started()
            life.running.send(self._start_message(life.channel))
            self._tell()
            await life.leaving.wait()
            if life.answers_first:
                await wait_any(life.channel.wait_idle(), life.dead.wait())
                self._dismiss(life)
            await life.dead.wait()
        finally:
            life.running.end()

    # -- its process

    def _launch(self) -> Life | None:
        """Execute it. None if that failed: then it has crashed, or stopped if it was told to before."""
        if self.state is State.DRAINING:  # between ``begin`` and here
            self._died(None, "exit", "stopped before it was executed")
            return None
        try:
            channel = self._all.channels(self.name)
        except OSError as error:
            self._not_executed(error)
            return None
        try:
            running = self._all.execute(self._all.settings.program, channel.fds, self)
        except (OSError, ValueError) as error:  # ValueError: a NUL in a path or in the environment
            channel.started()
            channel.lost(InstanceCrashed())
            self._not_executed(error)
            return None
        return Life(channel, running, self._clock.now(), self._clock.wall())

    def _start_message(self, channel: Channel) -> dict[str, object]:
        settings = self._all.settings
        return {
            "type": "start",
            "service": settings.service,
            "instance": self.instance,
            **asdict(settings.processor),
            "threads": settings.threads,
            "keepalive_ms": settings.keepalive_ms,
            "channel": channel.describe(),
        }

    def _leave(self, life: Life, before: State) -> None:
        if self._all.settings.enable_sigterm:
            life.running.terminate()
        if before is State.READY:
            life.answers_first = True
            life.channel.drain()
        elif before is not State.STUCK and not self._all.settings.enable_sigterm:
            self.kill()  # it has no request, and hears nothing before initialize() returns
        life.leaving.set()

    def _dismiss(self, life: Life) -> None:
        """Its requests are done."""
        if life.dead.is_set():
            return
        if self.state is State.DRAINING:
            life.running.send({"type": "stop"})
        else:
            self.kill()

    def _give_last_steps(self, life: Life) -> None:
        self._leave_by = min(self._leave_by, self._clock.now() + LAST_STEPS)
        if self.state is State.READY:
            life.channel.drain()
        self._tell()

    # -- what its process does (launch.Listener)

    def on_line(self, stream: str, line: str) -> None:
        """See ``Listener``."""
        if self._life is not None:
            self._life.tail.add(line)
        self._all.hooks.output(self.instance, stream, line)

    def on_message(self, message: Message) -> None:
        """See ``Listener``."""
        life = self._life
        if life is None or self.state is State.DRAINING or life.condemned or life.failure:
            return
        try:
            if isinstance(message, Hello):
                self._on_hello(message, life)
            elif isinstance(message, Ready):
                self._on_ready(message, life)
            elif isinstance(message, Failed):
                self._on_failed(message, life)
        except IllegalEvent as illegal:
            self.condemn(
                Condemned("control", f"the host broke the control protocol: {illegal}"), self._clock.now()
            )

    def on_control_end(self, why: str) -> None:
        """See ``Listener``. Most often it is dying; only if it doesn't, that's the cause of its end."""
        if self._life is not None and not self._life.dead.is_set():
            by = self._clock.now() + LAST_STEPS
            self.condemn(Condemned("control", why), by)

    def on_exit(self, status: int) -> None:
        """See ``Listener``."""
        life = self._life
        if life is None:
            return
        self._life = None
        life.dead.set()
        life.leaving.set()
        life.channel.lost(InstanceCrashed())
        kind, cause = life.why_dead(status)
        self._died(life, kind, cause)

    def _on_hello(self, hello: Hello, life: Life) -> None:
        self._advance(Event.HELLO)
        settings = self._all.settings
        if self._hello is None:
            for warning in hello.warnings:
                self._all.hooks.log("processor_warning", instance=self.instance, warning=warning)
        self._hello = hello
        self._threads = effective_threads(settings, hello)
        keepalive = effective_keepalive(settings, hello.properties)
        self._all.hooks.on_properties(keepalive)
        life.running.send({"type": "load", "threads": self._threads, "keepalive_ms": keepalive})
        self._tell()

    def _on_ready(self, ready: Ready, life: Life) -> None:
        self._advance(Event.READY)
        hello = self._hello or Hello()
        properties = {**hello.properties, **ready.properties}
        self._all.hooks.on_properties(effective_keepalive(self._all.settings, properties))
        life.ready_at = self._clock.now()
        life.channel.open(self._threads or 1)
        self._tell()

    def _on_failed(self, failed: Failed, life: Life) -> None:
        life.failure = failed
        self._refused = self.state in (State.STARTING, State.WARMING)
        self._give_last_steps(life)

    # -- its state

    def _died(self, life: Life | None, kind: str, cause: str) -> None:
        before = self.state
        self._advance(Event.EXIT)
        fields = {"instance": self.instance, "host": self.name, "cause": cause, "state": before.value}
        if self.state is State.STOPPED:
            self._all.hooks.log("host_stopped", **fields)
        else:
            self._remember(life, Crash(cause, kind, self._clock.wall(), before))
            self._all.hooks.warn("host_crashed", **fields, next_start_in=self._deaths.back_off)
        self._tell()

    def _remember(self, life: Life | None, crash: Crash) -> None:
        now = self._clock.now()
        ready_at = life.ready_at if life else None
        self._deaths = self._deaths.after(None if ready_at is None else now - ready_at)
        self._next_start = now + self._deaths.back_off
        if life is not None:
            traceback = life.failure.traceback if life.failure else ""
            crash = replace(crash, lines=life.tail.lines(), traceback=traceback)
        self._last_crash = crash

    def _not_executed(self, error: Exception) -> None:
        self._refused = not isinstance(error, OSError) or error.errno in _PERMANENT
        self._died(None, "execute", f"could not be executed: {error}")

    def _advance(self, event: Event) -> None:
        self.state = advance(self.state, event)

    def _tell(self) -> None:
        self._changed()
