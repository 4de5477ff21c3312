"""``eas-bench sweep``: the highest rate that meets an objective, and the curve on the way there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eas_bench.cli import options as o
from eas_bench.cli import outputs
from eas_bench.cli.asking import NO_LIMIT, asking
from eas_bench.cli.curve import show, tell_point
from eas_bench.cli.run import MOST_CONNECTIONS, Arrivals

if TYPE_CHECKING:
    from eas_bench import record
    from eas_bench.cli.asking import Asked
    from eas_bench.search import Search
    from eas_bench.slo import Objective
    from eas_bench.sweep import Found

LONGER = 6.0
"""So many times as long as asked a trial may last, to have the requests that the objective needs."""
_NEAR = 0.9
"""The share of what the generator can do up to which it is trusted (as a run's own verdict has it)."""
_SPARE = 1.2
"""So many times the requests that an objective needs are aimed at: random arrivals may be fewer."""


def sweep(
    url: o.Url = None,
    *,
    config: o.Config = None,
    slo: Annotated[
        str,
        typer.Option(
            metavar="TERM,...",
            help="What must be met, all of it: p99=50ms,errors=0.1%. Of p50, p90, p99, p99.9, max, errors.",
            show_default=False,
        ),
    ],
    first: Annotated[
        float,
        typer.Option(
            "--from",
            parser=o.number(1, o.MOST_RATE),
            metavar="NUMBER",
            help="Requests a second to begin with.",
            show_default="100",
        ),
    ] = 100.0,
    most: Annotated[
        float | None,
        typer.Option(
            "--to",
            parser=o.number(1, o.MOST_RATE),
            metavar="NUMBER",
            help="Never more.",
            show_default="90% of what the generator can do",
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(metavar="SHARE", help="How near the answer comes to what isn't held.")
    ] = "5%",
    trials: Annotated[int, typer.Option(parser=o.whole(3), metavar="NUMBER", help="Runs at most.")] = 40,
    duration: Annotated[
        float,
        typer.Option(
            "--duration",
            "-d",
            parser=o.seconds,
            metavar="TIME",
            help=f"Of each run; up to {LONGER:g} times as long where the objective needs more requests.",
            show_default="5s",
        ),
    ] = 5.0,
    warm_up: Annotated[
        float,
        typer.Option(
            parser=o.seconds, metavar="TIME", help="Before each; counts for nothing.", show_default="1s"
        ),
    ] = 1.0,
    timeout: Annotated[
        float,
        typer.Option(
            parser=o.seconds, metavar="TIME", help="After which a request has failed.", show_default="10s"
        ),
    ] = 10.0,
    arrivals: Annotated[
        Arrivals, typer.Option(help="At even distances, at random ones, or many at once.")
    ] = Arrivals.poisson,
    most_connections: Annotated[
        int, typer.Option(parser=o.whole(1, o.MOST), metavar="NUMBER", help="At most so many at once.")
    ] = MOST_CONNECTIONS,
    body: o.Body = None,
    text: o.Text = None,
    rows: o.Rows = None,
    header: o.Header = None,
    method: o.Method = "",
    token: o.Token = "",
    token_file: o.TokenFile = None,
    sign: o.Sign = False,
    grpc: o.Grpc = "",
    cacert: o.Cacert = None,
    insecure: o.Insecure = False,
    processes: Annotated[
        int,
        typer.Option(
            parser=o.whole(1, 64), metavar="NUMBER", help="That make the load; each can keep a core busy."
        ),
    ] = 1,
    seed: Annotated[
        int, typer.Option(parser=o.whole(0), metavar="NUMBER", help="Of random arrivals and random rows.")
    ] = 0,
    metrics: Annotated[
        str,
        typer.Option(
            parser=o.metrics_url,
            metavar="URL",
            help="The server's admin plane or metrics, read once a second.",
        ),
    ] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all runs there; - is stdout.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the runs there as a page with plots.")
    ] = None,
) -> None:
    """Find the highest rate at which a server meets an objective.

    The rate is doubled until it misses, then the gap is halved. Latencies are those of good answers; an
    objective without [b]errors[/b] counts what had none as endlessly late. A miss is tried again before it
    counts, and the answer is proved by a second run. A figure needs requests that bear it (1,000 for a p99,
    10,000 for a p99.9, 3,000 for errors=0.1%): at rates that don't bring them in --duration, a run lasts up
    to six times as long.

    Exit status 1: no rate meets it. 2: it couldn't be measured.
    """
    from rich.console import Console

    from eas_bench import interrupts, record, target
    from eas_bench import report as reports
    from eas_bench.client import NotMeasured
    from eas_bench.servers import NotServing
    from eas_bench.sweep import find

    interrupts.leave_by_the_way_out()  # no server is left behind
    objective, share = o.objective(slo), _share(precision)
    outputs.check(json_file=json_file, report=report)
    if most is not None and first > most:
        raise typer.BadParameter(f"--from {first:g} is above --to {most:g}")
    if duration <= 0 or timeout <= 0:
        raise typer.BadParameter("--duration and --timeout must be more than nothing")
    load = record.Load(
        kind="open",
        rate=first,
        arrivals=arrivals.value,
        connections=max(most_connections, processes),
        duration=duration,
        warm_up=warm_up,
        timeout=timeout,
        processes=processes,
        seed=seed,
    )
    console = Console(highlight=False, stderr=json_file == Path("-"))
    secret = o.token_of(token, token_file)
    try:
        fields = o.fields_of(
            body=body,
            text=text,
            rows=rows,
            headers=header,
            method=method,
            sign=sign,
            grpc=grpc,
            cacert=cacert,
            insecure=insecure,
            seed=seed,
        )
        with asking(url, config, secret, fields) as asked:
            measure, limit = _measure(asked, load, objective, metrics)
            search = _search(first, most, share, trials, limit)
            itself = f"the generator itself can do {limit:,.0f}/s" if limit else NO_LIMIT
            console.print(f"objective {objective}; {itself}", soft_wrap=True)
            found = find(measure, objective, search, lambda point: tell_point(point, console))
    except (NotMeasured, NotServing, target.NotWanted) as error:
        typer.echo(f"eas-bench sweep: {error}", err=True)
        raise typer.Exit(2) from None
    show(found, console)
    curve = [point.run for point in found.curve]
    if not curve and report is not None:
        typer.echo(f"eas-bench sweep: no run was over, so there is nothing to draw: no {report}", err=True)
    outputs.keep(
        "sweep",
        (json_file, outputs.document(found.document())),
        (report if curve else None, lambda path: reports.write(curve, path, found.notes)),
    )
    raise typer.Exit(_status(found))


def _share(text: str) -> float:
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = 0.0
    if not text.strip().endswith("%") or not 0.001 <= share <= 1:
        raise typer.BadParameter(f"{text!r} is no share: expected 0.1% to 100%", param_hint="--precision")
    return share


def _search(first: float, most: float | None, share: float, trials: int, limit: float | None) -> Search:
    from eas_bench.search import Search

    ceiling = min(most or o.MOST_RATE, o.MOST_RATE if limit is None else _NEAR * limit)
    return Search(first=min(first, ceiling), ceiling=ceiling, precision=share, trials=trials)


def _measure(
    asked: Asked, load: record.Load, objective: Objective, metrics: str
) -> tuple[Callable[[float], record.Run], float | None]:
    """What makes a run at a rate, and what the generator can do, if that is known. Raises NotMeasured."""
    from eas_bench import client, units
    from eas_bench.readings import Watcher

    if note := client.first_answer(asked.wanted, load.timeout):
        raise client.NotMeasured(f"{note[0]}; a sweep begins where one request has a good answer")
    limit = None if asked.wanted.tls else client.own_limit(load, wanted=asked.wanted)

    def measure(rate: float) -> record.Run:
        seconds = min(LONGER * load.duration, max(load.duration, _SPARE * objective.needs / rate))
        wanted = load.model_copy(update={"rate": rate, "duration": round(seconds, 1)})
        watcher = Watcher(metrics or asked.admin_url or None, pid=asked.pid, warm_up=load.warm_up)
        with watcher:
            run = client.measure(
                asked.wanted,
                wanted,
                title=units.rate(rate),
                on_interval=watcher.note,
                readings=watcher.readings,
                limit=limit,
            )
        return run.model_copy(update={"notes": [*run.notes, *watcher.notes]})

    return measure, limit


def _status(found: Found) -> int:
    """0 when a rate is found, 1 when none meets the objective, 2 when that isn't known; else INTERRUPTED."""
    from eas_bench.interrupts import INTERRUPTED
    from eas_bench.search import End

    if found.done.end is End.STOPPED:
        return INTERRUPTED
    if found.done.rate is not None:
        return 0
    return 1 if found.done.end is End.NOTHING else 2
