"""What is: immutable snapshots of every host, instance and of the fleet.

The planner, the gate, ``/readyz``, the status and the tests read the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import NamedTuple

from eas_engine.records import dataclass
from eas_engine.supervisor.causes import ORDERLY
from eas_engine.supervisor.lifecycle import HOPEFUL, LIVE, State, aggregate
from eas_engine.supervisor.limits.report import Enforcement
from eas_engine.supervisor.release import RolloutStatus, TrialStatus
from eas_engine.supervisor.settings import DEFAULT_THREADS


class Seat(NamedTuple):
    """A place for one host: the instance's number and, within it, the process's."""

    instance: int
    process: int


@dataclass(frozen=True, slots=True)
class Crash:
    """How a host died."""

    cause: str
    """For people: ``exit 1``, ``signal 11 (SIGSEGV)``, ``initialize: no such file`` ..."""
    kind: str
    """For counters and programs; ``causes`` lists them."""
    at: float
    """Seconds since the epoch."""
    state: State
    """What it was when it died."""
    lines: tuple[str, ...] = ()
    """The last lines that it printed, or those that its dump begins with."""
    traceback: str = ""
    """The processor's, if its start failed."""
    hs_err: str = ""
    """Path of the file that a Java virtual machine left."""
    scene: str = ""
    """Path of the directory with all that was kept of it (``runtime.enable_crash_block``)."""

    @property
    def orderly(self) -> bool:
        """A start that failed, as opposed to a crash: there was nothing to keep."""
        return self.kind in ORDERLY


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """One host. Instants are monotonic unless said otherwise."""

    seat: Seat
    name: str
    instance: str
    state: State
    pid: int | None = None
    started: float | None = None
    started_at: float | None = None
    """Since the epoch."""
    threads: int | None = None
    """Effective; None before the first hello."""
    processes: int = 1
    """That the processor's code wants for its instance, by the last hello."""
    python: str = ""
    restarts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Starts after a crash, by the crash's kind."""
    last_crash: Crash | None = None
    next_start: float = math.inf
    """When the back-off is over, or a place is looked for again; infinite unless it waits for that."""
    failed_starts: int = 0
    refused: bool = False
    """The last start failed in a way that another try won't change."""
    leave_by: float = math.inf
    """When it is killed if it hasn't left by then."""
    killed: bool = False
    mounts: str | None = None
    """Why its mounts aren't visible to it; empty when they are, None when unknown, or it has none."""
    enforced: Enforcement | None = None
    """What enforces the limits of its instance; None before it said hello."""
    call_by: float = math.inf
    """When the present call of the warm-up must be over; infinite while there is none."""
    release: int = 1
    """Number of what it was started from."""
    version: int = 1
    """Of the configuration that this came from."""
    grace: float = 30.0
    """Seconds that it may take to leave."""
    crash_block: bool = False
    """It is kept as it is when it crashes."""
    no_place: str = ""
    """Why it has no place to run at, if that is what it waits for."""
    looking: bool = False
    """A place is being looked for; until that is over nothing more can be done for it."""
    returning: str = ""
    """What its last process still has on its cards, if that is waited for."""
    why_leaving: str = ""
    """For people; empty unless it leaves for a reason of its own."""

    @property
    def hopeful(self) -> bool:
        """Whether it takes requests, or will without having to wait for anything but its own start."""
        return self.state in HOPEFUL and not self.no_place

    @property
    def reason(self) -> str:
        """Why it isn't ready; empty if it is."""
        died = self.last_crash.cause if self.last_crash else ""
        doing = "initialises" if math.isinf(self.call_by) else "is warmed up"
        again = f" again (before: {died})" if died else ""
        if self.no_place and self.state in (State.PENDING, State.CRASHED):
            return f"waits for a place: {self.no_place}"
        if self.returning and self.state is State.CRASHED:
            return f"crashed: {died}; waits for its GPU memory: {self.returning}"
        return {
            State.PENDING: "not started yet",
            State.STARTING: f"starting{again}",
            State.WARMING: f"the processor {doing}{again}",
            State.READY: "",
            State.STUCK: "a call of the processor never ends; about to be restarted",
            State.DRAINING: f"leaving: {self.why_leaving}" if self.why_leaving else "leaving",
            State.STOPPED: "stopped",
            State.CRASHED: f"crashed: {died}; waits to be started again",
            State.BLOCKED: f"crashed: {died}; not started again before eas-engine crash clear",
        }[self.state]


@dataclass(frozen=True, slots=True)
class InstanceSnapshot:
    """A group of hosts that counts as one: ready when all are."""

    name: str
    hosts: tuple[HostSnapshot, ...]
    taken: float
    """When the snapshot was taken."""

    @property
    def state(self) -> State:
        """That of the host that is worst off; hosts that its code wants and that lack are pending.

        One that was told to leave is draining until the last of its hosts has stopped.
        """
        states = [host.state for host in self.hosts]
        if self.leaving:
            return State.DRAINING if set(states) - {State.STOPPED} else State.STOPPED
        if self.hosts and len(self.hosts) < self.hosts[0].processes:
            states.append(State.PENDING)
        return aggregate(states)

    @property
    def reason(self) -> str:
        """Why it isn't ready; empty if it is."""
        state = self.state
        return next((host.reason for host in self.hosts if host.state is state), "starting")

    @property
    def number(self) -> int:
        """Of its seat."""
        return self.hosts[0].seat.instance

    @property
    def release(self) -> int:
        """Number of what all its hosts were started from."""
        return self.hosts[0].release

    @property
    def version(self) -> int:
        """Of the configuration that this came from."""
        return self.hosts[0].version

    @property
    def leaving(self) -> bool:
        """Whether it was told to leave. A further process that is no longer wanted leaves alone."""
        first = self.hosts[0]
        return first.seat.process != 0 or first.state in (State.DRAINING, State.STOPPED)

    @property
    def hopeful(self) -> bool:
        """Whether it takes requests or is starting."""
        return any(host.hopeful for host in self.hosts)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of its hosts that live."""
        return tuple(host.pid for host in self.hosts if host.pid is not None)

    @property
    def started_at(self) -> float | None:
        """When the oldest of its living hosts was executed, since the epoch."""
        return min((host.started_at for host in self.hosts if host.started_at is not None), default=None)

    @property
    def uptime(self) -> float:
        """Seconds since then; 0 when none lives."""
        return max(
            (self.taken - host.started for host in self.hosts if host.started is not None), default=0.0
        )

    @property
    def threads(self) -> int | None:
        """Worker threads of all its hosts; None before the first hello."""
        known = [host.threads for host in self.hosts if host.threads is not None]
        return sum(known) if known else None

    @property
    def mounts(self) -> str | None:
        """Why the mounts aren't visible to one of its hosts; empty when they are, None when nobody knows."""
        known = [host.mounts for host in self.hosts if host.mounts is not None]
        return max(known, default=None)

    @property
    def enforced(self) -> Enforcement | None:
        """What enforces its limits, by the host that said hello last; None when none lives."""
        return next((host.enforced for host in reversed(self.hosts) if host.enforced), None)

    @property
    def restarts(self) -> Mapping[str, int]:
        """Starts after a crash, by kind."""
        total: dict[str, int] = {}
        for host in self.hosts:
            for kind, count in host.restarts.items():
                total[kind] = total.get(kind, 0) + count
        return MappingProxyType(total)

    @property
    def last_crash(self) -> Crash | None:
        """The latest of its hosts' crashes."""
        crashes = [host.last_crash for host in self.hosts if host.last_crash is not None]
        return max(crashes, key=lambda crash: crash.at, default=None)


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """All instances of a service at one moment."""

    service: str
    instances: tuple[InstanceSnapshot, ...]
    ever_ready: bool = False
    """Whether an instance has been ready since the engine started."""
    stop_by: float | None = None
    """Set once the service is being ended: when the last host is killed."""
    wanted: int = 0
    """Instances that should be ready, those of a trial not among them; 0 while asleep or stopped."""
    stopped: bool = False
    """The operator wants none; requests are refused."""
    release: int = 1
    """That the instances are of, or will be once the rollout is done."""
    version: int = 1
    """Of the configuration that this came from."""
    rollout: RolloutStatus | None = None
    """The one under way, else the last one."""
    trial: TrialStatus | None = None
    """What is tried out, else what was last."""
    probes: int = 0
    """Instances beside the wanted ones, until another leaves for them or they leave themselves."""

    @property
    def hosts(self) -> tuple[HostSnapshot, ...]:
        """Of all instances."""
        return tuple(host for instance in self.instances for host in instance.hosts)

    @property
    def stopping(self) -> bool:
        """Whether the engine is ending."""
        return self.stop_by is not None

    @property
    def asleep(self) -> bool:
        """No instance is wanted now, and the next request will want one."""
        return not self.wanted and not self.stopped and not self.stopping

    @property
    def serving(self) -> tuple[InstanceSnapshot, ...]:
        """The instances that are, were, or will be among the wanted ones: all but those of a trial."""
        tried = self.trial.release if self.trial is not None and self.trial.state != "promoted" else None
        return tuple(instance for instance in self.instances if instance.release != tried)

    @property
    def ready_count(self) -> int:
        """Instances that are ready, without those of a trial."""
        return sum(instance.state is State.READY for instance in self.serving)

    @property
    def admitting_or_starting_count(self) -> int:
        """Instances with a host that takes requests, or that is starting without having to wait.

        Without those of a trial.
        """
        return sum(instance.hopeful for instance in self.serving)

    @property
    def next_start_due(self) -> float:
        """Monotonic instant before which no instance can come: compare it with a ticket's deadline.

        0 while one takes requests, is starting, or is stuck (it is about to be ended and started again),
        while one is about to take the place of one that leaves, and while the service is asleep, because the
        request itself will wake it; infinite if none will ever be started again, or not before the operator
        says so.
        """
        if self.stopped:
            return math.inf
        hosts = [host for instance in self.serving for host in instance.hosts]
        if self.asleep or self.admitting_or_starting_count or any(one.state is State.STUCK for one in hosts):
            return 0.0
        staying = sum(not instance.leaving for instance in self.serving)
        if staying < self.wanted and not self.stopping:
            return 0.0
        return min((host.next_start for host in hosts), default=math.inf)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why no instance is ready; empty if one is."""
        if self.ready_count:
            return ()
        if self.stopped:
            return ("stopped by the operator: eas-engine start starts it again",)
        if self.asleep:
            return ("asleep: scaled to zero, the next request wakes it",)
        waiting = tuple(f"{one.name}: {one.reason}" for one in self.serving)
        return waiting or ("no instance was started yet",)

    @property
    def threads(self) -> int:
        """Worker threads of one instance, by the first that knows them; allspark's default before that."""
        known = (instance.threads for instance in self.instances)
        return next((threads for threads in known if threads is not None), DEFAULT_THREADS)


def is_live(host: HostSnapshot) -> bool:
    """Whether there is a process."""
    return host.state in LIVE
