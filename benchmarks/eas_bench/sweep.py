"""The search for the highest rate, with its runs: made, judged, kept. ``search`` says what to try next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eas_bench import slo, units
from eas_bench.client.measuring import whole
from eas_bench.record import Run
from eas_bench.search import Done, End, Ladder, Result, Search, Trial, Try, curve, following

FORMAT: Final = "eas-bench.sweep/1"
MET_ALL_THE_SAME: Final = (
    "Runs that are INVALID and met the objective have met it: a generator that is late or at its limit makes "
    "latencies longer, not shorter."
)


@dataclass(frozen=True, slots=True)
class Point:
    """One trial with its run."""

    trial: Trial
    verdict: slo.Verdict
    run: Run


@dataclass(frozen=True, slots=True)
class Found:
    """What a whole search gave; ``points`` in the order in which they were tried."""

    objective: slo.Objective
    done: Done
    points: tuple[Point, ...]

    @property
    def told(self) -> str:
        """The answer, in words."""
        return answer(str(self.objective), self.done)

    @property
    def notes(self) -> list[str]:
        """What a reader of all runs must know; the answer first."""
        curve = self.curve
        return notes(self.told, [point.run for point in curve], [point.trial for point in curve])

    @property
    def curve(self) -> list[Point]:
        """One point a rate, the lowest first."""
        return [self.points[number] for number in curve([point.trial for point in self.points])]

    def document(self) -> dict[str, Any]:
        """As JSON, with every run whole."""
        return {
            "format": FORMAT,
            "objective": str(self.objective),
            "rate": self.done.rate,
            "end": self.done.end.name.lower(),
            "above": self.done.above,
            "trials": [
                {"rate": point.trial.rate, "result": point.trial.result.value, "verdict": str(point.verdict)}
                for point in self.points
            ],
            "runs": [point.run.model_dump(mode="json") for point in self.points],
        }


def answer(objective: str, done: Done) -> str:
    """What a search has found, in a sentence."""
    if done.rate is None and done.end in {End.TRIALS, End.STOPPED}:
        return f"no rate is proved to meet {objective}, which takes a second run at it: {done.end.value}"
    if done.rate is None:
        return f"no rate is known to meet {objective}: {done.end.value}"
    bound = f" (not {units.rate(done.above)})" if done.above is not None else ""
    return f"{units.rate(done.rate)} meets {objective}{bound}: {done.end.value}"


def notes(answer: str, runs: Sequence[Run], trials: Sequence[Trial]) -> list[str]:
    """The answer, and why there are runs that are invalid and met the objective all the same."""
    pairs = zip(runs, trials, strict=True)
    if not any(run.generator.invalid and trial.result is Result.MET for run, trial in pairs):
        return [answer]
    return [answer, MET_ALL_THE_SAME]


def find(
    measure: Callable[[float], Run],
    objective: slo.Objective,
    search: Search,
    told: Callable[[Point], None] = lambda _point: None,
) -> Found:
    """Have runs made at one rate after the other, until the search is over. Errors: those of ``measure``.

    Ctrl-C (see ``interrupts``) ends it with what was measured until then; the run that it struck doesn't
    count.
    """
    points: list[Point] = []
    try:
        while isinstance(step := following([point.trial for point in points], search), Try):
            run = whole(measure(step.rate))
            verdict = slo.judge(run, objective)
            points.append(Point(Trial(step.rate, _result(run, verdict)), verdict, run))
            told(points[-1])
    except KeyboardInterrupt:
        ladder = Ladder.of([point.trial for point in points])
        step = Done(ladder.proved, End.STOPPED, ladder.bound)
    return Found(objective, step, tuple(points))


def _result(run: Run, verdict: slo.Verdict) -> Result:
    """Latencies count from the intended moment, so a generator that was late has only made them longer.

    What met the objective all the same has met it; whose fault a miss was isn't known then.
    """
    if verdict.met:
        return Result.MET
    return Result.GENERATOR if run.generator.invalid else Result.MISSED
