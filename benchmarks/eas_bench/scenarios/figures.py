"""What one run of a load client gave, and what is made of several. Pure."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

Run = TypeVar("Run")
_WRK_LINE = "figures "


class NoFigures(Exception):
    """A load client ended without its figures; the message says what it printed instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrkRun:
    """One run of wrk, as ``native/wrk_post.lua`` tells it."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: Mapping[str, int] = field(
        default_factory=dict
    )  # connect, read, write, timeout, status (over 399)
    cpu_us: float = 0.0  # processor time of the server, all its processes, a request; 0: not looked at

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return sum(self.errors.values())

    def costing(self, cpu_seconds: float) -> Self:
        """The same run, and what it cost the server."""
        return replace(self, cpu_us=cpu_seconds / self.requests * 1e6 if self.requests else 0.0)

    @classmethod
    def parse(cls, output: str) -> Self:
        """From what wrk printed. Errors: NoFigures."""
        for line in output.splitlines():
            if line.startswith(_WRK_LINE):
                told = json.loads(line.removeprefix(_WRK_LINE))
                return cls(
                    requests=told["requests"],
                    seconds=told["duration_us"] / 1e6,
                    p50_ms=told["p50_us"] / 1e3,
                    p99_ms=told["p99_us"] / 1e3,
                    max_ms=told["max_us"] / 1e3,
                    errors={kind: count for kind, count in told["errors"].items() if count},
                )
        raise NoFigures(f"wrk gave no figures: {output.strip()[-500:] or 'it printed nothing'}")

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return {**asdict(self), "rate": round(self.rate, 1)}


def net_of_wire(served: float, alone: float, wire: float) -> float:
    """What a server keeps of a computation's speed, once the cost of the bytes' own way is taken off.

    All three are requests a second on the same core: served; computed without a server; answered by a server
    that computes nothing. 1: the server costs no more than the wire.
    """
    return (1 / alone) / (1 / served - 1 / wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The answers with one status."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedRun:
    """One run of ``native/closed_loop.c``, whose head says what each figure means."""

    seconds: float
    resets: int
    refused: int
    cut: int
    reconnects: int
    oldest_ms: float
    statuses: Mapping[int, Latency]

    @classmethod
    def parse(cls, output: str) -> Self:
        """From what the client printed. Errors: NoFigures."""
        try:
            told = json.loads(output)
            statuses = {int(status): Latency(**one) for status, one in told.pop("statuses").items()}
            return cls(**told, statuses=statuses)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NoFigures(f"the load client gave no figures ({error}): {output.strip()[-500:]}") from None

    @property
    def success_rate(self) -> float:
        """Answers with 200 a second."""
        return self.statuses[200].count / self.seconds if 200 in self.statuses else 0.0

    @property
    def broken(self) -> int:
        """Connections that ended otherwise than by a whole answer."""
        return self.resets + self.refused + self.cut

    def p99(self, status: int) -> float:
        """Milliseconds; 0 when nothing was answered with it."""
        return self.statuses[status].p99_ms if status in self.statuses else 0.0

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return {**asdict(self), "success_rate": round(self.success_rate, 1)}


@dataclass(frozen=True, slots=True)
class Pair(Generic[Run]):
    """Two runs, one right after the other."""

    reference: Run
    engine: Run


def take_turns(rounds: int, reference: Callable[[], Run], engine: Callable[[], Run]) -> list[Pair[Run]]:
    """Reference, engine, reference, engine...: what disturbs a machine for seconds disturbs both."""
    return [Pair(reference(), engine()) for _ in range(rounds)]


def ratios(pairs: Iterable[Pair[Run]], of: Callable[[Run], float]) -> list[float]:
    """The engine's figure in terms of the reference's, pair by pair; 0 where the reference has none."""
    return [of(pair.engine) / of(pair.reference) if of(pair.reference) else 0.0 for pair in pairs]


def wavering(samples: Sequence[float]) -> float:
    """The largest over the smallest: 1 = perfectly steady; infinite when one of them is nothing."""
    if not samples:
        return 1.0
    return max(samples) / min(samples) if min(samples) > 0 else math.inf


def percentile(samples: Iterable[float], share: float) -> float:
    """Nearest rank: the smallest sample that ``share`` (0 to 1) of all don't exceed. At least one sample."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """Of at least one sample."""
    return statistics.median(samples)
