"""A thread that looks at things again and again, each when it says that it wants to be looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Look = Callable[[], float]
"""Returns the seconds until the next look."""

_PATIENCE = 5.0
"""Seconds: a large disk takes longer to count, and nobody needs the figure any more."""

AFTER_FAILURE = 1.0
"""Seconds until the next look after one that raised."""


class Rounds:
    """Calls looks in a thread of its own, which begins with the first of them.

    Args:
        name: of the thread.
        failed: told of a look that raised; it is tried again.
        now: seconds, monotonic.
    """

    def __init__(
        self, name: str, failed: Callable[[Exception], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._failed, self._now = name, failed, now
        self._due: dict[Look, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Rounds {self._name}: {len(self._due)}>"

    def add(self, look: Look) -> None:
        """Look at it now, and then as often as it wants."""
        with self._changed:
            if self._closed:
                return
            self._due[look] = self._now()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, look: Look) -> None:
        """Look at it no more; a look that has begun ends. Idempotent."""
        with self._changed:
            self._due.pop(look, None)
            self._changed.notify()

    def close(self, patience: float = _PATIENCE) -> None:
        """End the thread, once the look that has begun is over; wait so many seconds for it. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        while (look := self._next()) is not None:
            try:
                pause = look()
            except Exception as error:  # noqa: BLE001 - one that fails must not end the looks at the others
                self._failed(error)
                pause = AFTER_FAILURE
            with self._changed:
                if look in self._due:
                    self._due[look] = self._now() + pause

    def _next(self) -> Look | None:
        """The look that is due, once it is; None: closed."""
        with self._changed:
            while not self._closed:
                look = min(self._due, key=lambda one: self._due[one], default=None)
                if look is not None and self._due[look] <= self._now():
                    return look
                self._changed.wait(None if look is None else self._due[look] - self._now())
            return None
