"""What the log is told of exceptions that requests cause: each one, but not each one's whole trace.

A client that sends nonsense again and again would fill a disk with one and the same trace. Of those that come
from the same place within a minute the first few are written whole, and of the others a line each, with the
request's id.
"""

from __future__ import annotations

import threading
import time
import traceback
from typing import Callable, Tuple

from eas_host.adapters import Raised

WHOLE = 5
"""So many of one place are written whole in a window."""
WINDOW = 60.0  # seconds
_PLACES = 256  # that are remembered at most
_FRAMES = 8  # the innermost ones, which say where it was
_WIDTH = 200  # characters of a message in a line

Place = Tuple[object, ...]


class Traces:
    """Of one host. For all threads; ``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Place, tuple[float, int]] = {}  # since when in this window, how often

    def text(self, error: BaseException, request_id: str) -> str:
        """For the log, with its line end."""
        count = self._count(_place(error))
        if count <= WHOLE:
            return f"request {request_id} raised\n{_trace(error)}"
        return (
            f"request {request_id} raised {_line(error)} (its trace is above; {count} times in this minute)\n"
        )

    def _count(self, place: Place) -> int:
        now = self._clock()
        with self._lock:
            since, count = self._seen.get(place, (now, 0))
            if now - since >= WINDOW:
                since, count = now, 0
            if not count and len(self._seen) >= _PLACES:
                self._seen.clear()
            self._seen[place] = (since, count + 1)
            return count + 1


def _place(error: BaseException) -> Place:
    """The same for exceptions of one kind from one place, whatever their messages say."""
    if isinstance(error, Raised):  # its first line has the message
        return (type(error), *error.trace.splitlines()[1 : 1 + _FRAMES])
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return (type(error), *frames[-_FRAMES:])


def _line(error: BaseException) -> str:
    """Its name and message; the name alone if its ``__str__``, the processor's code too, raises."""
    try:
        words = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - whatever it is
        words = ""
    cut = words if len(words) <= _WIDTH else f"{words[:_WIDTH]} ..."
    if isinstance(error, Raised):  # whose message says its kind
        return cut
    return ": ".join(filter(None, (type(error).__name__, cut)))


def _trace(error: BaseException) -> str:
    if isinstance(error, Raised):
        return error.trace
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
