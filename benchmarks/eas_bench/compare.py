"""Two sides, each some runs of the same work: how they differ, and how sure that is.

What the interval comes from
----------------------------
* *pairs*: as many runs a side, taken in turns (A B A B, A B B A). What changes on the machine in the
  meantime meets both runs of a pair; the interval is Student's of the pairs' log ratios.
* *runs*: two or more a side, otherwise. Welch's interval of the two means of logarithms; what drifted on the
  machine counts as a difference.
* *seconds*: one run a side. Nothing can be said of what another run would give, and two runs of one and the
  same server differ by more than their own seconds tell. What can be said is how steady the two were
  (``seconds``).

Rates and latencies differ by a factor, so their logarithms are compared and the change is a share of A's
figure. Errors may be none: their shares are subtracted.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from eas_bench import latency, likeness, seconds, slo, student
from eas_bench.record import Run
from eas_bench.student import Range

FORMAT: Final = "eas-bench.comparison/1"
FIGURES: Final = ("rate", "p50", "p99", "errors")
UNKNOWN: Final = (-math.inf, math.inf)

Basis = Literal["pairs", "runs", "seconds"]


class Incomparable(Exception):
    """The runs can't be compared; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both sides: good answers a second, microseconds, or a share of all requests.

    ``by``: the change from a to b, a share of a's figure; of errors the difference of the shares.
    """

    name: str
    a: float
    b: float
    by: Range

    @property
    def loss(self) -> Range:
        """The same with the sign that says how much worse b is."""
        if self.name != "rate":
            return self.by
        return Range(-self.by.figure, -self.by.high, -self.by.low)

    def fails(self, most: float) -> bool:
        """Whether b is worse by more than that, and surely worse at all."""
        return self.loss.figure > most and self.loss.sure

    def may_fail(self, most: float) -> bool:
        """Whether that can't be ruled out, though it isn't shown."""
        return self.loss.high > most and not self.fails(most)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it. ``notes``: what a reader must know; ``invalid``: runs that prove nothing, and why."""

    basis: Basis
    runs: tuple[int, int]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    invalid: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON; an end of an interval that isn't known is null."""
        return {
            "format": FORMAT,
            "basis": self.basis,
            "runs": {"a": self.runs[0], "b": self.runs[1]},
            "confidence": student.CONFIDENCE,
            "changes": {
                one.name: {
                    "a": one.a,
                    "b": one.b,
                    "change": one.by.figure,
                    "low": None if math.isinf(one.by.low) else one.by.low,
                    "high": None if math.isinf(one.by.high) else one.by.high,
                }
                for one in self.changes
            },
            "notes": list(self.notes),
            "invalid": list(self.invalid),
        }


def compare(
    a: Sequence[Run], b: Sequence[Run], confidence: float = student.CONFIDENCE, *, anyway: bool = False
) -> Comparison:
    """Of the same load, and of valid runs, unless ``anyway``. Errors: Incomparable."""
    sides = [sorted(side, key=lambda run: run.taken) for side in (a, b)]
    for name, side in zip("AB", sides, strict=True):
        _check(name, side, anyway=anyway)
    other = likeness.other_load(sides[0][0], sides[1][0])
    if other and not anyway:
        raise Incomparable(
            "A and B were asked different things, so their figures say nothing of how the servers differ: "
            f"{', '.join(other.values())}. Measure both with the same load, or give --anyway to see "
            "the figures all the same"
        )
    basis = _basis(sides[0], sides[1])
    changes = tuple(_change(name, sides, basis, confidence) for name in FIGURES)
    notes = tuple(_notes(sides[0], sides[1], basis))
    return Comparison(basis, (len(a), len(b)), changes, notes, tuple(_invalid(sides)))


def bounds(text: str) -> dict[str, float]:
    """``5%``, or ``rate=5%,p99=10%,errors=0.1%``: by how much each figure may be worse.

    ``5%`` alone is for rate, p50 and p99; errors then may not be more at all.

    Raises:
        ValueError: it is neither; the text says what to write.
    """
    if "=" not in text:
        most = _share(text)
        return {name: 0.0 if name == "errors" else most for name in FIGURES}
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in FIGURES or name in found:
            raise ValueError(
                f"{part.strip()!r}: write each of {', '.join(FIGURES)} once at most, as in p99=10%"
            )
        found[name] = _share(value)
    return found


def _share(text: str) -> float:
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / 100
    except ValueError:
        value = math.nan
    if not text.strip().endswith("%") or not 0 <= value < math.inf:
        raise ValueError(f"{text.strip()!r} is no share: write 5%, or rate=5%,p99=10%,errors=0.1%")
    return value


def _invalid(sides: Sequence[Sequence[Run]]) -> Iterator[str]:
    """Runs whose figures may be the load generator's, and why."""
    for name, side in zip("AB", sides, strict=True):
        for run in side:
            if run.generator.invalid:
                yield f"{name}: {_called(run)}: {'; '.join(run.generator.invalid)}"


def _check(name: str, side: Sequence[Run], *, anyway: bool) -> None:
    """Errors: Incomparable: a side is empty, says nothing, or isn't one work."""
    if not side:
        raise Incomparable(f"side {name} has no run")
    for run in side:
        if run.generator.invalid and not anyway:
            reasons = "; ".join(run.generator.invalid)
            raise Incomparable(
                f"side {name}: {_called(run)} says nothing about the server: {reasons}. Measure both sides "
                "anew, with a lower --rate (or fewer --connections) or on a quieter machine; where that "
                "can't be had, several short runs of each in turns (A B A B, given by --a and --b). --anyway "
                "compares it all the same"
            )
        if not run.good:
            raise Incomparable(
                f"side {name}: {_called(run)} has no good answer (2xx): there is nothing to compare"
            )
        if differences := likeness.differences(side[0], run):
            told = ", ".join(differences.values())
            raise Incomparable(
                f"side {name}: its runs differ in {told}: they are no measurements of one thing"
            )


def _called(run: Run) -> str:
    return f"the run {run.title!r} of {run.taken}" if run.title else f"the run of {run.taken}"


def _basis(a: Sequence[Run], b: Sequence[Run]) -> Basis:
    """What the interval can come from. Errors: Incomparable."""
    if len(a) == len(b) == 1:
        return "seconds"
    if min(len(a), len(b)) == 1:
        raise Incomparable(
            f"{len(a)} run(s) of A and {len(b)} of B: nobody knows how much a single one varies; give two or "
            "more a side, best as many of each, taken in turns"
        )
    return "pairs" if _in_turns(a, b) else "runs"


def _in_turns(a: Sequence[Run], b: Sequence[Run]) -> bool:
    """Whether, in time, the first two are one of each side, the next two as well, and so on."""
    if len(a) != len(b):
        return False
    order = sorted([(run.taken, "a") for run in a] + [(run.taken, "b") for run in b])
    return all(order[at][1] != order[at + 1][1] for at in range(0, len(order), 2))


def _change(name: str, sides: Sequence[Sequence[Run]], basis: Basis, confidence: float) -> Change:
    figure = _FIGURES[name]
    a, b = ([figure(run) for run in side] for side in sides)
    if name == "errors":
        return Change(
            name, statistics.fmean(a), statistics.fmean(b), _range(name, (a, b), sides, basis, confidence)
        )
    logs = [math.log(value) for value in a], [math.log(value) for value in b]
    by = _range(name, logs, sides, basis, confidence)
    middle_a, middle_b = (math.exp(statistics.fmean(side)) for side in logs)
    low, high = (math.expm1(end) if math.isfinite(end) else end for end in (by.low, by.high))
    return Change(name, middle_a, middle_b, Range(math.expm1(by.figure), low, high))


def _range(
    name: str,
    values: tuple[list[float], list[float]],
    sides: Sequence[Sequence[Run]],
    basis: Basis,
    confidence: float,
) -> Range:
    """Of b - a, as these values are."""
    a, b = values
    if basis == "pairs":
        return student.mean([after - before for before, after in zip(a, b, strict=True)], confidence)
    if basis == "runs":
        return student.difference(a, b, confidence)
    figure, steady = b[0] - a[0], seconds.difference(sides[0][0], sides[1][0], name, confidence)
    if steady is None:
        return Range(figure, *UNKNOWN)
    return Range(figure, figure + steady.low - steady.figure, figure + steady.high - steady.figure)


def _rate(run: Run) -> float:
    return run.good / run.seconds


def _errors(run: Run) -> float:
    return run.errors / (run.answers + sum(run.tally.failures.values()))


def _at(percent: float) -> Callable[[Run], float]:
    return lambda run: float(max(1, latency.percentile(slo.good_latencies(run), percent)))


_FIGURES: Final[dict[str, Callable[[Run], float]]] = {
    "rate": _rate,
    "p50": _at(50),
    "p99": _at(99),
    "errors": _errors,
}


def _notes(a: Sequence[Run], b: Sequence[Run], basis: Basis) -> list[str]:
    other = likeness.other_load(a[0], b[0])
    told = {**likeness.differences(a[0], b[0]), **other}
    notes = [f"A and B differ in {words}" for words in told.values()]
    if other:
        notes.insert(
            0, "A and B were asked different things: their difference isn't one of the servers alone"
        )
    for name, side in (("A", a), ("B", b)):
        notes += [f"{name}: {_called(run)} was ended before its time" for run in side if run.stopped]
    for name in sorted(a[0].machine.keys() | b[0].machine.keys()):
        here, there = a[0].machine.get(name), b[0].machine.get(name)
        if here != there:
            notes.append(f"they ran on different machines: {name} is {here} and {there}")
    if basis == "seconds":
        notes.append(
            "one run a side: no interval across runs can be given, only one (from ten seconds on) that tells "
            "how steady these two were; two runs of the same server differ by more. Take three or more a "
            "side, in turns"
        )
    if basis == "runs":
        notes.append(
            "the runs weren't taken in turns (A B A B): what changed on the machine meanwhile counts as a "
            "difference"
        )
    if a[0].load.kind == b[0].load.kind == "open" and a[0].load.rate == b[0].load.rate:
        notes.append(
            f"both were sent {a[0].load.rate:g} requests a second: the rate tells only whether they kept up; "
            "`--connections` or `eas-bench sweep` tell what they hold"
        )
    return notes
