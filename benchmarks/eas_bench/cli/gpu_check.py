"""``eas-bench gpu-check``: everything that needs a card; see docs/performance.md."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from eas_bench.cli import options as o

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench.gpu.session import Results

_WIDE: Final = 150  # columns where there is no terminal: the table is read in a file then
KEPT = "build/gpu/gpu-check.json"


def gpu_check(
    *,
    only: Annotated[
        str, typer.Option(metavar="NAME,...", help="Some of card, G1, G2, G3, shares, beside.")
    ] = "",
    seconds: Annotated[
        float, typer.Option(parser=o.number(1, 60), metavar="NUMBER", help="Of one run.", show_default="3")
    ] = 3,
    json_file: Annotated[
        Path, typer.Option("--json", metavar="FILE", dir_okay=False, help="Where it is kept, with a picture.")
    ] = Path(KEPT),
    engine: o.Engine = "",
    update_docs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Measure nothing: put a kept result into docs/performance.md."),
    ] = None,
) -> None:
    """Check on one card what the engine promises there: throughput, latency, copies, shares, neighbours.

    Takes less than eight minutes. Exit status: 0; 1: a bar doesn't hold; 2: there is no card, or something
    couldn't be measured.
    """
    from rich.console import Console

    from eas_bench import interrupts
    from eas_bench.gpu import bars, page, session
    from eas_bench.gpu.served import Work
    from eas_bench.scenarios.session import ENGINE as INSTALLED

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    if update_docs:
        _update(update_docs, console)
        return
    names = [name.strip() for name in only.split(",")] if only else list(session.CHECKS)
    unknown = [name for name in names if name not in session.CHECKS]
    if unknown:
        raise typer.BadParameter(f"no check {', '.join(unknown)}; there are {', '.join(session.CHECKS)}")
    interrupts.leave_by_the_way_out()  # no server is left behind
    try:
        results = session.new(*session.there())
    except session.NoCard as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        work = Work(Path(folder), seconds, shlex.split(engine or INSTALLED), results.memory)
        _keep(results, json_file)
        checks = {name: session.CHECKS[name] for name in names}
        session.run(checks, results, work, console.print, keep=lambda: _keep(results, json_file))
    page.show(console, results)
    console.print(f"Kept in {json_file} and {json_file.with_suffix('.svg')}", soft_wrap=True)
    status = bars.status(results.lines)
    if status:
        raise typer.Exit(status)


def _keep(results: Results, json_file: Path) -> None:
    from eas_bench import writing
    from eas_bench.gpu import page, session

    picture = json_file.with_suffix(".svg")
    try:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        session.write(results, json_file)
        writing.write(picture, page.picture(results.lines))
    except OSError as error:
        typer.echo(f"{json_file}: can't be written: {error.strerror}", err=True)
        raise typer.Exit(2) from None


def _update(file: Path, console: Console) -> None:
    """Figures into the documentation."""
    from eas_bench import places
    from eas_bench.gpu import page, session

    try:
        results = session.read(file)
        text = page.update(places.PERFORMANCE.read_text(), page.markdown(results))
        places.PERFORMANCE.write_text(text)
    except (session.NoResults, OSError, ValueError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    console.print(f"{places.PERFORMANCE} has the figures of {file}", soft_wrap=True)
