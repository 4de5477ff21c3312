"""``python -m eas_bench.chaos``: torment the engine, and tell what clients saw.

Exit status: 0; 1 when something happened that must not; 2 when the engine doesn't start.
"""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eas_bench.chaos.run import COMMAND, Outcome, Plan, run
from eas_bench.machine import Missing
from eas_bench.servers import NotServing

RUNS = ("kills", "retries", "poison")
_POISON = 0.002


def main(
    *,
    minutes: Annotated[float, typer.Option(min=0.1, help="Of load, divided among the runs.")] = 10,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one kill to the next.")] = 1,
    instances: Annotated[int, typer.Option(min=1, help="Each lives for so many kills.")] = 64,
    clients: Annotated[int, typer.Option(min=1, help="Connections, one request at a time on each.")] = 16,
    only: Annotated[str, typer.Option(metavar="NAME,...", help=f"Of {', '.join(RUNS)}.")] = ",".join(RUNS),
    engine: Annotated[str, typer.Option(metavar="COMMAND", help="What starts the engine.")] = COMMAND,
) -> None:
    """Kill an instance every second, under load, and check every answer."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # no server is left behind
    names = [name.strip() for name in only.split(",")]
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        raise typer.BadParameter(f"no run {', '.join(unknown)}; there are {', '.join(RUNS)}")
    console, bad = Console(highlight=False, soft_wrap=True), False
    for name in names:
        plan = Plan(
            seconds=60 * minutes / len(names),
            every=every,
            retry=name != "kills",
            poison=_POISON if name == "poison" else 0.0,
            instances=instances,
            clients=clients,
        )
        console.print(f"[bold]{plan.name}[/], {plan.seconds:.0f} s, {instances} instances")
        try:
            outcome = run(plan, engine, console.print)
        except (Missing, NotServing, OSError) as error:
            typer.echo(error, err=True)
            raise typer.Exit(2) from None
        show(outcome, console)
        bad |= bool(outcome.faults)
    if bad:
        raise typer.Exit(1)


def show(outcome: Outcome, console: Console) -> None:
    """What clients saw, and how the engine fared."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("answers", f"{outcome.requests} ({outcome.requests / outcome.seconds:.0f}/s)")
    for told, count in sorted(outcome.answers.items()):
        table.add_row(f"  {told}", str(count))
    table.add_row("kills", str(outcome.kills))
    table.add_row("tried twice", str(outcome.retries))
    table.add_row("slowest answer", f"{outcome.longest:.2f} s")
    for name, trend, unit in (
        ("memory", outcome.memory, 1e6),
        ("descriptors", outcome.descriptors, 1.0),
    ):
        if trend is not None:
            table.add_row(
                name,
                f"{trend.middle / unit:.1f} -> {trend.last / unit:.1f}{' MB' if unit > 1 else ''} "
                f"({trend.per_hour / unit:+.1f}/h)",
            )
    console.print(table)
    for fault in outcome.faults:
        console.print(f"[red]fault:[/] {fault}")
    if not outcome.faults:
        console.print("[green]nothing happened that must not[/]")


if __name__ == "__main__":
    typer.run(main)
