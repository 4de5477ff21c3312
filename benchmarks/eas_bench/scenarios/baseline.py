"""What has become worse since a result that was kept. Pure.

A ratio counts as worse only when the noise of neither measurement can be the reason:

* both are reliable: their references were steady, the machine quiet, the rounds enough;
* the two spreads don't touch: the best round of the new one is worse than the worst of the old. Rounds of one
  and the same distribution separate so by chance once in C(2n, n) times: 1 in 252 with five rounds each, 1 in
  20 with three;
* the medians are apart by more than ``MARGIN``: rounds of one hour are closer together than hours are.

Figures with a unit depend on the machine and aren't compared; their bars judge them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from eas_bench.scenarios.results import Figure

MARGIN: Final = 0.05

State = Literal["worse", "same", "better", "unreliable", "gone", "new"]


@dataclass(frozen=True, slots=True)
class Change:
    """One ratio, then and now."""

    key: str
    words: str
    state: State
    before: Figure | None
    after: Figure | None

    @property
    def factor(self) -> float | None:
        """How many times as good it is now. None: it can't be said."""
        if self.before is None or self.after is None:
            return None
        return factor(self.before, self.after)


def changes(before: Iterable[Figure], after: Iterable[Figure]) -> list[Change]:
    """Every ratio of the two measurements, in their order."""
    old, new = _ratios(before), _ratios(after)
    told = []
    for key in {**old, **new}:
        then, now = old.get(key), new.get(key)
        words = (now or old[key]).words
        told.append(Change(key, words, _state(then, now), then, now))
    return told


def factor(before: Figure, after: Figure) -> float:
    """How many times as good the median has become: below 1 is worse, whatever the sense."""
    small, large = (before.value, after.value) if _more_is_better(after) else (after.value, before.value)
    if small == large:
        return 1.0
    return large / small if small > 0 else float("inf")


def _state(before: Figure | None, after: Figure | None) -> State:
    if before is None:
        return "new"
    if after is None:
        return "gone"
    if not (before.reliable and after.reliable):
        return "unreliable"
    more, times = _more_is_better(after), factor(before, after)
    if times > 1 + MARGIN and _apart(before.samples, after.samples, more=more):
        return "better"
    if times < 1 / (1 + MARGIN) and _apart(after.samples, before.samples, more=more):
        return "worse"
    return "same"


def _apart(low: Sequence[float], high: Sequence[float], *, more: bool) -> bool:
    """Is every sample of ``high`` better than every one of ``low``?"""
    return max(low) < min(high) if more else min(low) > max(high)


def _more_is_better(figure: Figure) -> bool:
    return figure.sense == "at least"


def _ratios(figures: Iterable[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures if not figure.unit}
