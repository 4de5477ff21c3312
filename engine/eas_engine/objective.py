"""What a canary must keep to, and whether it does: pure functions of an objective and of a comparison.

An objective is written ``errors=1%,p99=2x``. Each part names a figure of the canary and bounds it: by a
share of its requests (``errors``, ``rejected``), a duration (``p50``, ``p99``), or a multiple of what the
other requests have (``2x``).

The rule
--------
*It holds* only when there were enough requests for the claim; few prove nothing, however well they went.

* A share of s needs ``3 / s`` requests: if that many went well, a share of s is ruled out with 95 %
  confidence ("rule of three"). 1 % needs 300. The p99 is the same claim about the slowest 1 %, so it needs
  300 that were measured; no claim is made with fewer than ``LEAST`` (50).
* A multiple needs as many of the other requests, for both figures come from samples. A share that the others
  have less than ``FLOOR`` of (0.5 %) counts as ``FLOOR``: twice nothing would be nothing.

*It is broken* at once when nothing that may come can mend it: more errors than the share allows of the number
that is needed, or of as many as there were. So 4 errors break 1 % even if they were the first 4 requests, and
3 errors don't. Latencies are judged when there are enough, not before.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from eas_engine.records import dataclass

if TYPE_CHECKING:
    from eas_engine.telemetry.comparison import Comparison, Side

LEAST: Final = 50
"""Requests without which nothing is claimed."""
FLOOR: Final = 0.005
"""A share of the other requests that is smaller counts as this, where a multiple of it is allowed."""

_SHARES: Final = ("errors", "rejected")
_LATENCIES: Final = {"p50": 0.5, "p99": 0.99}
_VALUE: Final = re.compile(r"(\d+(?:\.\d+)?)(%|x|ms|s)")
_FORM: Final = "write parts like errors=1%, errors=2x, rejected=2x, p50=50ms, p99=1.5s or p99=2x"


@dataclass(frozen=True, slots=True)
class Bound:
    """One part. ``most``: a share, or seconds; with ``relative`` a multiple of what the others have."""

    figure: str
    most: float
    relative: bool

    def __str__(self) -> str:
        if self.relative:
            return f"{self.figure}={self.most:g}x"
        return f"{self.figure}={_shown(self.figure, self.most)}"


@dataclass(frozen=True, slots=True)
class Objective:
    """All of these must hold."""

    bounds: tuple[Bound, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.bounds))


@dataclass(frozen=True, slots=True)
class Holds:
    """The canary keeps to it, as far as that can be told; ``reason`` has the figures."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooFew:
    """Nothing can be said yet; ``reason`` says what is lacking."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The canary doesn't keep to it; ``reason`` has the figures."""

    reason: str


Verdict = Holds | TooFew | Broken


def parse(text: str) -> Objective:
    """``errors=1%,p99=2x`` as an objective.

    Raises:
        ValueError: it isn't one; the text says what to write.
    """
    bounds = tuple(_bound(part.strip()) for part in text.split(","))
    names = [bound.figure for bound in bounds]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is bounded twice in {text!r}")
    return Objective(bounds)


def verdict(comparison: Comparison, objective: Objective) -> Verdict:
    """Whether the canary keeps to the objective: broken if one bound is, and too few before it holds."""
    found = [_judge(bound, comparison) for bound in objective.bounds]
    for kind in (Broken, TooFew):
        reasons = [one.reason for one in found if isinstance(one, kind)]
        if reasons:
            return kind("; ".join(reasons))
    return Holds("; ".join(one.reason for one in found))


def _bound(part: str) -> Bound:
    name, separator, value = part.partition("=")
    name, matched = name.strip(), _VALUE.fullmatch(value.strip())
    if not separator or matched is None or name not in (*_SHARES, *_LATENCIES):
        raise ValueError(f"{part!r} is no part of an objective: {_FORM}")
    number, unit = float(matched[1]), matched[2]
    if unit == "x":
        most = number
    elif (unit == "%") is (name in _SHARES):
        most = number / {"%": 100, "ms": 1000, "s": 1}[unit]
    else:
        raise ValueError(f"{part!r}: {name} isn't measured in {unit}: {_FORM}")
    if most <= 0 or (unit == "%" and most > 1):
        raise ValueError(f"{part!r}: a bound is more than 0, and a share at most 100%")
    return Bound(name, most, relative=unit == "x")


def _judge(bound: Bound, comparison: Comparison) -> Verdict:
    judge = _judge_share if bound.figure in _SHARES else _judge_latency
    return judge(bound, comparison.canary, comparison.others)


def _judge_share(bound: Bound, canary: Side, others: Side) -> Verdict:
    most = bound.most
    if bound.relative:
        if others.requests < LEAST:
            return TooFew(f"{bound}: {others.requests} of {LEAST} other requests to compare with")
        most = min(1.0, most * max(FLOOR, _count(bound.figure, others) / others.requests))
    count, requests = _count(bound.figure, canary), canary.requests
    needed = max(LEAST, math.ceil(3 / most - 1e-9))
    told = f"{bound}: {count} of {requests} requests, {_shown(bound.figure, most)} are allowed"
    if count > most * max(requests, needed):
        return Broken(told)
    if requests < needed:
        return TooFew(f"{bound}: {requests} of {needed} requests that are needed, {count} {bound.figure}")
    if bound.relative and others.requests < needed:
        return TooFew(f"{bound}: {others.requests} of {needed} other requests that are needed")
    return Holds(told)


def _judge_latency(bound: Bound, canary: Side, others: Side) -> Verdict:
    needed = max(LEAST, math.ceil(3 / (1 - _LATENCIES[bound.figure]) - 1e-9))
    for side, whose in ((canary, ""), (others, "other ")):
        if side.measured < needed and (bound.relative or side is canary):
            return TooFew(f"{bound}: {side.measured} of {needed} {whose}requests that are needed")
    mine, theirs = (getattr(side, bound.figure) for side in (canary, others))
    most = bound.most * theirs if bound.relative else bound.most
    figures = f"{bound}: {_shown(bound.figure, mine)}"
    if bound.relative:
        figures += f", the others {_shown(bound.figure, theirs)}"
    return Broken(figures) if mine > most else Holds(figures)


def _count(figure: str, side: Side) -> int:
    return side.errors if figure == "errors" else side.rejected


def _shown(figure: str, value: float) -> str:
    if figure in _SHARES:
        return f"{100 * value:.3g}%"
    return f"{1000 * value:.3g}ms" if value < 1 else f"{value:.3g}s"
