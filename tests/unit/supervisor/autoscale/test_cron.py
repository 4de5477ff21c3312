"""Which job's size holds, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from eas_engine.spec.autoscaler import Autoscaler
from eas_engine.supervisor.autoscale.cron import Jobs

SHANGHAI = "Asia/Shanghai"


def at(text: str, zone: str = SHANGHAI) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def jobs(*given: dict[str, Any], excluded: tuple[str, ...] = (), zone: str = SHANGHAI) -> Jobs:
    content = {"min": 0, "max": 50, "scaleJobs": given, "excludeDates": excluded, "timeZone": zone}
    return Jobs.of(Autoscaler.model_validate(content))


DAY = {"name": "day", "schedule": "0 0 8 * * 1-5", "targetSize": 6}
NIGHT = {"name": "night", "schedule": "0 0 20 * * *", "targetSize": 1}


def held(found: Jobs, text: str, zone: str = SHANGHAI) -> str:
    due = found.held(at(text, zone))
    return "" if due is None else due.name


def test_the_last_one_that_fell_due_holds() -> None:
    found = jobs(DAY, NIGHT)
    assert held(found, "2026-07-10T07:59:59") == "night"  # a Friday
    assert held(found, "2026-07-10T08:00:00") == "day"
    assert held(found, "2026-07-10T20:00:00") == "night"
    assert held(found, "2026-07-12T12:00:00") == "night"
    assert found.next_change(at("2026-07-10T20:00:00")) == at("2026-07-11T20:00:00")
    assert found.next_change(at("2026-07-13T00:00:00")) == at("2026-07-13T08:00:00")


def test_of_two_at_the_same_moment_the_later_in_the_list_holds() -> None:
    other = {"name": "other", "schedule": "0 8 * * *", "targetSize": 2}
    assert held(jobs(DAY, other), "2026-07-10T09:00:00") == "other"
    assert held(jobs(other, DAY), "2026-07-10T09:00:00") == "day"


def test_on_excluded_days_jobs_rest_and_the_size_before_holds() -> None:
    found = jobs(DAY, NIGHT, excluded=("2026-07-09", "* * * 10 7 *"))
    assert held(found, "2026-07-09T12:00:00") == "night"
    assert held(found, "2026-07-10T12:00:00") == "night"
    due = found.held(at("2026-07-10T12:00:00"))
    assert due is not None
    assert due.at == at("2026-07-08T20:00:00"), "not even the night of an excluded day"
    assert found.next_change(at("2026-07-08T21:00:00")) == at("2026-07-11T20:00:00")


def test_the_days_are_those_of_the_jobs_own_time_zone() -> None:
    early = {"name": "early", "schedule": "0 0 1 * * *", "targetSize": 3, "timeZone": SHANGHAI}
    found = jobs(early, excluded=("2026-07-10",), zone="UTC")
    assert found.next_change(at("2026-07-09T00:00:00", "UTC")) == at("2026-07-11T01:00:00")
    assert found.next_change(at("2026-07-09T00:00:00", "UTC")) == at("2026-07-10T17:00:00", "UTC")


def test_each_job_may_have_a_time_zone_of_its_own() -> None:
    found = jobs({**DAY, "timeZone": "UTC"}, {**NIGHT, "schedule": "TZ=America/New_York 0 0 20 * * *"})
    assert found.next_change(at("2026-07-10T07:00:00", "UTC")) == at("2026-07-10T08:00:00", "UTC")
    assert found.next_change(at("2026-07-10T09:00:00", "UTC")) == at(
        "2026-07-10T20:00:00", "America/New_York"
    )


def test_jobs_that_always_rest_hold_nothing_and_end() -> None:
    found = jobs(DAY, excluded=("* * * * * *",))
    assert found.held(at("2026-07-10T12:00:00")) is None
    assert found.next_change(at("2026-07-10T12:00:00")) is None


def test_a_job_of_every_second_steps_over_excluded_days_in_one_go() -> None:
    often = {"name": "often", "schedule": "* * * * * *", "targetSize": 3}
    found = jobs(often, excluded=("* * * 10 7 *",))
    assert found.next_change(at("2026-07-10T12:00:00")) == at("2026-07-11T00:00:00")
    due = found.held(at("2026-07-10T12:00:00"))
    assert due is not None
    assert due.at == at("2026-07-09T23:59:59")


@pytest.mark.parametrize("excluded", [(), ("2026-07-10",)])
def test_without_jobs_there_is_nothing(excluded: tuple[str, ...]) -> None:
    found = jobs(excluded=excluded)
    assert not found
    assert (found.held(0.0), found.next_change(0.0)) == (None, None)
