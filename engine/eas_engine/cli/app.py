"""The commands and their options; what they do is in the files beside this one.

Those for a running service are in ``running``, ``looking`` and ``eascmd``, which ``command`` adds when one of
them is wanted: ``serve`` isn't to wait for them.

``eas-engine --config FILE`` means ``eas-engine serve --config FILE`` (see ``command``).

Exit statuses: 0 done, 1 the answer is no (or a bug of ours), 2 configuration, 3 an artifact could not be had,
4 the processor failed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eas_engine.cli import options as o
from eas_engine.cli.autoscale.commands import autoscale
from eas_engine.cli.command import App, ServeByDefault, chosen
from eas_engine.cli.importing import importing
from eas_engine.cli.target import Target
from eas_engine.cli.told import told
from eas_engine.cli.words import Service, service

app = App(
    cls=ServeByDefault,
    help="""Serves a PAI-EAS service on this machine.

    `eas-engine --config service.json` (or `eas-engine service.json`) serves it until it is told to stop; the
    options for that are listed by `eas-engine serve --help`.
    """,
    subcommand_metavar="--config FILE | FILE | COMMAND [ARGS]...",
    options_metavar="",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from eas_engine import __version__, request

        how = "interpreted" if str(request.__file__).endswith(".py") else "compiled"
        print(f"eas-engine {__version__} ({how})")
        raise typer.Exit


@app.callback()
def group(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="And no more."),
    ] = False,
) -> None:
    """See ``app``."""


@app.command()
def serve(
    ctx: typer.Context,
    file: o.File = None,
    *,
    config: o.Config = None,
    host: o.Host = "0.0.0.0",
    port: o.Port = 8080,
    admin_host: o.AdminHost = "127.0.0.1",
    admin_port: o.AdminPort = 9090,
    state_dir: o.StateDir = None,
    settings: o.Settings = None,
    cache_size: o.CacheSize = "",
    define: o.Define = None,
    fresh: o.Fresh = False,
    strict: o.Strict = False,
    log_format: o.LogFormat = o.LogFormatChoice.console,
    debug: o.Debug = False,
    any_path: o.AnyPath = False,
    access_log: o.AccessLog = "",
    announce: o.Announce = True,
) -> None:
    """Serve the service until SIGTERM or SIGINT. The default command."""
    from eas_engine.options import ServeOptions

    path = chosen(ctx, file, config)
    with told(debug=debug):
        with importing():
            from eas_engine import service as engine

        status = engine.serve(
            ServeOptions(
                config=path,
                host=host,
                port=port,
                admin_host=admin_host,
                admin_port=admin_port,
                state_dir=state_dir,
                settings=settings,
                overrides=tuple(define or ()),
                fresh=fresh,
                strict=strict,
                log_format=log_format.value,
                debug=debug,
                any_path=any_path,
                access_log=access_log,
                announce=announce,
                cache_size=cache_size,
            )
        )
    raise typer.Exit(status)


@app.command()
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


@app.command()
def schema() -> None:
    """The JSON Schema of service.json, for editors."""
    with told():
        from eas_engine.cli.check import print_schema

        print_schema()


@app.command("test")
def trial(
    ctx: typer.Context,
    file: o.File = None,
    *,
    config: o.Config = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="S", help="The request's body, as UTF-8.")
    ] = None,
    data: Annotated[
        Path | None,
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
    from eas_engine.cli.trial import run

    path = chosen(ctx, file, config)
    with told(debug=debug):
        good = run(
            path,
            text=text,
            data=data,
            header=header or (),
            count=count,
            define=define or (),
            settings=settings,
            debug=debug,
        )
    raise typer.Exit(0 if good else 1)


@app.command()
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


@app.command("list")
def list_engines(*, state_dir: o.StateDir = None, json: o.Json = False, debug: o.Debug = False) -> None:
    """The engines of this machine (of one state directory), running or left behind by a crash."""
    from eas_engine.cli.status import run_list

    with told(debug=debug):
        run_list(state_dir, as_json=json)


@app.command()
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


app.add_typer(autoscale, name="autoscale")

cache = App(help="What was fetched, and how much of the disk it takes.", no_args_is_help=True)
app.add_typer(cache, name="cache")


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
app.add_typer(crash, name="crash")

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


app.command("desc", hidden=True)(status)
app.command("ls", hidden=True)(list_engines)
