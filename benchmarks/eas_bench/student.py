"""What few measurements say of a mean: Student's t, in pure functions.

Five runs are too few for a bootstrap across them (its intervals are a fifth too narrow) and for the normal
distribution (1.96 instead of 2.78).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Range:
    """A figure and the interval that holds the true one, with the confidence that was asked for."""

    figure: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether it differs from zero: zero isn't within."""
        return not self.low <= 0 <= self.high


def mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Range:
    """Of independent values. Errors: ValueError: there are fewer than two."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return _around(statistics.fmean(values), error, len(values) - 1, confidence)


def difference(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Range:
    """Of two means, b - a, whose values may spread differently (Welch). Errors: as `mean`."""
    parts = [statistics.variance(side) / len(side) for side in (a, b)]
    figure = statistics.fmean(b) - statistics.fmean(a)
    if not any(parts):
        return Range(figure, figure, figure)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True)
    )
    return _around(figure, math.sqrt(sum(parts)), freedom, confidence)


def quantile(share: float, freedom: float) -> float:
    """The t that so large a share (0.5 to 1) of the distribution lies below."""
    low, high = 0.0, 1.0
    while share_below(high, freedom) < share:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share_below(middle, freedom) < share else (low, middle)
    return high


def share_below(t: float, freedom: float) -> float:
    """The share of the distribution below t >= 0."""
    return 1 - _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2


def _around(figure: float, error: float, freedom: float, confidence: float) -> Range:
    reach = quantile((1 + confidence) / 2, freedom) * error
    return Range(figure, figure - reach, figure + reach)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularized. Its fraction converges below (a + 1) / (a + b + 2), above that one of 1 - x does."""
    if x in {0.0, 1.0}:
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / a * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """1/(1+ d1/(1+ d2/(1+ ...))), by Lentz's method (Numerical Recipes 6.4)."""
    tiny, value, up, down = 1e-300, 1.0, 1.0, 0.0
    for step in range(400):
        m = step // 2
        if step == 0:
            part = 1.0
        elif step % 2 == 0:
            part = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            part = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        down = 1 / (1 + part * down or tiny)
        up = 1 + part / up or tiny
        value *= up * down
        if step and abs(1 - up * down) < 1e-14:
            break
    return value - 1
