"""Hours of one steady load on a server: does it hold, does it grow? Judged from the record of the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from eas_bench import slo
from eas_bench.record import Run
from eas_bench.soak.growth import Growth, Limits, growths, short_lived

FORMAT: Final = "eas-bench.soak/1"


@dataclass(frozen=True, slots=True)
class Steady:
    """What hours of steady load have shown.

    Attributes:
        growths: of every process that lived nearly all the time.
        passing: processes that came or went.
        verdict: on the objective; None: there was none.
    """

    run: Run
    growths: tuple[Growth, ...]
    passing: tuple[str, ...]
    verdict: slo.Verdict | None

    @property
    def unknown(self) -> list[str]:
        """Why not all can be said. A late generator leaves open whose fault a miss is, not what grew."""
        reasons = []
        if self.run.generator.invalid and self._missed:
            reasons.append(f"{'; '.join(self._missed)}: but {'; '.join(self.run.generator.invalid)}")
        if not self.growths:
            reasons.append(
                "no process of the server was watched for long enough: give --pid, or --metrics of an engine "
                "on this machine, and time for six readings or more"
            )
        return reasons

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        found = [str(growth) for growth in self.growths if growth.grew]
        found += [] if self.run.generator.invalid else self._missed
        return found if self.run.good else [*found, "no request had a good answer (2xx)"]

    @property
    def _missed(self) -> list[str]:
        return [str(term) for term in self.verdict.terms if not term.met] if self.verdict else []

    def document(self) -> dict[str, Any]:
        """As JSON, with the run whole."""
        return {
            "format": FORMAT,
            "stopped": self.run.stopped,
            "growths": [
                {
                    "process": one.process,
                    "pid": one.pid,
                    "figure": one.figure,
                    **asdict(one.trend),
                    "most_per_hour": one.most,
                    "grew": one.grew,
                }
                for one in self.growths
            ],
            "came_or_went": list(self.passing),
            "objective": None if self.verdict is None else str(self.verdict),
            "unknown": self.unknown,
            "faults": self.faults,
            "run": self.run.model_dump(mode="json"),
        }


def judge(run: Run, limits: Limits, objective: slo.Objective | None) -> Steady:
    """Of a run with readings."""
    return Steady(
        run,
        tuple(growths(run.readings, limits)),
        tuple(short_lived(run.readings)),
        None if objective is None else slo.judge(run, objective),
    )


def rows(steady: Steady) -> list[tuple[str, str, str, str, str, str, str, bool]]:
    """For people: process, figure, both thirds, by the hour, the limit, what that means, whether it grew."""
    found = []
    for one in steady.growths:
        unit, name = (1e6, "memory, MB") if one.figure == "memory" else (1.0, one.figure)
        figures = (one.trend.middle, one.trend.last, one.trend.per_hour, one.most)
        middle, last, slope, most = (f"{value / unit:.1f}" for value in figures)
        found.append((f"{one.process} ({one.pid})", name, middle, last, slope, most, one.word, one.grew))
    return found
