"""What became of the requests: counted by a generator process, told by second, added up by the parent."""

from __future__ import annotations

import base64
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from eas_bench import latency
from eas_bench.record import Interval, Percentiles, Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNCOUNTED: Final = 1 << 61
"""Nanoseconds by which the moment of a request lies in the past that belongs to the warm-up."""
ALL: Final = "all"
_PLAIN: Final = ("number", "until", "cpu", "sent", "bytes_sent", "bytes_received")
_FULL: Final = 4096  # latencies that are counted at once: about 0.1 ms of work


@dataclass
class Page:
    """A stretch of time of one process, or of several together."""

    number: int  # the second in which it begins
    until: float = 0.0  # seconds, when it ended
    cpu: float = 0.0  # seconds of processor time of the generator
    sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    answers: dict[str, NDArray[np.int64]] = field(default_factory=dict)  # status -> counts of latencies
    late: NDArray[np.int64] = field(default_factory=latency.no_counts)

    def add(self, other: Page) -> None:
        """What another says of the same time, or of a time that belongs to this one's."""
        self.until = max(self.until, other.until)
        self.cpu += other.cpu
        self.sent += other.sent
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received
        self.failures += other.failures
        self.late = self.late + other.late
        for status, counts in other.answers.items():
            self.answers[status] = self.answers[status] + counts if status in self.answers else counts

    @property
    def statuses(self) -> dict[str, int]:
        """How many answers of each."""
        return {status: int(counts.sum()) for status, counts in sorted(self.answers.items())}

    @property
    def every(self) -> NDArray[np.int64]:
        """The latencies of all answers."""
        return sum(self.answers.values(), latency.no_counts())

    @property
    def tally(self) -> Tally:
        """For the record."""
        return Tally(
            sent=self.sent,
            statuses=self.statuses,
            failures=dict(sorted(self.failures.items())),
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
        )

    @property
    def percentiles(self) -> Percentiles | None:
        """Of all answers."""
        return latency.summary_of(self.every)

    def interval(self, start: float, seconds: float) -> Interval:
        """For the record."""
        return Interval(start=start, seconds=seconds, tally=self.tally, latency=self.percentiles)

    def told(self) -> dict[str, Any]:
        """As JSON, a few kilobytes."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "failures": self.failures,
            "answers": {status: _packed(counts) for status, counts in self.answers.items()},
            "late": _packed(self.late),
        }

    @classmethod
    def heard(cls, told: dict[str, Any]) -> Self:
        """What :meth:`told` gave."""
        answers = {status: _unpacked(text) for status, text in told["answers"].items()}
        rest = {name: told[name] for name in _PLAIN}
        return cls(**rest, failures=Counter(told["failures"]), answers=answers, late=_unpacked(told["late"]))


class Book:
    """The current page of one process. Latencies are appended as nanoseconds and counted in bulk."""

    def __init__(self) -> None:
        self.bytes_sent = 0
        self.bytes_received = 0
        self.failures: Counter[str] = Counter()
        self._latencies: dict[int | str, array[int]] = {}
        self._late: array[int] = array("q")
        self.was_late: Callable[[int], None] = self._late.append
        self._page = Page(0)

    def of(self, status: int | str) -> array[int]:
        """Where the latencies of answers with this status go; the array stays the same."""
        return self._latencies.setdefault(status, array("q"))

    def settle(self, least: int = _FULL) -> None:
        """Count what was appended, where it is so much that it is worth it."""
        for status, values in self._latencies.items():
            if len(values) >= least:
                counts = self._page.answers.setdefault(str(status), latency.no_counts())
                _count(values, counts)
        if len(self._late) >= least:
            _count(self._late, self._page.late)

    def turn(self, sent: int, number: int) -> Page:
        """The page so far, whole; page ``number`` begins. ``sent``: the requests of its time."""
        self.settle(1)
        page, self._page = self._page, Page(number)
        page.answers = {status: counts for status, counts in page.answers.items() if counts.any()}
        page.sent, page.bytes_sent, page.bytes_received = sent, self.bytes_sent, self.bytes_received
        page.failures, self.failures = self.failures, Counter()
        self.bytes_sent = self.bytes_received = 0
        return page

    def ended(self) -> int:
        """How many requests of this page had their end, whatever it was."""
        self.settle(1)
        return sum(int(counts.sum()) for counts in self._page.answers.values()) + self.failures.total()

    def forget(self) -> None:
        """The warm-up is over: begin with the first page."""
        self.turn(0, 0)


def _count(nanoseconds: array[int], into: NDArray[np.int64]) -> None:
    values = np.array(nanoseconds, np.int64)
    del nanoseconds[:]
    latency.count((values[values < UNCOUNTED >> 1] + 500) // 1000, into)


def _packed(counts: NDArray[np.int64]) -> list[str]:
    used = np.flatnonzero(counts)
    return [base64.b64encode(part.astype("<i8").tobytes()).decode() for part in (used, counts[used])]


def _unpacked(packed: list[str]) -> NDArray[np.int64]:
    used, values = (np.frombuffer(base64.b64decode(text), "<i8") for text in packed)
    counts = latency.no_counts()
    counts[used] = values
    return counts
