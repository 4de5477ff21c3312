"""The rules about ``autoscaler``: what is refused, what is warned of, each at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eas_engine.spec import ConfigurationError
from support.services import MACHINE, python_service, read

BOUNDS: dict[str, Any] = {"min": 1, "max": 4, "strategies": {"qps": 10}}


def complaints(directory: Path, **members: Any) -> list[tuple[str, str, str]]:
    """Severity, path and message of everything that is wrong with an autoscaler."""
    content = python_service(autoscaler={**BOUNDS, **members})
    try:
        found = read(directory, content, machine=MACHINE).warnings
    except ConfigurationError as error:
        found = (*error.problems, *error.warnings)
    return [(one.severity, one.path.removeprefix("autoscaler."), one.message) for one in found]


def jobs(**job: Any) -> dict[str, Any]:
    return {"scaleJobs": [{"schedule": "0 0 8 * * *", "targetSize": 2, **job}]}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {
            "min": 0,
            "behavior": {"onZero": {"scaleDownGracePeriodSeconds": 60, "scaleUpActivationReplicas": 4}},
        },
        {"scaleStrategies": [{"metricName": "cpu", "threshold": 60}, {"metricName": "qps", "threshold": 10}]},
        {"strategies": {"qps1k": 300, "queue": "5"}},
        {"strategies": {}, "min": 4},
        {"strategies": {}, "min": 0},
        {"strategies": {}, **jobs(timeZone="Asia/Shanghai"), "excludeDates": ["2026-12-25", "* * * * * 0,6"]},
        {**jobs(name=""), "timeZone": "Europe/Berlin"},
        jobs(schedule="TZ=UTC @daily", timeZone="UTC"),
    ],
)
def test_what_is_right_is_taken_without_a_word(tmp_path: Path, members: dict[str, Any]) -> None:
    assert complaints(tmp_path, **members) == []


@pytest.mark.parametrize(
    ("members", "path", "words"),
    [
        ({"min": 5}, "min", "5: expected at most autoscaler.max, which is 4"),
        ({"strategies": {"rps": 1}}, "strategies.rps", "unknown metric; expected one of qps, qps1k, cpu"),
        ({"strategies": {"qps": 0}}, "strategies.qps", "0: expected a number above 0"),
        (
            {"scaleStrategies": [{"metricName": "custom[x]", "threshold": 1}]},
            "scaleStrategies[0].metricName",
            '"custom[x]": unknown metric',
        ),
        (
            {
                "scaleStrategies": [
                    {"metricName": "cpu", "threshold": 60},
                    {"metricName": "qps", "threshold": 20},
                ]
            },
            "scaleStrategies[1].threshold",
            "20, but autoscaler.strategies.qps says 10: expected one threshold for a metric",
        ),
        (
            {"scaleStrategies": [{"metricName": "cpu", "threshold": one} for one in (50, 60)]},
            "scaleStrategies[1].threshold",
            "60, but autoscaler.scaleStrategies[0] says 50",
        ),
        (
            {"min": 0, "behavior": {"onZero": {"scaleUpActivationReplicas": 5}}},
            "behavior.onZero.scaleUpActivationReplicas",
            "5: expected at most autoscaler.max, which is 4",
        ),
        (
            jobs(schedule="0 0 25 * * *"),
            "scaleJobs[0].schedule",
            '"0 0 25 * * *": the hour is wrong; expected',
        ),
        (jobs(schedule="@every 1h"), "scaleJobs[0].schedule", "expected a cron expression"),
        (
            jobs(timeZone="Berlin"),
            "scaleJobs[0].timeZone",
            '"Berlin": no such time zone; expected an IANA name',
        ),
        (jobs(schedule="TZ=UTC @daily", timeZone="Asia/Tokyo"), "scaleJobs[0].schedule", "another time zone"),
        ({**jobs(), "timeZone": "Mars/Olympus"}, "timeZone", "no such time zone"),
        ({**jobs(), "excludeDates": ["2026-12-25", "xmas"]}, "excludeDates", '"xmas": expected a date'),
        (
            {"scaleJobs": [{"name": "a", "schedule": "@daily", "targetSize": size} for size in (1, 2)]},
            "scaleJobs[1].name",
            '"a": scaleJobs[0] has the same name',
        ),
    ],
)
def test_what_is_wrong_is_refused_where_it_stands(
    tmp_path: Path, members: dict[str, Any], path: str, words: str
) -> None:
    ((severity, where, message),) = complaints(tmp_path, **members)
    assert (severity, where) == ("error", path)
    assert words in message


@pytest.mark.parametrize(
    ("members", "path", "words"),
    [
        ({"strategies": {}}, "strategies", "no metric and no job"),
        ({"strategies": {"cpu": 150}}, "strategies.cpu", "hardly uses more than 100"),
        (
            {"behavior": {"onZero": {"scaleDownGracePeriodSeconds": 60}}},
            "behavior.onZero.scaleDownGracePeriodSeconds",
            "no effect: min is 1",
        ),
        (jobs(targetSize=9), "scaleJobs[0].targetSize", "9 is outside of min..max (1..4): it will be 4"),
        (jobs(targetSize=0), "scaleJobs[0].targetSize", "it will be 1"),
        ({"excludeDates": ["2026-12-25"]}, "excludeDates", "no effect without scaleJobs"),
        ({"timeZone": "UTC"}, "timeZone", "no effect without scaleJobs"),
    ],
)
def test_what_is_hardly_meant_is_warned_of(
    tmp_path: Path, members: dict[str, Any], path: str, words: str
) -> None:
    ((severity, where, message),) = complaints(tmp_path, **members)
    assert (severity, where) == ("warning", path)
    assert words in message


def test_complaints_have_their_lines(tmp_path: Path) -> None:
    text = """{
  "name": "demo", "processor_type": "python", "processor_entry": "app.py",
  "autoscaler": {"min": 1, "max": 2,
    "scaleJobs": [
      {"schedule": "0 0 8 * * *", "targetSize": 1},
      {"name": "evening",
       "schedule": "0 0 20 * *  mo", "targetSize": 1}
    ]}
}"""
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text)
    (problem,) = raised.value.problems
    assert (problem.line, problem.path) == (7, "autoscaler.scaleJobs[1].schedule")


def test_check_says_which_time_zone_jobs_go_by(tmp_path: Path) -> None:
    from eas_engine.spec.here import WORDS

    def words(**members: Any) -> str:
        loaded = read(tmp_path, python_service(autoscaler={**BOUNDS, **members}))
        return WORDS["autoscaler.timeZone"](loaded.spec, MACHINE)

    assert words() == "no jobs"
    assert words(**jobs()).startswith("jobs go by the machine's own time, now ")
    assert words(**jobs(), timeZone="Asia/Shanghai").startswith("jobs go by Asia/Shanghai, now ")
