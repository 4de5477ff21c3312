"""A run in as many stretches as a plot or a table can show, be it of a second or of days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from eas_bench.record import Interval, Percentiles, Tally

T = TypeVar("T")


def merged(intervals: Sequence[Interval], most: int) -> list[Interval]:
    """At most ``most`` of them, neighbours in one.

    Counts are added up. Percentiles can't be: of each the worst stands for all, so that no peak is lost.
    """
    together = -(-len(intervals) // most)
    if together <= 1:
        return list(intervals)
    return [_one(intervals[at : at + together]) for at in range(0, len(intervals), together)]


def thinned(all_of_them: Sequence[T], most: int) -> list[T]:
    """At most ``most``, evenly chosen, first and last among them."""
    if len(all_of_them) <= most:
        return list(all_of_them)
    step = (len(all_of_them) - 1) / (most - 1)
    return [all_of_them[round(at * step)] for at in range(most)]


def added(tallies: Sequence[Tally]) -> Tally:
    """All of them together."""
    statuses: dict[str, int] = {}
    failures: dict[str, int] = {}
    for tally in tallies:
        for counts, more in ((statuses, tally.statuses), (failures, tally.failures)):
            for key, count in more.items():
                counts[key] = counts.get(key, 0) + count
    return Tally(
        sent=sum(tally.sent for tally in tallies),
        statuses=statuses,
        failures=failures,
        bytes_sent=sum(tally.bytes_sent for tally in tallies),
        bytes_received=sum(tally.bytes_received for tally in tallies),
    )


def _one(group: Sequence[Interval]) -> Interval:
    return Interval(
        start=group[0].start,
        seconds=sum(interval.seconds for interval in group),
        tally=added([interval.tally for interval in group]),
        latency=_worst([interval.latency for interval in group if interval.latency is not None]),
    )


def _worst(latencies: Sequence[Percentiles]) -> Percentiles | None:
    if not latencies:
        return None
    return Percentiles(
        p50=max(one.p50 for one in latencies),
        p90=max(one.p90 for one in latencies),
        p99=max(one.p99 for one in latencies),
        p999=max(one.p999 for one in latencies),
        max=max(one.max for one in latencies),
    )
