"""An objective, ``p99=50ms,errors=0.1%``, and whether a run met it: pure functions of a record.

The rule
--------
* A latency is that of *good answers* (2xx), read off the run's own histogram: a server that refuses quickly
  has gained nothing. What had no good answer is bounded by ``errors``; an objective that doesn't name
  ``errors`` counts it as endlessly late, so that ``p99=50ms`` alone means: of a hundred requests ninety-nine
  got what they wanted within 50 ms. ``max`` alone thus allows no error.
* ``errors`` is the share of all requests that ended in any other way: another status, or no whole answer.
* A figure from few requests says little: a quantile needs ten requests beyond it, a share of s ``3 / s`` (the
  rule of three). Such a term is judged all the same, and marked.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from hdrh.histogram import HdrHistogram

from eas_bench import latency
from eas_bench.record import Percentiles, Run

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
_OTHER_NAMES: Final = {"p999": "p99.9"}
_UNITS: Final = {"us": 1.0, "ms": 1e3, "s": 1e6, "%": 0.01}
_VALUE: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(us|ms|s|%)")
_FORM: Final = (
    f"write terms like p99=50ms or errors=0.1%, with commas between; there are {', '.join(QUANTILES)}, errors"
)
_BEYOND: Final = 10
"""Requests that must lie beyond a quantile for it to mean something."""


@dataclass(frozen=True, slots=True)
class Term:
    """One bound. ``most``: microseconds, or for ``errors`` a share."""

    figure: str
    most: float

    def __str__(self) -> str:
        return f"{self.figure}={shown(self.figure, self.most)}"

    @property
    def needs(self) -> int:
        """Requests without which the figure says little."""
        if self.figure == "errors":
            return math.ceil(3 / self.most - 1e-9) if self.most else 1
        quantile = QUANTILES[self.figure]
        return 1 if quantile == 1 else math.ceil(_BEYOND / (1 - quantile) - 1e-9)


@dataclass(frozen=True, slots=True)
class Objective:
    """All of its terms must hold."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))

    @property
    def needs(self) -> int:
        """Requests without which one of the figures says little."""
        return max(term.needs for term in self.terms)


@dataclass(frozen=True, slots=True)
class Judged:
    """One term beside what was found.

    ``figure``: in the term's unit; infinite when too many got no good answer.
    """

    term: Term
    figure: float
    requests: int

    @property
    def met(self) -> bool:
        """Whether the bound holds."""
        return self.figure <= self.term.most

    @property
    def few(self) -> bool:
        """Whether there were too few requests for the figure to say much."""
        return self.requests < self.term.needs

    def __str__(self) -> str:
        name, wanted = self.term.figure, shown(self.term.figure, self.term.most)
        text = f"{name} {shown(name, self.figure)}, {'at most' if self.met else 'more than'} {wanted}"
        if not self.few:
            return text
        return f"{text} (of {self.requests} requests only; {self.term.needs} or more would say something)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A run beside its objective, term by term."""

    terms: tuple[Judged, ...]

    @property
    def met(self) -> bool:
        """Whether all of them hold."""
        return all(term.met for term in self.terms)

    def __str__(self) -> str:
        return "; ".join(map(str, self.terms))


def parse(text: str) -> Objective:
    """``p99=50ms,errors=0.1%`` as an objective.

    Raises:
        ValueError: it isn't one; the text says what to write.
    """
    terms = tuple(_term(part.strip()) for part in text.split(","))
    names = [term.figure for term in terms]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is bounded twice in {text!r}")
    return Objective(terms)


def judge(run: Run, objective: Objective) -> Verdict:
    """Each term beside its figure in the run."""
    requests, good = run.answers + sum(run.tally.failures.values()), good_latencies(run)
    share = run.errors / requests if requests else 1.0
    bounded = any(term.figure == "errors" for term in objective.terms)
    among = run.good if bounded else requests
    return Verdict(
        tuple(
            Judged(term, share, requests)
            if term.figure == "errors"
            else Judged(term, _quantile(good, QUANTILES[term.figure], among), requests)
            for term in objective.terms
        )
    )


def good_latencies(run: Run) -> HdrHistogram:
    """Microseconds of all answers of 2xx."""
    kept = {status: text for status, text in run.latency.items() if status.startswith("2")}
    return latency.merged({status: latency.decoded(text) for status, text in kept.items()})


def figures(run: Run) -> Percentiles | None:
    """The usual percentiles of good answers; None: there was none."""
    return latency.summary(good_latencies(run))


def shown(figure: str, value: float) -> str:
    """A value of such a figure, for people."""
    if math.isinf(value):
        return "endless"
    if figure == "errors":
        return f"{100 * value:.3g}%"
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if value >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}us"


def _term(part: str) -> Term:
    name, separator, value = (piece.strip() for piece in part.partition("="))
    name = _OTHER_NAMES.get(name, name)
    matched = _VALUE.fullmatch(value)
    if not separator or matched is None or name not in (*QUANTILES, "errors"):
        raise ValueError(f"{part!r} is no term of an objective: {_FORM}")
    unit = matched[2]
    if (unit == "%") is not (name == "errors"):
        raise ValueError(f"{part!r}: {name} isn't measured in {unit}: {_FORM}")
    most = float(matched[1]) * _UNITS[unit]
    if name == "errors" and most > 1:
        raise ValueError(f"{part!r}: a share is at most 100%")
    if name != "errors" and most < 1:
        raise ValueError(f"{part!r}: a latency is measured in whole microseconds: allow 1us or more")
    return Term(name, most)


def _quantile(good: HdrHistogram, quantile: float, among: int) -> float:
    """Microseconds within which that share of ``among`` requests got a good answer; infinite: never."""
    count = good.get_total_count()
    rank = max(1, math.ceil(quantile * among - 1e-9))
    if rank > count:
        return math.inf
    if quantile == 1:
        return float(good.get_max_value())
    return float(latency.percentile(good, 100 * rank / count))
