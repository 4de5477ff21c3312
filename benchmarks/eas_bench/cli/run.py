"""``eas-bench run``: one load, and what became of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eas_bench.cli import options as o
from eas_bench.cli import outputs
from eas_bench.cli.asking import asking, measured

if TYPE_CHECKING:
    from rich.console import Console

    from eas_bench import record
    from eas_bench.slo import Objective

RATE = 100.0  # requests/s, unless asked otherwise
MOST_CONNECTIONS = 1000  # at once, in open loop


class Arrivals(StrEnum):
    """How requests follow each other in open loop."""

    constant = "constant"
    poisson = "poisson"
    bursts = "bursts"


def run(
    url: o.Url = None,
    *,
    config: o.Config = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            "-r",
            parser=o.number(0.01, o.MOST_RATE),
            metavar="NUMBER",
            help="Open loop: requests a second.",
            show_default=f"{RATE:.0f}",
        ),
    ] = None,
    connections: Annotated[
        int | None,
        typer.Option(
            "--connections",
            "-c",
            parser=o.whole(1, o.MOST),
            metavar="NUMBER",
            help="Closed loop: so many, each with a request at a time.",
        ),
    ] = None,
    duration: Annotated[
        float,
        typer.Option(
            "--duration",
            "-d",
            parser=o.seconds,
            metavar="TIME",
            help="Of the measured part.",
            show_default="10s",
        ),
    ] = 10.0,
    warm_up: Annotated[
        float,
        typer.Option(
            parser=o.seconds, metavar="TIME", help="Before it; counts for nothing.", show_default="1s"
        ),
    ] = 1.0,
    timeout: Annotated[
        float,
        typer.Option(
            parser=o.seconds, metavar="TIME", help="After which a request has failed.", show_default="10s"
        ),
    ] = 10.0,
    arrivals: Annotated[
        Arrivals,
        typer.Option(help="Open loop: at even distances, at random ones, or many at once."),
    ] = Arrivals.constant,
    burst: Annotated[
        int | None,
        typer.Option(
            parser=o.whole(1, o.MOST),
            metavar="NUMBER",
            help="Bursts: so many at once.",
            show_default="those of 0.1 s",
        ),
    ] = None,
    most_connections: Annotated[
        int | None,
        typer.Option(
            parser=o.whole(1, o.MOST),
            metavar="NUMBER",
            help="Open loop: at most so many at once.",
            show_default=f"{MOST_CONNECTIONS}",
        ),
    ] = None,
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
    title: Annotated[str, typer.Option(metavar="TEXT", help="Of the record.", show_default="the URL")] = "",
    metrics: Annotated[
        str,
        typer.Option(
            parser=o.metrics_url,
            metavar="URL",
            help="The server's admin plane or metrics, read once a second.",
        ),
    ] = "",
    own_limit: Annotated[
        bool,
        typer.Option(
            "--own-limit/--no-own-limit",
            help="Find out first what the generator itself can do, in a second and a half.",
        ),
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the record there; - is stdout.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the run there as a page with plots.")
    ] = None,
    slo: Annotated[
        str | None,
        typer.Option(
            metavar="TERM,...",
            help="What must be met, all of it: p99=50ms,errors=0.1%. Of p50, p90, p99, p99.9, max, errors.",
        ),
    ] = None,
) -> None:
    """Put a load on a server, and tell what it held.

    With [b]--rate[/b] (open loop) requests come at moments fixed in advance, whatever the server does, and
    latency counts from the moment at which a request was due. With [b]--connections[/b] (closed loop) each
    connection waits for its answer before it asks again.

    Exit status 1: no request was answered with 2xx, or --slo was missed. 2: it couldn't be measured, or the
    figures are invalid.
    """
    from rich.console import Console

    from eas_bench import interrupts, record, target
    from eas_bench.client import NotMeasured
    from eas_bench.servers import NotServing

    interrupts.leave_by_the_way_out()  # no server is left behind
    load = _load(
        record.Load,
        rate=rate,
        connections=connections,
        most=most_connections,
        arrivals=arrivals,
        burst=burst,
        rest={
            "duration": duration,
            "warm_up": warm_up,
            "timeout": timeout,
            "processes": processes,
            "seed": seed,
        },
    )
    objective = o.objective(slo) if slo is not None else None
    outputs.check(json_file=json_file, report=report)
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
            made = measured(asked, load, title=title, metrics=metrics, own_limit=own_limit)
    except (NotMeasured, NotServing, target.NotWanted) as error:
        typer.echo(f"eas-bench run: {error}", err=True)
        raise typer.Exit(2) from None
    met = _tell(made, objective, Console(highlight=False, stderr=json_file == outputs.STDOUT))
    _keep(made, json_file, report)
    if made.generator.invalid:
        raise typer.Exit(2)
    if not made.good or not met:
        raise typer.Exit(1)


def _load(
    make: type[record.Load],
    *,
    rate: float | None,
    connections: int | None,
    most: int | None,
    arrivals: Arrivals,
    burst: int | None,
    rest: dict[str, Any],
) -> record.Load:
    if rest["duration"] <= 0 or rest["timeout"] <= 0:
        raise typer.BadParameter("--duration and --timeout must be more than nothing")
    if connections is None:
        if burst is not None and arrivals is not Arrivals.bursts:
            raise typer.BadParameter(
                "is the size of bursts: give --arrivals bursts, too", param_hint="--burst"
            )
        most = max(most or MOST_CONNECTIONS, rest["processes"])
        return make(
            kind="open", rate=rate or RATE, arrivals=arrivals.value, burst=burst, connections=most, **rest
        )
    if rate is not None:
        raise typer.BadParameter(
            "--rate (open loop) and --connections (closed loop) exclude each other; "
            "--most-connections bounds those of an open loop"
        )
    if arrivals is not Arrivals.constant or burst is not None or most is not None:
        raise typer.BadParameter("--arrivals, --burst and --most-connections are for open loop: give --rate")
    if connections < rest["processes"]:
        raise typer.BadParameter("each process needs a connection at least", param_hint="--connections")
    return make(kind="closed", connections=connections, **rest)


def _tell(made: record.Run, objective: Objective | None, console: Console) -> bool:
    """What came of it, and each term of an objective beside its figure; whether all are met."""
    from rich.text import Text

    from eas_bench import slo, terminal

    terminal.summary(made, console)
    if objective is None:
        return True
    verdict = slo.judge(made, objective)
    for term in verdict.terms:
        word = ("met     ", "green") if term.met else ("missed  ", "red")
        console.print(Text.assemble(word, str(term)), soft_wrap=True)
    return verdict.met


def _keep(made: record.Run, json_file: Path | None, report: Path | None) -> None:
    """The record and the page; exits with 2 when one can't be written."""
    from eas_bench import record
    from eas_bench import report as reports

    def recorded(path: Path) -> None:
        if path == outputs.STDOUT:
            print(made.model_dump_json(indent=1))
        else:
            record.write(made, path)

    outputs.keep("run", (json_file, recorded), (report, lambda path: reports.write([made], path)))
