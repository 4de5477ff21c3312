"""What is shown of batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.batching import cut
from eas_engine.telemetry.batches import REASONS, Batches, Sizes, batches
from eas_engine.telemetry.counters import Counters


def test_the_reasons_are_those_of_the_cut() -> None:
    assert REASONS == cut.REASONS


def test_without_a_batch_everything_is_zero() -> None:
    assert batches(Counters()) == Batches(reasons=dict.fromkeys(REASONS, 0))


def test_averages_and_shares() -> None:
    counters = Counters()
    counters.batches["full"] += 1
    counters.batches["idle"] += 2
    counters.count_batch(4, 1, 8, 2)
    counters.count_batch(1, 2, 8, 0)
    shown = batches(counters)
    assert shown.reasons == {"full": 1, "age": 0, "deadline": 0, "idle": 2, "drain": 0}
    assert (shown.requests, shown.calls, shown.rows) == (5, 3, 16)
    assert (shown.requests_per_batch, shown.rows_per_call, shown.padding_share) == (2.5, 5.333, 0.125)


@given(st.lists(st.integers(1, 4096), max_size=50))
def test_the_histogram_of_sizes_is_exact_at_its_bounds(sizes: list[int]) -> None:
    counters = Counters()
    for size in sizes:
        counters.count_batch(size, 1, size, 0)
    shown = Sizes(counters.batch_sizes, counters.batch_requests)
    assert shown.total == sum(sizes)
    for bound, count in shown.buckets():
        assert count == sum(size <= float(bound) for size in sizes)
