"""Whether a server's processes grow under steady load, and the verdict on hours of it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench import slo
from eas_bench.record import Generator, Process, Reading, Run
from eas_bench.soak.growth import Limits, growths, short_lived
from eas_bench.soak.steady import judge, rows
from support.bench_runs import a_run, without_answers

HOUR = 3600


def a_process(**changes: Any) -> Process:
    usual = {
        "name": "echo-0",
        "pid": 7,
        "cpu_seconds": 1.0,
        "memory_bytes": 30_000_000,
        "threads": 5,
        "descriptors": 20,
    }
    return Process(**{**usual, **changes})


def an_hour(per_hour: dict[str, float], *, seed: int = 1) -> list[Reading]:
    """A reading a minute of one process, which grows like this, with noise."""
    chance = random.Random(seed)
    return [
        Reading(
            at=60 * minute,
            processes=[
                a_process(
                    memory_bytes=30_000_000
                    + round(per_hour.get("memory", 0) * minute / 60)
                    + chance.randint(0, 400_000),
                    descriptors=20
                    + round(per_hour.get("descriptors", 0) * minute / 60)
                    + chance.randint(0, 2),
                    threads=5 + round(per_hour.get("threads", 0) * minute / 60),
                )
            ],
        )
        for minute in range(61)
    ]


def grown(readings: list[Reading], **limits: float) -> list[str]:
    return [growth.figure for growth in growths(readings, Limits(**limits)) if growth.grew]


def test_a_process_that_stays_is_no_leak() -> None:
    assert grown(an_hour({})) == []
    assert [one.figure for one in growths(an_hour({}), Limits())] == ["memory", "threads", "descriptors"]


@pytest.mark.parametrize(("figure", "per_hour"), [("memory", 40e6), ("descriptors", 60), ("threads", 30)])
def test_each_figure_is_watched_by_its_limit(figure: str, per_hour: float) -> None:
    readings = an_hour({figure: per_hour})
    assert grown(readings) == [figure]
    assert grown(readings, **{figure: 2 * per_hour}) == []
    (found,) = (growth for growth in growths(readings, Limits()) if growth.figure == figure)
    assert found.trend.per_hour == pytest.approx(per_hour, rel=0.1)


@given(st.integers(0, 50))
def test_a_minute_s_waver_is_no_leak_of_megabytes_an_hour(seed: int) -> None:
    chance = random.Random(seed)
    readings = [
        Reading(
            at=second,
            processes=[
                a_process(
                    memory_bytes=30_000_000 + chance.randint(0, 1_500_000),
                    descriptors=20 + chance.randint(0, 3),
                )
            ],
        )
        for second in range(60)
    ]
    assert grown(readings, memory=0, descriptors=0, threads=0) == []


def test_what_grows_only_at_first_is_warming_up() -> None:
    readings = [
        Reading(at=second, processes=[a_process(memory_bytes=10_000_000 + 1_000_000 * min(second, 60))])
        for second in range(300)
    ]
    assert grown(readings, memory=0) == []


def test_before_the_measured_part_nothing_counts() -> None:
    early = [Reading(at=at, processes=[a_process(memory_bytes=1)]) for at in range(-30, 0)]
    assert growths(early, Limits()) == []
    assert growths([*early, *an_hour({})], Limits())[0].trend.middle > 30_000_000


def test_who_came_or_went_is_told_and_not_judged() -> None:
    readings = an_hour({})
    late = [
        reading.model_copy(update={"processes": [*reading.processes, a_process(name="echo-1", pid=8)]})
        if reading.at > 1800
        else reading
        for reading in readings
    ]
    assert {growth.process for growth in growths(late, Limits())} == {"echo-0"}
    assert short_lived(late) == ["echo-1 (pid 8)"]
    assert short_lived(readings) == []


def test_descriptors_that_may_not_be_read_are_left_out() -> None:
    readings = [Reading(at=at, processes=[a_process(descriptors=None)]) for at in range(20)]
    assert [growth.figure for growth in growths(readings, Limits())] == ["memory", "threads"]


# -- the verdict


def a_soak(per_hour: dict[str, float], **changes: Any) -> Run:
    return a_run(seconds=2, refused=0, lost=0, readings=an_hour(per_hour), **changes)


def test_a_good_hour_has_no_fault() -> None:
    found = judge(a_soak({}), Limits(), slo.parse("p99=1s"))
    assert (found.faults, found.unknown) == ([], [])
    document = found.document()
    assert document["format"] == "eas-bench.soak/1"
    assert Run.model_validate(document["run"]) == found.run
    assert [row[:2] for row in rows(found)] == [
        ("echo-0 (7)", "memory, MB"),
        ("echo-0 (7)", "threads"),
        ("echo-0 (7)", "descriptors"),
    ]


def test_the_table_says_why_a_slope_above_the_limit_is_no_growth() -> None:
    """As after a minute: 17 MB an hour are drawn from a tenth of a megabyte."""
    readings = [
        Reading(at=second, processes=[a_process(memory_bytes=61_600_000 + 4_700 * second)])
        for second in range(60)
    ]
    found = judge(a_run(seconds=2, refused=0, lost=0, readings=readings), Limits(), None)
    told = {row[1]: (row[4:6], row[6], row[7]) for row in rows(found)}
    assert found.faults == []
    assert told["memory, MB"] == (
        ("16.9", "16.0"),
        "no growth: +0.1 from third to third, up to 2 is waver",
        False,
    )
    assert told["threads"][1:] == ("", False)
    assert [row[6] for row in rows(judge(a_soak({"memory": 90e6}), Limits(), None))] == ["grew", "", ""]


def test_growth_and_a_missed_objective_are_faults() -> None:
    found = judge(a_soak({"memory": 90e6}), Limits(), slo.parse("p50=10us"))
    assert len(found.faults) == 2
    assert "echo-0 (pid 7): " in found.faults[0]
    assert "MB of memory" in found.faults[0]
    assert "16 is allowed" in found.faults[0]
    assert found.faults[1].startswith("p50 ")


def test_a_late_generator_leaves_the_miss_open_but_not_the_growth() -> None:
    late = Generator(limit=1, late_p99=9, cpu_seconds=1, invalid=["requests were sent late"])
    found = judge(a_soak({"memory": 90e6}, generator=late), Limits(), slo.parse("p50=10us"))
    assert len(found.faults) == 1
    assert "p50" in found.unknown[0]
    assert "but requests were sent late" in found.unknown[0]
    assert judge(a_soak({}, generator=late), Limits(), None).unknown == []


def test_unwatched_or_unanswered_is_no_pass() -> None:
    unwatched = judge(a_run(seconds=2, readings=[]), Limits(), None)
    assert "give --pid" in unwatched.unknown[0]
    assert "no request had a good answer (2xx)" in judge(without_answers(), Limits(), None).faults
