"""How steady two runs were within themselves: a bootstrap over their intervals, in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from eas_bench.record import Interval, Run

LEAST: Final = 10
"""Intervals without which nothing is said."""
_RESAMPLES: Final = 4000
_SEED: Final = 1
_NEARLY_NOTHING: Final = 1e-9
"""A rate of nothing, where its logarithm is wanted."""

Ratio = Callable[[Interval], tuple[float, float] | None]
"""Numerator and denominator of an interval's figure; None: it has none. A run's is the ratio of the sums."""


def bootstrap(a: Run, b: Run, figure: str, confidence: float) -> tuple[float, float] | None:
    """How far the difference b - a of a figure may lie from what it was; None: too few intervals.

    Of errors the difference of the shares, of all others that of the logarithms.

    Seconds that follow each other are alike, so blocks of them are drawn (as many as the cube root of their
    number, the run thought of as a ring), each side for itself.
    """
    chance = np.random.default_rng(_SEED)
    drawn = []
    for run in (a, b):
        found = [pair for interval in run.intervals if (pair := _RATIOS[figure](interval)) is not None]
        if len(found) < LEAST:
            return None
        drawn.append(_deviations(np.array(found), chance, logarithm=figure == "rate"))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(drawn[1] - drawn[0], [tail, 100 - tail])
    return float(low), float(high)


def _deviations(pairs: np.ndarray, chance: np.random.Generator, *, logarithm: bool) -> np.ndarray:
    """The figure in each of many such runs, less what it was in this one."""
    count = len(pairs)
    length = max(1, round(count ** (1 / 3)))
    starts = chance.integers(count, size=(_RESAMPLES, math.ceil(count / length), 1))
    places = ((starts + np.arange(length)) % count).reshape(_RESAMPLES, -1)[:, :count]
    sums = pairs[places].sum(axis=1)
    figures: np.ndarray = sums[:, 0] / sums[:, 1]
    whole = pairs[:, 0].sum() / pairs[:, 1].sum()
    if logarithm:
        figures, whole = np.log(np.maximum(figures, _NEARLY_NOTHING)), math.log(max(whole, _NEARLY_NOTHING))
    deviations: np.ndarray = figures - whole
    return deviations


def _rate(interval: Interval) -> tuple[float, float]:
    good = sum(count for status, count in interval.tally.statuses.items() if status.startswith("2"))
    return good, interval.seconds


def _p50(interval: Interval) -> tuple[float, float] | None:
    return None if interval.latency is None else (math.log(max(1, interval.latency.p50)), 1)


def _p99(interval: Interval) -> tuple[float, float] | None:
    return None if interval.latency is None else (math.log(max(1, interval.latency.p99)), 1)


def _errors(interval: Interval) -> tuple[float, float] | None:
    tally = interval.tally
    ended = sum(tally.statuses.values()) + sum(tally.failures.values())
    good, _ = _rate(interval)
    return (ended - good, ended) if ended else None


_RATIOS: Final[dict[str, Ratio]] = {"rate": _rate, "p50": _p50, "p99": _p99, "errors": _errors}
