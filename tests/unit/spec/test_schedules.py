"""Cron expressions with time zones: what is read, and what the clock does to it in spring and autumn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.spec.schedules import Cron, cron, days, zone

BERLIN = "Europe/Berlin"


def at(text: str, zone_name: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone_name), fold=fold).timestamp()


def told(instant: float | None, zone_name: str = BERLIN) -> str:
    assert instant is not None
    return datetime.fromtimestamp(instant, ZoneInfo(zone_name)).isoformat()


def series(one: Cron, begin: float, count: int) -> list[str]:
    found = []
    for _ in range(count):
        following = one.after(begin)
        assert following is not None
        begin = following
        found.append(told(begin))
    return found


@pytest.mark.parametrize(
    ("text", "following", "last"),
    [
        ("0 0 8 * * 1-5", "2026-07-13T08:00:00+02:00", "2026-07-10T08:00:00+02:00"),  # from a Saturday
        ("0 8 * * MON-FRI", "2026-07-13T08:00:00+02:00", "2026-07-10T08:00:00+02:00"),
        ("0 15,45 * * * *", "2026-07-11T12:15:00+02:00", "2026-07-11T11:45:00+02:00"),
        ("30 0 12 * * *", "2026-07-11T12:00:30+02:00", "2026-07-10T12:00:30+02:00"),
        ("0 0 12 ? * *", "2026-07-12T12:00:00+02:00", "2026-07-11T12:00:00+02:00"),
        ("@daily", "2026-07-12T00:00:00+02:00", "2026-07-11T00:00:00+02:00"),
        ("@HOURLY", "2026-07-11T13:00:00+02:00", "2026-07-11T12:00:00+02:00"),
        ("0 0 0 15 11 *", "2026-11-15T00:00:00+01:00", "2025-11-15T00:00:00+01:00"),
        ("0 0 0 L * *", "2026-07-31T00:00:00+02:00", "2026-06-30T00:00:00+02:00"),
        ("CRON_TZ=Asia/Shanghai 0 0 20 * * *", "2026-07-11T14:00:00+02:00", "2026-07-10T14:00:00+02:00"),
        ("TZ=UTC 0 0 10 * * *", "2026-07-12T12:00:00+02:00", "2026-07-11T12:00:00+02:00"),
    ],
)
def test_what_is_read_and_when_it_is_due(text: str, following: str, last: str) -> None:
    one, noon = cron(text, default_zone=BERLIN), at("2026-07-11T12:00:00")
    assert (told(one.after(noon)), told(one.before(noon))) == (following, last)


def test_a_date_comes_once() -> None:
    once = cron("@date 2026-11-11 08:00:00", BERLIN)
    due = at("2026-11-11T08:00:00")
    assert (once.after(due - 1), once.before(due - 1)) == (due, None)
    assert (once.after(due), once.before(due)) == (None, due)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0 0 25 * * *", "the hour is wrong; expected"),
        ("60 0 * * * *", "the second is wrong; expected"),
        ("0 0 8 * * 1-9", "the day-of-week is wrong; expected"),
        ("0 0 8 * 13 *", "the month is wrong; expected"),
        ("0 0 0 31 2 *", "the day-of-month is wrong; expected"),
        ("8 o'clock", '"8 o\'clock": expected "second minute hour day month weekday"'),
        ("* * *", "expected"),
        ("", "expected"),
        ("@every 1h30m", "expected a cron expression, one of @annually, @daily"),
        ("@date tomorrow", "expected a day and a time, such as @date 2026-11-11 08:00:00"),
        ("@date 2026-11-11T08:00:00+01:00", "expected a time without its offset"),
        ("CRON_TZ=Asia/Nowhere 0 0 8 * * *", '"Asia/Nowhere": no such time zone; expected an IANA name'),
        ("TZ=../../etc/passwd 0 0 8 * * *", "no such time zone"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_expected(text: str, wrong: str) -> None:
    with pytest.raises(ValueError) as raised:
        cron(text)
    assert wrong in str(raised.value)


def test_two_time_zones_for_one_expression_are_refused() -> None:
    with pytest.raises(ValueError, match="another time zone than timeZone, which is Europe/Berlin"):
        cron("TZ=UTC 0 0 8 * * *", BERLIN)
    assert cron("TZ=UTC 0 0 8 * * *", "UTC", BERLIN).zone == ZoneInfo("UTC")


@given(text=st.text(alphabet="0123456789*/,-?LW#@ MONJA", max_size=25))
def test_whatever_stands_there_only_a_complaint_comes_out(text: str) -> None:
    complaint, found = "", None
    try:
        found = cron(text, "UTC").after(0.0)
    except ValueError as error:
        complaint = str(error)
    assert (found or 0.0) > 0 or "expected" in complaint or "no such day" in complaint


class TestClocksChange:
    """Berlin: 29 March 2026, 02:00 becomes 03:00; 25 October, 03:00 becomes 02:00."""

    def test_a_time_that_is_left_out_counts_when_the_gap_is_over(self) -> None:
        one = cron("0 30 2 * * *", BERLIN)
        assert series(one, at("2026-03-27T12:00:00"), 3) == [
            "2026-03-28T02:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-30T02:30:00+02:00",
        ]
        assert told(one.before(at("2026-03-29T12:00:00"))) == "2026-03-29T03:00:00+02:00"
        assert told(one.before(at("2026-03-29T01:59:59"))) == "2026-03-28T02:30:00+01:00"

    def test_a_time_that_comes_twice_counts_once(self) -> None:
        one = cron("0 30 2 * * *", BERLIN)
        assert series(one, at("2026-10-24T12:00:00"), 2) == [
            "2026-10-25T02:30:00+02:00",
            "2026-10-26T02:30:00+01:00",
        ]
        second_pass = at("2026-10-25T02:15:00", fold=1)
        assert told(one.before(second_pass)) == "2026-10-25T02:30:00+02:00"
        assert told(one.after(second_pass)) == "2026-10-26T02:30:00+01:00"

    def test_a_rhythm_goes_on_as_time_does(self) -> None:
        hourly = cron("0 0 * * * *", BERLIN)
        assert series(hourly, at("2026-03-29T00:30:00"), 3) == [
            "2026-03-29T01:00:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-29T04:00:00+02:00",
        ]
        assert series(hourly, at("2026-10-25T01:30:00"), 3) == [
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ]

    def test_five_fields_are_as_six(self) -> None:
        for day in ("2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"):
            begin = at(f"{day}T00:00:00")
            assert series(cron("30 2 * * *", BERLIN), begin, 3) == series(
                cron("0 30 2 * * *", BERLIN), begin, 3
            )

    @given(
        hours=st.integers(0, 24 * 366),
        text=st.sampled_from(
            ["0 30 2 * * *", "0 0,30 1-3 * * *", "0 0 * * * *", "0 */20 * * * *", "0 0 12 1 * *"]
        ),
        name=st.sampled_from([BERLIN, "Australia/Lord_Howe", "America/New_York", "Asia/Shanghai"]),
    )
    def test_looking_back_and_ahead_agree(self, hours: int, text: str, name: str) -> None:
        one, now = cron(text, name), at("2026-01-01T00:00:00", "UTC") + hours * 3600.0 + 17
        following = one.after(now)
        assert following is not None
        assert following > now
        assert one.before(following) == following
        last = one.before(following - 1)
        assert last is not None
        assert last <= now, "nothing lies between"
        assert one.after(last) == following


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in New York."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("local")
def test_without_a_time_zone_it_is_the_machines_own() -> None:
    for text in ("0 30 2 * * *", "0 0 * * * *", "0 0 8 * * 1-5"):
        ours, named = cron(text), cron(text, "America/New_York")
        for hours in range(0, 24 * 366, 7):
            instant = at("2026-01-01T00:00:00", "UTC") + hours * 3600.0
            assert ours.after(instant) == named.after(instant)
            assert ours.before(instant) == named.before(instant)
            assert ours.day(instant) == named.day(instant)
    assert repr(zone("")) == "<local time>"
    assert datetime.fromtimestamp(at("2026-07-01T00:00:00"), zone("")).tzname() == "EDT"


class TestDays:
    """Days on which jobs rest."""

    @pytest.mark.parametrize(
        ("text", "inside", "outside"),
        [
            ("2026-12-25", date(2026, 12, 25), date(2027, 12, 25)),
            ("* * * 15 11 *", date(2026, 11, 15), date(2026, 11, 16)),
            ("0 0 0 15 11 ?", date(2027, 11, 15), date(2026, 12, 15)),
            ("* * 15 11 *", date(2026, 11, 15), date(2026, 11, 14)),
            ("* * * * * 6,0", date(2026, 7, 11), date(2026, 7, 10)),
            ("* * * ? * SAT", date(2026, 7, 11), date(2026, 7, 12)),
            ("* * * L * *", date(2026, 2, 28), date(2026, 2, 27)),
        ],
    )
    def test_dates_and_expressions(self, text: str, inside: date, outside: date) -> None:
        assert days(text).has(inside)
        assert not days(text).has(outside)

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            ("christmas", "expected a date such as 2026-12-25"),
            ("2026-13-01", "expected a date"),
            ("* * 9-12 * * *", "a part of a day can't be left out"),
            ("* * * 32 * *", "expected a date"),
            ("* * * 31 2 *", "expected a date"),
        ],
    )
    def test_what_is_wrong(self, text: str, wrong: str) -> None:
        with pytest.raises(ValueError) as raised:
            days(text)
        assert wrong in str(raised.value)

    def test_a_year_of_days_against_the_calendar(self) -> None:
        weekend, first = days("* * * * * 0,6"), days("* * * 1 * *")
        for offset in range(366):
            day = date(2026, 1, 1) + timedelta(days=offset)
            assert weekend.has(day) == (day.weekday() >= 5)
            assert first.has(day) == (day.day == 1)


def test_a_day_begins_at_its_midnight_or_what_there_is_of_it() -> None:
    assert told(cron("@daily", BERLIN).midnight(date(2026, 3, 29))) == "2026-03-29T00:00:00+01:00"
    beirut = cron("@daily", "Asia/Beirut").midnight(date(2026, 3, 29))
    assert told(beirut, "Asia/Beirut") == "2026-03-29T01:00:00+03:00"
    assert datetime.fromtimestamp(beirut - 1, UTC).hour == 21
