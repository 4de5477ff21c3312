"""What people are told: a table on the terminal, and the figures and plots in docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from eas_bench import marked
from eas_bench.plots import Bar, Bars, Line, Lines, Point
from eas_bench.scenarios.baseline import Change
from eas_bench.scenarios.figures import median
from eas_bench.scenarios.results import Figure, Results

BEGIN: Final = "<!-- figures of eas-bench scenario: begin -->"
END: Final = "<!-- figures of eas-bench scenario: end -->"
_WIDTH_OF_A_PIPE: Final = 140
_COLOURS: Final = {"worse": "red", "better": "green", "unreliable": "yellow", "gone": "yellow"}


def number(value: float, unit: str = "") -> str:
    """Three significant digits or so, with the unit."""
    digits = 0 if value >= 1000 or value == int(value) else 1 if value >= 100 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f} {unit}".rstrip()


def asked(figure: Figure) -> str:
    """The bar in words."""
    return "" if figure.limit is None else f"{figure.sense} {number(figure.limit, figure.unit)}"


def measured(figure: Figure) -> str:
    """The median, and the smallest and largest when they differ."""
    middle = number(figure.value, figure.unit)
    if figure.low == figure.high:
        return middle
    return f"{middle} ({number(figure.low)} to {number(figure.high)})"


def outcome(figure: Figure) -> str:
    """Met or missed, and whether to believe it."""
    word = "missed" if not figure.met else "" if figure.limit is None else "met"
    return word if figure.reliable else f"{word}, unreliable".removeprefix(", ")


def show(console: Console, results: Results) -> None:
    """One line a figure, then whatever needs words."""
    _fit(console)
    table = Table(box=None, pad_edge=False)
    for title in ("", "", "asked", "measured (lowest to highest)", ""):
        table.add_column(title, overflow="fold")
    for figure in results.figures:
        colour = "yellow" if not figure.reliable else "green" if figure.met else "red"
        words = (figure.scenario, figure.words, asked(figure), measured(figure))
        table.add_row(*words, f"[{colour}]{outcome(figure)}[/]")
    console.print(table)
    for figure in results.figures:
        for fault in figure.faults:
            console.print(f"{figure.key}: {fault}", markup=False)
    for doubt, keys in _doubts(results.figures).items():
        console.print(f"unreliable, {doubt}: {', '.join(keys)}", markup=False)
    for name, ran in results.scenarios.items():
        for fault in ran.faults:
            console.print(f"{name}: {fault}", markup=False)
    for name, reason in results.unmeasured.items():
        console.print(f"{name}: not measured: {reason}", markup=False)


def show_changes(console: Console, changes: Sequence[Change]) -> None:
    """One line a ratio."""
    _fit(console)
    table = Table(box=None, pad_edge=False)
    for title in ("", "", "before", "now", "times as good", ""):
        table.add_column(title, overflow="fold")
    for change in changes:
        sides = [measured(figure) if figure else "" for figure in (change.before, change.after)]
        times = "" if change.factor is None else f"{change.factor:.3f}"
        colour = _COLOURS.get(change.state, "default")
        table.add_row(change.key, change.words, *sides, times, f"[{colour}]{change.state}[/]")
    console.print(table)


def _doubts(figures: Iterable[Figure]) -> dict[str, list[str]]:
    """Which figures share each."""
    told: dict[str, list[str]] = {}
    for figure in figures:
        for doubt in figure.doubts:
            told.setdefault(doubt, []).append(figure.key)
    return told


def _fit(console: Console) -> None:
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_PIPE


# --- documentation ----------------------------------------------------------------------------------------


def update(page: str, results: Results, plots: Iterable[str] = ()) -> str:
    """The page with these figures between its markers. Errors: ValueError without markers."""
    return marked.between(page, BEGIN, END, markdown(results, plots))


def markdown(results: Results, plots: Iterable[str] = ()) -> str:
    """The figures as they stand in the documentation; ``plots``: where pictures lie, seen from the page."""
    parts = [
        _where(results),
        _figures(results.figures),
        *(f"![the same as a picture]({plot})" for plot in plots),
    ]
    pairs = _pairs(results)
    parts += [_table(("medians", "", "1/s", "p50, ms", "p99, ms", "CPU, us"), pairs)] if pairs else []
    opened = _open(results)
    parts += (
        [_table(("at a fixed rate, medians", "", "1/s", "p50, ms", "p99, ms", "p99.9, ms"), opened)]
        if opened
        else []
    )
    curves = _curves(results)
    parts += [_table(("us of CPU a request, over", "", "shape", "exponent"), curves)] if curves else []
    if "loops" in results.scenarios:
        parts.append(_loops(results.scenarios["loops"].raw["loops"]))
    if results.unmeasured:
        parts.append(f"Not measured: {', '.join(results.unmeasured)}.")
    return "\n\n".join(parts)


def _where(results: Results) -> str:
    machine, settings, load = results.machine, results.settings, results.load_average
    taken = max((ran.cores_taken_by_others for ran in results.scenarios.values()), default=0.0)
    software = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return (
        f"Taken on {results.taken:%Y-%m-%d %H:%M} UTC: {machine['cpu']}, {machine['cores']} cores, "
        f"Linux {machine['kernel']}, Python {machine['python']}; {software}. "
        f"{settings.rounds} rounds of {settings.seconds:g} s; {settings.pinned}. "
        f"Load average before {load.before[0]}, after {load.after[0]}; others took {taken:.2f} cores at most."
    )


def _figures(figures: Iterable[Figure]) -> str:
    rows = [(one.scenario, one.words, asked(one), measured(one), outcome(one)) for one in figures]
    return _table(("", "", "asked", "measured: median (lowest to highest)", ""), rows)


def _pairs(results: Results) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for name, ran in results.scenarios.items():
        for connections, pairs in ran.raw.get("pairs", {}).items():
            if not pairs or "p50_ms" not in pairs[0]["engine"]:
                continue  # of the client in C, which tells by status
            rows += [
                (
                    f"{name}, {connections} connection{'' if connections == '1' else 's'}",
                    side,
                    *_medians(pairs, side),
                )
                for side in ("reference", "engine")
            ]
    return rows


def _medians(pairs: Sequence[Mapping[str, Any]], side: str) -> list[str]:
    kinds = ("rate", "p50_ms", "p99_ms", "cpu_us")
    return [number(median([pair[side][kind] for pair in pairs])) for kind in kinds]


def _open(results: Results) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for name, ran in results.scenarios.items():
        opened = ran.raw.get("open", {})
        for side in ("reference", "engine") if opened else ():
            figures = [
                median([one[kind] for one in opened[side]]) for kind in ("p50_ms", "p99_ms", "p99.9_ms")
            ]
            rows.append((name, side, number(opened["rate"]), *(number(figure) for figure in figures)))
    return rows


def _curves(results: Results) -> list[Sequence[str]]:
    return [
        (
            curve["unit"],
            ", ".join(f"{point['x']:,}: {number(median(point['us']))}" for point in curve["points"]),
            curve["shape"],
            number(curve["exponent"]),
        )
        for curve in _all_curves(results).values()
    ]


def _all_curves(results: Results) -> Mapping[str, Any]:
    cost = results.scenarios.get("cost")
    curves: Mapping[str, Any] = cost.raw["curves"] if cost else {}
    return curves


def _loops(rates: Mapping[str, Any]) -> str:
    numbers = list(rates["one_core"])
    places = {"one_core": "server on one core", "every_core": "server on every core, the load's included"}
    rows = [
        (text, *(number(median(rates[place][loops])) for loops in numbers)) for place, text in places.items()
    ]
    titles = [f"{loops} loop{'' if loops == '1' else 's'}" for loops in numbers]
    return _table(("bare loop in threads, requests/s", *titles), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- plots ------------------------------------------------------------------------------------------------


def panels(results: Results) -> list[Bars | Lines]:
    """What is worth a picture: the ratios to the bare loop, and how the cost grows."""
    ratios = [
        figure
        for figure in results.figures
        if not figure.unit and figure.limit and figure.sense == "at least"
    ]
    bars = [
        Bar(f"{figure.key} ({number(figure.limit or 0)})", figure.value, figure.low, figure.high, figure.met)
        for figure in ratios
    ]
    told: list[Bars | Lines] = []
    if bars:
        told.append(Bars(title="Ratios, and at least how much is asked", unit="", bars=bars))
    curves = dict(_all_curves(results))
    bare = curves.pop("bare", None)
    for name, curve in curves.items():
        lines = [_line("engine and hosts", curve)]
        lines += [_line("bare loop", bare)] if name == "body" and bare else []
        told.append(
            Lines(
                title=f"CPU a request: {curve['shape']}",
                x_title=curve["unit"],
                y_title="us",
                lines=lines,
                logarithmic_x=name != "instances",
                logarithmic_y=name == "body",
            )
        )
    return told


def _line(label: str, curve: Mapping[str, Any]) -> Line:
    points = [
        Point(point["x"], median(point["us"]), min(point["us"]), max(point["us"]))
        for point in curve["points"]
    ]
    fit = [(point.x, curve["fixed_us"] + curve["each_us"] * point.x) for point in points]
    return Line(label, points, fit)
