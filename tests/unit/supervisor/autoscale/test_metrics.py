"""What a metric asks for: Kubernetes' formula, its tolerance, and who has no figure."""

from __future__ import annotations

from typing import Any

import pytest

from eas_engine.supervisor.autoscale.metrics import Figure, figures, largest
from eas_engine.supervisor.autoscale.sample import Load, mean
from support.scaling import second, settings, steady


def only(metric: str, threshold: float, instances: int, **given: Any) -> Figure:
    """The figure of one metric, after 15 seconds of the same."""
    samples = steady(given.pop("qps", 0.0), wanted=instances, **given)
    asked = settings(thresholds={metric: threshold}, cpus=given.get("cpus", 2.0))
    (figure,) = figures(asked, mean(samples, 0.0), samples[-1], instances)
    return figure


@pytest.mark.parametrize(
    ("qps", "instances", "desired"),
    [
        (0, 3, 0),
        (20, 2, 2),
        (22, 2, 2),  # 10 % more: as many
        (22.1, 2, 3),
        (18, 2, 2),  # 10 % less
        (17.9, 2, 2),  # less, but ceil(1.79) are two
        (9.9, 2, 1),
        (35, 2, 4),
        (100, 2, 10),
        (30, 10, 3),
    ],
)
def test_requests_are_shared_out_by_the_threshold(qps: float, instances: int, desired: int) -> None:
    figure = only("qps", 10, instances, qps=qps)
    assert figure.desired == desired
    assert figure.value == pytest.approx(qps / instances)


def test_sums_of_tenths_ask_for_no_instance_more() -> None:
    assert (0.1 + 0.2) / 0.1 > 3
    load = Load(15.0, 0.1 + 0.2, 0.0, 0.0, 0.0)
    (figure,) = figures(settings(thresholds={"qps": 0.1}), load, second(0.0), 1)
    assert figure.desired == 3


def test_qps1k_is_qps_times_a_thousand() -> None:
    figure = only("qps1k", 500, 2, qps=1.5)
    assert (figure.value, figure.desired) == (750, 3)


def test_the_queue_counts_per_instance() -> None:
    figure = only("queue", 8, 2, queue=40)
    assert (figure.value, figure.desired) == (20, 5)


def test_cpu_is_percent_of_an_instances_cpus() -> None:
    figure = only("cpu", 50, 2, cpu=3.0)  # two instances of two CPUs use three of four
    assert (figure.value, figure.desired) == (75, 3)


def test_instances_without_a_figure_count_as_idle_where_more_is_asked_for() -> None:
    alone = only("cpu", 50, 1, cpu=1.8)
    assert alone.desired == 2
    starting = only("cpu", 50, 2, cpu=1.8, measured=1, ready=1)
    assert starting.desired == 2, "the one that starts isn't ordered once more"
    assert starting.note == "1 without a figure, counted as idle"


def test_instances_without_a_figure_count_as_busy_where_less_is_asked_for() -> None:
    assert only("cpu", 80, 4, cpu=2.4).desired == 2
    missing = only("cpu", 80, 4, cpu=1.8, measured=3)  # 30 % each, and one that nobody sees: (90 + 100) / 80
    assert missing.desired == 3
    assert missing.note == "1 without a figure, counted as busy"


def test_what_is_missing_never_turns_less_into_more() -> None:
    assert only("cpu", 50, 3, cpu=0.9, measured=1).desired == 3, (
        "45 % of one; as busy, the others would ask for more"
    )


def test_a_metric_that_nobody_measures_has_no_figure() -> None:
    for metric in ("cpu", "gpu[util]"):
        figure = only(metric, 50, 2, measured=0)
        assert (figure.value, figure.desired, figure.note) == (None, None, "no instance has a figure")


def test_gpus_are_percent_of_those_that_have_a_figure() -> None:
    assert only("gpu[util]", 60, 2, gpu=180.0, gpus=2).desired == 3


def test_the_largest_wins() -> None:
    found = [Figure("qps", 1, 1, 2), Figure("cpu", 1, 1, 5), Figure("queue", 1, 1, 3)]
    top = largest(found, 1)
    assert top is not None
    assert (top.metric, top.desired) == ("cpu", 5)


def test_who_has_no_figure_lets_nobody_go_and_nobody_stay_away() -> None:
    mute = Figure("gpu[util]", 50, None, None, "no instance has a figure")
    falls = largest([Figure("qps", 1, 1, 2), mute], 4)
    assert falls is not None
    assert (falls.metric, falls.desired) == ("gpu[util]", 4)
    rises = largest([Figure("qps", 1, 1, 5), mute], 4)
    assert rises is not None
    assert (rises.metric, rises.desired) == ("qps", 5)
    assert largest([mute], 4) is None
