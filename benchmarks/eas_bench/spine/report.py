"""What people are told: a table on the terminal, and the figures in docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from eas_bench.spine.bars import Verdict
from eas_bench.spine.figures import median

BEGIN = "<!-- figures of eas_bench.spine: begin -->"
END = "<!-- figures of eas_bench.spine: end -->"
_WIDTH_OF_A_PIPE = 140

Record = Mapping[str, Any]


def number(value: float, unit: str) -> str:
    """Three significant digits or so, with the unit."""
    digits = 0 if value >= 1000 or value == int(value) else 1 if value >= 100 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f} {unit}".rstrip()


def asked(verdict: Record) -> str:
    """The bar in words."""
    return f"{verdict['sense']} {number(verdict['limit'], verdict['unit'])}"


def measured(verdict: Record) -> str:
    """The median, and the smallest and largest when they differ."""
    unit, low, high = verdict["unit"], verdict["low"], verdict["high"]
    middle = number(verdict["value"], unit)
    return middle if low == high else f"{middle} ({number(low, '')} to {number(high, '')})"


def outcome(verdict: Record) -> str:
    """Met or missed, and whether to believe it."""
    word = "met" if verdict["met"] else "missed"
    return word if verdict["reliable"] else f"{word}, unreliable"


def show(console: Console, verdicts: Sequence[Verdict], faults: Iterable[str]) -> None:
    """One line a bar, then whatever needs words."""
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_PIPE
    table = Table(box=None, pad_edge=False)
    for title in ("bar", "asked", "measured (lowest to highest)", ""):
        table.add_column(title, overflow="fold")
    for verdict in verdicts:
        told = verdict.as_json()
        colour = "yellow" if not verdict.reliable else "green" if verdict.met else "red"
        table.add_row(verdict.bar.title, asked(told), measured(told), f"[{colour}]{outcome(told)}[/]")
    console.print(table)
    for verdict in verdicts:
        for fault in verdict.faults:
            console.print(f"{verdict.bar.key}: {fault}", markup=False)
        for doubt in verdict.doubts:
            console.print(f"{verdict.bar.key}: unreliable, {doubt}", markup=False)
    for fault in faults:
        console.print(fault, markup=False)


# --- documentation ----------------------------------------------------------------------------------------


def update(page: str, record: Record) -> str:
    """The page with the figures of ``record`` between its markers. Errors: ValueError without markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{markdown(record)}\n{END}{after}"


def markdown(record: Record) -> str:
    """The figures as they stand in the documentation."""
    parts = [_where(record), _verdicts(record["verdicts"])]
    scenarios = record["scenarios"]
    parts += [_pairs(scenarios)] if "echo" in scenarios or "large" in scenarios else []
    parts += [_loops(scenarios["loops"]["loops"])] if "loops" in scenarios else []
    return "\n\n".join(parts)


def _where(record: Record) -> str:
    machine, versions, settings = record["machine"], record["versions"], record["settings"]
    before, after = record["load_average"]["before"][0], record["load_average"]["after"][0]
    taken = max(scenario["cores_taken_by_others"] for scenario in record["scenarios"].values())
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Taken on {record['taken']}: {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"Python {machine['python']}; {software}. "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s; {settings['pinned']}. "
        f"Load average before {before}, after {after}; "
        f"others took {taken:.2f} cores at most."
    )


def _verdicts(verdicts: Iterable[Record]) -> str:
    rows = [(verdict["title"], asked(verdict), measured(verdict), outcome(verdict)) for verdict in verdicts]
    return _table(("", "asked", "measured: median (lowest to highest)", ""), rows)


def _pairs(scenarios: Record) -> str:
    rows = []
    for scenario in ("echo", "large"):
        pairs = scenarios.get(scenario, {}).get("pairs", {})
        rows += [(key, *_sides(runs)) for key, runs in pairs.items()]
    head = ("medians", "bare loop, 1/s", "p50, ms", "p99, ms", "engine, 1/s", "p50, ms", "p99, ms")
    return _table(head, rows)


def _sides(pairs: Sequence[Record]) -> list[str]:
    return [
        number(median([pair[side][figure] for pair in pairs]), "")
        for side in ("reference", "engine")
        for figure in ("rate", "p50_ms", "p99_ms")
    ]


def _loops(rates: Record) -> str:
    numbers = [str(loops) for loops in rates["one_core"]]
    places = {"one_core": "server on one core", "every_core": "server on every core, the load's included"}
    rows = [
        (text, *(number(median([*rates[place].values()][index]), "") for index in range(len(numbers))))
        for place, text in places.items()
    ]
    titles = [f"{loops} loop{'' if loops == '1' else 's'}" for loops in numbers]
    return _table(("bare loop in threads, requests/s", *titles), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
