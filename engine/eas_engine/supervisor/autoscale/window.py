"""The highest, or the lowest, of what was recommended in the last seconds, in constant time.

A value that a later one beats can't be the answer any more, so it isn't kept: what is left is sorted, the
answer first, and as short as there are different numbers. Immutable: ``add`` gives the next one.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from eas_engine.records import dataclass


class _Entry(NamedTuple):
    at: float
    value: int


@dataclass(frozen=True, slots=True)
class Window:
    """``highest`` tells which of the two; ``seconds`` how long it looks back (0: the newest alone)."""

    highest: bool
    seconds: float
    entries: tuple[_Entry, ...] = ()

    def add(self, at: float, value: int) -> Self:
        """The same one moment later; what is as old as ``seconds`` no longer counts."""
        kept = [one for one in self.entries if at - one.at < self.seconds]
        while kept and not self._beats(kept[-1].value, value):
            kept.pop()
        return type(self)(self.highest, self.seconds, (*kept, _Entry(at, value)))

    def lasting(self, seconds: float) -> Self:
        """The same with another length."""
        return self if seconds == self.seconds else type(self)(self.highest, seconds, self.entries)

    @property
    def value(self) -> int:
        """The answer. Errors: IndexError before the first ``add``."""
        return self.entries[0].value

    def _beats(self, older: int, newer: int) -> bool:
        return older > newer if self.highest else older < newer
