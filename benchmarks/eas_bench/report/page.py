"""One HTML file of some runs. Everything is in it; nothing is fetched, and its own policy forbids it, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Final

from plotly.offline import get_plotlyjs

from eas_bench import units
from eas_bench.record import Run
from eas_bench.report import cards, latencies, rates, server, settings, several
from eas_bench.report.markup import Markup, element, table, together
from eas_bench.report.plot import Plot

OF_A_RUN: Final[tuple[Callable[[Run], Plot | None], ...]] = (
    latencies.through_the_run,
    latencies.curve,
    rates.throughput,
    rates.ends,
    server.split,
    server.queue,
    server.cpu,
    server.memory,
    server.descriptors,
    cards.utilization,
    cards.memory,
    cards.power,
    cards.temperature,
    cards.clock,
)
OPEN_AT_MOST: Final = 2  # runs whose plots are seen at once; those of more are folded up
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def page(runs: Sequence[Run], notes: Sequence[str] = ()) -> str:
    """The whole document; at least one run. ``notes``: of all of them."""
    title = f"{several.names(runs)[0]} - eas-bench" if len(runs) == 1 else f"{len(runs)} runs - eas-bench"
    plots: dict[str, Plot] = {}
    content = _one(runs[0], notes, plots) if len(runs) == 1 else _many(runs, notes, plots)
    body = element(
        "body",
        element("main", content, _footer()),
        element("noscript", element("p", "The plots need JavaScript; the tables below them say the same.")),
        figures_of(plots),
        Markup(f"<script>{get_plotlyjs()}</script>"),
        Markup(f"<script>{_file('page.js')}</script>"),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        Markup(f"<style>{_file('page.css')}</style>"),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _one(run: Run, notes: Sequence[str], plots: dict[str, Plot]) -> Markup:
    return together(
        (
            _heading(several.names([run])[0], settings.moment(run.taken), run.asked.url),
            _notes(notes),
            _doubts(run),
            _tiles(run),
            _cards(run, "", plots),
            _settings(settings.of(run), "How it was measured"),
        )
    )


def _many(runs: Sequence[Run], notes: Sequence[str], plots: dict[str, Plot]) -> Markup:
    told = [settings.of(run) for run in runs]
    shared = settings.common(told)
    of_all = (several.throughput_latency(runs), several.percentiles(runs))
    sections = []
    for number, (name, run, own) in enumerate(zip(several.names(runs), runs, told, strict=True)):
        rest = _settings(settings.without(own, shared), "What is this run's own")
        content = (_doubts(run), _tiles(run), _cards(run, f"run{number}-", plots), rest)
        sections.append(_section(name, run, content, folded=len(runs) > OPEN_AT_MOST))
    return together(
        (
            _heading(f"{len(runs)} runs", _moments(runs), _targets(runs)),
            _notes(notes),
            _overview(runs),
            _grid([plot for plot in of_all if plot is not None], "all-", plots),
            _settings(shared, "How they were measured"),
            *sections,
        )
    )


def _moments(runs: Sequence[Run]) -> str:
    moments = sorted(run.taken for run in runs)
    first, last = settings.moment(moments[0]), settings.moment(moments[-1])
    return first if first == last else f"{first} to {last}"


def _targets(runs: Sequence[Run]) -> str:
    urls = {run.asked.url for run in runs}
    return urls.pop() if len(urls) == 1 else "several targets"


def _section(name: str, run: Run, content: Sequence[str], *, folded: bool) -> Markup:
    """Of one of several runs."""
    if not folded:
        return element("section", element("h2", name), *content)
    p99 = units.latencies(several.whole(run))[2]
    told = f"{units.rate(run.good / run.seconds)} with 2xx, p99 {p99}"
    invalid = element("span", "INVALID ", class_="invalid-run") if run.generator.invalid else ""
    summary = element("summary", name, " ", element("small", invalid, told))
    return element("details", summary, *content, class_="run")


def _heading(title: str, taken: str, url: str) -> Markup:
    return element("header", element("h1", title), element("p", f"{url}, {taken}", class_="under"))


def _doubts(run: Run) -> Markup:
    """Why the figures say nothing, and what else a reader should know."""
    shown = []
    if run.generator.invalid:
        reasons = element("ul", *(element("li", reason) for reason in run.generator.invalid))
        told = "These figures say nothing about the server:"
        shown.append(
            element("div", element("strong", "INVALID"), f" {told}", reasons, class_="invalid", role="alert")
        )
    return together((*shown, _notes(run.notes)))


def _notes(notes: Sequence[str]) -> Markup:
    if not notes:
        return Markup()
    told = element("ul", *(element("li", note) for note in notes))
    return element("div", element("strong", "Notes"), told, class_="notes")


def _tiles(run: Run) -> Markup:
    p50, _, p99, p999, slowest = units.latencies(several.whole(run))
    ended = run.answers + sum(run.tally.failures.values())
    figures = [
        ("answered", units.rate(run.answers / run.seconds), ""),
        ("with 2xx", units.rate(run.good / run.seconds), ""),
        ("p50", p50, ""),
        ("p99", p99, ""),
        ("p99.9", p999, ""),
        ("slowest", slowest, ""),
        ("not 2xx", units.share(run.errors, ended), "bad" if run.errors else "good"),
    ]
    tiles = (
        element("li", element("span", name), element("b", value), class_=kind or None)
        for name, value, kind in figures
    )
    return element("ul", *tiles, class_="tiles")


def _cards(run: Run, prefix: str, plots: dict[str, Plot]) -> Markup:
    made = [plot for function in OF_A_RUN if (plot := function(run)) is not None]
    missing = []
    if not run.answers:
        missing.append("Nothing was answered, so there are no latencies.")
    if not run.readings:
        missing.append("Nothing was read off the server during this run.")
    return together((_grid(made, prefix, plots), *(element("p", text, class_="missing") for text in missing)))


def _grid(made: Sequence[Plot], prefix: str, plots: dict[str, Plot]) -> Markup:
    for plot in made:
        plots[prefix + plot.key] = plot
    return element("div", *(_card(plot, prefix + plot.key) for plot in made), class_="cards")


def _card(plot: Plot, key: str) -> Markup:
    name = f"{key}-title"
    rows = table(plot.table.head, plot.table.rows, plot.title)
    return element(
        "figure",
        element("h3", plot.title, id=name),
        element("p", plot.caption, class_="caption"),
        element("div", id=key, class_="plot", role="img", aria_labelledby=name),
        element(
            "details",
            element("summary", "The figures as a table"),
            element("div", rows, class_="scroll", tabindex="0", role="region", aria_labelledby=name),
        ),
        class_="card wide" if plot.wide else "card",
    )


def _overview(runs: Sequence[Run]) -> Markup:
    head = (
        "run",
        "load",
        "answered",
        "with 2xx",
        "not 2xx",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "slowest",
        "valid",
    )
    rows = [_row(name, run) for name, run in zip(several.names(runs), runs, strict=True)]
    return element(
        "div",
        element("div", table(head, rows, "All runs"), class_="scroll"),
        class_="card",
        style="margin-top:22px",
    )


def _row(name: str, run: Run) -> list[str]:
    load = units.rate(run.load.rate) if run.load.rate else f"{run.load.connections} connections"
    return [
        name,
        load,
        units.rate(run.answers / run.seconds),
        units.rate(run.good / run.seconds),
        units.share(run.errors, run.answers + sum(run.tally.failures.values())),
        *units.latencies(several.whole(run)),
        element("span", "INVALID", class_="invalid-run") if run.generator.invalid else "yes",
    ]


def _settings(told: settings.Settings, title: str) -> Markup:
    groups = [
        element("div", element("h3", group), element("dl", *_terms(told[group])))
        for group in settings.GROUPS
        if told[group]
    ]
    if not groups:
        return Markup()
    return together((element("h2", title), element("div", *groups, class_="card settings")))


def _terms(told: dict[str, str]) -> list[Markup]:
    return [one for name, value in told.items() for one in (element("dt", name), element("dd", value))]


def _footer() -> Markup:
    return element(
        "footer",
        "Made by eas-bench. Latencies are from HDR histograms with three significant digits. ",
        element(
            "span", "Drag in a plot to zoom, double-click to see all; click a name to hide it.", class_="hint"
        ),
    )


def figures_of(plots: dict[str, Plot]) -> Markup:
    """All figures as one JSON; no ``<`` in it, so that it can't end its element."""
    figures = {key: json.loads(plot.figure.to_json()) for key, plot in plots.items()}
    text = json.dumps(figures, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="figures">{text}</script>')


def _file(name: str) -> str:
    return (resources.files("eas_bench.report") / name).read_text(encoding="utf-8")
