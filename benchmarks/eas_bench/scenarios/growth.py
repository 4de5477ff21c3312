"""How a cost grows with what it is asked to bear. Pure.

A curve is called

* ``linear`` when ``fixed + each * x`` (both at least 0) is nowhere off by more than ``CLOSE`` of what was
  measured, and ``flat`` when that line rises by no more than a factor of ``LEVEL``;
* otherwise ``falling`` when no such line rises at all, ``gentler`` or ``steeper`` as its exponent says.

The exponent is what a bar is held against: when x grows k-fold the cost grows at most k ** exponent-fold,
whichever two points are compared that lie a factor of ``APART`` or more apart. It is at most 1 for whatever
is flat or linear, however large the fixed part, and noise moves it little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

LEVEL: Final = 1.25
CLOSE: Final = 0.25
APART: Final = 4.0
LINEAR: Final = 1.2  # an exponent that noise may give to a line

Shape = Literal["flat", "linear", "falling", "gentler", "steeper"]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A curve in figures."""

    shape: Shape
    fixed: float  # of the line through it
    each: float  # a unit of x
    off: float  # by how much of itself the line is off where it is worst
    exponent: float

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.shape} than linear" if self.shape in {"gentler", "steeper"} else self.shape


def growth(points: Points) -> Growth:
    """Of points in order of x, with costs above 0. Errors: ValueError: fewer than two, or no such order."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if len(points) < 2 or xs != sorted(set(xs)) or min(xs) < 0:
        raise ValueError("a curve has at least two points, in order, none twice, none below 0")
    if min(ys) <= 0:
        raise ValueError("a cost is above 0")
    fixed, each = _line(points)
    off = max(abs(fixed + each * x - y) / y for x, y in points)
    steepest = exponent(points)
    if off <= CLOSE:
        shape: Shape = "flat" if fixed + each * xs[-1] <= LEVEL * (fixed + each * xs[0]) else "linear"
    elif each == 0:
        shape = "falling"
    else:
        shape = "steeper" if steepest > LINEAR else "gentler"
    return Growth(shape=shape, fixed=fixed, each=each, off=off, exponent=steepest)


def exponent(points: Points) -> float:
    """The largest between two points that are far enough apart; 0 when none are, or all falls."""
    pairs = [
        (left, right)
        for index, left in enumerate(points)
        for right in points[index + 1 :]
        if left[0] > 0 and right[0] >= APART * left[0]
    ]
    steps = [math.log(right[1] / left[1]) / math.log(right[0] / left[0]) for left, right in pairs]
    return max([0.0, *steps])


def _line(points: Points) -> tuple[float, float]:
    """The line that is off least in terms of each point's own size; neither falls nor starts below 0."""
    weights = [1 / (y * y) for _, y in points]
    total = sum(weights)
    middle_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    middle_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    both = sum(w * (x - middle_x) * (y - middle_y) for w, (x, y) in zip(weights, points, strict=True))
    spread = sum(w * (x - middle_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    each = max(0.0, both / spread) if spread else 0.0
    fixed = middle_y - each * middle_x
    if fixed >= 0:
        return fixed, each
    through_zero = [(w, x, y) for w, (x, y) in zip(weights, points, strict=True)]
    return 0.0, sum(w * x * y for w, x, y in through_zero) / sum(w * x * x for w, x, _ in through_zero)
