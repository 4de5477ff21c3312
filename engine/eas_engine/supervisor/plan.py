"""What to do next: a pure function of what is, what is wanted, and the time.

``plan`` is idempotent: carrying out its actions changes what is, and planning again then yields only what is
still missing. No await, no clock, no logging here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import FleetSnapshot, HostSnapshot, Seat, is_live
from eas_engine.supervisor.restart import gives_up


@dataclass(frozen=True, slots=True)
class Start:
    """Execute a host in the seat."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Drain:
    """Let the host in the seat finish and leave, by an instant."""

    seat: Seat
    by: float


@dataclass(frozen=True, slots=True)
class Kill:
    """Its time is over."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Expire:
    """A call of the warm-up is over time, and the host didn't give it up by itself."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Block:
    """Keep the crashed host as it is."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget the host that has stopped; its seat is free."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the engine because of the host in the seat (exit 4)."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class End:
    """Everything has stopped."""


Action = Start | Drain | Kill | Expire | Block | Remove | GiveUp | End


@dataclass(frozen=True, slots=True)
class Policy:
    """What is wanted."""

    instances: int
    crash_block: bool = False
    grace: float = 30.0
    """Seconds that a host which is no longer wanted may take to leave."""


def plan(fleet: FleetSnapshot, policy: Policy, now: float) -> list[Action]:
    """The actions that bring the fleet nearer to what is wanted; empty if there is nothing to do now."""
    overdue: list[Action] = [
        Kill(host.seat) for host in fleet.hosts if is_live(host) and not host.killed and host.leave_by <= now
    ]
    if fleet.stop_by is not None:
        return overdue + _stop(fleet, fleet.stop_by)
    for host in fleet.hosts:
        crashed = host.state in (State.CRASHED, State.BLOCKED)
        if crashed and gives_up(
            ever_ready=fleet.ever_ready, refused=host.refused, failed_starts=host.failed_starts
        ):
            return [GiveUp(host.seat)]
    return overdue + _keep(fleet, policy, now)


def wake_at(fleet: FleetSnapshot) -> float:
    """When ``plan`` will have something to do even if nothing happens; infinite if never."""
    waits = [host.leave_by for host in fleet.hosts if is_live(host) and not host.killed]
    waits += [host.call_by for host in fleet.hosts if host.state is State.WARMING and not host.killed]
    waits += [host.next_start for host in fleet.hosts if host.state is State.CRASHED]
    return min(waits, default=math.inf)


def wanted_seats(fleet: FleetSnapshot, policy: Policy) -> set[Seat]:
    """One seat for each instance, and more once its first host has said how many processes its code wants."""
    processes = {host.seat.instance: host.processes for host in fleet.hosts if host.seat.process == 0}
    return {
        Seat(instance, process)
        for instance in range(policy.instances)
        for process in range(processes.get(instance, 1))
    }


def _stop(fleet: FleetSnapshot, stop_by: float) -> list[Action]:
    actions: list[Action] = []
    for host in fleet.hosts:
        if host.state is State.STOPPED:
            actions.append(Remove(host.seat))
        elif host.state is not State.DRAINING or host.leave_by > stop_by:
            actions.append(Drain(host.seat, stop_by))
    return actions if fleet.hosts else [End()]


def _keep(fleet: FleetSnapshot, policy: Policy, now: float) -> list[Action]:
    wanted = wanted_seats(fleet, policy)
    actions: list[Action] = []
    for host in fleet.hosts:
        action = _next(host, wanted=host.seat in wanted, policy=policy, now=now)
        if action is not None:
            actions.append(action)
    taken = {host.seat for host in fleet.hosts}
    return actions + [Start(seat) for seat in sorted(wanted - taken)]


def _next(host: HostSnapshot, *, wanted: bool, policy: Policy, now: float) -> Action | None:
    match host.state:
        case State.STOPPED:
            return Remove(host.seat)
        case State.DRAINING:
            return None
        case _ if not wanted:
            return Drain(host.seat, now + policy.grace)
        case State.PENDING:
            return Start(host.seat)
        case State.WARMING if host.call_by <= now:
            return Expire(host.seat)
        case State.CRASHED if policy.crash_block and not (host.last_crash and host.last_crash.orderly):
            return Block(host.seat)
        case State.CRASHED if host.next_start <= now:
            return Start(host.seat)
    return None
