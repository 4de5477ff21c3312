"""Between two counts lies a sample."""

from __future__ import annotations

import pytest

from eas_engine.supervisor.autoscale.sample import SPAN, Count, between, mean
from support.scaling import second

BEFORE = Count(
    time=10.0,
    wall=110.0,
    requests=100,
    processed=90,
    process_seconds=9.0,
    cpu_seconds={"digits-0/7": 50.0, "digits-1/8": 3.0},
)


def test_rates_are_differences_by_the_time_between() -> None:
    after = Count(
        time=12.0,
        wall=112.0,
        requests=130,
        processed=110,
        process_seconds=10.0,
        cpu_seconds={"digits-0/7": 51.0, "digits-1/9": 40.0},
        gpu_percent={"digits-0/7": 60.0},
        queue=4,
        in_flight=6,
        ready=2,
        starting=1,
        wanted=3,
    )
    sample = between(BEFORE, after)
    assert (sample.time, sample.wall, sample.seconds) == (12.0, 112.0, 2.0)
    assert sample.qps == 15
    assert sample.service_time == pytest.approx(0.05)
    assert (sample.cpu, sample.measured) == (0.5, 1), "digits-1 died and came back: its start is no load"
    assert (sample.gpu, sample.gpus) == (60, 1)
    assert (sample.queue, sample.in_flight, sample.ready, sample.starting, sample.wanted) == (4, 6, 2, 1, 3)


def test_without_a_call_there_is_no_service_time() -> None:
    after = Count(time=11.0, wall=111.0, requests=100, processed=90, process_seconds=9.0)
    assert between(BEFORE, after).service_time is None


def test_no_time_between_is_refused() -> None:
    with pytest.raises(ValueError, match="no time between"):
        between(BEFORE, BEFORE)


def test_the_mean_is_of_the_last_seconds_alone_and_by_their_length() -> None:
    samples = [second(1.0, 1000.0), second(20.0, 10.0, queue=2), second(21.0, 20.0, queue=4, cpu=1.0)]
    load = mean(samples, 1.0 + SPAN + 5)
    assert (load.seconds, load.qps, load.queue, load.cpu) == (2.0, 15.0, 3.0, 0.5)
    assert mean([], 0.0).seconds == 0
