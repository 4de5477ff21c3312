"""Lag and rates of the last seconds, on a clock that a test turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.telemetry.counters import BUCKETS, Counters
from eas_engine.telemetry.window import Window, quantile
from support.clock import FakeClock


async def run_for(window: Window, clock: FakeClock, seconds: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(window.run())
        await clock.advance(seconds)
        task.cancel()


async def test_a_loop_that_is_on_time_has_no_lag() -> None:
    clock = FakeClock()
    window = Window(clock, Counters())
    await run_for(window, clock, 5.0)
    assert window.lag == pytest.approx(0)
    assert window.lag_max == pytest.approx(0)
    assert window.heartbeat_age == pytest.approx(0, abs=0.11)


def test_the_worst_lag_is_kept_for_a_minute() -> None:
    clock = FakeClock(now=1000.0)
    window = Window(clock, Counters())
    window.beat(0.4)
    assert window.lag_max == pytest.approx(0.4)
    assert 0 < window.lag < 0.4
    for _ in range(5):
        clock.jump(10)
        window.beat(0.001)
    assert window.lag_max == pytest.approx(0.4)
    clock.jump(10)
    window.beat(0.001)
    assert window.lag_max == pytest.approx(0.001)


def test_a_loop_that_hangs_now_is_seen_before_it_comes_round() -> None:
    clock = FakeClock()
    window = Window(clock, Counters())
    window.beat(0.0)
    clock.jump(7.0)
    assert window.heartbeat_age == pytest.approx(7.0)
    assert window.lag_max == pytest.approx(6.9)


async def test_rates_of_the_last_ten_seconds() -> None:
    clock, counters = FakeClock(), Counters()
    window = Window(clock, counters)
    counters.statuses[200] = 1000  # long ago
    await run_for(window, clock, 30.0)
    assert window.rates().requests_per_second == 0
    counters.statuses[200] += 50
    counters.statuses[450] += 50
    counters.total[10] += 100  # 512 to 1023 us
    rates = window.rates()
    assert 9 < rates.seconds <= 11
    assert rates.requests_per_second * rates.seconds == pytest.approx(100)
    assert rates.errors_per_second * rates.seconds == pytest.approx(50)
    assert 512e-6 <= rates.p50 <= rates.p99 <= 1024e-6
    await run_for(window, clock, 15.0)
    assert window.rates().requests_per_second == 0


def test_no_rates_before_any_time_has_passed() -> None:
    window = Window(FakeClock(), Counters())
    assert window.rates().requests_per_second == 0


@given(st.lists(st.integers(0, 2**30), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_right_bucket(durations: list[int], fraction: float) -> None:
    buckets = [0] * BUCKETS
    for duration in durations:
        buckets[duration.bit_length()] += 1
    rank = max(1, -int(-fraction * len(durations) // 1))
    exact = sorted(durations)[min(rank, len(durations)) - 1]
    low, high = (1 << exact.bit_length()) >> 1, 1 << exact.bit_length()
    assert low / 1e6 - 1e-12 <= quantile(buckets, fraction) <= high / 1e6 + 1e-12


def test_a_quantile_of_nothing() -> None:
    assert quantile([0] * BUCKETS, 0.5) == 0
