"""The command line and its first command, ``serve``, which isn't to wait for the others.

Those are in ``machine``, and for a running service in ``running``, ``looking`` and ``eascmd``; ``command``
adds them when one of them is wanted. What they do is in the files beside this one.

``eas-engine --config FILE`` means ``eas-engine serve --config FILE`` (see ``command``).

Exit statuses: 0 done, 1 the answer is no (or a bug of ours), 2 configuration, 3 an artifact could not be had,
4 the processor failed.
"""

from __future__ import annotations

from typing import Annotated

import typer

from eas_engine.cli import options as o
from eas_engine.cli.command import App, ServeByDefault, chosen
from eas_engine.cli.serving import serving
from eas_engine.options import ServeOptions

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
    options = ServeOptions(
        config=chosen(ctx, file, config),
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
    raise typer.Exit(serving(options))
