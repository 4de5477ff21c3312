"""``eas-bench baseline``: has a ratio become worse since a result that was kept?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eas_bench.cli import options as o
from eas_bench.cli.scenario import (
    ONLY,
    ROUNDS,
    SECONDS,
    choose,
    failed,
    leave_if_interrupted,
    measured,
)


def baseline(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RESULT.json]",
            dir_okay=False,
            help="What is judged, as `eas-bench scenario` keeps it.",
            show_default="it is measured now",
        ),
    ] = None,
    *,
    against: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            metavar="FILE",
            help="What it is held against.",
            show_default="the newest of benchmarks/results",
        ),
    ] = None,
    only: ONLY = "",
    rounds: ROUNDS = 5,
    seconds: SECONDS = 2,
    engine: o.Engine = "",
) -> None:
    """Compare a result, or the engine as it is now, with one that was kept: has a ratio become worse?

    Worse is what both measurements, noise and all, agree on: the spreads of the rounds don't touch, the
    medians are more than 5 % apart, and both are reliable. Exit status: 0; 1: a ratio is worse; 2: it can't
    be said.
    """
    from rich.console import Console

    from eas_bench import places
    from eas_bench.scenarios import report
    from eas_bench.scenarios.baseline import changes
    from eas_bench.scenarios.results import NoResults, newest, read

    console = Console(highlight=False)
    try:
        path = against or newest(places.RESULTS, other_than=file)
        before = read(path)
        after = read(file) if file else None
    except NoResults as error:
        raise failed(error) from None
    if after is None:
        after = measured(choose(only), rounds, seconds, engine, console)
        leave_if_interrupted(after)
    told = changes(before.figures, after.figures)
    if only:
        told = [change for change in told if change.after is not None]
    console.print(f"against {path}", soft_wrap=True)
    report.show_changes(console, told)
    if any(change.state == "worse" for change in told):
        raise typer.Exit(1)
    if after.unmeasured or not any(change.state in {"same", "better"} for change in told):
        typer.echo("it can't be said: something wasn't measured, or nothing that was is reliable", err=True)
        raise typer.Exit(2)
