"""The token bucket: never more than was earned."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.admission.rate import TokenBucket

times = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60)


def test_a_burst_then_one_at_a_time() -> None:
    bucket = TokenBucket(rate=10, burst=3, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    wait = bucket.take(100.0)
    assert abs(wait - 0.1) < 1e-9
    assert bucket.take(100.0 + wait + 1e-9) == 0.0
    assert bucket.take(100.0 + wait + 1e-9) > 0.0


def test_a_refusal_costs_nothing_and_says_when_to_come_again() -> None:
    bucket = TokenBucket(rate=0.5, burst=1, now=0.0)
    assert bucket.take(0.0) == 0.0
    assert [bucket.take(0.0) for _ in range(5)] == [2.0] * 5
    assert bucket.take(1.5) == 0.5
    assert bucket.take(2.0) == 0.0


@given(times, st.floats(0.1, 50), st.floats(1, 20))
def test_in_any_window_there_are_no_more_than_burst_and_rate_times_its_length(
    steps: list[float], rate: float, burst: float
) -> None:
    bucket, now = TokenBucket(rate, burst, 0.0), 0.0
    taken: list[float] = []
    for step in steps:
        taken.extend(now for _ in range(3) if bucket.take(now) == 0.0)
        now += step
    for i, start in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= burst + rate * (taken[j] - start) + 1e-6


@given(times, st.floats(0.1, 50), st.floats(1, 20))
def test_whoever_waits_as_long_as_it_was_told_gets_a_token(
    steps: list[float], rate: float, burst: float
) -> None:
    bucket, now = TokenBucket(rate, burst, 0.0), 0.0
    for step in steps:
        wait = bucket.take(now)
        if wait:
            now += wait * (1 + 1e-9) + 1e-9
            assert bucket.take(now) == 0.0
        now += step


def test_time_that_goes_backwards_earns_nothing() -> None:
    bucket = TokenBucket(rate=10, burst=1, now=5.0)
    assert bucket.take(5.0) == 0.0
    assert bucket.take(1.0) > 0.0
    assert bucket.take(5.05) > 0.0
    assert bucket.take(5.11) == 0.0


def test_another_rate_keeps_what_was_earned_at_the_old_one_up_to_the_new_burst() -> None:
    bucket = TokenBucket(rate=10, burst=10, now=0.0)
    for _ in range(10):
        bucket.take(0.0)
    bucket.resize(rate=1000, burst=100, now=0.2)  # 2 were earned
    assert [bucket.take(0.2) == 0.0 for _ in range(3)] == [True, True, False]
    bucket.resize(rate=1000, burst=5, now=100.0)
    assert sum(bucket.take(100.0) == 0.0 for _ in range(10)) == 5


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 20), st.booleans()), max_size=40))
def test_resizing_makes_no_tokens(steps: list[tuple[float, float, bool]]) -> None:
    bucket, now, earned, taken = TokenBucket(5, 5, 0.0), 0.0, 5.0, 0
    for step, rate, resized in steps:
        now += step
        earned += bucket.rate * step
        if resized:
            bucket.resize(rate, max(1.0, rate / 10), now)
        taken += bucket.take(now) == 0.0
        assert taken <= earned + 1e-6
