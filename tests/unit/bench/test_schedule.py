"""When requests are due: from the load and its seed alone."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench.record import Load
from eas_bench.schedule import SECOND, burst_of, send_times

RATES = st.floats(0.5, 20_000)
ARRIVALS = st.sampled_from(["constant", "poisson", "bursts"])


def a_load(**changes: Any) -> Load:
    usual = {
        "kind": "open",
        "rate": 100,
        "arrivals": "constant",
        "connections": 9,
        "duration": 1,
        "timeout": 1,
    }
    return Load.model_validate({**usual, **changes})


def times(load: Load, share: int = 0, of: int = 1) -> list[int]:
    return [moment for chunk in send_times(load, share, of) for moment in chunk]


@given(rate=RATES, arrivals=ARRIVALS, seed=st.integers(0, 99), warm_up=st.floats(0, 0.5))
def test_times_ascend_within_the_run_and_the_same_load_has_the_same(
    rate: float, arrivals: str, seed: int, warm_up: float
) -> None:
    load = a_load(rate=rate, arrivals=arrivals, seed=seed, warm_up=warm_up)
    found = times(load)
    assert found == sorted(found) == times(load)
    assert all(-round(warm_up * SECOND) <= moment < SECOND for moment in found)


@given(rate=RATES, arrivals=ARRIVALS, of=st.integers(1, 5), seed=st.integers(0, 9))
def test_processes_deal_one_schedule_among_them(rate: float, arrivals: str, of: int, seed: int) -> None:
    load = a_load(rate=rate, arrivals=arrivals, seed=seed)
    shares = [times(load, share, of) for share in range(of)]
    assert sorted(moment for share in shares for moment in share) == times(load)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(rate=st.integers(1, 20_000), duration=st.integers(1, 3))
def test_constant_arrivals_are_as_many_as_the_rate_says_at_even_distances(rate: int, duration: int) -> None:
    found = times(a_load(rate=rate, duration=duration))
    assert len(found) == rate * duration
    assert all(abs(moment - place * SECOND / rate) <= 1 for place, moment in enumerate(found))


@given(rate=st.integers(10, 5000), burst=st.integers(1, 300))
def test_bursts_come_at_once_and_keep_the_rate(rate: int, burst: int) -> None:
    found = times(a_load(rate=rate, arrivals="bursts", burst=burst, duration=2))
    for first in range(0, len(found), burst):
        assert len(set(found[first : first + burst])) == 1
    assert abs(len(found) - 2 * rate) < burst


def test_bursts_are_those_of_a_tenth_of_a_second_unless_asked_otherwise() -> None:
    assert burst_of(a_load(rate=200, arrivals="bursts")) == 20
    assert burst_of(a_load(rate=1, arrivals="bursts")) == 2
    assert burst_of(a_load(rate=200, arrivals="bursts", burst=7)) == 7


def test_poisson_arrivals_are_independent() -> None:
    """Of exponential distances mean and deviation are the same, and neighbours know nothing of each other."""
    found = times(a_load(rate=5000, arrivals="poisson", duration=10, seed=3))
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert statistics.fmean(gaps) == pytest.approx(SECOND / 5000, rel=0.02)
    assert statistics.stdev(gaps) == pytest.approx(SECOND / 5000, rel=0.02)
    assert abs(statistics.correlation(gaps[1:], gaps[:-1])) < 0.02
    assert times(a_load(rate=5000, arrivals="poisson", duration=10, seed=4)) != found


def test_only_an_open_load_has_a_schedule() -> None:
    with pytest.raises(ValueError, match="open"):
        next(send_times(a_load(kind="closed", rate=None, arrivals=None)))
