"""Progress of fetching that can be looked at from outside: how far each address is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eas_engine.artifacts.fetching.progress import Progress, Task

Figures = dict[str, tuple[int, int | None]]
"""The parameter and its address (redacted): bytes that are there, bytes in all or None."""


class WatchedProgress:
    """Another progress, and figures of it. A ``Progress``; ``told`` is called from any thread."""

    def __init__(self, shown: Progress, told: Callable[[Mapping[str, tuple[int, int | None]]], None]) -> None:
        self._shown = shown
        self._told = told
        self._lock = threading.Lock()
        self._figures: Figures = {}

    def bar(self, parameter: str, address: str) -> Task:
        """See ``Progress``."""
        return _WatchedTask(self._shown.bar(parameter, address), self, f"{parameter} {address}")

    def note(self, event: str, **fields: object) -> None:
        """See ``Progress``."""
        self._shown.note(event, **fields)

    def warn(self, event: str, **fields: object) -> None:
        """See ``Progress``."""
        self._shown.warn(event, **fields)

    def end(self) -> None:
        """See ``Progress``."""
        self._shown.end()

    def update(self, name: str, done: int, total: int | None) -> None:
        """An address is so far."""
        with self._lock:
            self._figures[name] = (done, total)
            figures = dict(self._figures)
        self._told(figures)


class _WatchedTask:
    """One address: what it is told goes on to the task that is shown."""

    def __init__(self, shown: Task, progress: WatchedProgress, name: str) -> None:
        self._shown, self._progress, self._name = shown, progress, name
        self._done = 0
        self._total: int | None = None

    def moved(self, count: int) -> None:
        """See ``transfer.Bar``."""
        self._shown.moved(count)
        self._done += count
        self._tell()

    def expects(self, total: int | None) -> None:
        """See ``transfer.Bar``."""
        self._shown.expects(total)
        self._total = total
        self._tell()

    def retries(self, reason: str, seconds: float) -> None:
        """See ``transfer.Bar``."""
        self._shown.retries(reason, seconds)

    def finished(self, *, fetched: bool) -> None:
        """See ``Task``."""
        self._shown.finished(fetched=fetched)
        self._total = self._done
        self._tell()

    def phase(self, name: str) -> None:
        """See ``Task``."""
        self._shown.phase(name)

    def at(self, done: int, total: int) -> None:
        """See ``Task``."""
        self._shown.at(done, total)

    def _tell(self) -> None:
        self._progress.update(self._name, self._done, self._total)
