"""``eas-bench peers``: other model servers beside ours, from a checkout; see docs/performance.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eas_bench.cli import options as o
from eas_bench.cli import outputs

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench.peers.record import Record

KEPT = "benchmarks/peers/record.json"
ENVIRONMENTS = "build/peers"


def peers(
    *,
    only: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Some of them, or other settings, as `--list` names them.",
            show_default="all with the best settings",
        ),
    ] = "",
    scenarios: Annotated[
        str, typer.Option(metavar="W1,...", help="Some of W1 to W5.", show_default="all")
    ] = "",
    rounds: Annotated[
        int,
        typer.Option(parser=o.whole(1), metavar="NUMBER", help="One run of each: bare loop, ours, theirs..."),
    ] = 3,
    seconds: Annotated[
        float,
        typer.Option(
            parser=o.number(1, 3600), metavar="NUMBER", help="Of one run; whole ones.", show_default="2"
        ),
    ] = 2,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            dir_okay=False,
            help="Where it is kept; an interrupted one goes on.",
            show_default=KEPT,
        ),
    ] = None,
    environments: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Where they are installed.", show_default=ENVIRONMENTS
        ),
    ] = None,
    engine: o.Engine = "",
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a bar is missed.")] = False,
    update_docs: Annotated[
        bool,
        typer.Option("--update-docs", help="Measure nothing: put what is kept into docs/performance.md."),
    ] = False,
    install: Annotated[bool, typer.Option("--install", help="Measure nothing: install them.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Measure nothing: say who there is.")] = False,
) -> None:
    """Run other model servers and ours in turns, at the same work, each server on one core.

    Installs each in an environment of its own, 7 GB in all. What was interrupted goes on where it was. Exit
    status: 0; 1: a bar was missed and --check was given; 2: it couldn't be measured.
    """
    from rich.console import Console

    from eas_bench import interrupts, places
    from eas_bench.machine import Missing
    from eas_bench.peers import catalogue, course
    from eas_bench.peers.record import NoRecord
    from eas_bench.peers.work import SCENARIOS
    from eas_bench.scenarios import session
    from eas_bench.servers import NotServing

    interrupts.leave_by_the_way_out()  # no server is left behind
    console = Console(highlight=False)
    root = places.BENCHMARKS.parent
    outputs.check(json_file=json_file, makes_folders=True)
    kept, installed = json_file or root / KEPT, environments or root / ENVIRONMENTS
    if list_all:
        for one in catalogue.PEERS.values():
            console.print(f"[bold]{one.name}[/] {one.title}: {one.settings}", soft_wrap=True)
        return
    plan = course.Plan(
        peers=[catalogue.PEERS[name] for name in _chosen(only, catalogue.DEFAULT, catalogue.PEERS)],
        scenarios=[SCENARIOS[name] for name in _chosen(scenarios, SCENARIOS, SCENARIOS)],
        rounds=rounds,
        seconds=seconds,
        engine=engine or session.ENGINE,
        environments=installed,
        kept=kept,
    )
    try:
        if install:
            course.install(plan, lambda text: console.print(text, soft_wrap=True))
            return
        if update_docs:
            _update(kept, console)
            return
        done = course.run(plan, lambda text: console.print(text, style="dim", soft_wrap=True))
    except (Missing, NoRecord, NotServing, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    if not _shown(done, kept, console) and check:
        raise typer.Exit(1)


def _chosen(names: str, default: Iterable[str], there: Collection[str]) -> list[str]:
    wanted = [name.strip() for name in names.split(",")] if names else list(default)
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise typer.BadParameter(f"there is no {', '.join(unknown)}; there are {', '.join(there)}")
    return wanted


def _shown(done: Record, kept: Path, console: Console) -> bool:
    """Whether every bar was met."""
    from eas_bench.peers import bars, catalogue, page

    verdicts = list(bars.verdicts(done, catalogue.DEFAULT))
    page.show(console, done, verdicts)
    console.print(f"Kept in {kept}", soft_wrap=True)
    return all(verdict.met for verdict in verdicts)


def _update(kept: Path, console: Console) -> None:
    """Figures and plot into the documentation."""
    from eas_bench import places, plots
    from eas_bench.peers import catalogue, page, record

    done = record.read(kept)
    if done is None or not done.batches:
        raise record.NoRecord(f"{kept} isn't there: `eas-bench peers` keeps one there")
    document, picture = places.PERFORMANCE, places.PERFORMANCE.with_name("performance-peers.svg")
    picture.write_text(plots.svg(page.panels(done, catalogue.PEERS)))
    text = page.markdown(done, catalogue.PEERS, picture.name)
    try:
        document.write_text(page.update(document.read_text(), text))
    except ValueError as error:
        raise record.NoRecord(str(error)) from None
    console.print(f"{document} has the figures of {kept}", soft_wrap=True)
