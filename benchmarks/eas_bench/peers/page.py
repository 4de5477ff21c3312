"""What people are told: verdicts on a terminal; with table, settings and plot in docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from eas_bench import marked, plots
from eas_bench.peers import bars
from eas_bench.peers.bars import FLOOD, p50, rate
from eas_bench.peers.peer import Peer
from eas_bench.peers.record import Figures, Record
from eas_bench.peers.sides import BARE, ENGINE
from eas_bench.scenarios.bars import Verdict
from eas_bench.scenarios.figures import Pair, median, ratios
from eas_bench.scenarios.report import asked, measured, number, outcome
from eas_bench.scenarios.results import Figure

BEGIN: Final = "<!-- figures of eas-bench peers: begin -->"
END: Final = "<!-- figures of eas-bench peers: end -->"
_WIDTH_OF_A_PIPE: Final = 140
# Title, scenario, connections, figure.
_RATES: Final = (
    ("W1, 64 connections, 1/s", "W1", 64, rate),
    ("W1, 16 connections, 1/s", "W1", 16, rate),
    ("W1, 1 connection: p50, ms", "W1", 1, p50),
    ("W2, 1/s", "W2", 16, rate),
    ("W3, 1/s", "W3", 64, rate),
    ("W4, 1/s", "W4", 16, rate),
)
_OTHERS: Final = (
    "W4: health p99, ms",
    "W5: successes/s",
    "kept",
    "their p99, ms",
    "refusals p99, ms",
    "W1: us of CPU",
    "MB",
    "start, s",
)


def show(console: Console, record: Record, verdicts: Iterable[Verdict]) -> None:
    """One line a bar, then whatever needs words."""
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_PIPE
    table = Table(box=None, pad_edge=False)
    for title in ("", "", "asked", "measured (lowest to highest)", ""):
        table.add_column(title, overflow="fold")
    figures = [_figure(verdict) for verdict in verdicts]
    for figure in figures:
        colour = "yellow" if not figure.reliable else "green" if figure.met else "red"
        words = (figure.scenario, figure.words, asked(figure), measured(figure))
        table.add_row(*words, f"[{colour}]{outcome(figure)}[/]")
    console.print(table)
    for figure in figures:
        for word in (*figure.faults, *(f"unreliable, {doubt}" for doubt in figure.doubts)):
            console.print(f"{figure.key}: {word}", markup=False)
    for batch in record.batches:
        for name, reason in batch.absent.items():
            console.print(f"{batch.scenario}: {name} isn't there: {reason}", markup=False)
        for fault in batch.faults:
            console.print(f"{batch.scenario}: {fault}", markup=False)


def update(page: str, text: str) -> str:
    """The page with ``text`` between its markers. Errors: ValueError without markers."""
    return marked.between(page, BEGIN, END, text)


def markdown(record: Record, peers: Mapping[str, Peer], plot: str) -> str:
    """The figures as they stand in the documentation; ``plot``: where the picture lies."""
    main = [peer for peer in peers.values() if not peer.variant_of]
    verdicts = list(bars.verdicts(record, [peer.name for peer in main]))
    parts = [
        _where(record),
        _verdicts(verdicts),
        f"![requests per second, side by side]({plot})",
        _figures(record, main),
        "\n".join(_settings(record, main)),
    ]
    tried = _tried(record, [peer for peer in peers.values() if peer.variant_of])
    return "\n\n".join([*parts, *([tried] if tried else [])])


def _where(record: Record) -> str:
    machine = record.machine
    software = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    times = sorted(batch.taken for batch in record.batches)
    others = [median([run.others for run in _runs(batch.turns)]) for batch in record.batches if batch.turns]
    return (
        f"Taken from {times[0]} to {times[-1]}: {machine['cpu']}, {machine['cores']} cores, Linux "
        f"{machine['kernel']}, Python {machine['python']}; {software}. "
        f"{record.rounds} round{'s' if record.rounds > 1 else ''} of runs of {record.seconds:g} s (a round "
        f"less, half as long, for peers that no requirement names); {record.pinned}, of the peers as of the "
        f"engine. Others took {max(others, default=0.0):.2f} cores in the median of the runs of the worst "
        "scenario."
    )


def _runs(turns: Mapping[int, Sequence[Mapping[str, Figures]]]) -> list[Figures]:
    return [run for rounds in turns.values() for told in rounds for run in told.values()] or [
        Figures(rate=0, p50_ms=0, p99_ms=0)
    ]


def _figure(verdict: Verdict) -> Figure:
    return Figure.of(verdict.bar.key.split("-")[0], verdict)


def _verdicts(verdicts: Iterable[Verdict]) -> str:
    figures = [_figure(verdict) for verdict in verdicts]
    rows = [(one.scenario, one.words, asked(one), measured(one), outcome(one)) for one in figures]
    return _table(("", "", "asked", "measured: median (lowest to highest)", ""), rows)


# --- the table --------------------------------------------------------------------------------------------


def _figures(record: Record, peers: Sequence[Peer]) -> str:
    head = ("medians (ours over theirs)", *(title for title, *_ in _RATES), *_OTHERS)
    names = [(BARE, BARE), (ENGINE, ENGINE), *((peer.name, peer.title) for peer in peers)]
    return _table(head, [_row(record, name, title) for name, title in names])


def _row(record: Record, name: str, title: str) -> list[str]:
    beside = BARE if name == ENGINE else ENGINE
    cells = [title]
    for _, scenario, connections, of in _RATES:
        pairs = _longest(record, scenario, connections, name, beside)
        cells.append(_cell(pairs, of, compared=name != ENGINE) if pairs else _nothing(record, scenario, name))
    return [*cells, *_rest(record, name, beside)]


def _longest(record: Record, scenario: str, connections: int, name: str, beside: str) -> list[Pair[Figures]]:
    """The rounds of both, ``name`` as the reference.

    Of a peer the last; of ours and the bare loop, which take part in every group's, those of the group that
    was measured for longest.
    """
    if {name, beside} == {BARE, ENGINE}:
        batches = [batch for batch in record.batches if batch.scenario == scenario and batch.turns]
        if not batches:
            return []
        rounds = max(batches, key=lambda batch: batch.seconds * batch.rounds).turns.get(connections, [])
        return [Pair(one[name], one[beside]) for one in rounds if name in one and beside in one]
    return record.pairs(scenario, connections, name, beside)


def _cell(pairs: Sequence[Pair[Figures]], of: Callable[[Figures], float], *, compared: bool) -> str:
    middle = number(median([of(pair.reference) for pair in pairs]))
    return f"{middle} ({number(median(ratios(pairs, of)))})" if compared else middle


def _nothing(record: Record, scenario: str, name: str) -> str:
    batch = record.latest(scenario, name)
    return "not there" if batch and name in batch.absent else ""


def _rest(record: Record, name: str, beside: str) -> list[str]:
    spun = [pair.reference.health_p99_ms for pair in _longest(record, "W4", 16, name, beside)]
    health = [told for told in spun if told is not None]
    cost = [pair.reference.cpu_us for pair in _longest(record, "W1", 64, name, beside)]
    costs = [told for told in cost if told is not None]
    began = [batch.began[name] for batch in record.batches if batch.scenario == "W1" and name in batch.began]
    return [
        number(median(health)) if health else "",
        *_flood(record, name, beside),
        number(median(costs)) if costs else "",
        number(began[-1].resident_mb) if began else "",
        number(began[-1].seconds) if began else "",
    ]


def _flood(record: Record, name: str, beside: str) -> list[str]:
    flood = bars.flood(record, name, beside) if name != BARE else None
    if flood is None:
        return ["", "", "", ""]
    rates = [pair.engine.rate for pair in record.pairs("W5", FLOOD, beside, name)]
    refused = median(flood.refusal_ms)
    return [
        number(median(rates)),
        number(median(flood.kept)),
        number(median(flood.success_ms)),
        number(refused) if refused else "none",
    ]


# --- words ------------------------------------------------------------------------------------------------


def _settings(record: Record, peers: Iterable[Peer]) -> Iterable[str]:
    yield "How each is set, and what it can't do:\n"
    for peer in peers:
        version = record.versions.get(peer.package, "")
        yield f"* **{peer.title}** ({f'{peer.package} {version}'.strip()}): {peer.settings} {peer.lacks}"
        for reason, scenarios in _absences(record, peer.name).items():
            yield f"  Not there in {', '.join(scenarios)}: {reason}"


def _absences(record: Record, name: str) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for scenario in dict.fromkeys(batch.scenario for batch in record.batches):
        batch = record.latest(scenario, name)
        if batch and name in batch.absent:
            told.setdefault(batch.absent[name], []).append(scenario)
    return told


def _tried(record: Record, variants: Iterable[Peer]) -> str:
    """Other settings, as they were measured: why they aren't the ones above."""
    rows = []
    for peer in variants:
        for title, scenario, connections, of in (*_RATES, ("W5: successes/s", "W5", FLOOD, rate)):
            pairs = record.pairs(scenario, connections, peer.name, ENGINE)
            if pairs:
                rows.append(
                    (
                        peer.title,
                        title,
                        number(median([of(pair.reference) for pair in pairs])),
                        number(median(ratios(pairs, of))),
                        number(median([pair.reference.p99_ms for pair in pairs])),
                    )
                )
    if not rows:
        return ""
    return "Also tried:\n\n" + _table(("", "", "median", "ours over theirs", "p99, ms"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- the plot ---------------------------------------------------------------------------------------------


def panels(record: Record, peers: Mapping[str, Peer]) -> list[plots.Bars | plots.Lines]:
    """A panel a scenario: rates, and of the flood how long successes take."""
    names = {BARE: BARE, ENGINE: ENGINE}
    names |= {peer.name: peer.title for peer in peers.values() if not peer.variant_of}
    told: list[plots.Bars | plots.Lines] = []
    for title, scenario, connections, of in _RATES:
        shown = {
            words: [of(pair.reference) for pair in pairs]
            for name, words in names.items()
            if (pairs := _longest(record, scenario, connections, name, BARE if name == ENGINE else ENGINE))
        }
        told += _panel(
            title.rpartition(", " if of is rate else ": ")[0], "1/s" if of is rate else "ms (p50)", shown
        )
    floods = {
        words: list(flood.success_ms)
        for name, words in names.items()
        if name != BARE and (flood := bars.flood(record, name, BARE if name == ENGINE else ENGINE))
    }
    return [*told, *_panel("W5: p99 of successes", "ms", floods, limit=bars.SUCCESS_MS)]


def _panel(
    title: str, unit: str, shown: Mapping[str, Sequence[float]], limit: float | None = None
) -> list[plots.Bars]:
    rows = [
        plots.Bar(words, median(samples), min(samples), max(samples), words == ENGINE)
        for words, samples in shown.items()
        if min(samples) > 0  # the axis is logarithmic
    ]
    return [plots.Bars(title=title, unit=unit, bars=rows, logarithmic=True, limit=limit)] if rows else []
