"""How fetching goes: bars on a terminal, now and then a line in a log, or nothing.

All methods may be called from any thread. ``Progress`` is what fetching knows; ``bar`` is one address.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, Protocol

from eas_engine.clock import Clock
from eas_engine.telemetry.logs import printable

LINE_EVERY: Final = 10.0  # seconds between two lines about the same address
Log = Callable[..., object]
"""``log.info`` or ``log.warning``: an event, and fields by name."""


class Progress(Protocol):
    """Where fetching tells what it does."""

    def bar(self, parameter: str, address: str) -> Task:
        """Fetching of an address (redacted) begins."""
        ...

    def note(self, event: str, **fields: object) -> None:
        """Something worth a line."""
        ...

    def warn(self, event: str, **fields: object) -> None:
        """Something that somebody should know."""
        ...

    def end(self) -> None:
        """Nothing more is fetched."""
        ...


class Bar(Protocol):
    """Who is told how a transfer goes."""

    def moved(self, count: int) -> None:
        """So many more bytes are there; negative: they have to come again."""
        ...

    def expects(self, total: int | None) -> None:
        """How many there will be, None when nobody knows."""
        ...

    def retries(self, reason: str, seconds: float) -> None:
        """An attempt failed, and the next one comes after so many seconds."""
        ...


class Task(Bar, Protocol):
    """One address, from its first byte to its last."""

    def finished(self, *, fetched: bool) -> None:
        """It is there; ``fetched``: bytes came."""
        ...

    def phase(self, name: str) -> None:
        """What is done with it now (``unpacking``, ``waiting``)."""
        ...

    def at(self, done: int, total: int) -> None:
        """So much of the phase is done."""
        ...


class LogProgress:
    """Lines of a log."""

    def __init__(self, clock: Clock, info: Log, warning: Log) -> None:
        self._clock, self._info, self._warning = clock, info, warning

    def bar(self, parameter: str, address: str) -> Task:
        """See ``Progress``."""
        return _Lines(self._clock, self._info, self._warning, parameter, address)

    def note(self, event: str, **fields: object) -> None:
        """See ``Progress``."""
        self._info(event, **fields)

    def warn(self, event: str, **fields: object) -> None:
        """See ``Progress``."""
        self._warning(event, **fields)

    def end(self) -> None:
        """See ``Progress``."""


class _Lines:
    """One address in a log."""

    def __init__(self, clock: Clock, info: Log, warning: Log, parameter: str, address: str) -> None:
        self._clock, self._info, self._warning = clock, info, warning
        self._fields = {"parameter": parameter, "address": address}
        self._lock = threading.Lock()
        self._done = self._came = 0
        self._total: int | None = None
        self._began = self._told = clock.now()

    def moved(self, count: int) -> None:
        """See ``Bar``."""
        with self._lock:
            self._done += count
            self._came += max(0, count)
            now = self._clock.now()
            if now - self._told < LINE_EVERY:
                return
            self._told = now
            fields = self._state(now)
        self._info("fetching", **self._fields, **fields)

    def expects(self, total: int | None) -> None:
        """See ``Bar``."""
        self._total = total

    def retries(self, reason: str, seconds: float) -> None:
        """See ``Bar``."""
        self._warning("fetching failed, trying again", reason=reason, seconds=round(seconds, 1))

    def finished(self, *, fetched: bool) -> None:
        """See ``Task``."""
        if not fetched:
            self._info("unchanged: taken from the cache", **self._fields)
            return
        now = self._clock.now()
        seconds = round(now - self._began, 2)
        self._info("fetched", **self._fields, bytes=self._done, seconds=seconds, speed=self._speed(now))

    def phase(self, name: str) -> None:
        """See ``Task``."""
        self._told = self._clock.now()
        self._info(name, **self._fields)

    def at(self, done: int, total: int) -> None:
        """See ``Task``."""
        now = self._clock.now()
        if now - self._told >= LINE_EVERY and total:
            self._told = now
            self._info("unpacking", **self._fields, percent=round(100 * done / total))

    def _state(self, now: float) -> dict[str, object]:
        fields: dict[str, object] = {"bytes": self._done}
        if self._total:
            fields |= {"total": self._total, "percent": int(100 * self._done / self._total)}
        return fields | {"speed": self._speed(now)}

    def _speed(self, now: float) -> str:
        return f"{self._came / 2**20 / max(now - self._began, 1e-3):.1f} MiB/s"


class TerminalProgress:
    """Bars of ``rich`` on stderr; what is to be said is printed above them.

    ``rich`` is imported when there is something to show: 100 ms that a start without fetching doesn't pay.
    """

    @cached_property
    def _bars(self) -> Any:
        from rich import progress as rich  # noqa: PLC0415 - see above
        from rich.console import Console  # noqa: PLC0415

        return rich.Progress(
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(),
            rich.DownloadColumn(binary_units=True),
            rich.TransferSpeedColumn(),
            rich.TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False, markup=False),
        )

    def bar(self, parameter: str, address: str) -> Task:
        """See ``Progress``."""
        self._bars.start()
        return _RichBar(self._bars, printable(f"{parameter} {address}"))

    def note(self, event: str, **fields: object) -> None:
        """See ``Progress``."""
        self._bars.console.print(_sentence(event, fields))

    def warn(self, event: str, **fields: object) -> None:
        """See ``Progress``."""
        self._bars.console.print(_sentence(event, fields), style="yellow")

    def end(self) -> None:
        """See ``Progress``."""
        if "_bars" in self.__dict__:
            self._bars.stop()


class _RichBar:
    """One address as a bar."""

    def __init__(self, bars: Any, name: str) -> None:
        self._bars, self._name = bars, name
        self._id = bars.add_task(name, total=None)

    def moved(self, count: int) -> None:
        """See ``Bar``."""
        self._bars.advance(self._id, count)

    def expects(self, total: int | None) -> None:
        """See ``Bar``."""
        self._bars.update(self._id, total=total)

    def retries(self, reason: str, seconds: float) -> None:
        """See ``Bar``."""
        self._bars.console.print(f"{reason}; trying again in {seconds:.1f} s", style="yellow")

    def finished(self, *, fetched: bool) -> None:
        """See ``Task``."""
        task = next(one for one in self._bars.tasks if one.id == self._id)
        total = task.completed if fetched else max(task.total or 0, 1)
        note = "" if fetched else " (unchanged)"
        self._bars.update(self._id, description=f"{self._name}{note}", total=total, completed=total)

    def phase(self, name: str) -> None:
        """See ``Task``."""
        self._bars.update(self._id, description=f"{self._name} ({name})")

    def at(self, done: int, total: int) -> None:
        """See ``Task``."""
        self._bars.update(self._id, completed=done, total=total)


class SilentProgress:
    """For whoever only wants the result."""

    def bar(self, parameter: str, address: str) -> Task:
        """See ``Progress``."""
        return _Nothing()

    def note(self, event: str, **fields: object) -> None:
        """See ``Progress``."""

    def warn(self, event: str, **fields: object) -> None:
        """See ``Progress``."""

    def end(self) -> None:
        """See ``Progress``."""


class _Nothing:
    def moved(self, count: int) -> None:
        """See ``Bar``."""

    def expects(self, total: int | None) -> None:
        """See ``Bar``."""

    def retries(self, reason: str, seconds: float) -> None:
        """See ``Bar``."""

    def finished(self, *, fetched: bool) -> None:
        """See ``Task``."""

    def phase(self, name: str) -> None:
        """See ``Task``."""

    def at(self, done: int, total: int) -> None:
        """See ``Task``."""


def _sentence(event: str, fields: dict[str, object]) -> str:
    return printable(" ".join([event, *(f"{name}={value}" for name, value in fields.items())]))
