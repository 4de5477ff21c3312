"""What processors printed last, numbered: for ``eas-engine logs``.

Written on the loop, read from the admin thread; bounded by lines and by characters, so that a processor that
prints a great deal, or prints endless lines, costs a few megabytes at most.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

LINES: Final = 10_000
CHARACTERS: Final = 4_000  # of a line


class Line(NamedTuple):
    """One line of a processor."""

    instance: str
    stream: str
    """``stdout`` or ``stderr``."""
    text: str


class Tail:
    """The last lines of all instances."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, Line]] = deque(maxlen=LINES)
        self._number = 0

    def __repr__(self) -> str:
        return f"<Tail {len(self._lines)} of {self._number} lines>"

    def add(self, instance: str, stream: str, text: str) -> None:
        """It printed a line."""
        self._number += 1
        self._lines.append((self._number, Line(instance, stream, text[:CHARACTERS])))

    def since(self, number: int, instance: str = "") -> tuple[int, tuple[Line, ...]]:
        """The number of the last line, and the lines behind ``number``, of one instance or of all."""
        lines = tuple(self._lines.copy())
        last = lines[-1][0] if lines else 0
        return last, tuple(line for at, line in lines if at > number and instance in ("", line.instance))
