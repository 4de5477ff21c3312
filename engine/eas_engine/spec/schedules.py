"""Cron expressions with a time zone: when did a job last fall due, and when does it next?

Six fields with the second first, as EAS writes them, or five; ``?`` for ``*``; ``@daily`` and its like;
``@date 2026-11-11 08:00:00``, once; a prefix ``CRON_TZ=Asia/Shanghai`` or ``TZ=...``. cronsim knows what the
fields mean. What the clock does in spring and autumn is decided here, as Debian's cron decides it:

* A job at a fixed time falls due once a day: a time that is left out in spring counts as the first moment
  after the gap, one that comes twice in autumn is the first of the two.
* A job whose minute or hour begins with ``*`` goes by the time that passes: nothing is made up for, nothing
  left out.

Everything here is a pure function of its arguments, but that the zone ``""`` is what the machine says it is.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import field
from datetime import UTC, date, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Final

from eas_engine.records import dataclass
from eas_engine.spec.problems import shown

EXPECTED: Final = (
    'expected "second minute hour day month weekday" or "minute hour day month weekday", '
    'such as "0 0 8 * * 1-5"'
)
_NAMED: Final = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
_PREFIX: Final = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
_MARGIN: Final = timedelta(hours=3)  # more than any clock was ever put back by in one night
_WHOLE_DAY: Final = frozenset({"*", "0"})


class LocalZone(tzinfo):
    """What the machine takes for local time, with its summer times."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """See ``tzinfo``."""
        return moment.replace(tzinfo=None).astimezone().utcoffset() if moment is not None else None

    def dst(self, moment: datetime | None) -> timedelta | None:
        """See ``tzinfo``: nobody asks."""
        del moment
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """See ``tzinfo``."""
        return moment.replace(tzinfo=None).astimezone().tzname() if moment is not None else None

    def fromutc(self, moment: datetime) -> datetime:
        """See ``tzinfo``."""
        local = datetime.fromtimestamp(moment.replace(tzinfo=UTC).timestamp())  # noqa: DTZ006 - local it is
        return local.replace(tzinfo=self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalZone)

    def __hash__(self) -> int:
        return hash(LocalZone)

    def __repr__(self) -> str:
        return "<local time>"


def zone(name: str) -> tzinfo:
    """The time zone of that IANA name; the machine's own for the empty one. Errors: ValueError."""
    if not name:
        return LocalZone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        has_data = bool(zoneinfo.available_timezones())
        lacking = "" if has_data else " (this machine has no time zones at all: install tzdata)"
        raise ValueError(
            f"{shown(name)}: no such time zone; expected an IANA name such as Asia/Shanghai{lacking}"
        ) from None


@dataclass(frozen=True, slots=True)
class Cron:
    """One expression in its zone. Instants are seconds since the epoch."""

    text: str
    zone: tzinfo
    fields: str = field(repr=False)
    once: float | None = None
    """When ``@date`` is due."""

    @property
    def fixed(self) -> bool:
        """Whether it names times of the day, rather than a rhythm."""
        return not any(one.startswith("*") for one in self.fields.split()[-5:-3])

    def after(self, instant: float) -> float | None:
        """When it falls due next, later than ``instant``; ``None`` = never again (or not in 50 years)."""
        if self.once is not None:
            return self.once if self.once > instant else None
        return next((one for one in self._due(instant, backwards=False) if one > instant), None)

    def before(self, instant: float) -> float | None:
        """When it fell due last, at ``instant`` or earlier; ``None`` = not in 50 years."""
        if self.once is not None:
            return self.once if self.once <= instant else None
        return next((one for one in self._due(instant, backwards=True) if one <= instant), None)

    def day(self, instant: float) -> date:
        """The day in its zone."""
        return datetime.fromtimestamp(instant, self.zone).date()

    def midnight(self, day: date) -> float:
        """When that day begins in its zone."""
        return self._instant(datetime.combine(day, datetime.min.time()))

    def _due(self, instant: float, *, backwards: bool) -> Iterator[float]:
        """The times at which it is due, from around ``instant`` on, in their order."""
        from cronsim import CronSim  # noqa: PLC0415 - 10 ms, for services with jobs alone

        whole = float(int(instant // 1))
        start = datetime.fromtimestamp(whole, self.zone)
        if self.fixed:
            start = start.replace(tzinfo=None)
            if self._put_back_around(whole):
                start += _MARGIN if backwards else -_MARGIN
        start += timedelta(seconds=1 if backwards else 0)
        for due in CronSim(self.fields, start, reverse=backwards):
            yield self._instant(due)

    def _put_back_around(self, instant: float) -> bool:
        near = (datetime.fromtimestamp(instant + hours * 3600.0, self.zone) for hours in (-3, 3))
        return len({one.utcoffset() for one in near}) > 1

    def _instant(self, due: datetime) -> float:
        """The instant that a clock on the wall means: the first of two, or the first after a gap."""
        if due.tzinfo is not None:
            return due.timestamp()
        local = due.replace(tzinfo=self.zone)
        while local.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != due:
            due = due.replace(second=0) + timedelta(minutes=1)
            local = due.replace(tzinfo=self.zone)
        return local.timestamp()


def cron(text: str, zone_name: str = "", default_zone: str = "") -> Cron:
    """Read an expression in the zone that it names itself, else in ``zone_name``, else in ``default_zone``.

    Errors: ValueError, with what is wrong and what is expected.
    """
    expression, where = text.strip(), zone_name or default_zone
    if (prefixed := _PREFIX.fullmatch(expression)) is not None:
        where, expression = prefixed.groups()
        if zone_name and zone_name != where:
            raise ValueError(f"{shown(text)}: names another time zone than timeZone, which is {zone_name}")
    in_zone = zone(where)
    if expression.lower().startswith("@date"):
        return Cron(text, in_zone, "", _once(text, expression[5:].strip(), in_zone))
    fields = _NAMED.get(expression.lower(), expression).replace("?", "*")
    if fields.startswith("@"):
        named = ", ".join(sorted(_NAMED))
        raise ValueError(f"{shown(text)}: expected a cron expression, one of {named}, or @date DAY TIME")
    _validate(text, fields)
    return Cron(text, in_zone, fields)


def _once(text: str, moment: str, in_zone: tzinfo) -> float:
    try:
        local = datetime.fromisoformat(moment)
    except ValueError:
        raise ValueError(
            f"{shown(text)}: expected a day and a time, such as @date 2026-11-11 08:00:00"
        ) from None
    if local.tzinfo is not None:
        raise ValueError(f"{shown(text)}: expected a time without its offset; timeZone names the zone")
    return Cron(text, in_zone, "")._instant(local)  # noqa: SLF001 - its own family


def _validate(text: str, fields: str) -> None:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - see above

    try:
        never = next(CronSim(fields, datetime(2000, 1, 1)), None) is None  # noqa: DTZ001 - any will do
    except (CronSimError, ValueError, AssertionError, AttributeError, TypeError) as error:
        wrong = _wrong_field(error)
        raise ValueError(f"{shown(text)}: {wrong}{EXPECTED}") from None
    if never:
        raise ValueError(f"{shown(text)}: no such day ever comes")


def _wrong_field(error: Exception) -> str:
    """What cronsim calls ``Bad day-of-week``, as the beginning of a sentence."""
    name = str(error).removeprefix("Bad ")
    return f"the {name} is wrong; " if name != str(error) else ""


@dataclass(frozen=True, slots=True)
class Days:
    """Days of the year on which jobs rest: one date, or the day fields of a cron expression."""

    text: str
    only: date | None = None
    fields: str = ""

    def has(self, day: date) -> bool:
        """Whether this is one of them."""
        if self.only is not None:
            return day == self.only
        from cronsim import CronSim  # noqa: PLC0415 - see above

        start = datetime.combine(day, datetime.min.time()) - timedelta(seconds=1)
        due = next(CronSim(self.fields, start), None)
        return due is not None and due.date() == day


def days(text: str) -> Days:
    """Read one of ``excludeDates``. Errors: ValueError, with what is expected."""
    given = text.strip()
    try:
        return Days(text, date.fromisoformat(given))
    except ValueError:
        pass
    parts = given.replace("?", "*").split()
    expected = (
        'expected a date such as 2026-12-25, or a cron expression of days such as "* * * 25 12 *" or '
        '"* * * * * 0,6"'
    )
    if len(parts) not in (5, 6):
        raise ValueError(f"{shown(text)}: {expected}")
    if not _WHOLE_DAY.issuperset(parts[:-3]):
        raise ValueError(f"{shown(text)}: a part of a day can't be left out; {expected}")
    fields = " ".join(["0", "0", *parts[-3:]])
    try:
        _validate(text, fields)
    except ValueError:
        raise ValueError(f"{shown(text)}: {expected}") from None
    return Days(text, fields=fields)
