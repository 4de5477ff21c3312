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
from dataclasses import asdict

from eas_engine.clock import wait_any
from eas_engine.errors import InstanceCrashed
from eas_engine.supervisor.agreement import Agreement
from eas_engine.supervisor.causes import Cause, Condemned, judge
from eas_engine.supervisor.control import Dumped, Failed, Fault, Hello, Message, Ready, Warming
from eas_engine.supervisor.gpu_memory import GpuMemory
from eas_engine.supervisor.history import History
from eas_engine.supervisor.instance import Surroundings
from eas_engine.supervisor.keeping import Keeping
from eas_engine.supervisor.life import Life
from eas_engine.supervisor.lifecycle import Event, IllegalEvent, State, advance
from eas_engine.supervisor.observe import Crash, HostSnapshot, Seat
from eas_engine.supervisor.place import Quarters
from eas_engine.supervisor.release import Release
from eas_engine.supervisor.settings import Settings, start_message

DUMP_SECONDS = 5.0
"""Seconds that a host gets to write the stacks of its threads."""

OVERTIME = 30.0
"""Seconds beyond its limit in which a host gives a call of the warm-up up by itself, if it can, and in which
it reads the next request."""

LAST_STEPS = 2.0
"""Seconds that a host which said ``failed``, or hung up, gets to flush its output and exit by itself."""

_PERMANENT = frozenset({errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EPERM})
"""Why an exec fails that another try won't change."""


class Host:
    """The occupant of a seat. Implements ``launch.Listener``.

    Args:
        seat: its place.
        release: what it is started from.
        surroundings: what all hosts share.
        changed: called after every change that a plan may depend on.

    Attributes:
        name: unique among the hosts; what the data plane calls it.
        instance: the name of its instance.
        gpu_memory: what its last process had of it.
    """

    def __init__(
        self, seat: Seat, release: Release, surroundings: Surroundings, changed: Callable[[], None]
    ) -> None:
        self.seat = seat
        self.release = release
        self.instance = release.instance(seat.instance)
        self.name = f"{self.instance}.{seat.process}" if seat.process else self.instance
        self.state = State.PENDING
        self._all = surroundings
        self._clock = surroundings.clock
        self._changed = changed
        self._history = History()
        self._quarters: Quarters | None = None
        self._no_place = ""
        self._looking = False
        self._leave_by = math.inf
        self._why_leaving = ""
        self._agreed = Agreement(self.instance, surroundings.hooks)
        self._life: Life | None = None
        self._keeping = Keeping(self.instance, self.name, surroundings)
        self.gpu_memory = GpuMemory(surroundings.cards, self._clock, surroundings.hooks.warn)

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.state.value}>"

    # -- what it tells

    @property
    def settings(self) -> Settings:
        """Of its release."""
        return self.release.settings

    def snapshot(self) -> HostSnapshot:
        """What it is now."""
        history, settings = self._history, self.settings
        seen = HostSnapshot(
            self.seat,
            self.name,
            self.instance,
            self.state,
            threads=self._agreed.threads,
            processes=self._agreed.processes,
            python=self._agreed.python,
            mounts=self._agreed.mounts,
            restarts=history.restarts,
            last_crash=history.last,
            next_start=history.next_start,
            failed_starts=history.failed_starts,
            refused=history.refused,
            leave_by=self._leave_by,
            release=self.release.number,
            version=self.release.version,
            grace=settings.grace,
            crash_block=settings.crash_block,
            no_place=self._no_place,
            looking=self._looking or bool(self.gpu_memory.out),
            returning=self.gpu_memory.out,
            why_leaving=self._why_leaving,
        )
        return seen if self._life is None else self._life.seen(seen)

    def last_lines(self) -> tuple[str, ...]:
        """What it printed last; of the process before, when there is none."""
        if self._life is not None:
            return self._life.tail.lines()
        return self._history.last.lines if self._history.last else ()

    # -- what it is told: by the planner's actions and by the data plane

    def begin(self, quarters: Quarters | None = None) -> None:
        """Start in the quarters: from here on ``run`` must be running."""
        self._advance(Event.START)
        self._history.begin()
        self._quarters = quarters
        self._no_place = ""
        self._looking = False
        self._leave_by = math.inf
        self._tell()

    def wait_until_placed(self) -> None:
        """A place is being looked for; ``look_again`` tells of it."""
        self._looking = True
        self._tell()

    def wait_for_place(self, why: str, until: float) -> None:
        """There is no place for it; one is looked for again at ``until``."""
        if why != self._no_place:
            self._all.hooks.warn("no_place", instance=self.instance, reason=why)
        self._no_place, self._looking = why, False
        self._history.next_start = until
        self._tell()

    def look_again(self) -> None:
        """There may be a place now."""
        self._looking = False
        if self._no_place:
            self._history.next_start = self._clock.now()

    def drain(self, by: float, why: str = "") -> None:
        """Finish and leave, by ``by`` at the latest. Told again, an earlier instant counts.

        ``why`` is for people, and follows "leaving: ".
        """
        before = self.state
        if before is not State.DRAINING:
            self._advance(Event.DRAIN)
            self._why_leaving = why
        self._leave_by = min(by, self._leave_by)
        if before is not State.DRAINING and self._life is not None:
            self._leave(self._life, before)
        self._tell()

    def adjust(self, release: Release) -> None:
        """Its own release, with other settings of those that need no new process.

        One that runs is told how batches are made from now on; the next one finds it in its start message.
        """
        before, self.release = self.release.settings.processor.batching, release
        batching = release.settings.processor.batching
        if batching is not None and batching != before and self._life is not None:
            self._life.running.send({"type": "batching", "batching": asdict(batching)})

    def condemn(self, why: Condemned, by: float) -> None:
        """It can't go on: it takes nothing new, is dead by ``by`` at the latest, and that is a crash.

        Without effect on one that is leaving or condemned already.
        """
        life = self._life
        if life is None or life.condemned or self.state is State.DRAINING:
            return
        life.condemned = why
        life.call_by = math.inf
        self._leave_by = min(by, self._leave_by)
        if self.state is State.READY:
            life.channel.drain()
            if why.answers_first:
                self._advance(Event.STUCK)
                life.answers_first = True
        if why.dump or life.answers_first:
            life.leaving.set()
        self._tell()

    def expire(self) -> None:
        """A call of the warm-up is over time, and the host couldn't give it up by itself."""
        cause = "warm-up: a call takes longer than twice rpc.keepalive, and holds the interpreter's lock"
        self.condemn(Condemned("warm_up", cause, dump=True), self._clock.now() + DUMP_SECONDS + LAST_STEPS)

    def kill(self) -> None:
        """Its time is over."""
        if self._life is not None:
            self._life.killed = True
            self._life.running.kill()

    def check_gpu(self, why: str) -> None:
        """Something happened on a card of its place: its process is to look whether it was hit."""
        if self._life is not None:
            self._life.running.send({"type": "check_gpu", "why": why})

    def block(self) -> None:
        """Stay as it crashed."""
        self._advance(Event.BLOCK)
        self._history.next_start = math.inf
        self._tell()

    async def unblock(self) -> None:
        """Start a blocked one again, once its scene is written; without effect on others."""
        await self._keeping.wait()
        if self.state is State.BLOCKED:
            self._history.keep(None)
            self._advance(Event.RELEASE)
            self._tell()

    async def run(self) -> None:
        """One life: execute the host and see it through, until it is dead."""
        life = self._life = self._launch()
        if life is None:
            return
        try:
            life.channel.started()
            life.running.send(start_message(self.settings, self.instance, life.channel.describe()))
            self._tell()
            await life.leaving.wait()
            dump = life.condemned is not None and life.condemned.dump
            if dump:
                await self._dump(life)
            if life.answers_first:
                await wait_any(life.channel.wait_idle(), life.dead.wait())
            if dump or life.answers_first:
                self._dismiss(life)
            await life.dead.wait()
            await self.gpu_memory.wait()
            await self._keep()
        finally:
            life.running.end()

    # -- its process

    def _launch(self) -> Life | None:
        """Execute it. None if that failed: then it has crashed, or stopped if it was told to before."""
        if self.state is State.DRAINING:  # between ``begin`` and here
            self._died(None, Cause("stopped", "stopped before it was executed"))
            return None
        try:
            channel = self._all.channels(self.name, self.release.number)
        except OSError as error:
            self._not_executed(error)
            return None
        try:
            running = self._all.execute(self.settings.program, channel.fds, self, self._quarters)
        except (OSError, ValueError) as error:  # ValueError: a NUL in a path or in the environment
            channel.started()
            channel.lost(InstanceCrashed())
            self._not_executed(error)
            return None
        return Life(channel, running, self._clock.now(), self._clock.wall())

    def _leave(self, life: Life, before: State) -> None:
        if self.settings.enable_sigterm:
            life.running.terminate()
        if before is State.READY:
            life.answers_first = True
            life.channel.drain()
        elif before is not State.STUCK and not self.settings.enable_sigterm:
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

    async def _dump(self, life: Life) -> None:
        """Let it write the stacks of its threads, for as long as that takes within reason."""
        cause = life.condemned.cause if life.condemned else ""
        self._all.hooks.warn("stacks_of_all_threads", instance=self.instance, host=self.name, cause=cause)
        await life.dump(self._clock, self._clock.now() + DUMP_SECONDS)

    async def _keep(self) -> None:
        """Write what is to be kept of its crash."""
        place = await self._keeping.write()
        if place is not None:
            self._history.keep(place)
        self._tell()

    def _give_last_steps(self, life: Life) -> None:
        self._leave_by = min(self._leave_by, self._clock.now() + LAST_STEPS)
        if self.state is State.READY:
            life.channel.drain()
        self._tell()

    # -- what its process does (launch.Listener)

    def on_line(self, stream: str, line: str) -> None:
        """See ``Listener``."""
        if self._life is not None:
            self._life.printed(line)
        self._all.hooks.output(self.instance, stream, line)

    def on_message(self, message: Message) -> None:
        """See ``Listener``."""
        life = self._life
        if life is not None and isinstance(message, Dumped):
            life.dumped = True
        if life is not None and isinstance(message, Fault):
            self._on_fault(message, life)
        if life is None or self.state is State.DRAINING or life.condemned or life.failure:
            return
        try:
            if isinstance(message, Hello):
                self._on_hello(message, life)
            elif isinstance(message, Warming):
                self._on_warming(message, life)
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

    def on_over_limit(self, why: Condemned) -> None:
        """See ``Listener``."""
        self.condemn(why, self._clock.now())

    def on_exit(self, status: int) -> None:
        """See ``Listener``."""
        life = self._life
        if life is None:
            return
        self._life = None
        life.dead.set()
        life.leaving.set()
        directory = self.settings.processor.processor_dir
        draining = self.state is State.DRAINING
        evidence = life.evidence(status, draining=draining, directory=directory)
        cause = judge(evidence)
        if not draining:
            python, settings = self._agreed.python, self.settings
            self._keeping.gather(life, self.state.value, python, cause, evidence, settings=settings)
        self.gpu_memory.lost_by(life.running.pid, self._quarters)
        self._died(life, cause, evidence.hs_err)
        life.channel.lost(cause.refusal())  # last: whoever is told of the crash finds it in the status

    def _on_hello(self, hello: Hello, life: Life) -> None:
        self._advance(Event.HELLO)
        lacking = self._agreed.greet(hello, life.running, self.settings)
        if lacking:
            self._on_failed(Failed("batching", lacking), life)
        else:
            self._tell()

    def _on_warming(self, warming: Warming, life: Life) -> None:
        if self.state is not State.WARMING:
            raise IllegalEvent(self.state, Event.READY)
        first = math.isinf(life.call_by)
        life.call_by = self._clock.now() + warming.seconds + OVERTIME
        if first:  # what the planner waits for is looked up again when the first one is over
            self._tell()

    def _on_ready(self, ready: Ready, life: Life) -> None:
        self._advance(Event.READY)
        life.call_by = math.inf
        self._agreed.complete(ready, self.settings)
        life.ready_at = self._clock.now()
        life.channel.open(self._agreed.threads or 1)
        self._tell()

    def _on_fault(self, fault: Fault, life: Life) -> None:
        """Every call of this process would fail from now on; it leaves by itself, or is ended."""
        life.gpu_fault = life.gpu_fault or fault.message
        self.condemn(Condemned("gpu_fault", f"GPUFault: {fault.message}"), self._clock.now() + LAST_STEPS)

    def _on_failed(self, failed: Failed, life: Life) -> None:
        life.failure = failed
        life.call_by = math.inf
        # These say little about the processor: what it needs may only be slow, full, or not there.
        passing = failed.passing or failed.stage == "warm_up"
        self._history.refused = self.state in (State.STARTING, State.WARMING) and not passing
        self._give_last_steps(life)

    # -- its state

    def _died(self, life: Life | None, cause: Cause, hs_err: str = "") -> None:
        before = self.state
        self._advance(Event.EXIT)
        fields = {
            "instance": self.instance,
            "host": self.name,
            "kind": cause.kind,
            "cause": cause.text,
            "state": before.value,
        }
        if hs_err:
            fields["hs_err"] = hs_err
        if self.state is State.STOPPED:
            self._all.hooks.log("host_stopped", **fields)
        else:
            crash = Crash(cause.text, cause.kind, self._clock.wall(), before, hs_err=hs_err)
            self._history.add(crash, life, self._clock.now())
            self._all.hooks.warn("host_crashed", **fields, next_start_in=self._history.back_off)
        self._tell()

    def _not_executed(self, error: Exception) -> None:
        self._history.refused = not isinstance(error, OSError) or error.errno in _PERMANENT
        self._died(None, Cause("execute", f"could not be executed: {error}"))

    def _advance(self, event: Event) -> None:
        self.state = advance(self.state, event)

    def _tell(self) -> None:
        self._changed()
