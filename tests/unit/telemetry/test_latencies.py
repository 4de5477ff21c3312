"""Latencies that are compared: how near a quantile comes to the truth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.telemetry.latencies import Latencies

durations = st.lists(st.floats(0, 5000, allow_nan=False), min_size=1, max_size=60)


@given(durations, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_right_within_two_percent(seconds: list[float], fraction: float) -> None:
    latencies = Latencies()
    for one in seconds:
        latencies.note(one)
    rank = max(1, math.ceil(round(fraction * len(seconds), 9)))
    truth = sorted(seconds)[rank - 1]
    assert latencies.quantile(fraction) == pytest.approx(truth, rel=0.02, abs=2e-6)


def test_what_counters_take_for_a_factor_of_two_is_told_apart() -> None:
    fast, slow = Latencies(), Latencies()
    for _ in range(100):
        fast.note(0.00100)
        slow.note(0.00110)
    assert slow.quantile(0.99) / fast.quantile(0.99) == pytest.approx(1.1, rel=0.04)


def test_the_longest_and_those_of_none_are_no_error() -> None:
    latencies = Latencies()
    assert latencies.quantile(0.99) == 0.0
    latencies.note(1e9)
    latencies.note(-1.0)
    assert latencies.count == 2
    assert latencies.quantile(0.5) == 0.0
    assert latencies.quantile(1.0) > 1e6
