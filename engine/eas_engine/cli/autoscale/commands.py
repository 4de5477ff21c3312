"""The commands and their options; ``app`` takes them in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eas_engine.cli import options as o
from eas_engine.cli.command import App, chosen

autoscale = App(
    help="Why there are so many instances, and how many there would be with other settings.",
    no_args_is_help=True,
)

Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Which engine, when several run.")]
Workspace = Annotated[str | None, typer.Option("--workspace-id", metavar="ID", help="Of that workspace.")]


@autoscale.command()
def explain(
    *,
    name: Name = None,
    workspace_id: Workspace = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """The last decisions of a running engine, with the figures that they were made from."""
    from eas_engine.cli.autoscale.explain import run
    from eas_engine.cli.told import told

    with told(debug=debug):
        found = run(state_dir, name, workspace_id, as_json=json)
    raise typer.Exit(0 if found else 1)


@autoscale.command()
def record(
    *,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="Lines are added to it; - = stdout.")
    ],
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", metavar="N", min=1, help="How long. [default: until Ctrl-C]", show_default=False
        ),
    ] = None,
    name: Name = None,
    workspace_id: Workspace = None,
    state_dir: o.StateDir = None,
    debug: o.Debug = False,
) -> None:
    """Write the load of a running engine, from ten minutes ago on, into a file for `simulate --trace`."""
    from eas_engine.cli.autoscale.record import run
    from eas_engine.cli.told import told

    with told(debug=debug):
        run(state_dir, name, workspace_id, output=output, seconds=seconds)


@autoscale.command()
def simulate(
    ctx: typer.Context,
    file: o.File = None,
    *,
    trace: Annotated[
        Path,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="The load: CSV or JSON lines with `seconds`, `qps` and perhaps `service_time` (seconds).",
        ),
    ],
    config: o.Config = None,
    define: o.Define = None,
    service_time: Annotated[
        float | None,
        typer.Option(
            "--service-time",
            metavar="MS",
            min=0.001,
            help="How long a call of the processor takes. [default: what the trace says]",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            help="Worker threads of an instance. [default: rpc.worker_threads]",
            show_default=False,
        ),
    ] = None,
    startup: Annotated[
        float, typer.Option("--startup", metavar="SECONDS", min=0, help="Until a new instance is ready.")
    ] = 5.0,
    cpu_share: Annotated[
        float, typer.Option("--cpu-share", metavar="CPUS", min=0, help="What a call uses while it runs.")
    ] = 1.0,
    instances: Annotated[
        int | None,
        typer.Option(
            "--instances",
            metavar="N",
            min=0,
            help="Ready at the beginning. [default: metadata.instance]",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIME",
            help="When it begins, for jobs: 2026-11-11T08:00. [default: when it was recorded, or midnight]",
            show_default=False,
        ),
    ] = "",
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Also draw it: an .html or .svg file.", show_default=False
        ),
    ] = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Replay a load against the settings of a file: instances, queue and refused requests over time."""
    from eas_engine.cli.autoscale.simulate import Asked, run
    from eas_engine.cli.told import told

    path = chosen(ctx, file, config)
    asked = Asked(
        config=path,
        define=tuple(define or ()),
        trace=trace,
        service_time=None if service_time is None else service_time / 1000,
        threads=threads,
        startup=startup,
        cpu_share=cpu_share,
        instances=instances,
        at=at,
        plot=plot,
    )
    with told(debug=debug):
        run(asked, as_json=json)
