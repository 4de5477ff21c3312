"""A ratio is worse only when neither side's noise can be the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench.scenarios.baseline import MARGIN, changes, factor
from eas_bench.scenarios.figures import median
from eas_bench.scenarios.results import Figure, NoResults, newest

samples = st.lists(st.floats(0.01, 100), min_size=1, max_size=7)
senses = st.sampled_from(["at least", "at most"])


def figure(told: list[float], sense: str = "at least", **changed: Any) -> Figure:
    content: dict[str, Any] = {
        "scenario": "W1",
        "key": "W1-64",
        "words": "requests/s, engine over bare loop",
        "sense": sense,
        "limit": 0.6,
        "unit": "",
        "value": median(told),
        "low": min(told),
        "high": max(told),
        "samples": told,
        "met": True,
        "reliable": True,
        "faults": [],
        "doubts": [],
    }
    return Figure(**{**content, **changed})


def state(before: Figure, after: Figure) -> str:
    (change,) = changes([before], [after])
    return change.state


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([0.60, 0.61, 0.62], [0.50, 0.51, 0.52], "worse"),
        ([0.50, 0.51, 0.52], [0.60, 0.61, 0.62], "better"),
        ([0.60, 0.61, 0.62], [0.50, 0.51, 0.605], "same"),  # one round was as good as before
        ([0.60, 0.60, 0.60], [0.58, 0.58, 0.58], "same"),  # steady, but too near
    ],
)
def test_spreads_that_do_not_touch_and_medians_that_are_apart(
    before: list[float], after: list[float], told: str
) -> None:
    assert state(figure(before), figure(after)) == told


def test_of_a_cost_more_is_worse() -> None:
    assert state(figure([1.7, 1.8], "at most"), figure([2.2, 2.3], "at most")) == "worse"
    assert state(figure([2.2, 2.3], "at most"), figure([1.7, 1.8], "at most")) == "better"


@given(samples, senses)
def test_nothing_is_worse_than_itself(told: list[float], sense: str) -> None:
    assert state(figure(told, sense), figure(told, sense)) == "same"


@given(samples, samples, senses)
def test_what_is_worse_one_way_is_better_the_other(a: list[float], b: list[float], sense: str) -> None:
    other = {"worse": "better", "better": "worse", "same": "same"}
    assert state(figure(b, sense), figure(a, sense)) == other[state(figure(a, sense), figure(b, sense))]


@given(samples, samples, st.floats(0.01, 1), senses)
def test_what_is_worse_stays_worse_when_it_falls_further(
    before: list[float], after: list[float], by: float, sense: str
) -> None:
    further = [each * by if sense == "at least" else each / by for each in after]
    if state(figure(before, sense), figure(after, sense)) == "worse":
        assert state(figure(before, sense), figure(further, sense)) == "worse"


@given(samples, samples, st.floats(0.01, 100), senses)
def test_more_noise_never_makes_a_ratio_worse(
    before: list[float], after: list[float], more: float, sense: str
) -> None:
    """A round on each side of the median leaves it where it is."""
    middle = median(after)
    noisier = [*after, middle * (1 + more), middle / (1 + more)]
    if state(figure(before, sense), figure(after, sense)) != "worse":
        assert state(figure(before, sense), figure(noisier, sense)) != "worse"


@given(samples, samples, st.floats(0.1, 10), senses)
def test_only_the_relation_of_the_two_counts(a: list[float], b: list[float], by: float, sense: str) -> None:
    scaled = (figure([each * by for each in told], sense) for told in (a, b))
    one, other = factor(figure(a, sense), figure(b, sense)), factor(*scaled)
    assert one == pytest.approx(other, rel=1e-9)


@given(st.floats(0.5, 2), st.lists(st.floats(0.999, 1.001), min_size=3, max_size=5))
def test_a_fall_beyond_noise_and_margin_is_always_seen(level: float, noises: list[float]) -> None:
    before = [level * each for each in noises]
    after = [each / (1 + MARGIN) ** 1.1 for each in before]
    assert state(figure(before), figure(after)) == "worse"


def test_unreliable_figures_do_not_count() -> None:
    good, bad = figure([0.6]), figure([0.1])
    assert state(figure([0.6], reliable=False), bad) == "unreliable"
    assert state(good, figure([0.1], reliable=False)) == "unreliable"


def test_what_is_on_one_side_only_is_told() -> None:
    (gone,) = changes([figure([0.6])], [])
    (new,) = changes([], [figure([0.6])])
    assert (gone.state, gone.factor, new.state, new.factor) == ("gone", None, "new", None)


def test_what_has_a_unit_depends_on_the_machine_and_is_left_out() -> None:
    assert changes([figure([10], unit="ms")], [figure([90], unit="ms")]) == []


def test_a_ratio_that_comes_from_nothing_is_no_division_by_it() -> None:
    assert factor(figure([0.0]), figure([1.0])) == float("inf")
    assert factor(figure([1.0]), figure([0.0])) == 0
    assert factor(figure([0.0]), figure([0.0])) == 1


def test_without_a_kept_result_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(NoResults, match="holds no result"):
        newest(tmp_path)
