"""Who waits for a second try, and how often one may cost an instance."""

from __future__ import annotations

import pytest

from eas_engine.request import Ticket
from eas_engine.workers.suspects import FORGOTTEN_AFTER, PAUSES, Convictions, Suspects
from support.parts import Asker


def ticket(number: int, queued: float) -> Ticket:
    made = Ticket(Asker(), b"", number, queued, queued + 5.0)
    made.queued = queued
    return made


def test_pauses_grow_with_convictions_in_a_row_and_stay_at_the_last() -> None:
    convictions, now, pauses = Convictions(), 100.0, []
    assert convictions.pause_ends < 0
    for _ in range(len(PAUSES) + 2):
        convictions = convictions.after(now)
        pauses.append(convictions.pause_ends - now)
        now = convictions.pause_ends
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_minute_without_a_conviction_forgets_them() -> None:
    convictions = Convictions().after(0.0).after(1.0).after(3.0)
    assert convictions.in_a_row == 3
    assert convictions.after(3.0 + FORGOTTEN_AFTER - 1).in_a_row == 4
    assert convictions.after(3.0 + FORGOTTEN_AFTER).in_a_row == 1


def test_who_has_waited_longest_comes_first_whoever_came_back_when() -> None:
    suspects = Suspects(lambda: None)
    one, two, three = ticket(1, 10.0), ticket(2, 11.0), ticket(3, 11.0)
    suspects.put([three])
    suspects.put([two, one])
    assert suspects.first is one
    assert [suspects.pop() for _ in range(3)] == [one, two, three]
    with pytest.raises(StopIteration):
        suspects.pop()


def test_who_leaves_holds_nothing_and_is_told_of_afterwards() -> None:
    seen: list[int] = []
    suspects = Suspects(lambda: seen.append(len(suspects)))
    one, two = ticket(1, 10.0), ticket(2, 11.0)
    suspects.put([one, two])
    assert {one.holder, two.holder} == {suspects}
    assert suspects.withdraw(one)
    assert one.holder is None
    assert seen == [1]
    assert suspects.first is two
