"""``eas-bench chaos``: torment an engine, and tell what clients saw."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eas_bench.cli import options as o
from eas_bench.cli import outputs

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench.chaos.run import Outcome, Plan

RUNS = ("kills", "retries", "poison", "clients", "everything")
NOT_SHOWN = 3
_EACH_CPU, _MOST = 8, 64  # instances
_POISON = 0.002
_DESCRIPTORS, _ROGUE_DESCRIPTORS = 4, 32
"""By so many the engine's descriptors may grow; while clients come and go they waver."""


def chaos(
    *,
    minutes: Annotated[
        float,
        typer.Option(
            parser=o.number(0.1, 527040),
            metavar="NUMBER",
            help="Of load, divided among the runs.",
            show_default="10",
        ),
    ] = 10,
    every: Annotated[
        float,
        typer.Option(
            parser=o.number(0.1, 86400),
            metavar="NUMBER",
            help="Seconds from one kill to the next.",
            show_default="1",
        ),
    ] = 1,
    instances: Annotated[
        int | None,
        typer.Option(
            parser=o.whole(1, o.INSTANCES),
            metavar="NUMBER",
            help="Each lives for so many kills.",
            show_default=f"{_EACH_CPU} for each CPU, {_MOST} at most",
        ),
    ] = None,
    clients: Annotated[
        int,
        typer.Option(
            parser=o.whole(1, o.CROWD), metavar="NUMBER", help="Connections, one request at a time on each."
        ),
    ] = 16,
    rogues: Annotated[
        int,
        typer.Option(
            parser=o.whole(1, o.CROWD), metavar="NUMBER", help="Clients that leave, lie or are slow."
        ),
    ] = 16,
    seed: Annotated[
        int, typer.Option(parser=o.whole(0), metavar="NUMBER", help="Of what is sent, and what is done when.")
    ] = 0,
    only: Annotated[
        str, typer.Option(metavar="RUN,...", help="Some of them.", show_default=", ".join(RUNS))
    ] = ",".join(RUNS),
    engine: o.Engine = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the outcome there; - is stdout.")
    ] = None,
) -> None:
    """Kill instances, hang up, send nonsense; beside it clients whose every answer is compared byte for byte.

    An engine is started for each run, with an echo processor: [b]kills[/b] ends an instance every second,
    [b]retries[/b] does so with rpc.retry_on_crash, [b]poison[/b] sends requests that end the process which
    takes them, [b]clients[/b] has clients that leave in the head, in the body, before the answer and in it,
    that send bad input, and that are slow; [b]everything[/b] is the last with kills.

    Exit status 1: something was lost or wrong. 2: the engine didn't start. 3: so little was done that a clean
    result proves little; it says what.
    """
    from rich.console import Console

    from eas_bench import interrupts

    interrupts.leave_by_the_way_out()  # no server is left behind
    names = [name.strip() for name in only.split(",")]
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        raise typer.BadParameter(
            f"no run {', '.join(unknown)}; there are {', '.join(RUNS)}", param_hint="--only"
        )
    outputs.check(json_file=json_file)
    console = Console(highlight=False, soft_wrap=True, stderr=json_file == outputs.STDOUT)
    plans = [
        _plan(
            name,
            seconds=60 * minutes / len(names),
            every=every,
            instances=instances or default_instances(len(os.sched_getaffinity(0))),
            clients=clients,
            rogues=rogues,
            seed=seed,
        )
        for name in names
    ]
    outcomes, status = _carried_out(plans, engine, console)
    content = document(outcomes, stopped=status == interrupts.INTERRUPTED)
    outputs.keep("chaos", (json_file, outputs.document(content)))
    judged = status_of(outcomes)
    raise typer.Exit(judged if judged == 1 and status != 2 else status or judged)


def default_instances(cpus: int) -> int:
    """So many that each outlives its kills, and not more than the machine can keep going."""
    return min(_MOST, _EACH_CPU * cpus)


def status_of(outcomes: Sequence[Outcome]) -> int:
    """Of runs that went to their end: 1 with a fault, NOT_SHOWN where a clean one proves little."""
    if any(outcome.faults for outcome in outcomes):
        return 1
    return NOT_SHOWN if any(outcome.unshown for outcome in outcomes) else 0


def _carried_out(plans: Sequence[Plan], engine: str, console: Console) -> tuple[list[Outcome], int]:
    """One after the other, each shown: those that ended, and 0, 2 (one couldn't be begun) or INTERRUPTED."""
    from eas_bench.chaos.run import COMMAND, run
    from eas_bench.cli.telling import Telling
    from eas_bench.interrupts import INTERRUPTED
    from eas_bench.machine import Missing
    from eas_bench.servers import NotServing

    outcomes: list[Outcome] = []
    try:
        for plan in plans:
            with Telling(console, plan.name, plan.seconds) as telling:
                outcomes.append(run(plan, engine or COMMAND, telling.now))
            show(outcomes[-1], console)
            if outcomes[-1].stopped:
                raise KeyboardInterrupt  # noqa: TRY301 - as if it had struck here
    except (Missing, NotServing, OSError) as error:
        typer.echo(f"eas-bench chaos: {error}", err=True)
        return outcomes, 2
    except KeyboardInterrupt:
        whole = sum(not outcome.stopped for outcome in outcomes)
        told = f"ended before its time, after {whole} whole runs of {len(plans)}"
        typer.echo(f"eas-bench chaos: {told}", err=True)
        return outcomes, INTERRUPTED
    return outcomes, 0


def document(outcomes: Sequence[Outcome], *, stopped: bool) -> dict[str, Any]:
    """As JSON; ``stopped``: it was ended before its time."""
    return {
        "format": "eas-bench.chaos/1",
        "stopped": stopped,
        "runs": [outcome.document() for outcome in outcomes],
    }


def _plan(
    name: str, *, seconds: float, every: float, instances: int, clients: int, rogues: int, seed: int
) -> Plan:
    """Of one of RUNS."""
    from eas_bench.chaos.run import Plan

    misbehave = name in {"clients", "everything"}
    return Plan(
        seconds=seconds,
        every=0 if name == "clients" else every,
        retry=name in {"retries", "poison", "everything"},
        poison=_POISON if name == "poison" else 0.0,
        instances=instances,
        clients=clients,
        rogues=rogues if misbehave else 0,
        seed=seed,
        descriptors=_ROGUE_DESCRIPTORS if misbehave else _DESCRIPTORS,
    )


def show(outcome: Outcome, console: Console) -> None:
    """What clients saw, and how the engine fared."""
    from rich.table import Table
    from rich.text import Text

    from eas_bench.cli.telling import tell_faults

    plan = outcome.plan
    console.print(f"[bold]{plan.name}[/], {outcome.seconds:.0f} s, {plan.instances} instances")
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("answers", f"{outcome.requests} ({outcome.requests / outcome.seconds:.0f}/s)")
    for told, count in sorted(outcome.answers.items()):
        table.add_row(f"  {told}", str(count))
    table.add_row("slowest answer", f"{outcome.longest:.2f} s")
    if plan.kills or plan.poison:
        table.add_row("kills", str(outcome.kills))
        table.add_row("tried twice", str(outcome.retries))
    for title, counted in (
        ("misdeeds", outcome.misdeeds),
        ("bad input was answered", outcome.refusals),
        ("slow clients were answered", outcome.served),
    ):
        if counted:
            table.add_row(title, str(counted.total()))
        for told, count in sorted(counted.items()):
            table.add_row(f"  {told}", str(count))
    for name, trend, unit in (("memory, MB", outcome.memory, 1e6), ("descriptors", outcome.descriptors, 1.0)):
        if trend is not None:
            table.add_row(name, trend.told(unit, outcome.seconds))
    console.print(table)
    for told in outcome.unshown:
        console.print(Text.assemble(("not shown: ", "yellow"), told), soft_wrap=True)
    if outcome.faults or not outcome.unshown:
        tell_faults(outcome.faults, console)
