"""What a load client prints becomes figures, and figures become ratios."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench.scenarios.figures import (
    ClosedRun,
    NoFigures,
    Pair,
    WrkRun,
    net_of_wire,
    percentile,
    ratios,
    take_turns,
    wavering,
)

WRK = """Running 2s test @ http://127.0.0.1:8080/api/predict/echo
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   632.11us  101.07us   4.51ms   92.34%
Requests/sec:  98422.11
figures {"requests": 197004, "duration_us": 2001623, "p50_us": 615, "p99_us": 901, "max_us": 4512, "errors": \
{"connect": 0, "read": 3, "write": 0, "timeout": 0, "status": 2}}
"""
CLOSED = (
    '{"seconds": 5.0, "resets": 1, "refused": 2, "cut": 3, "reconnects": 900, "oldest_ms": 12.5, "statuses": '
    '{"200": {"count": 2500, "p50_ms": 110.1, "p99_ms": 140.2, "max_ms": 150.0}, '
    '"450": {"count": 90000, "p50_ms": 1.2, "p99_ms": 5.1, "max_ms": 30.0}}}'
)


def run(requests: int, *, seconds: float = 1.0) -> WrkRun:
    return WrkRun(requests=requests, seconds=seconds, p50_ms=1.0, p99_ms=2.0, max_ms=3.0)


def test_wrk_tells_its_figures_among_its_own_text() -> None:
    told = WrkRun.parse(WRK)
    assert (told.requests, told.p50_ms, told.p99_ms, told.max_ms) == (197004, 0.615, 0.901, 4.512)
    assert told.rate == pytest.approx(98422.1, abs=0.1)
    assert told.errors == {"read": 3, "status": 2}
    assert told.failed == 5


def test_what_a_run_cost_is_told_a_request() -> None:
    assert run(1000).costing(0.02).cpu_us == pytest.approx(20)
    assert run(0).costing(0.02).cpu_us == 0
    assert run(1000).costing(0.02).as_json()["cpu_us"] == pytest.approx(20)


@pytest.mark.parametrize("printed", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"])
def test_a_wrk_without_figures_says_what_it_printed(printed: str) -> None:
    with pytest.raises(NoFigures, match=printed.strip() or "it printed nothing"):
        WrkRun.parse(printed)


def test_the_closed_loop_splits_latency_by_status() -> None:
    told = ClosedRun.parse(CLOSED)
    assert told.success_rate == 500
    assert (told.p99(200), told.p99(450), told.p99(408)) == (140.2, 5.1, 0)
    assert told.broken == 1 + 2 + 3


@pytest.mark.parametrize("printed", ["", "connect: no local port is left", "[]", "{}", CLOSED[:-1]])
def test_a_closed_loop_without_figures_is_no_success(printed: str) -> None:
    with pytest.raises(NoFigures):
        ClosedRun.parse(printed)


def test_a_run_without_a_success_has_no_success_rate() -> None:
    assert ClosedRun.parse(CLOSED.replace('"200"', '"503"')).success_rate == 0


def test_reference_and_engine_take_turns() -> None:
    told: list[str] = []

    def side(name: str) -> str:
        told.append(name)
        return f"{name} {len(told)}"

    pairs = take_turns(2, lambda: side("reference"), lambda: side("engine"))
    assert told == ["reference", "engine", "reference", "engine"]
    assert pairs == [Pair("reference 1", "engine 2"), Pair("reference 3", "engine 4")]


def test_each_pair_gives_a_ratio_of_its_own() -> None:
    pairs = [Pair(run(100), run(50)), Pair(run(400, seconds=2), run(50)), Pair(run(0), run(50))]
    assert ratios(pairs, lambda one: one.rate) == [0.5, 0.25, 0.0]


def test_wavering_is_the_largest_over_the_smallest() -> None:
    assert wavering([]) == wavering([7]) == 1
    assert wavering([100, 150, 120]) == 1.5
    assert wavering([0, 1]) == math.inf


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([3], 0.99) == 3
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile([1, 2], 0) == 1
    assert percentile([1, 2], 1) == 2


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_a_sample_that_the_share_does_not_exceed(samples: list[float], share: float) -> None:
    value = percentile(samples, share)
    assert value in samples
    assert sum(sample <= value for sample in samples) >= share * len(samples) - 1e-9
    assert sum(sample < value for sample in samples) <= share * len(samples) + 1e-9


def test_what_a_server_keeps_net_of_the_wire() -> None:
    assert net_of_wire(served=100, alone=200, wire=200) == 1
    assert net_of_wire(served=50, alone=100, wire=1e12) == pytest.approx(0.5)
