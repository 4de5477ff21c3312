"""Counting: latencies in bulk are those of the histogram, and pages say the same after a journey."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_bench import latency
from eas_bench.client.book import Book, Page
from eas_bench.client.measuring import Sheets
from eas_bench.client.verdict import seconds_of, verdict
from eas_bench.record import Interval, Load, Tally

VALUES = st.lists(st.integers(0, latency.LONGEST) | st.integers(0, 5000), max_size=200)


@given(values=VALUES)
def test_values_counted_in_bulk_are_those_of_a_histogram(values: list[int]) -> None:
    counts, histogram = latency.no_counts(), latency.empty()
    latency.count(np.array(values, np.int64), counts)
    for value in values:
        histogram.record_value(value)
    assert counts.tolist() == list(histogram.counts)
    made = latency.histogram_of(counts)
    percents = (50, 90, 99, 99.9, 100)
    assert [latency.percentile(made, at) for at in percents] == [
        latency.percentile(histogram, at) for at in percents
    ]
    summary = latency.summary_of(counts)
    if not values:
        assert summary is None
        assert latency.summary(histogram) is None
        return
    assert summary is not None
    assert summary == latency.summary(latency.decoded(latency.encoded(made)))
    assert [summary.p50, summary.p90, summary.p99, summary.p999] == [
        latency.percentile(histogram, at) for at in percents[:4]
    ]
    assert summary.max == histogram.get_max_value()


def test_what_is_longer_than_an_hour_counts_as_an_hour() -> None:
    counts = latency.no_counts()
    latency.count(np.array([latency.LONGEST * 5, -3]), counts)
    summary = latency.summary_of(counts)
    assert summary is not None
    assert summary.max == pytest.approx(latency.LONGEST, rel=0.001)
    assert counts[0] == 1


@given(values=VALUES, late=VALUES)
def test_a_page_says_the_same_after_its_journey_to_the_parent(values: list[int], late: list[int]) -> None:
    book = Book()
    for value in values:
        book.of(200 if value % 3 else 450).append(value * 1000)
    for value in late:
        book.was_late(value * 1000)
    book.failures["reset"] = 2
    book.bytes_sent, book.bytes_received = 7, 8
    page = book.turn(len(values) + 2, 5)
    again = Page.heard(json.loads(json.dumps(page.told())))
    assert again.tally == page.tally
    assert again.tally.sent == sum(page.statuses.values()) + 2
    assert again.percentiles == page.percentiles
    assert again.late.tolist() == page.late.tolist()
    assert book.turn(0, 6).tally == Page(6).tally


def a_page(number: int, until: float, answers: int) -> Page:
    book = Book()
    for _ in range(answers):
        book.of(200).append(1_000_000)
    page = book.turn(answers, 0)
    page.number, page.until = number, until
    return page


def test_a_second_is_told_when_all_processes_have_told_it() -> None:
    seen: list[Interval] = []
    sheets = Sheets(2, seen.append)
    sheets.add(a_page(0, 1.0, 3))
    assert seen == []
    sheets.add(a_page(0, 1.001, 4))
    assert [(each.start, each.seconds, each.tally.sent) for each in seen] == [(0, 1.001, 7)]


def test_the_first_moments_of_a_last_second_belong_to_the_one_before() -> None:
    sheets = Sheets(1, None)
    for page in (a_page(0, 1.0, 1), a_page(1, 2.0, 2), a_page(2, 2.04, 3)):
        sheets.add(page)
    assert [(each.start, each.tally.sent) for each in sheets.intervals()] == [(0, 1), (1, 5)]
    assert sheets.intervals()[1].seconds == pytest.approx(1.04)
    assert sheets.whole().tally.sent == 6


# --- the verdict ----------------------------------------------------------------------------------------


def a_load(kind: str = "open", **changes: Any) -> Load:
    usual = {"kind": kind, "rate": 100, "connections": 9, "duration": 10, "timeout": 5}
    return Load.model_validate({**usual, **changes})


def intervals(*answers: int) -> list[Interval]:
    def tally(count: int) -> Tally:
        return Tally(sent=0, statuses={"200": count}, failures={}, bytes_sent=0, bytes_received=0)

    return [
        Interval(start=start, seconds=1, tally=tally(count), latency=None)
        for start, count in enumerate(answers)
    ]


def test_seconds_are_those_in_which_requests_were_made() -> None:
    assert seconds_of(a_load(), 10.0, intervals(*[100] * 10)) == 10.0
    assert seconds_of(a_load(), 10.0, []) == 10.0
    assert seconds_of(a_load(), 10.0, intervals(0, 0)) == 10.0


def test_a_straggler_is_no_second_of_work_but_a_server_that_is_behind_is() -> None:
    assert seconds_of(a_load(), 10.0, intervals(*[100] * 10, 0, 0, 1)) == pytest.approx(10, rel=0.02)
    behind = intervals(*[50] * 20)  # 1000 requests in ten seconds, answered in twenty
    assert seconds_of(a_load(), 10.0, behind) == pytest.approx(20, rel=0.01)
    assert seconds_of(a_load("closed"), 10.0, behind) == 10.0


def a_whole(*, cpu: float = 1.0, late: int = 0, answers: int = 1000, slow: int = 1000) -> Page:
    page = Page(0, cpu=cpu)
    counts = latency.no_counts()
    latency.count(np.full(answers, slow), counts)
    page.answers["200"] = counts
    latency.count(np.full(100, late), page.late)
    return page


@pytest.mark.parametrize(
    ("whole", "limit", "words"),
    [
        (a_whole(cpu=9.5), None, "95% of its core"),
        (a_whole(answers=950), 100.0, "could do"),
        (a_whole(late=2500), None, "late"),
    ],
)
def test_a_generator_that_was_at_its_limit_makes_a_run_invalid(
    whole: Page, limit: float | None, words: str
) -> None:
    made = verdict(a_load(), whole, until=10, seconds=10, limit=limit)
    assert len(made.invalid) == 1
    assert words in made.invalid[0]


@pytest.mark.parametrize(
    ("whole", "limit"),
    [
        (a_whole(cpu=8.5), None),
        (a_whole(answers=850), 100.0),
        (a_whole(late=1900), 10_000.0),
        (a_whole(late=9000, slow=200_000), None),  # 4.5 % of the latency
    ],
)
def test_one_that_kept_up_doesnt(whole: Page, limit: float | None) -> None:
    made = verdict(a_load(), whole, until=10, seconds=10, limit=limit)
    assert made.invalid == []
    assert made.limit == limit
    assert made.cpu_seconds == whole.cpu


def test_several_processes_have_a_core_each() -> None:
    assert verdict(a_load(processes=2), a_whole(cpu=15), until=10, seconds=10, limit=None).invalid == []
    assert verdict(a_load(processes=2), a_whole(cpu=19), until=10, seconds=10, limit=None).invalid
