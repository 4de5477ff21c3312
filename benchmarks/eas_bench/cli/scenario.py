"""``eas-bench scenario``: this project's own scenarios, from a checkout; see docs/performance.md."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eas_bench.cli import options as o
from eas_bench.cli import outputs

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench.scenarios.files import Scenario
    from eas_bench.scenarios.results import Results

ROUNDS = Annotated[
    int,
    typer.Option(parser=o.whole(1), metavar="NUMBER", help="Pairs of runs: reference, engine, reference..."),
]
SECONDS = Annotated[
    float, typer.Option(parser=o.number(1, 3600), metavar="NUMBER", help="Of one run.", show_default="2")
]
ONLY = Annotated[
    str,
    typer.Option(
        metavar="NAME,...",
        help="Some of them, as `eas-bench scenario --list` names them.",
        show_default="all",
    ),
]


def scenario(
    *,
    only: ONLY = "",
    rounds: ROUNDS = 5,
    seconds: SECONDS = 2,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            dir_okay=False,
            help="Keep there what was measured, and not among the results.",
            show_default="benchmarks/results/DATE.json",
        ),
    ] = None,
    engine: o.Engine = "",
    list_all: Annotated[bool, typer.Option("--list", help="Measure nothing: say what there is.")] = False,
    update_docs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Measure nothing: put a kept result into docs/performance.md."),
    ] = None,
) -> None:
    """Run the scenarios of this project: the engine against a bare loop, its bars, and what it costs.

    All of them take about ten minutes and are kept under benchmarks/results/. Exit status: 0; 1: a bar was
    missed, or something went wrong meanwhile; 2: something couldn't be measured; 130: Ctrl-C ended it, and
    what was measured before is kept.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if update_docs:
        _update(update_docs, console)
        return
    outputs.check(json_file=json_file, makes_folders=True)
    chosen = choose(only)
    if list_all:
        for name, one in chosen.items():
            console.print(f"[bold]{name}[/] {one.title}", soft_wrap=True)
        return
    results = measured(chosen, rounds, seconds, engine, console)
    _keep(results, json_file, whole=not only, console=console)
    leave_if_interrupted(results)
    if results.unmeasured:
        raise typer.Exit(2)
    if not results.good:
        raise typer.Exit(1)


def choose(only: str) -> dict[str, Scenario]:
    """Those that are named, all when none is."""
    from eas_bench import places
    from eas_bench.machine import Missing
    from eas_bench.scenarios import files

    try:
        places.check()
        there = files.every()
    except (files.NoScenario, Missing) as error:
        raise failed(error) from None
    names = [name.strip() for name in only.split(",")] if only else list(there)
    unknown = [name for name in names if name not in there]
    if unknown:
        raise typer.BadParameter(f"no scenario {', '.join(unknown)}; there are {', '.join(there)}")
    return {name: there[name] for name in names}


def measured(
    chosen: Mapping[str, Scenario], rounds: int, seconds: float, engine: str, console: Console
) -> Results:
    """All of these, and shown."""
    from eas_bench import interrupts
    from eas_bench.machine import Missing
    from eas_bench.scenarios import report, session

    interrupts.leave_by_the_way_out()  # no server is left behind
    plan = session.Plan(rounds, seconds, engine or session.ENGINE)
    try:
        results = session.run(chosen, plan, console)
    except (Missing, OSError) as error:
        raise failed(error) from None
    report.show(console, results)
    return results


def leave_if_interrupted(results: Results) -> None:
    """As commands do after Ctrl-C."""
    from eas_bench import interrupts
    from eas_bench.scenarios import session

    if session.interrupted(results):
        raise typer.Exit(interrupts.INTERRUPTED)


def failed(error: Exception) -> typer.Exit:
    """It couldn't be measured, and why."""
    typer.echo(error, err=True)
    return typer.Exit(2)


def _keep(results: Results, json_file: Path | None, *, whole: bool, console: Console) -> None:
    """In the file that was asked for; else among the results, if nothing was left out, or in build/."""
    from eas_bench import places
    from eas_bench.scenarios.results import place, write

    part = not whole or bool(results.unmeasured)
    folder = places.PARTS if part else places.RESULTS
    path = json_file or place(folder, dt.datetime.now(dt.UTC).date())
    try:
        write(results, path)
    except OSError as error:
        raise failed(OSError(f"{path}: can't be written: {error.strerror}")) from None
    told = "" if json_file or not part else ", not among the results: that wasn't all of it"
    console.print(f"Kept in {path}{told}", soft_wrap=True)


def _update(file: Path, console: Console) -> None:
    """Figures and plots into the documentation."""
    from eas_bench import places, plots
    from eas_bench.machine import Missing
    from eas_bench.scenarios import report
    from eas_bench.scenarios.results import NoResults, read

    page, picture = places.PERFORMANCE, places.PERFORMANCE.with_name("performance-scenarios.svg")
    try:
        places.check()
        results = read(file)
        panels = report.panels(results)
        if panels:
            picture.write_text(plots.svg(panels))
        page.write_text(report.update(page.read_text(), results, [picture.name] if panels else []))
    except (Missing, NoResults, OSError, ValueError) as error:
        raise failed(error) from None
    console.print(f"{page} has the figures of {file}", soft_wrap=True)
