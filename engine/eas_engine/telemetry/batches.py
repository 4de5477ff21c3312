"""What the batches of a service were like since it started (``rpc.batching``): for people and for metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from eas_engine.records import dataclass
from eas_engine.telemetry.counters import Counters

REASONS = ("full", "age", "deadline", "idle", "drain")
"""Why a batch goes, as ``batching.cut`` says it."""

_LARGEST = 12
"""Exponent of the largest batch that is told apart: hosts hold no more than 4096 requests."""


@dataclass(frozen=True, slots=True)
class Batches:
    """How batches went; averages are 0.0 where there was none."""

    reasons: Mapping[str, int] = field(default_factory=dict)
    """How many for which reason; those that hosts died of included."""
    requests: int = 0
    """In batches that hosts have worked on."""
    calls: int = 0
    """Of the model, for all of them; failed ones don't count."""
    rows: int = 0
    """In these calls, padding included."""
    requests_per_batch: float = 0.0
    rows_per_call: float = 0.0
    padding_share: float = 0.0
    """Of the rows."""


def batches(counters: Counters) -> Batches:
    """As they were until now."""
    worked = sum(counters.batch_sizes)
    return Batches(
        reasons=by_reason(counters),
        requests=counters.batch_requests,
        calls=counters.batch_calls,
        rows=counters.batch_rows,
        requests_per_batch=_ratio(counters.batch_requests, worked),
        rows_per_call=_ratio(counters.batch_rows, counters.batch_calls),
        padding_share=_ratio(counters.batch_padding, counters.batch_rows),
    )


def by_reason(counters: Counters) -> dict[str, int]:
    """All reasons; those that never were are 0."""
    return dict.fromkeys(REASONS, 0) | dict(counters.batches)


class Sizes:
    """The histogram of requests in a batch, as the exposition formats want it."""

    def __init__(self, counts: Sequence[int], requests: int) -> None:
        self._counts = list(counts)
        self.total = requests

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, with the largest size of each bucket."""
        cumulative, below = [], 0
        for exponent in range(_LARGEST + 1):
            below += self._counts[exponent]
            cumulative.append((repr(float(1 << exponent)), float(below)))
        return [*cumulative, ("+Inf", float(sum(self._counts)))]


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
