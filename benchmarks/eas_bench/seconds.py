"""How steady two runs were within themselves: their seconds, in batches.

Seconds that follow each other are alike, so single ones would promise too much. A run is cut into a few
batches of seconds, which are nearly independent when they are longer than what makes neighbours alike; a
batch gives one figure, and the interval is Student's (Welch's) of those ("batch means").

A bootstrap of blocks was tried: with so few of them its intervals held the truth 85 to 90 times of a hundred,
these 92 to 95 times.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from eas_bench import student
from eas_bench.record import Interval, Run
from eas_bench.student import Range

LEAST: Final = 10
"""Intervals without which nothing is said."""
_BATCHES: Final = (5, 10)
_NEARLY_NOTHING: Final = 1e-9
"""A rate of nothing, where its logarithm is wanted."""

Batch = Sequence[Interval]


def difference(a: Run, b: Run, figure: str, confidence: float) -> Range | None:
    """The difference b - a of a figure; None: too few intervals.

    Of errors the difference of the shares, of all others that of the logarithms.
    """
    sides = []
    for run in (a, b):
        told = [one for one in run.intervals if _ended([one])]
        if figure in {"p50", "p99"}:
            told = [one for one in told if one.latency is not None]
        if len(told) < LEAST:
            return None
        sides.append([_FIGURES[figure](batch) for batch in _batches(told)])
    return student.difference(sides[0], sides[1], confidence)


def _batches(intervals: Sequence[Interval]) -> list[Batch]:
    """Of nearly equal length, three seconds or more when there are enough."""
    count = len(intervals)
    number = min(max(_BATCHES[0], count // 3), _BATCHES[1])
    ends = [count * at // number for at in range(number + 1)]
    return [intervals[start:end] for start, end in itertools.pairwise(ends)]


def _ended(batch: Batch) -> int:
    return sum(sum(one.tally.statuses.values()) + sum(one.tally.failures.values()) for one in batch)


def _good(batch: Batch) -> int:
    return sum(
        count for one in batch for status, count in one.tally.statuses.items() if status.startswith("2")
    )


def _rate(batch: Batch) -> float:
    return math.log(max(_good(batch) / sum(one.seconds for one in batch), _NEARLY_NOTHING))


def _p50(batch: Batch) -> float:
    return statistics.fmean(math.log(max(1, one.latency.p50)) for one in batch if one.latency is not None)


def _p99(batch: Batch) -> float:
    return statistics.fmean(math.log(max(1, one.latency.p99)) for one in batch if one.latency is not None)


def _errors(batch: Batch) -> float:
    return 1 - _good(batch) / _ended(batch)


_FIGURES: Final[dict[str, Callable[[Batch], float]]] = {
    "rate": _rate,
    "p50": _p50,
    "p99": _p99,
    "errors": _errors,
}
