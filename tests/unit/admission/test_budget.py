"""Memory for bodies: first come, first served, and nothing is counted twice."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eas_engine.admission.budget import Budget


def test_a_large_one_is_not_starved_by_small_ones_behind_it() -> None:
    budget, log = Budget(10), list[str]()
    assert budget.take("a", 8, lambda: None)
    assert not budget.take("large", 9, lambda: log.append("large"))
    assert not budget.take("small", 1, lambda: log.append("small"))  # though there is room
    budget.give(8)
    assert log == ["large", "small"]
    assert budget.used == 10


def test_when_the_first_in_line_leaves_the_others_go_on() -> None:
    budget, log = Budget(10), list[str]()
    assert budget.take("a", 8, lambda: None)
    assert not budget.take("large", 9, lambda: log.append("large"))
    assert not budget.take("small", 2, lambda: log.append("small"))
    assert budget.forget("large")
    assert log == ["small"]
    assert not budget.forget("large")
    assert not budget.forget("a")
    assert budget.used == 10


def test_whoever_is_resumed_may_give_back_at_once() -> None:
    budget, log = Budget(1), list[int]()

    def resumed(n: int) -> None:
        log.append(n)
        budget.give(1)

    assert budget.take("a", 1, lambda: None)
    for n in range(5):
        assert not budget.take(n, 1, lambda n=n: resumed(n))  # type: ignore[misc]
    budget.give(1)
    assert log == [0, 1, 2, 3, 4]
    assert (budget.used, len(budget.waiting)) == (0, 0)


def test_nothing_takes_no_room_and_waits_for_nobody() -> None:
    budget = Budget(1)
    assert budget.take("a", 1, lambda: None)
    assert not budget.take("c", 1, lambda: None)
    assert budget.take("d", 0, lambda: None)


def test_bodies_that_grow_do_not_wait_for_one_another_for_ever() -> None:
    """Two chunked uploads, each holding what the other needed, both ended as 408s."""
    budget, went_on = Budget(10), list[str]()
    assert budget.take("a", 6, lambda: None)
    assert budget.take("b", 4, lambda: None)
    assert not budget.take("a", 3, lambda: went_on.append("a"), held=6)
    assert not budget.take("b", 3, lambda: went_on.append("b"), held=4)
    assert went_on == ["a"], "the first of them, once nobody else can go on"
    assert budget.take("a", 5, lambda: None, held=9)  # and to its end
    budget.forget("a")
    assert went_on == ["a"]  # `b` waits for the memory of `a`, which is in use
    budget.give(14)
    assert went_on == ["a", "b"]
    assert budget.used == 7


def test_a_body_that_is_alone_and_over_the_limit_goes_on_at_once() -> None:
    budget = Budget(10)
    assert budget.take("a", 8, lambda: None)
    assert budget.take("a", 5, pytest.fail, held=8), "and isn't told a second time"
    assert (budget.used, len(budget.waiting)) == (13, 0)


class Bodies(RuleBasedStateMachine):
    """The model: a line and what is held."""

    LIMIT = 20

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(self.LIMIT)
        self.held: dict[int, int] = {}
        self.line: list[tuple[int, int]] = []
        self.who = 0

    @rule(size=st.integers(0, 20))
    def take(self, size: int) -> None:
        who, self.who = self.who, self.who + 1
        if self.budget.take(who, size, lambda: self.resumed(who)):
            assert not self.line or not size
            self.held[who] = size
        else:
            self.line.append((who, size))

    def resumed(self, who: int) -> None:
        assert self.line[0][0] == who, "out of turn"
        self.held[who] = self.line.pop(0)[1]

    @precondition(lambda self: self.held)
    @rule(n=st.integers(0, 99))
    def give(self, n: int) -> None:
        self.budget.give(self.held.pop(list(self.held)[n % len(self.held)]))

    @precondition(lambda self: self.line)
    @rule(n=st.integers(0, 99))
    def leave(self, n: int) -> None:
        who, _ = self.line.pop(n % len(self.line))
        assert self.budget.forget(who)

    @invariant()
    def exact(self) -> None:
        assert self.budget.used == sum(self.held.values()) <= self.LIMIT
        assert list(self.budget.waiting) == [who for who, _ in self.line]
        if self.line:
            assert self.budget.used + self.line[0][1] > self.LIMIT, "it could go on"


Bodies.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBodies = Bodies.TestCase


# -- another limit, live


def test_a_higher_limit_lets_in_who_waits() -> None:
    budget, log = Budget(10), list[str]()
    assert budget.take("a", 8, lambda: None)
    assert not budget.take("b", 8, lambda: log.append("b"))
    assert not budget.take("c", 8, lambda: log.append("c"))
    budget.configure(16)
    assert log == ["b"]
    assert (budget.used, budget.limit) == (16, 16)


def test_what_is_over_a_lower_limit_goes_when_nothing_else_is_in_use() -> None:
    budget, log = Budget(10), list[str]()
    assert budget.take("a", 8, lambda: None)
    assert not budget.take("b", 9, lambda: log.append("b"))
    assert not budget.take("c", 1, lambda: log.append("c"))
    budget.configure(4)
    assert log == []
    budget.give(8)
    assert log == ["b"]
    budget.give(9)
    assert log == ["b", "c"]


def test_who_comes_with_more_than_a_lower_limit_and_was_let_in_before_is_served() -> None:
    budget = Budget(10)
    budget.configure(4)
    assert budget.take("a", 9, lambda: None)
