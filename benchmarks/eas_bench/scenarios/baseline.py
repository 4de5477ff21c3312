"""What has become worse since a result that was kept. Pure.

A ratio counts as worse only when the noise of neither measurement can be the reason:

* both are reliable: their references were steady, the machine quiet, the rounds enough;
* the two spreads don't touch: the best round of the new one is worse than the worst of the old. Rounds of
  one and the same distribution separate so by chance once in C(2n, n) times: 1 in 252 with five rounds each, 1 in 20
  with three;
* the medians are apart by more than ``MARGIN``: rounds that follow each other are closer together than days are.

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
    def by(self) -> float | None:
        """How much better it is now, as a share: -0.1 is a tenth worse. None: it can't be said."""
        if self.before is None or self.after is None:
            return None
        return gain(self.before, self.after)


def changes(before: Iterable[Figure], after: Iterable[Figure]) -> list[Change]:
    """Every ratio of the two measurements, in their order."""
    old, new = _ratios(before), _ratios(after)
    told = []
    for key in {**old, **new}:
        then, now = old.get(key), new.get(key)
        words = (now or old[key]).words
        told.append(Change(key, words, _state(then, now), then, now))
    return told


def gain(before: Figure, after: Figure) -> float:
    """Of the medians, as a share of the worse direction's own: above 0 is better, whatever the sense."""
    small, large = (before.value, after.value) if _more_is_better(after) else (after.value, before.value)
    if small <= 0:
        return 0.0 if large <= 0 else float("inf")
    return large / small - 1.0 if large >= small else -(small / large - 1.0) if large > 0 else float("-inf")


def _state(before: Figure | None, after: Figure | None) -> State:
    if before is None:
        return "new"
    if after is None:
        return "gone"
    if not (before.reliable and after.reliable):
        return "unreliable"
    if _apart(before.samples, after.samples, better=_more_is_better(after)) and gain(before, after) > MARGIN:
        return "better"
    if _apart(after.samples, before.samples, better=_more_is_better(after)) and gain(after, before) > MARGIN:
        return "worse"
    return "same"


def _apart(low: Sequence[float], high: Sequence[float], *, better: bool) -> bool:
    """Is every sample of ``high`` better than every one of ``low``?"""
    return max(low) < min(high) if better else min(low) > max(high)


def _more_is_better(figure: Figure) -> bool:
    return figure.sense == "at least"


def _ratios(figures: Iterable[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures if not figure.unit}
