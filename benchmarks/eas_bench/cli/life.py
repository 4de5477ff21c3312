"""``eas-bench soak`` without a target: live with an engine of our own, and tell what clients saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from eas_bench.cli import outputs
from eas_bench.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench.soak.run import Outcome

CLIENTS = 8


def soak(
    seconds: float,
    *,
    clients: int | None,
    only: str,
    most: int | None,
    command: str,
    seed: int,
    json_file: Path | None,
) -> int:
    """Update, scale, try out, kill, roll back, and check every answer; the exit status."""
    from rich.console import Console

    from eas_bench.chaos.run import COMMAND
    from eas_bench.cli.telling import Telling
    from eas_bench.machine import Missing
    from eas_bench.servers import NotServing
    from eas_bench.soak.deeds import WEIGHTS
    from eas_bench.soak.run import run

    deeds = frozenset(name.strip() for name in only.split(",")) if only else frozenset(WEIGHTS)
    if unknown := deeds - WEIGHTS.keys():
        raise typer.BadParameter(
            f"no deed {', '.join(sorted(unknown))}; there are {', '.join(WEIGHTS)}", param_hint="--only"
        )
    outputs.check(json_file=json_file)
    console = Console(highlight=False, soft_wrap=True, stderr=json_file == outputs.STDOUT)
    try:
        with Telling(console, "the life of a service", seconds) as telling:
            outcome = run(
                seconds,
                command=command or COMMAND,
                clients=clients or CLIENTS,
                seed=seed,
                only=deeds,
                most=most or 0,
                progress=telling.now,
            )
    except (Missing, NotServing, OSError) as error:
        typer.echo(f"eas-bench soak: {error}", err=True)
        return 2
    show(outcome, console)
    if outcome.stopped:
        console.print("[yellow]ended before its time[/]")
    outputs.keep("soak", (json_file, outputs.document(outcome.document())))
    return 1 if outcome.faults else INTERRUPTED if outcome.stopped else 0


def show(outcome: Outcome, console: Console) -> None:
    """What clients saw, what was done, and how the engine fared."""
    from rich.table import Table

    from eas_bench.cli.telling import tell_faults

    table = Table(show_header=False, box=None, padding=(0, 2))
    requests = outcome.answers.total()
    table.add_row("time", f"{outcome.seconds / 60:.1f} min")
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
            table.add_row(name, trend.told(unit, outcome.seconds))
    console.print(table)
    tell_faults(outcome.faults, console)
