"""Whose time is over: on time, once, and with one timer for nearly all."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.admission.deadlines import Deadlines
from eas_engine.request import Ticket
from support.loop import FakeLoop
from support.parts import Asker

KEEPALIVE = 5.0


class Watch:
    """Deadlines, and who was late when."""

    def __init__(self, keepalive: float = KEEPALIVE) -> None:
        self.loop = FakeLoop()
        self.keepalive = keepalive
        self.late: list[tuple[int, float]] = []
        loop: Any = self.loop
        self.deadlines = Deadlines(loop, self.loop.time, self.expire)
        self.deadlines.configure(keepalive)
        self.began = self.loop.now
        self.number = 0

    def expire(self, ticket: Ticket, now: float) -> None:
        assert now >= ticket.deadline
        self.late.append((ticket.number, round(now - self.began, 3)))
        self.deadlines.discard(ticket)

    def add(self, *, head_took: float = 0.0) -> Ticket:
        arrived = self.loop.now - head_took
        ticket = Ticket(Asker(), b"", self.number, arrived, arrived + self.keepalive)
        self.number += 1
        self.deadlines.add(ticket)
        return ticket


def test_one_timer_for_all_that_come_in_order() -> None:
    watch = Watch()
    for _ in range(10):
        watch.add()
        watch.loop.advance(0.1)
    assert watch.loop.timers == 1
    assert len(watch.deadlines) == 10
    watch.loop.advance(10.0)
    assert watch.late == [(n, round(n * 0.1 + KEEPALIVE, 3)) for n in range(10)]
    assert len(watch.deadlines) == 0


def test_whoever_was_answered_is_not_late() -> None:
    watch = Watch()
    first, second = watch.add(), watch.add()
    slow = watch.add(head_took=3.0)
    for ticket in (first, slow):
        watch.deadlines.discard(ticket)
        watch.deadlines.discard(ticket)
    watch.loop.advance(10.0)
    assert watch.late == [(second.number, KEEPALIVE)]
    assert watch.loop.timers == 1  # the next to come


def test_a_head_that_trickled_in_has_a_timer_of_its_own() -> None:
    watch = Watch()
    watch.add()
    watch.add(head_took=3.0)
    watch.loop.advance(10.0)
    assert watch.late == [(1, 2.0), (0, 5.0)]


def test_a_head_that_trickled_in_while_nobody_else_was_there_is_late_on_time() -> None:
    """It was put in line behind a timer that was set after its first byte: the 408 came seconds late."""
    watch = Watch()
    watch.loop.advance(12.0)  # timers at 5 and 10: the next one at 15
    watch.add(head_took=4.0)
    watch.loop.advance(10.0)
    assert watch.late == [(0, 13.0)]


def test_a_shorter_keepalive_holds_for_those_who_come_from_now_on() -> None:
    watch = Watch(keepalive=60.0)
    watch.add()
    watch.keepalive = 1.0
    watch.deadlines.configure(1.0)
    watch.add()
    watch.loop.advance(100.0)
    assert watch.late == [(1, 1.0), (0, 60.0)]


def test_a_loop_that_was_busy_finds_all_who_are_late_at_once() -> None:
    watch = Watch()
    watch.add()
    watch.loop.advance(1.0)
    watch.add()
    watch.add(head_took=0.5)
    watch.loop.jump(30.0)
    assert sorted(number for number, _ in watch.late) == [0, 1, 2]
    watch.add()
    watch.loop.advance(KEEPALIVE)
    assert watch.late[-1][0] == 3


def test_closed_it_watches_nobody() -> None:
    watch = Watch()
    watch.add()
    watch.add(head_took=1.0)
    watch.deadlines.close()
    assert watch.loop.timers == 0
    watch.loop.advance(10.0)
    assert watch.late == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "slow", "answer", "wait", "jump", "keepalive"]), st.floats(0.0, 7.0)
        ),
        max_size=40,
    )
)
def test_everybody_is_late_once_and_on_time_whatever_happens(steps: list[tuple[str, float]]) -> None:
    watch = Watch()
    open_: dict[int, Ticket] = {}
    for step, amount in steps:
        if step in ("add", "slow"):
            ticket = watch.add(head_took=min(amount, watch.keepalive) if step == "slow" else 0.0)
            open_[ticket.number] = ticket
        elif step == "answer" and open_:
            watch.deadlines.discard(open_.pop(list(open_)[int(amount * 7) % len(open_)]))
        elif step == "wait":
            watch.loop.advance(amount)
        elif step == "jump":
            watch.loop.jump(amount)
        elif step == "keepalive":
            watch.keepalive = 0.5 + amount
            watch.deadlines.configure(watch.keepalive)
        seen = [number for number, _ in watch.late]
        assert len(seen) == len(set(seen))
        for number in seen:
            open_.pop(number, None)
        assert len(watch.deadlines) == len(open_)
        for ticket in open_.values():
            assert ticket.deadline > watch.loop.now - 1e-6 or step in ("slow", "keepalive", "add")
