"""Whether the load tester itself kept up: what makes the figures of a run say nothing about the server."""

from __future__ import annotations

from typing import Final

import numpy as np

from eas_bench import record
from eas_bench.client.book import Page
from eas_bench.latency import summary_of

BUSY: Final = 0.9
"""The share of its cores above which the generator measures itself: nothing is left for a burst."""
NEAR: Final = 0.9
"""The share of its own limit above which it does."""
LATE_SHARE: Final = 0.05
"""How much of the latency at p99 the generator's own lateness at p99 may be ..."""
LATE: Final = 2_000
"""... and how many microseconds in any case: the lateness of a core that others use, too."""
_ALMOST: Final = 0.99


def verdict(
    load: record.Load, whole: Page, *, until: float, seconds: float, limit: float | None
) -> record.Generator:
    """About a run that made requests for ``until`` seconds and had answers for ``seconds``."""
    late = summary_of(whole.late)
    late_p99 = late.p99 if late is not None else 0
    invalid: list[str] = []
    busy = whole.cpu / (max(until, 1e-9) * load.processes)
    if busy > BUSY:
        invalid.append(
            f"the generator used {busy:.0%} of its {_cores(load.processes)}: the figures are its own limit, "
            "not the server's; give it more --processes and cores of their own"
        )
    rate = sum(whole.statuses.values()) / seconds
    if limit is not None and rate > NEAR * limit:
        invalid.append(
            f"{rate:,.0f} answers/s are more than {NEAR:.0%} of what the generator itself could do "
            f"({limit:,.0f}/s): the figures may be its own limit"
        )
    answered = whole.percentiles
    allowed = max(LATE, round(LATE_SHARE * answered.p99) if answered is not None else 0)
    if late_p99 > allowed:
        invalid.append(
            f"requests were sent late, by {late_p99 / 1000:.1f} ms at p99 (allowed: {allowed / 1000:.1f}): "
            "the latencies contain it; give the generator a core of its own, or a lower rate"
        )
    return record.Generator(limit=limit, late_p99=late_p99, cpu_seconds=whole.cpu, invalid=invalid)


def seconds_of(load: record.Load, until: float, intervals: list[record.Interval]) -> float:
    """How long it took to answer, to divide the number of answers by.

    As long as requests were made; unless (open loop) the server was still at it then. Then it is the time
    until 99 % of the answers were there, and a 99th more: one straggler doesn't count as seconds of work.
    """
    if load.kind == "closed" or not intervals:
        return until
    answers = np.cumsum([sum(interval.tally.statuses.values()) for interval in intervals])
    ends = [interval.start + interval.seconds for interval in intervals]
    if not answers[-1]:
        return until
    almost = float(np.interp(_ALMOST * answers[-1], [0, *answers], [0, *ends]))
    return max(until, almost / _ALMOST)


def _cores(processes: int) -> str:
    return "core" if processes == 1 else f"{processes} cores"
