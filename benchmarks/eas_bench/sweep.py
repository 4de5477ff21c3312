"""The highest rate that meets an objective: what to try next, and when it is found. Pure functions of trials.

The search
----------
Double the rate until it misses, then halve the gap (as a factor) until it is narrower than ``precision``.

A machine has bad moments, so one trial decides nothing that matters: a miss counts when most of three trials
missed, and the rate that is found at last has met the objective in two trials. One that meets it but once on
the way up is taken at its word, for it costs nothing when it turns out wrong: the search then goes on below.

A trial in which the generator itself couldn't keep up says nothing about the server. Two of a rate bound the
search from above like a miss, but the answer then says that the generator was the limit. A rate above
``ceiling``, what the generator can do, is never tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_PROOF: Final = 2
"""Trials that must say the same."""
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
    TRIALS = "so many trials were allowed: a narrower answer needs more"


@dataclass(frozen=True, slots=True)
class Done:
    """The highest rate that surely met the objective (None: none did), and why there is no higher one."""

    rate: float | None
    end: End
    above: float | None
    """The lowest rate above it that is known not to do."""


def following(trials: Sequence[Trial], search: Search) -> Try | Done:
    """What to do after these trials."""
    ladder = _Ladder.of(trials)
    if len(trials) >= search.trials:
        return Done(ladder.proved, End.TRIALS, ladder.bound)
    if ladder.open is not None:
        return Try(ladder.open)
    if ladder.held is None:
        return _downwards(ladder, search)
    if ladder.bound is not None and ladder.bound / ladder.held > 1 + search.precision:
        return Try(_rounded(math.sqrt(ladder.held * ladder.bound), ladder.held, ladder.bound))
    higher = _higher(ladder.held, search)
    if ladder.bound is None and higher is not None:
        return Try(higher)
    if ladder.proved != ladder.held:
        return Try(ladder.held)
    return Done(ladder.held, _end(ladder), ladder.bound)


@dataclass(frozen=True, slots=True)
class _Ladder:
    """What the trials say of the rates, taken together.

    Attributes:
        held: the highest below ``bound`` that met the objective, as far as known.
        proved: the highest below ``bound`` that met it twice.
        bound: the lowest that doesn't do; ``by_generator``: because of the generator.
        open: one whose trials contradict each other, or bear a repetition.
    """

    held: float | None
    proved: float | None
    bound: float | None
    by_generator: bool
    open: float | None

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> _Ladder:
        """Rates above a bound are forgotten: a server that fails at 1,000 doesn't hold 2,000."""
        counts = {trial.rate: dict.fromkeys(Result, 0) for trial in trials}
        for trial in trials:
            counts[trial.rate][trial.result] += 1
        missed = [rate for rate, count in counts.items() if count[Result.MISSED] >= _PROOF]
        limited = [
            rate
            for rate, count in counts.items()
            if count[Result.GENERATOR] >= _PROOF and count[Result.MET] < _PROOF
        ]
        bound = min(missed + limited, default=None)
        below = {rate: count for rate, count in counts.items() if bound is None or rate < bound}
        return cls(
            held=max((rate for rate, count in below.items() if count[Result.MET]), default=None),
            proved=max((rate for rate, count in below.items() if count[Result.MET] >= _PROOF), default=None),
            bound=bound,
            by_generator=bound in limited and bound not in missed,
            open=next((rate for rate in sorted(below) if _undecided(below[rate])), None),
        )


def _undecided(count: dict[Result, int]) -> bool:
    """Whether a rate that isn't ruled out had a trial that went wrong and no two that met the objective."""
    return count[Result.MET] < _PROOF and count[Result.MISSED] + count[Result.GENERATOR] > 0


def _downwards(ladder: _Ladder, search: Search) -> Try | Done:
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


def _end(ladder: _Ladder) -> End:
    if ladder.bound is None:
        return End.CEILING
    return End.GENERATOR if ladder.by_generator else End.FOUND


def _rounded(rate: float, low: float, high: float) -> float:
    """Three digits, when that is still between the two."""
    short = float(f"{rate:.3g}")
    return short if low < short < high else rate
