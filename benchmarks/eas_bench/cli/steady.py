"""``eas-bench soak`` of a server: hours of one load, and whether its processes grow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eas_bench.cli import options as o
from eas_bench.cli import outputs
from eas_bench.cli.asking import asking, measured
from eas_bench.cli.run import MOST_CONNECTIONS
from eas_bench.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench import record
    from eas_bench.soak.steady import Steady

RATE = 100.0
_TIMEOUT = 10.0
_WARM_UP = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for on the command line; ``limits`` as in ``growth.Limits``, memory in megabytes."""

    url: str | None
    config: Path | None
    token: str = dataclasses.field(repr=False)
    request: dict[str, Any]
    limits: dict[str, float]
    rate: float | None = None
    connections: int | None = None
    slo: str | None = None
    pid: int | None = None
    metrics: str = ""
    report: Path | None = None


def soak(seconds: float, order: Order, *, seed: int, json_file: Path | None) -> int:
    """Load the server, watch it, judge it; the exit status. Raises BadParameter."""
    from rich.console import Console

    from eas_bench import report as reports
    from eas_bench import target
    from eas_bench.client import NotMeasured
    from eas_bench.servers import NotServing
    from eas_bench.soak.growth import Limits
    from eas_bench.soak.steady import judge

    if order.config is None and order.pid is None and not order.metrics:
        raise typer.BadParameter(
            "nothing of the server can be watched: give --pid, or --metrics of an engine on this machine"
        )
    if order.pid is not None and not Path(f"/proc/{order.pid}").exists():
        raise typer.BadParameter(f"there is no process {order.pid} on this machine", param_hint="--pid")
    load = _load(seconds, order, seed)
    megabytes = order.limits.get("memory")
    limits = Limits(**{**order.limits, **({} if megabytes is None else {"memory": megabytes * 1e6})})
    objective = o.objective(order.slo) if order.slo is not None else None
    outputs.check(json_file=json_file, report=order.report)
    try:
        with asking(order.url, order.config, order.token, o.fields_of(**order.request)) as asked:
            watched = dataclasses.replace(asked, pid=order.pid or asked.pid)
            run = measured(watched, load, title="", metrics=order.metrics, own_limit=True)
        found = judge(run, limits, objective)
    except (NotMeasured, NotServing, target.NotWanted, OSError) as error:
        typer.echo(f"eas-bench soak: {error}", err=True)
        return 2
    show(found, Console(highlight=False, stderr=json_file == outputs.STDOUT))
    notes = [f"fault: {fault}" for fault in found.faults]
    outputs.keep(
        "soak",
        (json_file, outputs.document(found.document())),
        (order.report, lambda path: reports.write([found.run], path, notes)),
    )
    return _status(found)


def _status(found: Steady) -> int:
    """1 when something was wrong, INTERRUPTED when it was ended before its time, 2 when it isn't known."""
    if found.faults:
        return 1
    if found.run.stopped:
        return INTERRUPTED
    return 2 if found.unknown else 0


def _load(seconds: float, order: Order, seed: int) -> record.Load:
    from eas_bench import record

    rest: dict[str, Any] = {"duration": seconds, "warm_up": _WARM_UP, "timeout": _TIMEOUT, "seed": seed}
    if order.connections is None:
        return record.Load(
            kind="open", rate=order.rate or RATE, arrivals="poisson", connections=MOST_CONNECTIONS, **rest
        )
    if order.rate is not None:
        raise typer.BadParameter("--rate (open loop) and --connections (closed loop) exclude each other")
    return record.Load(kind="closed", connections=order.connections, **rest)


def show(found: Steady, console: Console) -> None:
    """The run, how each process went, and what was wrong."""
    from rich.table import Table
    from rich.text import Text

    from eas_bench import terminal, units
    from eas_bench.cli.telling import tell_faults
    from eas_bench.soak.steady import rows
    from eas_bench.trend import LONG

    terminal.summary(found.run, console)
    table = Table(box=None, padding=(0, 1))
    for title in ("process", "", "middle", "last third", "per hour", "allowed", ""):
        table.add_column(title, no_wrap=True)
    for *cells, grew in rows(found):
        table.add_row(*(Text(cell, "red" if grew else "") for cell in cells))
    console.print()
    console.print(table)
    if found.passing:
        told = ", ".join(found.passing)
        console.print(Text(f"came or went, and so weren't judged: {told}", "yellow"), soft_wrap=True)
    if found.growths and found.run.seconds < LONG:
        lasted = units.seconds(found.run.seconds)
        told = f"what grows in an hour is drawn from {lasted}: an hour or more would tell"
        console.print(Text(f"note: {told}", "dim"), soft_wrap=True)
    for reason in found.unknown:
        console.print(Text(f"not known: {reason}", "yellow"), soft_wrap=True)
    if not found.unknown or found.faults:
        tell_faults(found.faults, console)
    if found.run.stopped:
        console.print("[yellow]ended before its time: it says nothing of the hours that are missing[/]")
