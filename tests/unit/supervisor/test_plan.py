"""The planner, asked about snapshots made by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from eas_engine.supervisor.actions import Block, Drain, End, GiveUp, Kill, Remove, Start
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import FleetSnapshot, HostSnapshot, InstanceSnapshot, Seat
from eas_engine.supervisor.plan import Policy, plan, wake_at
from eas_engine.supervisor.rollout import Course

NOW = 1000.0


def host(seat: tuple[int, int], state: State, **more: object) -> HostSnapshot:
    return HostSnapshot(Seat(*seat), f"s-{seat}", f"s-{seat[0]}", state, **more)  # type: ignore[arg-type]


def fleet(
    *hosts: HostSnapshot, ever_ready: bool = True, stop_by: float | None = None, **more: Any
) -> FleetSnapshot:
    numbers = sorted({one.seat.instance for one in hosts})
    return FleetSnapshot(
        "s",
        tuple(
            InstanceSnapshot(f"s-{number}", tuple(one for one in hosts if one.seat.instance == number), NOW)
            for number in numbers
        ),
        ever_ready,
        stop_by,
        **{"wanted": len(numbers), **more},
    )


def wants(instances: int, **more: Any) -> Policy:
    """So many instances of the only release."""
    return Policy(Course(instances, 1, 1), **more)


def test_every_instance_gets_its_first_host() -> None:
    assert plan(fleet(), wants(2), NOW) == [Start(Seat(0, 0), 1), Start(Seat(1, 0), 1)]
    pending = fleet(host((0, 0), State.PENDING), host((1, 0), State.READY))
    assert plan(pending, wants(2), NOW) == [Start(Seat(0, 0), 1)]


def test_worker_processes_of_the_first_host_make_more_seats() -> None:
    warming = fleet(host((0, 0), State.WARMING, processes=3))
    assert plan(warming, wants(1), NOW) == [Start(Seat(0, 1), 1), Start(Seat(0, 2), 1)]


def test_a_crashed_host_waits_for_its_back_off_and_no_longer() -> None:
    crashed = fleet(host((0, 0), State.CRASHED, next_start=NOW + 2))
    assert plan(crashed, wants(1), NOW) == []
    assert wake_at(crashed, wants(1)) == NOW + 2
    assert plan(crashed, wants(1), NOW + 2) == [Start(Seat(0, 0), 1)]


def test_crash_block_keeps_it_as_it_is() -> None:
    policy = wants(1)
    assert plan(fleet(host((0, 0), State.CRASHED, next_start=NOW, crash_block=True)), policy, NOW) == [
        Block(Seat(0, 0))
    ]
    blocked = fleet(host((0, 0), State.BLOCKED))
    assert plan(blocked, policy, NOW) == []
    assert wake_at(blocked, policy) == math.inf


@pytest.mark.parametrize("more", [{"refused": True}, {"failed_starts": 3}])
def test_gives_up_if_nothing_was_ever_ready(more: dict[str, object]) -> None:
    crashed = host((1, 0), State.CRASHED, next_start=NOW, **more)
    hosts = (host((0, 0), State.WARMING), crashed)
    assert plan(fleet(*hosts, ever_ready=False), wants(2), NOW) == [GiveUp(Seat(1, 0))]
    assert plan(fleet(*hosts, ever_ready=True), wants(2), NOW) == [Start(Seat(1, 0), 1)]


def test_whoever_has_not_left_in_time_is_killed_once() -> None:
    late = host((0, 0), State.DRAINING, leave_by=NOW)
    assert Kill(Seat(0, 0)) in plan(fleet(late), wants(1), NOW)
    assert plan(fleet(host((0, 0), State.DRAINING, leave_by=NOW, killed=True)), wants(0), NOW) == []
    assert wake_at(fleet(host((0, 0), State.STUCK, leave_by=NOW + 5)), wants(1)) == NOW + 5


def test_seats_no_longer_wanted_are_drained_and_forgotten() -> None:
    extra = fleet(
        host((0, 0), State.READY), host((0, 1), State.READY, grace=7.0), host((1, 0), State.STOPPED)
    )
    assert plan(extra, wants(1), NOW) == [Drain(Seat(0, 1), NOW + 7), Remove(Seat(1, 0))]


@pytest.mark.parametrize("state", [state for state in State if state not in (State.DRAINING, State.STOPPED)])
def test_stopping_drains_every_host_whatever_it_is_doing(state: State) -> None:
    assert plan(fleet(host((0, 0), state), stop_by=NOW + 3), wants(1), NOW) == [Drain(Seat(0, 0), NOW + 3)]


def test_stopping_ends_when_nobody_is_left() -> None:
    draining = host((0, 0), State.DRAINING, leave_by=NOW + 3)
    assert plan(fleet(draining, stop_by=NOW + 3), wants(1), NOW) == []
    assert plan(fleet(draining, stop_by=NOW + 1), wants(1), NOW) == [Drain(Seat(0, 0), NOW + 1)]
    assert plan(fleet(host((0, 0), State.STOPPED), stop_by=NOW), wants(1), NOW) == [Remove(Seat(0, 0))]
    assert plan(fleet(stop_by=NOW), wants(1), NOW) == [End()]


@pytest.mark.parametrize(
    ("states", "ready", "hopeful", "due"),
    [
        ([State.READY, State.READY], 2, 2, 0.0),
        ([State.WARMING, State.CRASHED], 0, 1, 0.0),
        ([State.CRASHED, State.CRASHED], 0, 0, NOW + 5),
        ([State.STUCK, State.DRAINING], 0, 0, 0.0),  # what comes now waits for its successor
        ([State.DRAINING], 0, 0, 0.0),  # another takes its place
        ([State.BLOCKED], 0, 0, math.inf),
    ],
)
def test_what_the_gate_reads(states: list[State], ready: int, hopeful: int, due: float) -> None:
    hosts = [
        host((n, 0), state, next_start=NOW + 5 if state is State.CRASHED else math.inf)
        for n, state in enumerate(states)
    ]
    seen = fleet(*hosts)
    assert (seen.ready_count, seen.admitting_or_starting_count, seen.next_start_due) == (ready, hopeful, due)
