"""What was read off the server, as plots: where a request's time goes, its queue, what its processes use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from eas_bench import units
from eas_bench.record import Process, Reading, Run
from eas_bench.report.plot import GREY, POINTS, ROWS, Plot, Table, colours, figure, layer, line, timed
from eas_bench.report.stretches import thinned

MOST_PROCESSES: Final = 9  # with a line of their own
OTHERS: Final = "others"
_PARTS: Final = {
    "waits for a batch": "#7f74d9",
    "waits for a thread": "#d07a1f",
    "in the processor": "#2f9e77",
    "reading, writing, hand-over": GREY,
}
_GAUGES: Final = {
    "queue_depth": ("waiting", "#d07a1f"),
    "in_flight": ("in the server", "#3b82c4"),
    "busy_threads": ("busy threads", "#2f9e77"),
    "instances_ready": ("ready instances", "#b5579c"),
}


def split(run: Run) -> Plot | None:
    """Mean time of a request in each part of the server; None where it didn't tell."""
    times, parts = _parts(thinned(run.readings, POINTS))
    if not times:
        return None
    plot = figure("", "mean time of a request")
    for name, colour in _PARTS.items():
        plot.add_trace(layer(name, times, [part[name] for part in parts], colour))
    timed(plot, run.seconds)
    plot.update_yaxes(tickformat="~s", hoverformat=".3s", ticksuffix="s")
    rows_at, rows = _parts(thinned(run.readings, ROWS + 1))
    table = tuple(
        (_at(at), *(units.micros(part[name] * 1e6) for name in _PARTS))
        for at, part in zip(rows_at, rows, strict=True)
    )
    return Plot(
        "split",
        "Where the time goes in the server",
        "From its own metrics: means of the requests that ended between two looks. Waiting and the processor "
        "are of those that got so far; a refused request has neither.",
        plot,
        Table(("time", *_PARTS), table),
    )


def queue(run: Run) -> Plot | None:
    """What waits and what works; None where the server didn't tell."""
    told = [reading for reading in run.readings if reading.gauges.keys() & _GAUGES.keys()]
    if not told:
        return None
    names = [name for name in _GAUGES if any(name in reading.gauges for reading in told)]
    plot = figure("", "count")
    shown = thinned(told, POINTS)
    for name in names:
        text, colour = _GAUGES[name]
        values = [reading.gauges.get(name) for reading in shown]
        plot.add_trace(line(text, [reading.at for reading in shown], values, colour))
    timed(plot, run.seconds)
    rows = tuple(
        (_at(reading.at), *(_whole(reading.gauges.get(name)) for name in names))
        for reading in thinned(told, ROWS)
    )
    return Plot(
        "queue",
        "Queue and instances",
        "As the server's metrics said when they were looked at, once a second as a rule: what was in between "
        "isn't seen.",
        plot,
        Table(("time", *(_GAUGES[name][0] for name in names)), rows),
    )


def cpu(run: Run) -> Plot | None:
    """Cores that each process used, stacked; None where fewer than two looks were possible."""
    shown = thinned([reading for reading in run.readings if reading.processes], POINTS)
    if len(shown) < 2:
        return None
    times = [reading.at for reading in shown[1:]]
    used = [_used(before, after) for before, after in pairwise(shown)]
    names = _largest(used)
    plot = figure("", "cores")
    for name, colour in colours(names, {OTHERS: GREY}).items():
        plot.add_trace(layer(name, times, [_of(one, name, names) for one in used], colour))
    timed(plot, run.seconds).update_yaxes(hoverformat=".2f")
    rows_at = thinned(shown, ROWS + 1)
    rows = tuple(
        (_at(after.at), *(f"{_of(_used(before, after), name, names):.2f}" for name in names))
        for before, after in pairwise(rows_at)
    )
    return Plot(
        "cpu",
        "CPU by process",
        "Cores in use, user and system, from the system's own accounts; stacked.",
        plot,
        Table(("time", *names), rows),
    )


def memory(run: Run) -> Plot | None:
    """Resident bytes of each process; None where none could be looked at."""
    return _levels(
        run,
        lambda process: process.memory_bytes,
        ("memory", "Memory by process", "resident bytes"),
        "Resident memory; pages that processes share count for each.",
        units.size,
    )


def descriptors(run: Run) -> Plot | None:
    """Open descriptors of each process; None where none could be looked at."""
    return _levels(
        run,
        lambda process: process.descriptors or 0,
        ("descriptors", "Open descriptors by process", "descriptors"),
        "Files, sockets and pipes: a line that keeps rising is a leak.",
        lambda value: f"{value:,.0f}",
    )


def _levels(
    run: Run,
    value: Callable[[Process], float],
    names: tuple[str, str, str],
    caption: str,
    words: Callable[[float], str],
) -> Plot | None:
    seen = [reading for reading in run.readings if reading.processes]
    if not seen:
        return None
    key, title, axis = names
    shown = thinned(seen, POINTS)
    levels = [_summed(reading, value) for reading in shown]
    series = _largest(levels)
    plot = figure("", axis)
    for name, colour in colours(series, {OTHERS: GREY}).items():
        values = [_of(one, name, series) if name == OTHERS or name in one else None for one in levels]
        plot.add_trace(line(name, [reading.at for reading in shown], values, colour))
    suffix = "B" if axis.endswith("bytes") else ""
    timed(plot, run.seconds).update_yaxes(tickformat="~s", hoverformat=".4s", ticksuffix=suffix)
    rows = tuple(
        (_at(reading.at), *(words(_of(_summed(reading, value), name, series)) for name in series))
        for reading in thinned(seen, ROWS)
    )
    return Plot(key, title, caption, plot, Table(("time", *series), rows))


def _parts(readings: Sequence[Reading]) -> tuple[list[float], list[dict[str, float]]]:
    times, parts = [], []
    for before, after in pairwise(readings):
        part = _part(before, after)
        if part is not None:
            times.append(after.at)
            parts.append(part)
    return times, parts


def _part(before: Reading, after: Reading) -> dict[str, float] | None:
    """Means in seconds between two looks; None: nothing ended, it doesn't tell, or it started anew."""
    needed = ("process_seconds_sum", "process_seconds_count", "queue_seconds_sum", "queue_seconds_count")
    if not all(name in one.requests for name in needed for one in (before, after)):
        return None
    grown = {name: value - before.requests.get(name, 0.0) for name, value in after.requests.items()}
    if grown["process_seconds_count"] <= 0 or any(value < 0 for value in grown.values()):
        return None
    batch = _mean(grown, "batch_wait_seconds")
    spent = sum(grown.get(f"{name}_seconds_sum", 0.0) for name in ("queue", "process"))
    whole, count = grown.get("request_seconds_sum", 0.0), grown.get("request_seconds_count", 0.0)
    return {
        "waits for a batch": batch,
        "waits for a thread": max(0.0, _mean(grown, "queue_seconds") - batch),
        "in the processor": _mean(grown, "process_seconds"),
        "reading, writing, hand-over": max(0.0, whole - spent) / count if count else 0.0,
    }


def _mean(grown: dict[str, float], name: str) -> float:
    count = grown.get(f"{name}_count", 0.0)
    return grown.get(f"{name}_sum", 0.0) / count if count else 0.0


def _used(before: Reading, after: Reading) -> dict[str, float]:
    """Cores by name; one that is new counts with all that it has used."""
    seconds = after.at - before.at
    if seconds <= 0:
        return {}
    known = {process.pid: process.cpu_seconds for process in before.processes}
    used: dict[str, float] = {}
    for process in after.processes:
        cores = max(0.0, process.cpu_seconds - known.get(process.pid, 0.0)) / seconds
        used[process.name] = used.get(process.name, 0.0) + cores
    return used


def _summed(reading: Reading, value: Callable[[Process], float]) -> dict[str, float]:
    summed: dict[str, float] = {}
    for process in reading.processes:
        summed[process.name] = summed.get(process.name, 0.0) + value(process)
    return summed


def _largest(seen: Sequence[dict[str, float]]) -> list[str]:
    """Names in the order in which they came, the small ones in one where there are too many."""
    totals: dict[str, float] = {}
    for one in seen:
        for name, value in one.items():
            totals[name] = totals.get(name, 0.0) + value
    if len(totals) <= MOST_PROCESSES + 1:
        return list(totals)
    kept = set(sorted(totals, key=lambda name: -totals[name])[:MOST_PROCESSES])
    return [*(name for name in totals if name in kept), OTHERS]


def _of(one: dict[str, float], name: str, names: Sequence[str]) -> float:
    if name == OTHERS and OTHERS not in one:
        return sum(value for key, value in one.items() if key not in names)
    return one.get(name, 0.0)


def _at(seconds: float) -> str:
    return f"{seconds:,.1f} s"


def _whole(value: float | None) -> str:
    return units.NONE if value is None else f"{value:,.0f}"
