"""The line: in order, and anybody may leave it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eas_engine.admission.backlog import Backlog
from eas_engine.request import Ticket
from support.parts import Asker


def ticket(number: int, queued: float) -> Ticket:
    made = Ticket(Asker(), b"", number, 0.0, 9.0)
    made.queued = queued
    return made


def numbers(backlog: Backlog) -> list[int]:
    return [backlog.pop().number for _ in range(len(backlog))]


def test_first_in_first_out() -> None:
    backlog = Backlog()
    for n in range(3):
        backlog.put(ticket(n, float(n)))
    assert numbers(backlog) == [0, 1, 2]
    with pytest.raises(KeyError):
        backlog.pop()


def test_what_comes_back_is_in_front_in_its_own_order() -> None:
    backlog = Backlog()
    backlog.put(ticket(9, 9.0))
    backlog.put_back([ticket(2, 2.0), ticket(1, 1.0), ticket(4, 2.0), ticket(3, 2.0)])
    backlog.put_back([])
    assert numbers(backlog) == [1, 2, 3, 4, 9]


def test_what_comes_back_later_does_not_overtake_what_came_back_before() -> None:
    backlog = Backlog()
    backlog.put(ticket(9, 9.0))
    backlog.put_back([ticket(1, 1.0), ticket(3, 3.0)])
    backlog.put_back([ticket(2, 2.0), ticket(4, 4.0)])
    assert numbers(backlog) == [1, 2, 3, 4, 9]


def test_leaving_from_the_middle() -> None:
    backlog = Backlog()
    tickets = [ticket(n, float(n)) for n in range(3)]
    for each in tickets:
        backlog.put(each)
    assert [each.holder for each in tickets] == [backlog] * 3
    assert backlog.withdraw(tickets[1])
    assert [each.holder for each in tickets] == [backlog, None, backlog]
    assert numbers(backlog) == [0, 2]


class Line(RuleBasedStateMachine):
    """The model is a sorted list."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog()
        self.model: list[Ticket] = []
        self.out: list[Ticket] = []
        self.number = 0

    @rule()
    def put(self) -> None:
        self.number += 1
        new = ticket(self.number, float(self.number // 2))  # two may have come in the same instant
        self.backlog.put(new)
        self.model.append(new)

    @precondition(lambda self: self.model)
    @rule()
    def pop(self) -> None:
        popped = self.backlog.pop()
        assert popped is self.model.pop(0)
        self.out.append(popped)

    @rule(count=st.integers(0, 5))
    def take(self, count: int) -> None:
        taken = self.backlog.take(count)
        assert taken == self.model[:count]
        del self.model[:count]
        self.out += taken

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(self.out), unique_by=id, max_size=4))
        for each in some:
            self.out.remove(each)
        self.backlog.put_back(some)
        self.model = sorted(self.model + some, key=lambda each: (each.queued, each.number))

    @precondition(lambda self: self.model)
    @rule(n=st.integers(0, 99))
    def withdraw(self, n: int) -> None:
        assert self.backlog.withdraw(self.model.pop(n % len(self.model)))

    @invariant()
    def same(self) -> None:
        assert list(self.backlog.line) == self.model
        assert len(self.backlog) == len(self.model)
        assert all(each.holder is self.backlog for each in self.model)


Line.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestLine = Line.TestCase
