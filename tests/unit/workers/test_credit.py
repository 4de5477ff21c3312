"""How much work is given ahead: only to the fast, and no longer than they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.workers.credit import AHEAD_SECONDS, MOST_AHEAD, Credit


def test_nothing_ahead_before_anything_is_known() -> None:
    assert Credit(5).limit == 5


@pytest.mark.parametrize("us", [0, 1, 5])
def test_a_fast_processor_gets_the_most(us: int) -> None:
    credit = Credit(5)
    for _ in range(80):
        credit.learn(10, 10 * us, us)
    assert credit.limit == 5 + MOST_AHEAD


@pytest.mark.parametrize(("us", "ahead"), [(95, 3), (200, 1), (299, 1), (400, 0), (999, 0)])
def test_as_many_as_fit_into_the_time(us: int, ahead: int) -> None:
    credit = Credit(2)
    for _ in range(200):
        credit.learn(1, us, us)
    assert credit.limit == 2 + ahead


def test_one_slow_answer_takes_it_all_away_at_once() -> None:
    credit = Credit(2)
    for _ in range(20):
        credit.learn(10, 10, 1)
    credit.learn(10, 1009, 1000)
    assert credit.limit == 2
    credit.learn(1, 1, 1)
    assert credit.limit == 2  # trust comes back slowly


def test_a_host_that_is_the_only_one_has_one_ahead_however_slow_once_that_is_known() -> None:
    credit = Credit(2, alone=True)
    assert credit.limit == 2
    credit.learn(1, 5_000_000, 5_000_000)
    assert credit.limit == 3
    for _ in range(200):
        credit.learn(1, 999, 999)
    assert credit.limit == 3
    for _ in range(200):
        credit.learn(1, 95, 95)
    assert credit.limit == 5, "not one more than it would have beside others"


def test_with_company_a_slow_host_has_none_ahead() -> None:
    credit = Credit(2, alone=True)
    credit.learn(1, 5_000_000, 5_000_000)
    credit.be_alone(alone=False)
    assert credit.limit == 2
    credit.learn(1, 5_000_000, 5_000_000)
    assert credit.limit == 2


@given(st.lists(st.lists(st.integers(0, 3000), min_size=1, max_size=20), max_size=60), st.integers(1, 64))
def test_the_limit_is_never_below_the_threads_nor_above_what_fits(
    reads: list[list[int]], threads: int
) -> None:
    credit = Credit(threads)
    for took in reads:
        credit.learn(len(took), sum(took), max(took))
        assert threads <= credit.limit <= threads + MOST_AHEAD
        if max(took) >= 1000:
            assert credit.limit == threads
        ahead = credit.limit - threads
        assert ahead * credit.average_us <= AHEAD_SECONDS * 1e6 + 1e-6 or credit.average_us <= 1.0
