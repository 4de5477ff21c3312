"""The arithmetic of a rollout's bounds is Kubernetes'."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.supervisor.release import Bounds, Strategy


@pytest.mark.parametrize(
    ("wanted", "surge", "unavailable", "bounds"),
    [
        # the documentation of Deployments: 25 % of 4, 30 % of 10 (7 to 13), and plain numbers
        (4, "25%", "25%", (1, 1)),
        (10, "30%", "30%", (3, 3)),
        (10, 5, 2, (5, 2)),
        # the comment of ResolveFenceposts
        (2, "1%", "25%", (1, 0)),
        (1, "1%", "25%", (1, 0)),
        (2, "1%", "0%", (1, 0)),
        (1, "1%", "0%", (1, 0)),
        # there one would be missing; here there is one more
        (2, "0%", "1%", (1, 0)),
        (1, "0%", "1%", (1, 0)),
        (7, 0, 0, (1, 0)),
        # both are rounded, away from each other
        (3, "34%", "34%", (2, 1)),
        (3, "150%", "100%", (5, 3)),
        # one of them is enough
        (4, 0, 1, (0, 1)),
        (1000, "2%", 0, (20, 0)),
        # no instance at all
        (0, "25%", "25%", (1, 0)),
    ],
)
def test_published_examples(
    wanted: int, surge: int | str, unavailable: int | str, bounds: tuple[int, int]
) -> None:
    assert Strategy(surge, unavailable).bounds(wanted) == Bounds(*bounds)


@given(wanted=st.integers(0, 1000), surge=st.integers(0, 300), unavailable=st.integers(0, 100))
def test_percentages_are_rounded_once_and_away_from_each_other(
    wanted: int, surge: int, unavailable: int
) -> None:
    bounds = Strategy(f"{surge}%", f"{unavailable}%").bounds(wanted)
    up, down = ceil(Fraction(surge * wanted, 100)), floor(Fraction(unavailable * wanted, 100))
    assert bounds == (Bounds(up, down) if up or down else Bounds(1, 0))
    assert bounds.unavailable <= wanted


@pytest.mark.parametrize("given", ["25", "-1%", -1, "a%", "%", "2.5%", "", True, "٣%"])
@pytest.mark.parametrize("field", ["max_surge", "max_unavailable"])
def test_anything_else_is_refused_by_name(field: str, given: int | str) -> None:
    with pytest.raises(ValueError, match=f"{field} is .*expected a number like 1"):
        Strategy(**{field: given})  # type: ignore[arg-type]


def test_more_than_all_can_not_be_missing_and_no_time_is_too_little() -> None:
    with pytest.raises(ValueError, match='max_unavailable is "101%": expected at most 100%'):
        Strategy(max_unavailable="101%")
    assert Strategy(max_unavailable=101).max_unavailable == 101
    with pytest.raises(ValueError, match="expected more than 0 seconds"):
        Strategy(timeout=0)
