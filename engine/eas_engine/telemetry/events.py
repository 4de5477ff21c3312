"""What happened to a service, as numbered lines: for ``eas-engine events`` and for whoever asks later.

The last ``REMEMBERED`` are in memory, where the admin thread reads them; every one is appended to
``events.jsonl`` in the state directory (0600), which is cut to its newer half when it is over ``LARGEST``. A
disk that is full costs the file, not the service.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from eas_engine import private_files
from eas_engine.clock import Clock
from eas_engine.errors import ConfigurationError
from eas_engine.operations import Event, EventKind

REMEMBERED: Final = 1000
LARGEST: Final = 4 << 20  # bytes


class Events:
    """One service's history since the engine started, and its file.

    ``tell`` is called on the loop; ``since`` from any thread. ``later`` runs what writes, in the order in
    which it is given.
    """

    def __init__(
        self,
        clock: Clock,
        file: Path | None = None,
        log: Callable[..., None] | None = None,
        later: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._clock = clock
        self._later = later
        self._file = file
        self._log = log
        self._events: deque[Event] = deque(maxlen=REMEMBERED)
        self._number = 0

    def __repr__(self) -> str:
        return f"<Events {self._number} so far>"

    def tell(
        self,
        kind: EventKind,
        text: str,
        *,
        by: str = "",
        before: object = None,
        after: object = None,
        logged: bool = False,
    ) -> None:
        """Something happened. ``before`` and ``after`` are JSON-able, and without secrets.

        ``logged``: the log has it already.
        """
        self._number += 1
        event = Event(
            number=self._number,
            time=self._clock.wall(),
            kind=kind,
            text=text,
            by=by,
            before=before,
            after=after,
        )
        self._events.append(event)
        if self._log is not None and not logged:
            self._log(text, event_kind=kind, **({"by": by} if by else {}))
        if self._file is not None:
            self._later(partial(_append, self._file, event))

    def since(self, number: int) -> tuple[Event, ...]:
        """Those behind ``number``, oldest first; 0: all that are remembered."""
        return tuple(event for event in tuple(self._events) if event.number > number)


def _append(path: Path, event: Event) -> None:
    line = json.dumps(asdict(event), default=str).encode() + b"\n"
    with contextlib.suppress(OSError, ConfigurationError):
        if path.exists() and path.stat().st_size + len(line) > LARGEST:
            _halve(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(path, flags, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)


def _halve(path: Path) -> None:
    """Keep the newer half, from the beginning of a line."""
    data = path.read_bytes()
    start = data.find(b"\n", len(data) // 2) + 1
    private_files.write(path, data[start:], 0o600)
