"""Back-off and giving up are arithmetic."""

from __future__ import annotations

import pytest

from eas_engine.supervisor.restart import Deaths, gives_up


def test_back_off_grows_to_a_minute_and_stays_there() -> None:
    deaths, waits = Deaths(), []
    for _ in range(14):
        deaths = deaths.after(ready_for=1.0)
        waits.append(deaths.back_off)
    assert waits == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 60, 60, 60]


def test_nothing_is_waited_for_without_a_death() -> None:
    assert Deaths().back_off == 0


def test_sixty_seconds_of_health_forgive_everything() -> None:
    deaths = Deaths(in_a_row=9, failed_starts=2)
    assert deaths.after(ready_for=59.9).in_a_row == 10
    assert deaths.after(ready_for=60.0) == Deaths(in_a_row=1)


def test_failed_starts_count_until_one_succeeds() -> None:
    deaths = Deaths().after(None).after(None)
    assert deaths.failed_starts == 2
    assert deaths.after(ready_for=0.1).failed_starts == 0


@pytest.mark.parametrize(
    ("ever_ready", "refused", "failed_starts", "end"),
    [
        (False, True, 1, True),
        (False, False, 2, False),
        (False, False, 3, True),
        (True, True, 9, False),
        (True, False, 9, False),
    ],
)
def test_the_engine_gives_up_only_if_nothing_was_ever_ready(
    ever_ready: bool, refused: bool, failed_starts: int, end: bool
) -> None:
    assert gives_up(ever_ready=ever_ready, refused=refused, failed_starts=failed_starts) is end
