"""What is asked of the engine, and whether it was met. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from eas_bench.spine.figures import ClosedRun, Pair, median, ratios, wavering

STEADY = 1.5  # a reference that wavers by more than this factor says nothing about what is held against it
QUIET = 0.2  # cores that others may take meanwhile
ROUNDS = 3  # fewer show nothing of how much the reference wavers
QUEUE = 64  # places of the queue (rpc.max_queue_size)
REFUSED = 450  # the status of a full queue
SLEEPS_PER_SECOND = 500  # 5 threads that sleep for 10 ms


@dataclass(frozen=True, slots=True)
class Bar:
    """One requirement."""

    key: str
    title: str
    sense: Literal["at least", "at most", "under"]
    limit: float
    unit: str = ""

    def met_by(self, value: float) -> bool:
        """Is that good enough?"""
        if self.sense == "at least":
            return value >= self.limit
        return value <= self.limit if self.sense == "at most" else value < self.limit


ECHO = {
    64: Bar("echo-64", "echo, 64 connections: requests/s, engine over bare loop", "at least", 0.45),
    16: Bar("echo-16", "echo, 16 connections: requests/s, engine over bare loop", "at least", 0.35),
    1: Bar("echo-1", "echo, 1 connection: p50, engine over bare loop", "at most", 2.2),
}
LARGE = Bar("large", "600 KB bodies, 16 connections: requests/s, engine over bare loop", "at least", 0.6)
CPP = {
    "echo_cpp": Bar("cpp", "echo in C++, 64 connections: requests/s, over echo in Python", "at least", 1.0),
    "echo_cpp_class": Bar("cpp-class", "the same through eas::Processor", "at least", 1.0),
}
JAVA = {
    "echo_java": Bar("java", "echo in Java, 64 connections: requests/s, over Python's", "at least", 0.8),
}
MOSEC = Bar(
    "mlp-mosec", "network in batches of 16, 64 connections: requests/s, engine over mosec", "at least", 1.3
)
ALONE = Bar(
    "mlp-alone",
    "the same over the network in a loop without a server, net of the wire's own cost",
    "at least",
    0.8,
)
OVERLOAD_SUCCESSES = Bar(
    "overload-successes", "overload: successes/s, 256 connections over 60", "at least", 0.97
)
OVERLOAD_P99 = Bar(
    "overload-p99", "overload: p99 of successes", "at most", QUEUE / SLEEPS_PER_SECOND * 1000 + 30, "ms"
)
OVERLOAD_REJECTIONS = Bar("overload-rejections", "overload: p99 of rejections", "at most", 10, "ms")
OVERLOAD_BROKEN = Bar("overload-broken", "overload: connections reset, refused or cut", "at most", 0)
HEALTH = Bar("health", "/healthz while echo is at full load: p99", "under", 50, "ms")
IDLE = Bar("idle", "memory of the idle engine process (RssAnon + RssFile)", "under", 60, "MB")
START = Bar("start", "exec to the first 200, echo", "under", 0.7, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One bar, held against what was measured."""

    bar: Bar
    value: float  # the median of the samples
    low: float
    high: float
    faults: tuple[str, ...] = ()  # what went wrong meanwhile; a figure with faults meets no bar
    doubts: tuple[str, ...] = ()  # why the figure may not be the engine's doing

    @classmethod
    def of(
        cls, bar: Bar, samples: Sequence[float], *, wavering: float = 1.0, faults: Sequence[str] = ()
    ) -> Self:
        """Judge by the median of ``samples`` (at least one); ``wavering``: of the reference (``figures``)."""
        unsteady = f"the reference itself wavers by a factor of {wavering:.2f} (at most {STEADY})"
        return cls(
            bar=bar,
            value=median(samples),
            low=min(samples),
            high=max(samples),
            faults=tuple(faults),
            doubts=(unsteady,) if wavering > STEADY else (),
        )

    @property
    def met(self) -> bool:
        """Good enough, and nothing went wrong."""
        return not self.faults and self.bar.met_by(self.value)

    @property
    def reliable(self) -> bool:
        """Nothing speaks against believing it."""
        return not self.doubts

    def with_doubts(self, taken: float, rounds: int | None) -> Self:
        """Add those that lie in how it was measured.

        Args:
            taken: cores that others took meanwhile.
            rounds: pairs of runs; None where there are none.
        """
        doubts = [
            *([f"others took {taken:.2f} cores meanwhile (at most {QUIET})"] if taken > QUIET else []),
            *(
                [f"too few rounds: {rounds} (at least {ROUNDS})"]
                if rounds is not None and rounds < ROUNDS
                else []
            ),
        ]
        return replace(self, doubts=(*self.doubts, *doubts))

    def as_json(self) -> dict[str, Any]:
        """For the record, and for ``report.update``."""
        bar = self.bar
        return {
            "key": bar.key,
            "title": bar.title,
            "sense": bar.sense,
            "limit": bar.limit,
            "unit": bar.unit,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "reliable": self.reliable,
            "faults": list(self.faults),
            "doubts": list(self.doubts),
            "met": self.met,
        }


def overload(pairs: Sequence[Pair[ClosedRun]], faults: Sequence[str] = ()) -> list[Verdict]:
    """The verdicts over pairs of runs with 60 connections (``reference``) and 256 (``engine``)."""
    calm, flooded = [pair.reference for pair in pairs], [pair.engine for pair in pairs]
    steady = wavering([run.success_rate for run in calm])
    seen = list(faults)
    if any(set(run.statuses) != {200} or run.broken for run in calm):
        seen.append("with 60 connections not everything was answered with 200")
    strange = {status for run in flooded for status in run.statuses} - {200, REFUSED}
    if strange:
        seen.append(f"statuses other than 200 and 450: {sorted(strange)}")
    refused_at_all = all(REFUSED in run.statuses for run in flooded)
    nobody = [] if refused_at_all else ["nobody was refused: that was no overload"]
    return [
        Verdict.of(
            OVERLOAD_SUCCESSES,
            ratios(pairs, lambda run: run.success_rate),
            wavering=steady,
            faults=[*seen, *nobody],
        ),
        Verdict.of(OVERLOAD_P99, [run.p99(200) for run in flooded], wavering=steady, faults=seen),
        Verdict.of(OVERLOAD_REJECTIONS, [run.p99(REFUSED) for run in flooded], faults=[*seen, *nobody]),
        Verdict.of(OVERLOAD_BROKEN, [float(max(run.broken for run in flooded))]),
    ]
