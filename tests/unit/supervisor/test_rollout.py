"""Which instances start and leave next: examples, and any fleet under any schedule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.release import Bounds
from eas_engine.supervisor.rollout import Course, Decision, Member, decide

R, W, S, C, B, P = State.READY, State.WARMING, State.STARTING, State.CRASHED, State.BLOCKED, State.PENDING


def old(*states: State, release: int = 1, first: int = 0) -> list[Member]:
    return [Member(number, release, state) for number, state in enumerate(states, first)]


def to_2(wanted: int, surge: int = 1, unavailable: int = 0, *, trusted: bool = True) -> Course:
    return Course(wanted, 2, 1, Bounds(surge, unavailable), rolling=True, trusted=trusted)


# -- scaling: one release


def test_what_lacks_starts_and_what_is_too_much_leaves() -> None:
    assert decide([], Course(3, 1, 1)) == Decision((1, 1, 1))
    assert decide(old(R, R), Course(4, 1, 1)) == Decision((1, 1))
    assert decide(old(R, R, R), Course(3, 1, 1)) == Decision()
    assert decide(old(R, R, R), Course(1, 1, 1)) == Decision((), (2, 1))
    assert decide(old(R, R), Course(0, 1, 1)) == Decision((), (1, 0))


def test_those_that_are_not_ready_leave_first_the_worst_off_before_the_others() -> None:
    fleet = old(C, R, W, R, B, S)
    assert decide(fleet, Course(5, 1, 1)).drain == (4,)
    assert decide(fleet, Course(2, 1, 1)).drain == (4, 0, 5, 2)
    assert decide(fleet, Course(1, 1, 1)).drain == (4, 0, 5, 2, 3)


def test_those_that_leave_do_not_hold_up_others_unless_something_is_replaced() -> None:
    leaving = [replace(one, leaving=True) for one in old(R, R)]
    assert decide(leaving, Course(2, 1, 1)) == Decision((1, 1))
    assert decide(leaving, Course(2, 2, 1)) == Decision((2,))
    assert decide(leaving, replace(Course(2, 1, 1), rolling=True)) == Decision((1,))


# -- a rollout, step by step


def test_with_a_surge_the_successor_comes_first() -> None:
    assert decide(old(R, R), to_2(2)) == Decision((2,))
    starting = old(R, R) + old(S, release=2, first=2)
    assert decide(starting, to_2(2, trusted=False)) == Decision()
    ready = old(R, R) + old(R, release=2, first=2)
    assert decide(ready, to_2(2)) == Decision((), (0,))
    leaving = [replace(ready[0], leaving=True), *ready[1:]]
    assert decide(leaving, to_2(2)) == Decision()  # its process still holds memory
    assert decide(ready[1:], to_2(2)) == Decision((2,))


def test_without_a_surge_one_goes_first() -> None:
    assert decide(old(R, R), to_2(2, 0, 1)) == Decision((), (0,))
    assert decide(old(R, R)[1:], to_2(2, 0, 1)) == Decision((2,))


def test_an_old_one_that_is_not_ready_goes_before_one_that_is() -> None:
    assert decide(old(R, C, R), to_2(3, 0, 1)).drain == (1,)
    # ready ones are as few as may be, the next one to leave was to be the crashed one
    assert decide(old(R, C, R) + old(R, release=2, first=3), to_2(3)).drain == (1,)


def test_an_old_one_that_is_not_ready_stays_while_its_successor_may_never_be() -> None:
    assert decide(old(C) + old(S, release=2, first=1), to_2(1)) == Decision()
    assert decide(old(C) + old(R, release=2, first=1), to_2(1)) == Decision((), (0,))


def test_a_new_one_that_crashes_holds_everything_up() -> None:
    fleet = old(R, R) + old(C, R, release=2, first=2)
    assert decide(fleet, to_2(3)) == Decision()


def test_superseded_instances_that_never_got_ready_go_and_those_that_did_stay_until_replaced() -> None:
    third = Course(3, 3, 1, Bounds(1, 0), rolling=True, trusted=False)
    fleet = old(R, R) + old(R, S, release=2, first=2)
    assert decide(fleet, third) == Decision((), (3,))
    assert decide(fleet[:3], third) == Decision((3,))


def test_of_a_release_that_was_given_up_nothing_is_hoped() -> None:
    fleet = [Member(0, 1, W), Member(1, 2, C), Member(2, 2, R)]
    assert decide(fleet, Course(3, 1, 1)).drain == (1,)
    assert decide(fleet, Course(3, 3, 1, Bounds(1, 0), rolling=True, trusted=False)).drain == (1,)


def test_going_back_replaces_what_the_rollout_has_brought() -> None:
    fleet = old(R, R) + old(R, C, release=2, first=2)
    assert decide(fleet, Course(3, 1, 1)) == Decision((), (3,))
    assert decide(fleet[:3], Course(3, 1, 1)) == Decision((1,))
    assert decide([*fleet[:3], Member(3, 1, R)], Course(3, 1, 1)) == Decision((), (2,))


def test_one_that_is_marked_gets_a_successor_first() -> None:
    fleet = [Member(0, 1, R, marked=True), Member(1, 1, R)]
    assert decide(fleet, Course(2, 1, 1)) == Decision((1,))
    assert decide([*fleet, Member(2, 1, W)], Course(2, 1, 1)) == Decision()
    assert decide([*fleet, Member(2, 1, R)], Course(2, 1, 1)) == Decision((), (0,))


# -- scaling while something is rolled out


def test_growth_comes_from_the_release_that_is_known_to_work() -> None:
    fleet = old(R, R) + old(S, release=2, first=2)
    assert decide(fleet, to_2(5, trusted=False)) == Decision((1, 1, 1))
    assert decide(fleet, to_2(5)) == Decision((2, 2, 2))


def test_an_untrusted_release_gets_no_more_than_a_try() -> None:
    assert decide(old(R, R), to_2(10, 2, 1, trusted=False)) == Decision((2, 2, 2, *[1] * 7))
    assert decide([], to_2(10, 2, 1, trusted=False)).start.count(2) == 3


def test_fewer_are_wanted_in_the_middle() -> None:
    fleet = old(R, R, R) + old(R, S, release=2, first=3)
    assert decide(fleet, to_2(2)) == Decision((), (0, 1))
    assert decide(fleet, to_2(1)) == Decision((), (4, 0, 1, 2))
    assert set(decide(fleet, to_2(0)).drain) == {0, 1, 2, 3, 4}


def test_a_probe_stays_beside_the_wanted_ones_and_holds_nothing_up() -> None:
    beside = Course(2, 1, 1, probes=1)
    assert decide(old(R, R, S), beside) == Decision()
    assert decide(old(R, R, S), replace(beside, probes=0)) == Decision((), (2,))
    marked = [replace(old(R)[0], marked=True), *old(R, S, R, first=1)]
    assert decide(marked, beside) == Decision((), (0,)), "as many are ready as were promised"


def test_whoever_a_probe_relieves_leaves_when_that_makes_none_too_few() -> None:
    relieved = [replace(old(R)[0], marked=True), *old(R, R, first=1)]
    assert decide(relieved, Course(2, 1, 1)) == Decision((), (0,))
    crashed = [*relieved[:2], *old(C, first=2)]
    assert decide(crashed, Course(2, 1, 1)) == Decision()


# -- any fleet


members = st.builds(
    Member,
    number=st.just(0),
    release=st.sampled_from([1, 2, 3]),
    state=st.sampled_from([B, C, State.STUCK, P, S, W, R]),
    leaving=st.booleans(),
    marked=st.booleans(),
)
fleets = st.lists(members, max_size=12).map(
    lambda some: [replace(one, number=number) for number, one in enumerate(some)]
)
bounds = st.sampled_from([Bounds(1, 0), Bounds(0, 1), Bounds(2, 1), Bounds(3, 8)])
rollouts = st.builds(
    Course,
    wanted=st.integers(0, 8),
    release=st.just(3),
    base=st.just(1),
    bounds=bounds,
    rolling=st.just(True),
    trusted=st.booleans(),
)
calm = st.builds(
    Course,
    wanted=st.integers(0, 8),
    release=st.just(3),
    base=st.just(3),
    bounds=bounds,
    probes=st.integers(0, 3),
)
courses = (
    rollouts | calm
)  # as Intent makes them: what replaces nothing is trusted, and a rollout keeps no probe


def ready_count(fleet: list[Member]) -> int:
    return sum(one.ready for one in fleet)


@given(fleet=fleets, course=courses)
def test_the_guarantees_hold_for_any_fleet(fleet: list[Member], course: Course) -> None:
    made = decide(fleet, course)
    assert len(set(made.drain)) == len(made.drain)
    told = [fleet[number] for number in made.drain]
    assert not any(one.leaving for one in told)
    after = [one for one in fleet if one.number not in made.drain]
    if any(one.ready for one in told):
        assert ready_count(after) >= course.promised
    replacing = course.rolling or any(one.release != 3 or one.marked for one in fleet)
    if replacing and made.start:
        assert len(fleet) + len(made.start) <= course.wanted + course.probes + course.bounds.surge
    assert set(made.start) <= {course.release, course.base}


class Sim:
    """Instances that do what they are told, in an order that the test draws."""

    def __init__(self, fleet: list[Member], course: Course) -> None:
        self.fleet, self.course = fleet, course
        self.trust()

    def trust(self) -> None:
        """A release of which an instance is ready is worth more than a try."""
        if any(one.release == self.course.release and one.ready for one in self.fleet):
            self.course = replace(self.course, trusted=True)

    def decide(self) -> Decision:
        made = decide(self.fleet, self.course)
        self.fleet = [replace(one, leaving=one.leaving or one.number in made.drain) for one in self.fleet]
        for release in made.start:
            number = next(n for n in range(99) if n not in {one.number for one in self.fleet})
            self.fleet.append(Member(number, release, S))
        return made

    def step(self, choice: int) -> bool:
        """One that isn't where it is going gets there. Says whether there was one."""
        going = [one for one in self.fleet if one.leaving or one.state is not R]
        if going:
            one = going[choice % len(going)]
            self.fleet.remove(one)
            if not one.leaving:
                self.fleet.append(replace(one, state=R))
        self.trust()
        return bool(going)


@given(fleet=fleets, course=courses, choices=st.lists(st.integers(0, 20), min_size=1, max_size=40))
def test_it_ends_where_it_should_whatever_gets_ready_or_leaves_first(
    fleet: list[Member], course: Course, choices: list[int]
) -> None:
    sim = Sim(fleet, course)
    for turn in range(200):
        made = sim.decide()
        if not sim.step(choices[turn % len(choices)]) and made == Decision():
            break
    else:
        pytest.fail(f"no end: {sim.fleet}")
    assert [one.release for one in sim.fleet] == [3] * (course.wanted + course.probes)
    assert all(one.ready and not one.marked for one in sim.fleet)


@given(fleet=fleets, course=courses)
def test_what_was_decided_is_not_decided_again(fleet: list[Member], course: Course) -> None:
    sim = Sim(fleet, course)
    sim.decide()
    again = sim.decide()
    assert not again.drain
    assert not again.start
