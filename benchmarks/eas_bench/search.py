"""The highest rate that meets an objective: what to try next, and when it is found.

:func:`following` decides, from the trials alone; ``sweep`` has them made.

The search
----------
Double the rate until it misses, then halve the gap (as a factor) until it is narrower than ``precision``.

A machine has bad moments, so one trial decides nothing that matters. A rate's *lead* is by how many its
trials that met the objective outnumber those that didn't. A lead of one is good enough on the way up, for it
costs nothing when it turns out wrong: the search then goes on below. The rate that is found at last has a
lead of two; one that bounds it from above lags by two, and at last by three: two bad moments in a row, far
below what the server holds, would otherwise be the end of the search.

A miss in which the generator itself couldn't keep up says nothing about the server. Two of a rate bound the
search from above like other misses, but the answer then says that the generator was the limit. A rate above
``ceiling``, what the generator can do, is never tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_PROOF: Final = 2
"""The lead that proves a rate, and that makes another a bound when it lags by so much."""
_LEAST: Final = 1.0
"""Requests a second; below that there is nothing to find."""


class Result(Enum):
    """What one trial said of its rate."""

    MET = "met"
    MISSED = "missed"
    GENERATOR = "generator"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run at a rate, judged."""

    rate: float
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How to search.

    Attributes:
        first: the rate to begin with.
        ceiling: what is never exceeded; None: nothing.
        precision: the gap between what is held and what isn't, as a share, that is narrow enough.
        trials: after so many it ends with what it has.
    """

    first: float
    ceiling: float | None = None
    precision: float = 0.05
    trials: int = 40


@dataclass(frozen=True, slots=True)
class Try:
    """Try this rate next."""

    rate: float


class End(Enum):
    """Why the search is over."""

    FOUND = "the next higher rate that was tried misses it"
    GENERATOR = "the load generator was the limit: the server may hold more"
    CEILING = "no higher rate was to be tried: the server may hold more"
    NOTHING = "no rate meets it"
    STOPPED = "it was stopped before it was over"
    TRIALS = "no more runs were allowed (--trials): a narrower answer needs more"


@dataclass(frozen=True, slots=True)
class Done:
    """The highest rate that surely met the objective (None: none did), and why there is no higher one."""

    rate: float | None
    end: End
    above: float | None
    """The lowest rate above it that is known not to do."""


def following(trials: Sequence[Trial], search: Search) -> Try | Done:
    """What to do after these trials."""
    ladder = Ladder.of(trials)
    if len(trials) >= search.trials:
        return Done(ladder.proved, End.TRIALS, ladder.bound)
    if ladder.open is not None:
        return Try(ladder.open)
    step = _downwards(ladder, search) if ladder.held is None else _upwards(ladder, ladder.held, search)
    if isinstance(step, Done) and ladder.bound is not None and not ladder.certain:
        return Try(ladder.bound)
    return step


@dataclass(frozen=True, slots=True)
class Ladder:
    """What the trials say of the rates, taken together.

    Attributes:
        held: the highest below ``bound`` that met the objective, as far as known.
        proved: the highest below ``bound`` that surely met it.
        bound: the lowest that doesn't do; ``by_generator``: because of the generator; ``certain``: surely.
        open: one below it whose trials contradict each other, or bear a repetition.
    """

    held: float | None
    proved: float | None
    bound: float | None
    by_generator: bool
    certain: bool
    open: float | None

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> Ladder:
        """Rates above a bound are forgotten: a server that fails at 1,000 doesn't hold 2,000."""
        counts = {trial.rate: dict.fromkeys(Result, 0) for trial in trials}
        for trial in trials:
            counts[trial.rate][trial.result] += 1
        leads = {
            rate: count[Result.MET] - count[Result.MISSED] - count[Result.GENERATOR]
            for rate, count in counts.items()
        }
        bound = min((rate for rate, lead in leads.items() if lead <= -_PROOF), default=None)
        below = {rate: lead for rate, lead in leads.items() if bound is None or rate < bound}
        return cls(
            held=max((rate for rate, lead in below.items() if lead > 0), default=None),
            proved=max((rate for rate, lead in below.items() if lead >= _PROOF), default=None),
            bound=bound,
            by_generator=bound is not None and counts[bound][Result.GENERATOR] > counts[bound][Result.MISSED],
            certain=bound is not None and leads[bound] < -_PROOF,
            open=min((rate for rate, lead in below.items() if lead <= 0), default=None),
        )


def _upwards(ladder: Ladder, held: float, search: Search) -> Try | Done:
    """From a rate that met the objective: higher, into the gap, or to its proof."""
    if ladder.bound is not None and ladder.bound / held > 1 + search.precision:
        return Try(_rounded(math.sqrt(held * ladder.bound), held, ladder.bound))
    higher = _higher(held, search)
    if ladder.bound is None and higher is not None:
        return Try(higher)
    if ladder.proved != held:
        return Try(held)
    return Done(held, _end(ladder), ladder.bound)


def _downwards(ladder: Ladder, search: Search) -> Try | Done:
    """Before anything met the objective."""
    if ladder.bound is None:
        return Try(min(search.first, search.ceiling or math.inf))
    if ladder.bound <= _LEAST:
        return Done(None, End.GENERATOR if ladder.by_generator else End.NOTHING, ladder.bound)
    return Try(max(_LEAST, _rounded(ladder.bound / 2, 0, ladder.bound)))


def _higher(rate: float, search: Search) -> float | None:
    """The next on the way up; None: the ceiling is reached."""
    if search.ceiling is None:
        return 2 * rate
    return min(2 * rate, search.ceiling) if rate * (1 + search.precision) < search.ceiling else None


def _end(ladder: Ladder) -> End:
    if ladder.bound is None:
        return End.CEILING
    return End.GENERATOR if ladder.by_generator else End.FOUND


def _rounded(rate: float, low: float, high: float) -> float:
    """Three digits, when that is still between the two."""
    short = float(f"{rate:.3g}")
    return short if low < short < high else rate


def curve(trials: Sequence[Trial]) -> list[int]:
    """Which of them make the curve: one a rate, the lowest first; the last of those that say what most do."""
    kept: dict[float, int] = {}
    for number, trial in enumerate(trials):
        results = [one.result for one in trials if one.rate == trial.rate]
        if trial.rate not in kept or results.count(trial.result) * 2 >= len(results):
            kept[trial.rate] = number
    return [kept[rate] for rate in sorted(kept)]
