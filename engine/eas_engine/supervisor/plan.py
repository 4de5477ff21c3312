"""What to do next: a pure function of what is, what is wanted, and the time.

``plan`` is idempotent: carrying out its actions changes what is, and planning again then yields only what is
still missing. How many instances of which release, and in which order, is ``rollout``'s decision; here it
becomes hosts in seats, beside what each host needs by itself. No await, no clock, no logging here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final

from eas_engine.records import dataclass
from eas_engine.supervisor.actions import (
    Action,
    Block,
    Complete,
    Dismiss,
    Drain,
    End,
    Expire,
    GiveUp,
    Kill,
    Remove,
    RollBack,
    Start,
)
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import FleetSnapshot, HostSnapshot, InstanceSnapshot, Seat, is_live
from eas_engine.supervisor.restart import fails, gives_up
from eas_engine.supervisor.rollout import Course, Member, decide

ROOM_FIRST: Final = "; with metadata.rolling_strategy.max_unavailable an instance leaves before another comes"


@dataclass(frozen=True, slots=True)
class Tried:
    """What is tried out beside the wanted instances.

    Attributes:
        release: its number.
        instances: how many of it.
        by: when all of them must be ready; None: they have been, or needn't be.
    """

    release: int
    instances: int
    by: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What is wanted.

    Attributes:
        course: of the instances that serve.
        rollout_by: when the rollout must be done; None: nothing is rolled out.
        tried: what is tried out.
        dismissed: the releases that aren't tried out any more and whose instances leave at once.
        marked: numbers of the instances whose place another is to take, or that are too many; and why, for
            people.
    """

    course: Course
    rollout_by: float | None = None
    tried: Tried | None = None
    dismissed: frozenset[int] = frozenset()
    marked: Mapping[int, str] = field(default_factory=dict)


def plan(fleet: FleetSnapshot, policy: Policy, now: float) -> list[Action]:
    """The actions that bring the fleet nearer to what is wanted; empty if there is nothing to do now."""
    overdue: list[Action] = [
        Kill(host.seat) for host in fleet.hosts if is_live(host) and not host.killed and host.leave_by <= now
    ]
    if fleet.stop_by is not None:
        return overdue + _stop(fleet, fleet.stop_by)
    for host in fleet.hosts:
        if host.release == policy.course.base and _crashed(host):
            failed = host.failed_starts
            if gives_up(ever_ready=fleet.ever_ready, refused=host.refused, failed_starts=failed):
                return [GiveUp(host.seat)]
    verdict = _judge_rollout(fleet, policy, now) or _judge_trial(fleet, policy.tried, now)
    if verdict is not None:
        return [*overdue, verdict]
    return overdue + _keep(fleet, policy, now)


def wake_at(fleet: FleetSnapshot, policy: Policy) -> float:
    """When ``plan`` will have something to do even if nothing happens; infinite if never."""
    waits = [host.leave_by for host in fleet.hosts if is_live(host) and not host.killed]
    waits += [host.call_by for host in fleet.hosts if host.state is State.WARMING and not host.killed]
    waits += [
        host.next_start
        for host in fleet.hosts
        if (host.state is State.CRASHED or host.no_place) and not host.looking
    ]
    waits += [policy.rollout_by] if policy.rollout_by is not None else []
    waits += [policy.tried.by] if policy.tried is not None and policy.tried.by is not None else []
    return min(waits, default=math.inf)


# -- the end of a change


def _judge_rollout(fleet: FleetSnapshot, policy: Policy, now: float) -> Action | None:
    course = policy.course
    if policy.rollout_by is None:
        return None
    main = _main(fleet, policy)
    new = [one for one in main if one.release == course.release and not one.leaving]
    ready = sum(one.state is State.READY for one in new)
    if not course.wanted and not course.trusted:
        return RollBack("no instance is wanted any more, and none of this version was ever ready")
    if ready == len(new) == course.wanted and all(one in new or one.leaving for one in main):
        return Complete()
    failed = _failed_start(new)
    if failed is not None:
        return RollBack(*failed)
    if policy.rollout_by <= now:
        hint = ROOM_FIRST if len(main) > len(new) and any(_without_place(one) for one in new) else ""
        return RollBack(f"not done in time: {_progress(new, ready, course.wanted)}{hint}")
    return None


def _judge_trial(fleet: FleetSnapshot, tried: Tried | None, now: float) -> Action | None:
    if tried is None:
        return None
    of_it = [one for one in fleet.instances if one.release == tried.release and not one.leaving]
    failed = _failed_start(of_it)
    if failed is not None:
        return Dismiss(*failed)
    if tried.by is not None and tried.by <= now:
        ready = sum(one.state is State.READY for one in of_it)
        return Dismiss(f"not ready in time: {_progress(of_it, ready, tried.instances)}")
    return None


def _without_place(instance: InstanceSnapshot) -> bool:
    return any(host.no_place for host in instance.hosts)


def _failed_start(instances: Sequence[InstanceSnapshot]) -> tuple[str, Seat] | None:
    """Why the first of them that can't be started can't, and which host of it."""
    for host in (host for instance in instances for host in instance.hosts):
        blocked = host.state is State.BLOCKED
        if _crashed(host) and fails(refused=host.refused, failed_starts=host.failed_starts, blocked=blocked):
            return f"{host.instance} {failure(host)}", host.seat
    return None


def failure(host: HostSnapshot) -> str:
    """What became of the starts of a host that crashed, for people."""
    tries = "" if host.refused or host.failed_starts < 2 else f" {host.failed_starts} times in a row"
    return f"failed to start{tries}: {host.last_crash.cause if host.last_crash else 'unknown'}"


def _progress(of_it: Sequence[InstanceSnapshot], ready: int, wanted: int) -> str:
    waits = [f"{one.name}: {one.reason}" for one in of_it if one.reason]
    return "; ".join([f"{ready} of {wanted} instances ready", *waits])


# -- what is kept


def _stop(fleet: FleetSnapshot, stop_by: float) -> list[Action]:
    actions: list[Action] = []
    for host in fleet.hosts:
        if host.state is State.STOPPED:
            actions.append(Remove(host.seat))
        elif host.state is not State.DRAINING or host.leave_by > stop_by:
            actions.append(Drain(host.seat, stop_by))
    return actions if fleet.hosts else [End()]


def _keep(fleet: FleetSnapshot, policy: Policy, now: float) -> list[Action]:
    drained, releases = _changes(fleet, policy)
    seats = {
        Seat(instance.number, process): instance.release
        for instance in fleet.instances
        if not instance.leaving and instance.number not in drained
        for process in range(instance.hosts[0].processes)
    }
    actions: list[Action] = []
    for host in fleet.hosts:
        if host.seat in seats:
            action = _next(host, now=now)
        else:
            action = _leave(host, why=drained.get(host.seat.instance, ""), now=now)
        if action is not None:
            actions.append(action)
    numbers = _free(instance.number for instance in fleet.instances)
    seats |= {Seat(next(numbers), 0): release for release in releases}
    for host in fleet.hosts:
        seats.pop(host.seat, None)
    return actions + [Start(seat, seats[seat]) for seat in sorted(seats)]


def _next(host: HostSnapshot, *, now: float) -> Action | None:
    """What a host that stays needs."""
    match host.state:
        case State.PENDING | State.CRASHED | State.STOPPED if host.looking:
            return None
        case State.STOPPED:
            return Remove(host.seat)
        case State.PENDING if not host.no_place or host.next_start <= now:
            return Start(host.seat, host.release)
        case State.WARMING if host.call_by <= now:
            return Expire(host.seat)
        case State.CRASHED if host.crash_block and not (host.last_crash and host.last_crash.orderly):
            return Block(host.seat)
        case State.CRASHED if host.next_start <= now:
            return Start(host.seat, host.release)
    return None


def _leave(host: HostSnapshot, *, why: str, now: float) -> Action | None:
    """What a host that doesn't stay needs."""
    match host.state:
        case State.STOPPED if host.returning:  # its place isn't free yet
            return None
        case State.STOPPED:
            return Remove(host.seat)
        case State.DRAINING:
            return None
    return Drain(host.seat, now + host.grace, why)


def _changes(fleet: FleetSnapshot, policy: Policy) -> tuple[dict[int, str], list[int]]:
    """Why which instances leave now, and the releases of those that start now."""
    tried = policy.tried
    decisions = [decide(_members(_main(fleet, policy), policy.marked), policy.course)]
    if tried is not None:
        group = [one for one in fleet.instances if one.release == tried.release]
        course = Course(tried.instances, tried.release, tried.release)
        decisions.append(decide(_members(group, policy.marked), course))
    drained = {number for decision in decisions for number in decision.drain}
    drained |= {one.number for one in fleet.instances if one.release in policy.dismissed}
    whys = {one.number: _why(one, fleet, policy) for one in fleet.instances if one.number in drained}
    return whys, [release for decision in decisions for release in decision.start]


def _why(instance: InstanceSnapshot, fleet: FleetSnapshot, policy: Policy) -> str:
    """Why the instance leaves, for people."""
    if instance.release in policy.dismissed:
        return "no longer tried out"
    if instance.number in policy.marked:
        return policy.marked[instance.number]
    if fleet.stopped:
        return "stopped by the operator"
    if not policy.course.wanted:
        return "scaled to zero"
    tried = policy.tried is not None and instance.release == policy.tried.release
    if instance.release != policy.course.release and not tried:
        if instance.version == fleet.version:
            return f"restarted: a new instance of version {fleet.version} takes its place"
        return f"version {fleet.version} takes the place of version {instance.version}"
    return f"scaled to {policy.course.wanted}"


def _main(fleet: FleetSnapshot, policy: Policy) -> list[InstanceSnapshot]:
    """The instances that serve, whatever their release."""
    apart = policy.dismissed | ({policy.tried.release} if policy.tried is not None else frozenset())
    return [one for one in fleet.instances if one.release not in apart]


def _members(instances: Iterable[InstanceSnapshot], marked: Collection[int]) -> list[Member]:
    return [
        Member(one.number, one.release, one.state, leaving=one.leaving, marked=one.number in marked)
        for one in instances
    ]


def _free(taken: Iterable[int]) -> Iterator[int]:
    """The numbers that no instance has, in order."""
    present = frozenset(taken)
    return (number for number in itertools.count() if number not in present)


def _crashed(host: HostSnapshot) -> bool:
    return host.state in (State.CRASHED, State.BLOCKED)
