"""Student's t: against the tables, and whether its intervals hold what they promise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench import student

TABLE = [
    (1, 0.975, 12.706),
    (2, 0.975, 4.303),
    (4, 0.975, 2.776),
    (10, 0.975, 2.228),
    (30, 0.975, 2.042),
    (3, 0.95, 2.353),
    (5, 0.995, 4.032),
    (10_000, 0.975, 1.960),
]


@pytest.mark.parametrize(("freedom", "share", "t"), TABLE)
def test_quantiles_are_those_of_the_tables(freedom: int, share: float, t: float) -> None:
    assert student.quantile(share, freedom) == pytest.approx(t, abs=6e-4)


@given(st.floats(0.5, 0.9999), st.floats(1, 1000))
def test_a_quantile_has_its_share_below(share: float, freedom: float) -> None:
    assert student.share_below(student.quantile(share, freedom), freedom) == pytest.approx(share, abs=1e-6)


@given(st.floats(1, 500), st.floats(0, 50), st.floats(0, 50))
def test_the_share_below_rises(freedom: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0.5 <= student.share_below(low, freedom) <= student.share_below(high, freedom) + 1e-12 <= 1 + 1e-11


@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_an_interval_of_a_mean_holds_it_as_often_as_it_says(count: int) -> None:
    """19 times of 20, within what 4,000 trials can tell (three standard errors are 1 %)."""
    chance, trials = random.Random(7), 4000
    held = 0
    for _ in range(trials):
        range_ = student.mean([chance.gauss(3, 2) for _ in range(count)])
        held += range_.low <= 3 <= range_.high
    assert held / trials == pytest.approx(0.95, abs=0.0105)


def test_an_interval_of_a_difference_holds_it_although_the_sides_spread_differently() -> None:
    chance, trials = random.Random(8), 4000
    held = 0
    for _ in range(trials):
        a = [chance.gauss(3, 5) for _ in range(4)]
        b = [chance.gauss(4, 1) for _ in range(9)]
        range_ = student.difference(a, b)
        held += range_.low <= 1 <= range_.high
    assert held / trials == pytest.approx(0.95, abs=0.015)


def test_equal_values_leave_no_doubt() -> None:
    assert student.difference([1.0, 1.0], [3.0, 3.0]) == student.Range(2, 2, 2)
    assert student.mean([2.0, 2.0, 2.0]).sure
    assert not student.mean([0.0, 0.0]).sure


def test_one_value_says_nothing() -> None:
    with pytest.raises(ValueError, match="at least two"):
        student.mean([1.0])
