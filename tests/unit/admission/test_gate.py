"""Admitted or refused: in which order it is asked, and that every place comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from eas_engine.admission.gate import Fleet, Gate, Limits
from eas_engine.errors import (
    DeadlineExceeded,
    Draining,
    NotReady,
    QueueFull,
    RateLimited,
    ServiceStopped,
)
from eas_engine.request import Ticket
from support.parts import HEAD, Asker, Parts


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts(queue=2, threads=1)
    yield parts
    parts.close()


def ask(gate: Gate, now: float, *, first: float = 0.0) -> object:
    return gate.admit(Asker(), HEAD, first, now)


def test_full_counts_the_queue_and_the_threads_of_every_instance(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    assert gate.capacity == 3
    gate.observe(Fleet(live=2, ever_ready=True))
    assert gate.capacity == 6
    gate.observe(Fleet(live=0, ever_ready=True))
    assert gate.capacity == 3  # as if there were one: it will be started
    assert [isinstance(ask(gate, now), Ticket) for _ in range(3)] == [True] * 3
    assert isinstance(ask(gate, now), QueueFull)
    assert gate.count == 3


def test_fewer_instances_leave_those_who_are_in_and_let_nobody_in_before_there_is_room(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    gate.observe(Fleet(live=2, ever_ready=True))
    tickets = [ticket for _ in range(6) if isinstance(ticket := ask(gate, now), Ticket)]
    gate.observe(Fleet(live=1, ever_ready=True))
    for ticket in tickets[:4]:
        assert isinstance(ask(gate, now), QueueFull)
        gate.settle(ticket)
    assert isinstance(ask(gate, now), Ticket)


def test_a_full_queue_costs_no_rate(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    gate.configure(Limits(queue=0, threads=1, rate=10.0, keepalive=5.0))
    ticket = ask(gate, now)
    assert isinstance(ticket, Ticket)
    assert isinstance(ask(gate, now), QueueFull)
    gate.settle(ticket)
    assert isinstance(ask(gate, now), RateLimited)  # burst: a tenth of a second's worth, and at least one
    assert isinstance(ask(gate, now + 0.11), Ticket)


def test_the_rate_is_that_of_all_instances_and_none_is_unlimited(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    gate.configure(Limits(queue=1000, threads=1, rate=100.0, keepalive=5.0))
    gate.observe(Fleet(live=3, ever_ready=True))
    later = now + 1.0
    assert sum(isinstance(ask(gate, later), Ticket) for _ in range(50)) == 30
    refusal = ask(gate, later)
    assert isinstance(refusal, RateLimited)
    assert 0.0 < refusal.retry_after <= 1 / 300
    gate.configure(Limits(queue=1000, threads=1, rate=0.0, keepalive=5.0))
    assert all(isinstance(ask(gate, later), Ticket) for _ in range(50))


def test_time_counts_from_the_first_byte(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    ticket = ask(gate, now, first=now - 4.0)
    assert isinstance(ticket, Ticket)
    assert (ticket.arrived, ticket.deadline) == (now - 4.0, now + 1.0)
    assert isinstance(ask(gate, now, first=now - 5.0), DeadlineExceeded)


@pytest.mark.parametrize(
    ("fleet", "text"),
    [
        (Fleet(live=1, ever_ready=False), "no healthy upstream"),
        (Fleet(live=0, ever_ready=True, hopeless="blocked"), "no healthy upstream: blocked"),
    ],
)
def test_who_can_not_be_served_is_told_at_once(parts: Parts, fleet: Fleet, text: str) -> None:
    parts.gate.observe(fleet)
    refusal = ask(parts.gate, parts.loop.now)
    assert isinstance(refusal, NotReady)
    assert str(refusal) == text


def test_the_next_start_may_be_waited_for_if_it_is_due_in_time(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    gate.observe(Fleet(live=0, ever_ready=True, next_start=now + 4.9))
    assert isinstance(ask(gate, now), Ticket)
    gate.observe(Fleet(live=0, ever_ready=True, next_start=now + 5.1))
    assert isinstance(ask(gate, now), NotReady)
    gate.observe(Fleet(live=1, ever_ready=True))
    assert isinstance(ask(gate, now), Ticket)


def test_draining_is_for_good_whatever_the_fleet_does(parts: Parts) -> None:
    """The supervisor goes on reporting during the drain; its reports once opened the gate again."""
    gate, now = parts.gate, parts.loop.now
    gate.drain()
    assert isinstance(ask(gate, now), Draining)
    gate.observe(Fleet(live=1, ever_ready=True))
    gate.configure(gate.limits)
    assert isinstance(ask(gate, now), Draining)


def test_the_deadline_refuses_and_returns_the_place(parts: Parts) -> None:
    asker, _ = parts.ask(b"body")
    parts.loop.advance(4.9)
    assert asker.ending is None
    parts.loop.advance(0.2)
    assert asker.code == "deadline_exceeded"
    parts.check_empty()


def test_a_keepalive_that_becomes_known_later_holds_from_then_on(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    gate.configure(Limits(queue=2, threads=1, rate=0.0, keepalive=1.0))
    ticket = ask(gate, now)
    assert isinstance(ticket, Ticket)
    assert ticket.deadline == now + 1.0


# -- asleep, and stopped


ASLEEP = Fleet(live=0, ever_ready=True, asleep=True)


def test_while_it_sleeps_as_many_wait_as_for_one_instance_and_the_first_wakes_it(parts: Parts) -> None:
    gate, now, woken = parts.gate, parts.loop.now, list[int]()
    gate.on_wake = lambda: woken.append(gate.count)
    gate.observe(ASLEEP)
    assert isinstance(ask(gate, now), Ticket)
    assert woken == [], "in the same turn its ticket isn't anywhere yet"
    parts.loop.turn()
    assert woken == [1]
    assert [isinstance(ask(gate, now), Ticket) for _ in range(2)] == [True] * 2
    assert isinstance(ask(gate, now), QueueFull)
    parts.loop.turn()
    assert woken == [1]


def test_a_service_that_never_was_ready_sleeps_as_well(parts: Parts) -> None:
    parts.gate.observe(Fleet(live=0, asleep=True, hopeless="no instance will be started again"))
    assert isinstance(ask(parts.gate, parts.loop.now), Ticket)


def test_who_is_refused_wakes_nobody(parts: Parts) -> None:
    gate, now, woken = parts.gate, parts.loop.now, list[int]()
    gate.on_wake = lambda: woken.append(1)
    gate.configure(Limits(queue=0, threads=1, rate=0.0, keepalive=5.0))
    assert isinstance(ask(gate, now), Ticket)
    gate.observe(ASLEEP)
    assert isinstance(ask(gate, now), QueueFull)
    assert isinstance(ask(gate, now, first=now - 6), DeadlineExceeded)
    parts.loop.turn()
    assert woken == []


def test_it_is_woken_again_if_it_sleeps_on_or_again(parts: Parts) -> None:
    gate, now, woken = parts.gate, parts.loop.now, list[int]()
    gate.on_wake = lambda: woken.append(1)
    for fleet in (ASLEEP, ASLEEP, Fleet(ever_ready=True), ASLEEP):
        gate.observe(fleet)
        ticket = ask(gate, now)
        assert isinstance(ticket, Ticket)
        gate.settle(ticket)
        parts.loop.turn()
    assert woken == [1, 1, 1]


def test_the_rate_holds_for_the_one_that_wakes_it(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    gate.configure(Limits(queue=9, threads=1, rate=1.0, keepalive=5.0))
    gate.observe(ASLEEP)
    assert isinstance(ask(gate, now), Ticket)
    assert isinstance(ask(gate, now), RateLimited)


def test_a_stopped_service_says_so_whatever_else_it_is(parts: Parts) -> None:
    gate, now = parts.gate, parts.loop.now
    for fleet in (Fleet(ever_ready=True, stopped=True), Fleet(stopped=True), replace(ASLEEP, stopped=True)):
        gate.observe(fleet)
        refused = ask(gate, now)
        assert isinstance(refused, ServiceStopped)
        assert (refused.status, refused.code, refused.retryable) == (503, "service_stopped", True)
    gate.drain()
    assert isinstance(ask(gate, now), Draining)


# -- other limits, live


def test_who_is_in_keeps_the_deadline_that_it_was_given(parts: Parts) -> None:
    asker, ticket = parts.ask()
    assert isinstance(ticket, Ticket)
    parts.gate.configure(Limits(queue=2, threads=1, rate=0.0, keepalive=1.0))
    later, _ = parts.ask()
    parts.loop.advance(1.01)
    assert (asker.code, later.code) == (None, "deadline_exceeded")
    parts.gate.configure(Limits(queue=2, threads=1, rate=0.0, keepalive=60.0))
    parts.loop.advance(4.0)
    assert asker.code == "deadline_exceeded"
