"""``eas-bench soak``: hours, of steady load on a server, or of all that operators do to an engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from eas_bench import interrupts
from eas_bench.cli import life, steady
from eas_bench.cli import options as o

_SERVER, _ENGINE = "With URL or --config", "Without them"


def soak(
    url: o.Url = None,
    *,
    config: o.Config = None,
    hours: Annotated[
        float,
        typer.Option(parser=o.number(0.001, 8784), metavar="NUMBER", help="How long.", show_default="1"),
    ] = 1.0,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            "-r",
            parser=o.number(0.01, o.MOST_RATE),
            metavar="NUMBER",
            help="Open loop: requests a second.",
            show_default=f"{steady.RATE:g}",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    connections: Annotated[
        int | None,
        typer.Option(
            "--connections",
            "-c",
            parser=o.whole(1, o.MOST),
            metavar="NUMBER",
            help="Closed loop: so many.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    slo: Annotated[
        str | None,
        typer.Option(
            metavar="TERM,...", help="To be met as well: p99=50ms,errors=0.1%.", rich_help_panel=_SERVER
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            parser=o.number(0),
            metavar="MB",
            help="By so much a process may grow in an hour.",
            show_default="16",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    descriptors: Annotated[
        float | None,
        typer.Option(
            parser=o.number(0),
            metavar="NUMBER",
            help="... by so many descriptors.",
            show_default="16",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    threads: Annotated[
        float | None,
        typer.Option(
            parser=o.number(0),
            metavar="NUMBER",
            help="... by so many threads.",
            show_default="4",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    pid: Annotated[
        int | None,
        typer.Option(
            parser=o.whole(1),
            metavar="NUMBER",
            help="Of the server, if it is here; its children are seen.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            parser=o.metrics_url,
            metavar="URL",
            help="The server's admin plane or metrics.",
            rich_help_panel=_SERVER,
        ),
    ] = "",
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
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write the run there as a page with plots.", rich_help_panel=_SERVER
        ),
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option(
            parser=o.whole(1, o.CROWD),
            metavar="NUMBER",
            help="Connections, a request at a time on each.",
            show_default=f"{life.CLIENTS}",
            rich_help_panel=_ENGINE,
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            metavar="DEED,...", help="Of what operators do.", show_default="all", rich_help_panel=_ENGINE
        ),
    ] = "",
    most: Annotated[
        int | None,
        typer.Option(
            parser=o.whole(1), metavar="NUMBER", help="So many deeds, and no more.", rich_help_panel=_ENGINE
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            parser=o.command,
            metavar="COMMAND",
            help="What starts the engine.",
            show_default="the installed one",
            rich_help_panel=_ENGINE,
        ),
    ] = "",
    seed: Annotated[
        int,
        typer.Option(parser=o.whole(0), metavar="NUMBER", help="Of random bodies, and of what is done when."),
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the outcome there; - is stdout.")
    ] = None,
) -> None:
    """Hours of load, and whether anything grows or goes wrong.

    With a URL or --config: one steady load, and how memory, descriptors and threads of each of the server's
    processes went; growth above a limit is a fault. The processes must be on this machine: those of an engine
    are found by its admin plane, those of another server by [b]--pid[/b].

    Without: an engine is started, and operators' deeds are done to it in random order and without a pause
    (updates good and bad, canaries, scaling, restarts, kills, rollbacks), beside clients that compare every
    answer byte for byte.

    Exit status 1: something was wrong, or grew. 2: it couldn't be measured.
    """
    interrupts.leave_by_the_way_out()  # no server is left behind
    request = {
        "body": body,
        "text": text,
        "rows": rows,
        "headers": header,
        "method": method,
        "sign": sign,
        "grpc": grpc,
        "cacert": cacert,
        "insecure": insecure,
    }
    limits = {"memory": memory, "descriptors": descriptors, "threads": threads}
    order = {
        "rate": rate,
        "connections": connections,
        "slo": slo,
        "pid": pid,
        "metrics": metrics,
        "report": report,
    }
    lived = {"clients": clients, "only": only, "most": most, "engine": engine}
    if url is None and config is None:
        given = {**request, **limits, **order, "token_file": token_file}
        _refuse(given, "only for the soak of a server: give its URL, or --config")
        status = life.soak(
            3600 * hours,
            clients=clients,
            only=only,
            most=most,
            command=engine,
            seed=seed,
            json_file=json_file,
        )
    else:
        _refuse(lived, "only for the soak without URL and --config")
        told = steady.Order(
            url=url,
            config=config,
            token=o.token_of(token, token_file),
            request={**request, "seed": seed},
            limits={name: value for name, value in limits.items() if value is not None},
            rate=rate,
            connections=connections,
            slo=slo,
            pid=pid,
            metrics=metrics,
            report=report,
        )
        status = steady.soak(3600 * hours, told, seed=seed, json_file=json_file)
    raise typer.Exit(status)


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Nothing is taken and ignored."""
    names = [
        "--header" if name == "headers" else f"--{name.replace('_', '-')}"
        for name, value in options.items()
        if value is not None and value is not False and value not in ("", [])
    ]
    if names:
        raise typer.BadParameter(f"{', '.join(names)}: {why}")
