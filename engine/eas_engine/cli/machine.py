"""The commands about this machine: its files, the engines on it, its cache. Each comes when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eas_engine.cli import options as o
from eas_engine.cli.autoscale.commands import autoscale
from eas_engine.cli.command import App, chosen
from eas_engine.cli.target import Target
from eas_engine.cli.told import told
from eas_engine.cli.words import Service, service

machine = App(options_metavar="", rich_markup_mode="markdown")


@machine.command()
def check(
    ctx: typer.Context,
    file: o.File = None,
    *,
    config: o.Config = None,
    define: o.Define = None,
    strict: o.Strict = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the parameters that nobody has set.")
    ] = False,
    state_dir: o.StateDir = None,
    settings: o.Settings = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """What is set, where it comes from, what this machine will do with it, and what is wrong."""
    from eas_engine.cli.check import Engine, run

    path = chosen(ctx, file, config)
    with told(debug=debug):
        engine = Engine(settings, state_dir)
        startable = run(path, define or (), engine, strict=strict, everything=everything, as_json=json)
    raise typer.Exit(0 if startable else 2)


@machine.command()
def schema() -> None:
    """The JSON Schema of service.json, for editors."""
    with told():
        from eas_engine.cli.check import print_schema

        print_schema()


@machine.command("test")
def trial(
    ctx: typer.Context,
    file: o.File = None,
    *,
    config: o.Config = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="S", help="The request's body, as UTF-8.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FILE", help="A file that is the request's body; - = stdin."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="'NAME: VALUE'",
            help="A header field of the request, such as `Content-Type: application/json`. Repeatable.",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, help="How often it is sent, one after the other.")
    ] = 1,
    define: o.Define = None,
    settings: o.Settings = None,
    debug: o.Debug = False,
) -> None:
    """Start the service on free ports, send it a request, print the answer and the timings, stop."""
    from eas_engine.cli.trial import only, run

    path = chosen(ctx, file, config)
    with told(debug=debug):
        good = run(
            path,
            text=only("--text", text),
            data=only("--data", data),
            header=header or (),
            count=count,
            define=define or (),
            settings=settings,
            debug=debug,
        )
    raise typer.Exit(0 if good else 1)


@machine.command()
def status(
    ctx: typer.Context,
    words: Service = None,
    *,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """How a running engine is; also its token."""
    from eas_engine.cli.status import run

    meant = service(ctx, words, name)
    with told(debug=debug):
        found = run(state_dir, meant, workspace_id, as_json=json)
    raise typer.Exit(0 if found else 1)


@machine.command("list")
def list_engines(*, state_dir: o.StateDir = None, json: o.Json = False, debug: o.Debug = False) -> None:
    """The engines of this machine (of one state directory), running or left behind by a crash."""
    from eas_engine.cli.status import run_list

    with told(debug=debug):
        run_list(state_dir, as_json=json)


@machine.command()
def doctor(
    ctx: typer.Context,
    file: o.File = None,
    *,
    config: o.Config = None,
    define: o.Define = None,
    state_dir: o.StateDir = None,
    settings: o.Settings = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """This machine on one page: CPUs, memory, cards, what is installed; with a file, what it would miss."""
    from eas_engine.cli.check import Engine
    from eas_engine.cli.doctor import run

    path = chosen(ctx, file, config) if file or config else None
    with told(debug=debug):
        found = run(path, define or (), Engine(settings, state_dir), as_json=json)
    raise typer.Exit(found)


@machine.command()
def pools(
    *,
    state_dir: o.StateDir = None,
    settings: o.Settings = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """CPUs and memory of this machine: its resource groups, which instances have what, what is free."""
    from eas_engine.cli.pools import run

    with told(debug=debug):
        run(settings, state_dir, as_json=json)


machine.add_typer(autoscale, name="autoscale")

cache = App(help="What was fetched, and how much of the disk it takes.", no_args_is_help=True)
machine.add_typer(cache, name="cache")


@cache.command("ls")
def cache_ls(
    *,
    state_dir: o.StateDir = None,
    settings: o.Settings = None,
    cache_size: o.CacheSize = "",
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """What the cache holds, and which of it running engines use."""
    from eas_engine.cli.cache import run_ls

    del settings  # may have set cache_size

    with told(debug=debug):
        run_ls(state_dir, cache_size, as_json=json)


@cache.command("prune")
def cache_prune(
    *,
    state_dir: o.StateDir = None,
    settings: o.Settings = None,
    cache_size: o.CacheSize = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that isn't in use, also unfinished downloads.")
    ] = False,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="What wasn't used for so long: 7d, 12h, 30m.")
    ] = "",
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Delete from the cache what is over its size, never what a running engine uses."""
    from eas_engine.cli.cache import run_prune

    del settings  # may have set cache_size

    with told(debug=debug):
        run_prune(state_dir, cache_size, everything=everything, older_than=older_than, as_json=json)


crash = App(
    help="What was kept of crashes (runtime.enable_crash_block), and starting again.", no_args_is_help=True
)
machine.add_typer(crash, name="crash")

CrashId = Annotated[str | None, typer.Argument(metavar="ID", help="One crash; without it, all.")]


@crash.command("show")
def crash_show(
    *,
    crash_id: CrashId = None,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """What was kept: cause, log, core file, requests; of all crashes in short, or of one."""
    from eas_engine.cli.crash import run_show

    with told(debug=debug):
        found = run_show(Target(state_dir, name, workspace_id), crash_id, as_json=json)
    raise typer.Exit(0 if found else 1)


@crash.command("clear")
def crash_clear(
    *,
    crash_id: CrashId = None,
    name: o.Name = None,
    workspace_id: o.WorkspaceId = None,
    state_dir: o.StateDir = None,
    debug: o.Debug = False,
) -> None:
    """Delete it, and start the instances again that it blocks."""
    from eas_engine.cli.crash import run_clear

    with told(debug=debug):
        found = run_clear(Target(state_dir, name, workspace_id), crash_id)
    raise typer.Exit(0 if found else 1)


machine.command("desc", hidden=True)(status)
machine.command("ls", hidden=True)(list_engines)
