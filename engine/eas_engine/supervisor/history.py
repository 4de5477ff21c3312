"""What a host remembers of its crashes: how many, the last one, and when it may be started again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from eas_engine.supervisor.life import Life
from eas_engine.supervisor.observe import Crash
from eas_engine.supervisor.restart import Deaths


class History:
    """The crashes of one host.

    Attributes:
        last: the last one.
        refused: the last start failed in a way that another try won't change.
        next_start: monotonic instant before which it isn't started; infinite unless it waits for one.
    """

    def __init__(self) -> None:
        self.last: Crash | None = None
        self.refused = False
        self.next_start = math.inf
        self._deaths = Deaths()
        self._restarts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<History {dict(self._restarts)!r} {self._deaths!r}>"

    @property
    def restarts(self) -> Mapping[str, int]:
        """Starts after a crash, by the crash's kind."""
        return MappingProxyType(dict(self._restarts))

    @property
    def failed_starts(self) -> int:
        """Deaths before being ready since it was last ready."""
        return self._deaths.failed_starts

    @property
    def back_off(self) -> float:
        """Seconds from the last crash to the next start."""
        return self._deaths.back_off

    def begin(self) -> None:
        """It is started, again if it has crashed before."""
        if self.last is not None:
            self._restarts[self.last.kind] = self._restarts.get(self.last.kind, 0) + 1
        self.next_start = math.inf
        self.refused = False

    def add(self, crash: Crash, life: Life | None, now: float) -> None:
        """It crashed. ``life``: the process that did; None if none was executed."""
        ready_at = life.ready_at if life else None
        self._deaths = self._deaths.after(None if ready_at is None else now - ready_at)
        self.next_start = now + self._deaths.back_off
        if life is not None:
            traceback = life.failure.traceback if life.failure else ""
            crash = replace(crash, lines=life.tail.last_words(), traceback=traceback)
        self.last = crash

    def keep(self, scene: Path | None) -> None:
        """Where the last crash's scene lies; None: nowhere any more."""
        if self.last is not None:
            self.last = replace(self.last, scene=str(scene or ""))
