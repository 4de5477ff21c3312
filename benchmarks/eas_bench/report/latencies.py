"""Plots of how long answers took: over time, and by percentile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from hdrh.histogram import HdrHistogram

from eas_bench import latency, units
from eas_bench.record import Interval, Run
from eas_bench.report.plot import (
    PERCENTILES,
    POINTS,
    ROWS,
    SERIES,
    Plot,
    Table,
    colours,
    figure,
    line,
    logarithmic,
    of_statuses,
    timed,
)
from eas_bench.report.stretches import merged

MICRO = 1e-6
_FINE = 24  # points of a curve for each nine
_AT = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0)


def through_the_run(run: Run) -> Plot | None:
    """Percentiles of each second; None where nothing was answered."""
    shown = merged(run.intervals, POINTS)
    if not any(interval.latency for interval in shown):
        return None
    plot = figure("", "latency")
    middles = [interval.start + interval.seconds / 2 for interval in shown]
    for name, (colour, dash) in PERCENTILES.items():
        values = [_seconds(interval, name) for interval in shown]
        plot.add_trace(line(name, middles, values, colour, dash=dash))
    logarithmic(timed(plot, run.seconds))
    each = shown[0].seconds
    coarse = len(shown) < len(run.intervals)
    return Plot(
        "latency",
        "Latency over time",
        f"Percentiles of the answers of each {_stretch(each)}, whatever their status"
        + (", of every second in it the worst." if coarse else ".")
        + (" Counted from the intended time of sending." if run.load.kind == "open" else ""),
        plot,
        _table(merged(run.intervals, ROWS)),
        wide=True,
    )


def curve(run: Run) -> Plot | None:
    """Percentiles of one run, of each status for itself; None where nothing was answered."""
    decoded = {key: latency.decoded(text) for key, text in sorted(run.latency.items()) if key != "all"}
    if "all" in run.latency and len(decoded) != 1:
        decoded = {"all answers": latency.decoded(run.latency["all"]), **decoded}
    return curves(list(decoded.items()), {"all answers": SERIES[0], **of_statuses(decoded)})


def curves(histograms: Sequence[tuple[str, HdrHistogram]], known: Mapping[str, str]) -> Plot | None:
    """One line for each that has a value: how much time a share of the answers took at most."""
    filled = [(name, one) for name, one in histograms if one.get_total_count()]
    if not filled:
        return None
    plot = figure("share of the answers that took at most so long", "latency", hovermode="closest")
    given = colours([name for name, _ in filled], known)
    for name, histogram in filled:
        plot.add_trace(_curve(name, histogram, given[name]))
    logarithmic(plot)
    nines = math.log10(max(one.get_total_count() for _, one in filled))
    at = [1, 2, 4, *(10**nine for nine in range(1, math.ceil(nines) + 1))]
    plot.update_xaxes(type="log", tickvals=at, ticktext=[_percent(1 - 1 / value) for value in at])
    rows = (
        (_percent(at / 100), *(units.micros(latency.percentile(one, at)) for _, one in filled)) for at in _AT
    )
    return Plot(
        "percentiles",
        "Percentile curve",
        "Each step to the right is one nine more: a line that stays flat has no tail. "
        "The last point is the slowest answer.",
        plot,
        Table(("percentile", *(name for name, _ in filled)), tuple(rows)),
    )


def _curve(name: str, histogram: HdrHistogram, colour: str) -> go.Scatter:
    """Up to where one answer is left, which is the slowest."""
    nines = math.log10(histogram.get_total_count())
    steps = max(1, round(nines * _FINE))
    at = [10 ** (nines * step / steps) for step in range(steps + 1)] if nines else [1.0]
    values = [latency.percentile(histogram, 100 * (1 - 1 / one)) for one in at]
    values[-1] = int(histogram.get_max_value())
    trace = line(name, at, [max(value, 1) * MICRO for value in values], colour)
    trace.update(
        mode="lines" if nines else "markers",
        customdata=[_percent(1 - 1 / one) for one in at],
        hovertemplate="%{customdata} in %{y:.3s}s<extra>%{fullData.name}</extra>",
    )
    return trace


def _seconds(interval: Interval, name: str) -> float | None:
    value = _percentiles(interval).get(name)
    return None if value is None else max(value, 1) * MICRO  # a logarithm wants more than 0


def _percentiles(interval: Interval) -> dict[str, int]:
    told = interval.latency
    if told is None:
        return {}
    return {"p50": told.p50, "p90": told.p90, "p99": told.p99, "p99.9": told.p999, "max": told.max}


def _table(shown: Sequence[Interval]) -> Table:
    rows = (
        (
            span(interval),
            *(units.micros(_percentiles(interval).get(name)) for name in PERCENTILES),
        )
        for interval in shown
    )
    return Table(("time", *PERCENTILES), tuple(rows))


def span(interval: Interval) -> str:
    """``3 to 4 s``."""
    end = interval.start + interval.seconds
    if end < 120:
        return f"{units.short(round(interval.start, 1))} to {units.short(round(end, 1))} s"
    return f"{units.seconds(interval.start)} to {units.seconds(end)}"


def _stretch(seconds: float) -> str:
    return "second" if round(seconds, 3) == 1 else f"stretch of {units.seconds(seconds)}"


def _percent(part: float) -> str:
    """``99.9%``: with as many digits as there are nines, and one more if it says something."""
    if part >= 1:
        return "100%"
    digits = max(0, math.ceil(-math.log10(1 - part) - 1e-9) - 1)
    text = f"{100 * part:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"
