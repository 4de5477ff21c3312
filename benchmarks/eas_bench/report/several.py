"""Plots of several runs together: what latency a throughput costs, and their percentiles side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from eas_bench import latency, units
from eas_bench.record import Percentiles, Run
from eas_bench.report import latencies
from eas_bench.report.plot import PERCENTILES, SERIES, Plot, Table, figure, label, logarithmic


def names(runs: Sequence[Run]) -> list[str]:
    """Of each, and no two the same."""
    told = [units.plain(run.title) or units.plain(run.asked.url) for run in runs]
    return [name if told.count(name) == 1 else f"{at + 1}: {name}" for at, name in enumerate(told)]


def whole(run: Run) -> Percentiles | None:
    """Percentiles of all answers of a run."""
    return latency.summary(latency.decoded(run.latency["all"])) if "all" in run.latency else None


def throughput_latency(runs: Sequence[Run]) -> Plot | None:
    """One point for each run and percentile; None with fewer than two that have answers."""
    points = [(name, run, told) for name, run in zip(names(runs), runs, strict=True) if (told := whole(run))]
    if len(points) < 2:
        return None
    plot = figure("answers with 2xx, a second", "latency", hovermode="closest")
    plot.update_xaxes(rangemode="tozero")
    targets = _by_target(points)
    for number, (url, group) in enumerate(targets.items()):
        for trace in _lines(url, group, SERIES[number % len(SERIES)] if len(targets) > 1 else None):
            plot.add_trace(trace)
    logarithmic(plot)
    rows = tuple(
        (
            name,
            units.rate(run.good / run.seconds),
            units.micros(told.p50),
            units.micros(told.p99),
            units.micros(told.p999),
        )
        for name, run, told in points
    )
    return Plot(
        "throughput-latency",
        "Latency against throughput",
        "One point for each run, joined in the order of their load: where a line turns upwards, the server "
        "is full; where it turns back, more load gives fewer good answers. An open mark is an invalid run.",
        plot,
        Table(("run", "with 2xx", "p50", "p99", "p99.9"), rows),
        wide=True,
    )


def percentiles(runs: Sequence[Run]) -> Plot | None:
    """Curves of all runs."""
    histograms = [
        (name, latency.decoded(run.latency["all"]))
        for name, run in zip(names(runs), runs, strict=True)
        if "all" in run.latency
    ]
    plot = latencies.curves(histograms, {})
    return plot and replace(plot, wide=True)


_Point = tuple[str, Run, Percentiles]


def _by_target(points: Sequence[_Point]) -> Mapping[str, list[_Point]]:
    """Groups that a line may join: the same target, asked in the same way, by rising load."""
    groups: dict[tuple[str, str], list[_Point]] = {}
    for point in points:
        groups.setdefault((point[1].asked.url, point[1].load.kind), []).append(point)
    urls = [url for url, _ in groups]
    return {
        (url if urls.count(url) == 1 else f"{url}, {kind} loop"): sorted(group, key=_load)
        for (url, kind), group in groups.items()
    }


def _load(point: _Point) -> float:
    load = point[1].load
    return load.rate or float(load.connections)


def _lines(url: str, group: Sequence[_Point], colour: str | None) -> list[go.Scatter]:
    """A line for each percentile; with several targets the colour tells which, the dash the percentile."""
    lines = []
    for name, dash in (("p50", "solid"), ("p99", "dash"), ("p99.9", "dot")):
        values = [{"p50": told.p50, "p99": told.p99, "p99.9": told.p999}[name] for _, _, told in group]
        lines.append(
            go.Scatter(
                name=label(name if colour is None else f"{name} {url}"),
                x=[run.good / run.seconds for _, run, _ in group],
                y=[max(value, 1) * latencies.MICRO for value in values],
                mode="lines+markers",
                line={
                    "color": colour or PERCENTILES[name][0],
                    "dash": "solid" if colour is None else dash,
                    "width": 2,
                },
                marker={
                    "size": 9,
                    "symbol": ["circle-open" if run.generator.invalid else "circle" for _, run, _ in group],
                },
                customdata=[label(title) for title, _, _ in group],
                hovertemplate="%{customdata}: %{x:,.0f}/s, %{y:.3s}s<extra>%{fullData.name}</extra>",
            )
        )
    return lines
