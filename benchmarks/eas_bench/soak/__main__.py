"""``python -m eas_bench.soak``: live with the engine for hours, and tell what clients saw.

Exit status: 0; 1 when something happened that must not; 2 when the engine doesn't start.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eas_bench.chaos.run import COMMAND
from eas_bench.machine import Missing
from eas_bench.servers import NotServing
from eas_bench.soak.deeds import WEIGHTS
from eas_bench.soak.run import Outcome, run

DEEDS = ",".join(WEIGHTS)


def main(
    *,
    hours: Annotated[float, typer.Option(min=0.001, help="How long.")] = 1.0,
    clients: Annotated[int, typer.Option(min=1, help="Connections, one request at a time on each.")] = 8,
    seed: Annotated[int, typer.Option(help="Of what is done when.")] = 0,
    only: Annotated[str, typer.Option(metavar="DEED,...", help=f"Of {', '.join(WEIGHTS)}.")] = ",".join(
        WEIGHTS
    ),
    most: Annotated[
        int, typer.Option(min=0, help="So many deeds at most; 0: as many as there is time for.")
    ] = 0,
    engine: Annotated[str, typer.Option(metavar="COMMAND", help="What starts the engine.")] = COMMAND,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the outcome there, too.")
    ] = None,
) -> None:
    """Update, scale, try out, kill, roll back, without a pause, and check every answer."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # no server is left behind
    console = Console(highlight=False, soft_wrap=True)
    deeds = frozenset(name.strip() for name in only.split(","))
    if unknown := deeds - WEIGHTS.keys():
        raise typer.BadParameter(f"no deed {', '.join(sorted(unknown))}; there are {', '.join(WEIGHTS)}")
    try:
        outcome = run(
            3600 * hours,
            command=engine,
            clients=clients,
            seed=seed,
            only=deeds,
            most=most,
            progress=console.print,
        )
    except (Missing, NotServing, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    if json_file is not None:
        json_file.write_text(json.dumps(outcome.document(), indent=2) + "\n")
    show(outcome, console)
    raise typer.Exit(1 if outcome.faults else 0)


def show(outcome: Outcome, console: Console) -> None:
    """What clients saw, what was done, and how the engine fared."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    requests = outcome.answers.total()
    table.add_row("time", f"{outcome.seconds / 60:.0f} min")
    table.add_row("answers", f"{requests} ({requests / max(1.0, outcome.seconds):.0f}/s)")
    for told, count in sorted(outcome.answers.items()):
        table.add_row(f"  {told}", str(count))
    table.add_row("deeds", str(outcome.deeds.total()))
    for name, count in sorted(outcome.deeds.items()):
        table.add_row(f"  {name.replace('_', ' ')}", str(count))
    table.add_row("kills", str(outcome.kills))
    table.add_row("slowest answer", f"{outcome.longest:.2f} s")
    for name, trend, unit in (("memory, MB", outcome.memory, 1e6), ("descriptors", outcome.descriptors, 1.0)):
        if trend is not None:
            middle, last, slope = (value / unit for value in (trend.middle, trend.last, trend.per_hour))
            table.add_row(name, f"{middle:.1f} -> {last:.1f} ({slope:+.1f}/h)")
    console.print(table)
    for fault in outcome.faults:
        console.print(f"[red]fault:[/] {fault}", markup=True)
    if not outcome.faults:
        console.print("[green]nothing happened that must not[/]")


if __name__ == "__main__":
    typer.run(main)
