"""Plots of how much was answered, and how: throughput and statuses over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from eas_bench import units
from eas_bench.record import Interval, Run, Tally
from eas_bench.report.latencies import span
from eas_bench.report.plot import POINTS, ROWS, Plot, Table, figure, layer, line, of_statuses, stepped, timed
from eas_bench.report.stretches import merged

_FAILURES: Final = ("#8a5cc4", "#5b6bb5", "#b58ad6", "#6d7480")


def throughput(run: Run) -> Plot | None:
    """Answers a second; None where no time was recorded."""
    shown = merged(run.intervals, POINTS)
    if not shown:
        return None
    plot = figure("", "requests a second")
    starts, end = [one.start for one in shown], _end(shown)
    if run.load.rate is not None:
        plot.add_trace(line("offered", [starts[0], end], [run.load.rate] * 2, "#8a8f98", dash="dash"))
        plot.data[0].update(mode="lines")
    for name, colour, count in (("answered", "#3b82c4", _answers), ("with 2xx", "#2f9e77", _good)):
        x, y = stepped(starts, end, [count(one.tally) / one.seconds for one in shown])
        plot.add_trace(line(name, x, list(y), colour))
        plot.data[-1].update(mode="lines", line={"shape": "hv"})
    timed(plot, end)
    return Plot(
        "throughput",
        "Throughput over time",
        "Answers are counted when they came."
        + (" The dashed line is the rate at which requests were due." if run.load.rate else ""),
        plot,
        _rates(merged(run.intervals, ROWS)),
    )


def ends(run: Run) -> Plot | None:
    """How requests ended, a second, stacked; None where no request ended."""
    names = names_of_ends(run.tally)
    shown = merged(run.intervals, POINTS)
    if not names or not shown:
        return None
    plot = figure("", "requests a second")
    starts, end = [one.start for one in shown], _end(shown)
    for name, colour, failed in names:
        x, y = stepped(starts, end, [_count(one.tally, name, failed=failed) / one.seconds for one in shown])
        text = f"no answer: {name}" if failed else name
        plot.add_trace(layer(text, x, y, colour, pattern="/" if failed else "", line_shape="hv"))
    timed(plot, end)
    return Plot(
        "ends",
        "How requests ended",
        "Statuses of the answers, stacked; hatched: no whole answer came.",
        plot,
        _statuses(merged(run.intervals, ROWS), run.tally),
    )


def names_of_ends(tally: Tally) -> list[tuple[str, str, bool]]:
    """Name, colour, and whether it is a failure, of each; statuses come first."""
    named = [(status, colour, False) for status, colour in of_statuses(tally.statuses).items()]
    failures = enumerate(sorted(tally.failures))
    return named + [(kind, _FAILURES[at % len(_FAILURES)], True) for at, kind in failures]


def _rates(shown: Sequence[Interval]) -> Table:
    rows = (
        (
            span(one),
            units.rate(_answers(one.tally) / one.seconds),
            units.rate(_good(one.tally) / one.seconds),
            units.size(one.tally.bytes_sent / one.seconds) + "/s",
            units.size(one.tally.bytes_received / one.seconds) + "/s",
        )
        for one in shown
    )
    return Table(("time", "answered", "with 2xx", "bytes sent", "bytes received"), tuple(rows))


def _statuses(shown: Sequence[Interval], whole: Tally) -> Table:
    named = [(name, failed) for name, _, failed in names_of_ends(whole)]
    rows = [(span(one), *_counts(one.tally, named)) for one in shown]
    rows.append(("whole run", *_counts(whole, named)))
    return Table(("time", *(f"no answer: {name}" if failed else name for name, failed in named)), tuple(rows))


def _counts(tally: Tally, named: Iterable[tuple[str, bool]]) -> list[str]:
    return [units.count(_count(tally, name, failed=failed)) for name, failed in named]


def _count(tally: Tally, name: str, *, failed: bool) -> int:
    return (tally.failures if failed else tally.statuses).get(name, 0)


def _answers(tally: Tally) -> int:
    return sum(tally.statuses.values())


def _good(tally: Tally) -> int:
    return sum(count for status, count in tally.statuses.items() if status.startswith("2"))


def _end(shown: Sequence[Interval]) -> float:
    return shown[-1].start + shown[-1].seconds
