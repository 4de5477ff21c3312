"""Does it grow? Pure arithmetic over samples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEAST: Final = 6
"""Samples without which there is no trend."""
LONG: Final = 600.0
"""Seconds from which on a slope means something: that of a minute's noise would frighten."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The engine process at one moment."""

    seconds: float
    """Since the beginning."""
    memory: int
    """Bytes that are its own: resident, without what it shares with its instances."""
    descriptors: int

    def __str__(self) -> str:
        return f"{self.memory / 1e6:.0f} MB, {self.descriptors} descriptors"


@dataclass(frozen=True, slots=True)
class Trend:
    """How a figure went: the medians of the middle and of the last third of the time.

    The first third is for growing: caches, buffers, the first large bodies.
    """

    middle: float
    last: float
    per_hour: float
    """Slope of the least-squares line through both thirds."""

    @property
    def growth(self) -> float:
        """From the middle third to the last."""
        return self.last - self.middle

    def told(self, unit: float, seconds: float) -> str:
        """In words, the slope only of what was watched for long."""
        text = f"{self.middle / unit:.1f} -> {self.last / unit:.1f}"
        return f"{text} ({self.per_hour / unit:+.1f}/h)" if seconds >= LONG else text


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Of samples in order. Errors: ValueError: there are fewer than six."""
    if len(values) < LEAST:
        raise ValueError("too few samples to tell a trend")
    start, late = len(values) // 3, 2 * len(values) // 3
    slope = statistics.linear_regression(times[start:], values[start:]).slope
    return Trend(statistics.median(values[start:late]), statistics.median(values[late:]), slope * 3600)
