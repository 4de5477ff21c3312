"""A load over time, to be replayed: written by hand, or recorded from a running engine.

CSV with the columns ``seconds,qps[,service_time]`` (their names may be left out), or JSON lines with the same
members; what else stands there is ignored, so that lines of ``autoscale record`` are a trace, and so is the
document of ``/api/v1/autoscale`` (its member ``samples``).

* ``seconds``: when it begins, rising from any first value. It lasts until the next row; the last row lasts as
  long as the one before.
* ``qps``: requests per second, of all instances together, those that were refused included.
* ``service_time``: seconds of a call of the processor. Not given, or empty: as in the row before.
* ``wall`` (of the first row): when that was, in seconds since the epoch.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass

LARGEST: Final = 256 * 2**20
LONGEST: Final = 31 * 24 * 3600
_COLUMNS: Final = ("seconds", "qps", "service_time", "wall")
_EXPECTED: Final = "expected the columns seconds,qps[,service_time], or JSON lines with these members"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of constant load; ``start`` is 0 for the first."""

    start: float
    qps: float
    service_time: float | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The stretches, one after the other, and where the last one ends (seconds)."""

    stretches: tuple[Stretch, ...]
    end: float
    wall: float | None = None
    """When it began, in seconds since the epoch, if it was recorded."""

    def with_service_time(self, seconds: float) -> Trace:
        """The same load, with calls of another length."""
        return replace(self, stretches=tuple(replace(one, service_time=seconds) for one in self.stretches))


def read(path: Path) -> Trace:
    """Read a trace. Errors: ConfigurationError, with the line and what is expected."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8; {_EXPECTED}") from None
    if len(data) > LARGEST:
        raise ConfigurationError(f"{path}: larger than {LARGEST >> 20} MiB")
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def parse(text: str) -> Trace:
    """The trace that ``text`` is. Errors: ValueError."""
    rows = _of_json(text) if text.lstrip().startswith("{") else _of_csv(text)
    stretches: list[Stretch] = []
    first, wall = 0.0, None
    for line, row in rows:
        seconds, qps = _number(line, row, "seconds"), _number(line, row, "qps")
        if seconds is None or qps is None:
            raise ValueError(f"line {line}: no {'seconds' if seconds is None else 'qps'}; {_EXPECTED}")
        if not stretches:
            first, wall = seconds, _number(line, row, "wall")
        elif seconds - first <= stretches[-1].start:
            raise ValueError(f"line {line}: seconds = {seconds:g}: expected more than in the row before")
        service = _number(line, row, "service_time")
        if service is None and stretches:
            service = stretches[-1].service_time
        stretches.append(Stretch(seconds - first, qps, service))
    if not stretches:
        raise ValueError(f"nothing in it; {_EXPECTED}")
    last = stretches[-1].start
    end = last + (last - stretches[-2].start if len(stretches) > 1 else 1.0)
    if end > LONGEST:
        raise ValueError(f"{end / 86400:.0f} days long: expected at most 31")
    return Trace(tuple(stretches), end, wall)


def _number(line: int, row: Mapping[str, object], name: str) -> float | None:
    """A member of a row; ``None`` when it isn't given."""
    given = row.get(name)
    if given is None or given == "":
        return None
    value = math.nan
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        with contextlib.suppress(ValueError, OverflowError):
            value = float(given)
    least = -math.inf if name == "seconds" else 0.0
    if not math.isfinite(value) or value < least or (name == "service_time" and value == 0):
        what = {"seconds": "a number", "service_time": "a number above 0"}.get(name, "a number, at least 0")
        raise ValueError(f"line {line}: {name} = {str(given)[:40]}: expected {what}")
    return value


def _of_csv(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    names: tuple[str, ...] = _COLUMNS
    header = True
    for cells in reader:
        if not any(cells) or cells[0].startswith("#"):
            continue
        if header and any(cell.strip() in _COLUMNS for cell in cells):
            names = tuple(cell.strip() for cell in cells)
        else:
            yield reader.line_num, dict(zip(names, (cell.strip() for cell in cells), strict=False))
        header = False


def _of_json(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None  # lines, then
    if isinstance(whole, dict) and isinstance(whole.get("samples"), list):
        yield from ((1, row) for row in whole["samples"] if isinstance(row, dict))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number}: not JSON; {_EXPECTED}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: no object; {_EXPECTED}")  # noqa: TRY004 - a complaint
        yield number, row
