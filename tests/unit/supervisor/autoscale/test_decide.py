"""Each rule of the decision by itself."""

from __future__ import annotations

from typing import Any

from eas_engine.spec.autoscaler import Autoscaler
from eas_engine.spec.schedules import cron
from eas_engine.supervisor.autoscale.cron import Job, Jobs
from eas_engine.supervisor.autoscale.decide import decide
from eas_engine.supervisor.autoscale.decision import Decision, Moment, State
from eas_engine.supervisor.autoscale.settings import AutoscaleSettings
from support.scaling import WALL, Loop, second, settings, started, steady


def at_once(given: AutoscaleSettings, qps: float, wanted: int, **facts: Any) -> Decision:
    """After 15 seconds of the same load, with no window that looks back to something else."""
    samples = steady(qps, wanted=wanted, **facts)
    return decide(given, samples, started(wanted, given, -100.0), Moment(0.0, WALL))


def test_more_load_brings_more_instances_at_once() -> None:
    decision = at_once(settings(), 35.0, 2)
    assert (decision.current, decision.wanted, decision.cause) == (2, 4, "metric")
    assert decision.reason == "qps: 17.5 per instance, threshold 10, asks for 4"


def test_within_ten_percent_nothing_changes_and_the_reason_says_so() -> None:
    decision = at_once(settings(), 21.0, 2)
    assert (decision.wanted, decision.cause) == (2, "steady")
    assert decision.reason == "qps: 10.5 per instance, threshold 10, asks for 2 as now: it is within 10%"
    assert at_once(settings(), 15.0, 2).reason == "qps: 7.5 per instance, threshold 10, asks for 2"


def test_less_load_waits_for_the_window() -> None:
    loop = Loop(settings(), 4)
    assert loop.run(60, 40.0)[-1] == 4
    falling = loop.run(400, 10.0)
    assert falling.index(1) in range(300, 317)
    waiting = loop.decisions[200]
    assert (waiting.cause, waiting.recommended, waiting.highest) == ("window", 1, 4)
    assert waiting.reason.endswith("asks for 1; up to 4 in the last 300 s")


def test_a_window_upwards_takes_the_lowest() -> None:
    loop = Loop(settings(up_window=60.0), 1)
    loop.run(60, 5.0)
    rising = loop.run(100, 80.0)
    assert set(rising[:60]) == {1}
    assert rising[-1] == 8
    assert any("only 1 all through the last 60 s" in one.reason for one in loop.decisions)


def test_a_dip_restarts_the_window_upwards_and_a_peak_the_one_downwards() -> None:
    loop = Loop(settings(up_window=60.0, down_window=60.0), 4)
    loop.run(100, 40.0)
    assert set(loop.run(40, 80.0) + loop.run(20, 40.0)) == {4}
    assert set(loop.run(55, 80.0)) == {4}, "the dip lies in the window"
    assert loop.run(60, 80.0)[-1] == 8
    loop.run(40, 10.0)
    loop.run(1, 1200.0)  # 80 a second over the span
    assert loop.wanted == 8
    assert set(loop.run(60, 10.0)) == {8}, "the peak lies in the window"


def test_max_and_min_bound_whatever_the_load_asks_for() -> None:
    most = at_once(settings(high=3), 500.0, 2)
    assert (most.wanted, most.cause) == (3, "bound")
    assert most.reason.endswith("asks for 50; max is 3")
    fewest = at_once(settings(low=2, down_window=0.0), 0.0, 3)
    assert (fewest.wanted, fewest.cause) == (2, "bound")
    assert fewest.reason.endswith("asks for 0; min is 2")


def test_bounds_hold_at_once_whatever_the_windows_say() -> None:
    wide = settings(high=10, up_window=1000.0, down_window=1000.0)
    state = started(6, wide, -100.0)
    narrow = settings(low=1, high=3, up_window=1000.0, down_window=1000.0)
    assert decide(narrow, steady(60.0, wanted=6), state, Moment(0.0, WALL)).wanted == 3
    raised = settings(low=8, high=10, up_window=1000.0, down_window=1000.0)
    assert decide(raised, steady(60.0, wanted=6), state, Moment(0.0, WALL)).wanted == 8


def test_the_first_seconds_of_an_engine_decide_nothing_but_bounds() -> None:
    loop = Loop(settings(), 1)
    assert loop.run(4, 50.0) == [1, 1, 1, 1]
    assert (loop.decisions[-1].cause, loop.decisions[-1].reason) == (
        "blind",
        "too little is known yet: 4 of 5 s",
    )
    assert loop.run(1, 50.0) == [5]
    assert Loop(settings(low=3), 1).run(1, 0.0) == [3]


def test_without_any_figure_nothing_changes_and_the_reason_names_the_metric() -> None:
    decision = at_once(settings(thresholds={"gpu[util]": 50.0}), 10.0, 3)
    assert (decision.wanted, decision.cause) == (3, "blind")
    assert decision.reason == "gpu[util]: no instance has a figure"


def test_a_metric_without_a_figure_keeps_the_number_from_falling() -> None:
    decision = at_once(settings(thresholds={"qps": 10.0, "gpu[util]": 50.0}, down_window=0.0), 10.0, 3)
    assert decision.wanted == 3
    assert decision.reason == "gpu[util]: no figure (no instance has a figure), threshold 50, asks for 3"


def test_without_metrics_only_bounds_move_it() -> None:
    assert at_once(settings(thresholds={}), 100.0, 3).wanted == 3
    assert at_once(settings(thresholds={}, high=2), 0.0, 3).wanted == 2


class TestZero:
    """To no instance, and back."""

    def test_the_last_one_goes_when_nothing_has_come_for_the_grace_period(self) -> None:
        loop = Loop(settings(low=0, zero_grace=600.0), 3)
        loop.run(20, 25.0)
        falling = loop.run(700, 0.0)
        assert falling[:599] == [*falling[:598], 1], "one is left when the window is over, and until then"
        assert falling[599] == 0
        assert loop.decisions[-101].reason == "no request for 600 s, and min is 0"
        assert (loop.decisions[-1].cause, loop.wanted) == ("asleep", 0)

    def test_one_request_starts_the_grace_period_again(self) -> None:
        loop = Loop(settings(low=0, zero_grace=100.0), 1)
        loop.run(99, 0.0)
        loop.run(1, 1.0)
        assert 0 not in loop.run(99, 0.0)
        assert loop.run(1, 0.0) == [0]

    def test_a_request_that_takes_long_keeps_it_awake(self) -> None:
        loop = Loop(settings(low=0, zero_grace=100.0), 1)
        assert 0 not in loop.run(500, 0.0, in_flight=1)

    def test_with_min_above_zero_it_never_goes(self) -> None:
        assert Loop(settings(low=1, zero_grace=10.0), 1).run(2000, 0.0)[-1] == 1

    def test_from_many_it_goes_at_once_where_the_grace_period_is_shorter_than_the_window(self) -> None:
        loop = Loop(settings(low=0, zero_grace=60.0, down_window=300.0), 5)
        loop.run(30, 50.0)
        assert loop.run(60, 0.0)[-2:] == [5, 0]

    def test_the_first_request_brings_as_many_as_are_set(self) -> None:
        loop = Loop(settings(low=0, zero_grace=10.0, activation=2), 1)
        loop.run(20, 0.0)
        assert loop.wanted == 0
        assert loop.decide(woken=True) == 2
        assert loop.decisions[-1].cause == "woken"
        assert set(loop.run(9, 0.0)) == {2}, "and they wait for the window, and for the grace period"

    def test_activation_is_bounded(self) -> None:
        loop = Loop(settings(low=0, high=3, zero_grace=10.0, activation=9), 0)
        loop.run(1, 0.0)
        assert loop.decide(woken=True) == 3

    def test_a_sample_with_requests_wakes_it_too(self) -> None:
        loop = Loop(settings(low=0), 0)
        assert loop.run(3, 0.0) == [0, 0, 0]
        assert loop.run(1, 0.0, in_flight=1) == [1]

    def test_load_while_asleep_raises_nothing_by_itself_and_the_first_figures_do(self) -> None:
        loop = Loop(settings(low=0), 0)
        loop.run(20, 0.0)
        assert loop.run(1, 60.0) == [1]
        assert loop.run(15, 60.0)[-1] == 6


class TestByHand:
    """Somebody has scaled."""

    def test_a_higher_number_stays_for_the_window(self) -> None:
        loop = Loop(settings(), 2)
        loop.run(400, 20.0)
        loop.wanted = 6
        numbers = loop.run(320, 20.0)
        assert set(numbers[:300]) == {6}
        assert numbers[-1] == 2

    def test_a_number_too_low_is_raised_at_once(self) -> None:
        loop = Loop(settings(), 4)
        loop.run(400, 40.0)
        loop.wanted = 1
        assert loop.run(1, 40.0) == [4]

    def test_a_service_woken_by_hand_stays_awake_for_the_grace_period(self) -> None:
        loop = Loop(settings(low=0, zero_grace=100.0), 1)
        loop.run(150, 0.0)
        assert loop.wanted == 0
        loop.wanted = 1
        assert 0 not in loop.run(100, 0.0)
        assert loop.run(1, 0.0) == [0]


def daily(*jobs: tuple[str, int]) -> Jobs:
    return Jobs(tuple(Job(f"job {when}", cron(when, "UTC"), size) for when, size in jobs))


HOUR = 3600.0


class TestJobs:
    """Numbers by time, with metrics and without."""

    def test_without_metrics_the_size_is_the_number_until_the_next_job(self) -> None:
        loop = Loop(settings(thresholds={}, jobs=daily(("0 0 8 * * *", 5), ("0 20 * * *", 2))), 1)
        loop.now = 7.99 * HOUR
        assert loop.run(1, 0.0) == [2], "yesterday's job of eight in the evening holds"
        numbers = loop.run(100, 0.0)
        assert (numbers[0], numbers[-1]) == (2, 5)
        loop.now = 20 * HOUR
        assert loop.run(1, 0.0) == [2]
        assert loop.decisions[-1].reason == "job job 0 20 * * * asks for 2"

    def test_what_is_set_by_hand_between_two_jobs_stays_until_the_next(self) -> None:
        loop = Loop(settings(thresholds={}, jobs=daily(("0 0 8 * * *", 5))), 1)
        loop.now = 9 * HOUR
        loop.run(1, 0.0)
        loop.wanted = 3
        assert set(loop.run(1000, 0.0)) == {3}
        loop.now = 32 * HOUR
        assert loop.run(1, 0.0) == [5]

    def test_with_metrics_the_size_is_the_lower_bound(self) -> None:
        loop = Loop(settings(jobs=daily(("0 0 8 * * *", 4), ("0 0 20 * * *", 1)), down_window=60.0), 1)
        loop.now = 8 * HOUR
        assert loop.run(1, 5.0) == [4]
        assert (loop.decisions[-1].cause, loop.decisions[-1].low) == ("job", 4)
        assert set(loop.run(500, 5.0)) == {4}, "the load alone would let them go"
        assert loop.run(30, 70.0)[-1] == 7, "and may ask for more"
        loop.now = 20 * HOUR
        assert loop.run(90, 5.0)[-1] == 1, "the evening's job doesn't force it down, but lets it fall"

    def test_a_job_is_bounded_as_everything(self) -> None:
        loop = Loop(
            settings(low=2, high=3, thresholds={}, jobs=daily(("0 0 8 * * *", 9), ("0 0 9 * * *", 0))), 2
        )
        loop.now = 8 * HOUR
        assert loop.run(1, 0.0) == [3]
        loop.now = 9 * HOUR
        assert loop.run(1, 0.0) == [2]

    def test_a_job_wakes_a_service_that_is_asleep(self) -> None:
        for thresholds in ({}, {"qps": 10.0}):
            jobs = daily(("0 0 8 * * *", 2), ("0 0 20 * * *", 0))
            loop = Loop(settings(0, thresholds=thresholds, jobs=jobs, zero_grace=60.0), 0)
            loop.now = 7 * HOUR
            assert loop.run(1, 0.0) == [0]
            loop.now = 8 * HOUR
            assert loop.run(1, 0.0) == [2]

    def test_a_job_of_zero_lets_it_sleep_when_nobody_asks(self) -> None:
        jobs = daily(("0 0 8 * * *", 2), ("0 0 20 * * *", 0))
        loop = Loop(settings(0, thresholds={}, jobs=jobs, zero_grace=60.0), 2)
        loop.now = 19.99 * HOUR
        assert loop.run(30, 1.0)[-1] == 2
        loop.now = 20 * HOUR
        assert loop.run(1, 1.0) == [1], "somebody still asks"
        assert loop.run(60, 0.0)[-1] == 0

    def test_a_clock_that_is_put_back_looks_again(self) -> None:
        loop = Loop(settings(thresholds={}, jobs=daily(("0 0 8 * * *", 5), ("0 0 20 * * *", 2))), 1)
        loop.now = 21 * HOUR
        assert loop.run(1, 0.0) == [2]
        loop.now = 9 * HOUR
        assert loop.run(1, 0.0) == [5]


def test_settings_come_from_the_file_with_both_spellings_of_metrics() -> None:
    given = Autoscaler.model_validate(
        {
            "min": 0,
            "max": 4,
            "strategies": {"queue": 8, "qps": 10},
            "scaleStrategies": [
                {"metricName": "cpu", "threshold": 60},
                {"metricName": "qps", "threshold": 10},
            ],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 5},
                "scaleDown": {"stabilizationWindowSeconds": 6},
                "onZero": {"scaleDownGracePeriodSeconds": 7, "scaleUpActivationReplicas": 2},
            },
            "scaleJobs": [{"schedule": "@daily", "targetSize": 1}],
            "excludeDates": ["2026-12-25"],
        }
    )
    found = AutoscaleSettings.of(given, 2.0)
    assert list(found.thresholds.items()) == [("qps", 10.0), ("cpu", 60.0), ("queue", 8.0)]
    assert (found.low, found.high, found.up_window, found.down_window) == (0, 4, 5, 6)
    assert (found.zero_grace, found.activation, found.cpus) == (7, 2, 2.0)
    assert [one.name for one in found.jobs.jobs] == ["scaleJobs[0]"]
    assert len(found.jobs.excluded) == 1


def test_the_same_again_is_the_same_decision() -> None:
    """Pure: no clock, nothing kept."""
    samples, given = steady(35.0, wanted=2), settings()
    state, moment = started(2, given, -100.0), Moment(0.0, WALL)
    assert decide(given, samples, state, moment) == decide(given, samples, state, moment)
    assert decide(given, [second(0.0)], State(), moment).state.decided == 1
