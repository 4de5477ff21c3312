"""A run in as many stretches as can be shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eas_bench.record import Interval, Percentiles, Tally
from eas_bench.report.stretches import added, merged, thinned

counts = st.dictionaries(st.sampled_from(["200", "450", "500"]), st.integers(0, 50))
percentiles = st.lists(st.integers(1, 10**6), min_size=5, max_size=5).map(
    lambda us: Percentiles(**dict(zip(("p50", "p90", "p99", "p999", "max"), sorted(us), strict=True)))
)
tallies = st.builds(
    Tally,
    sent=st.integers(0, 99),
    statuses=counts,
    failures=counts,
    bytes_sent=st.integers(0, 99),
    bytes_received=st.integers(0, 99),
)


def in_a_row(told: list[tuple[Tally, Percentiles | None]]) -> list[Interval]:
    return [
        Interval(start=at, seconds=1, tally=tally, latency=latency)
        for at, (tally, latency) in enumerate(told)
    ]


@given(st.lists(st.tuples(tallies, st.none() | percentiles), max_size=60).map(in_a_row), st.integers(1, 20))
def test_no_request_and_no_peak_is_lost(intervals: list[Interval], most: int) -> None:
    shown = merged(intervals, most)
    assert len(shown) <= most
    assert added([one.tally for one in shown]) == added([one.tally for one in intervals])
    for name in ("p50", "p99", "max"):
        assert worst(shown, name) == worst(intervals, name)
    ends = [one.start + one.seconds for one in shown]
    assert ends[:-1] == [one.start for one in shown[1:]]  # no gap
    assert ends[-1:] == ([len(intervals)] if intervals else [])


def worst(intervals: list[Interval], name: str) -> int:
    return max((getattr(one.latency, name) for one in intervals if one.latency), default=0)


@given(st.lists(st.integers()), st.integers(2, 20))
def test_thinned_keeps_first_last_and_order(values: list[int], most: int) -> None:
    places = thinned(list(enumerate(values)), most)
    assert len(places) == min(len(values), most)
    assert places == sorted(set(places))
    if values:
        assert (places[0][0], places[-1][0]) == (0, len(values) - 1)
