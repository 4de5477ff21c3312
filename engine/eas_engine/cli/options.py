"""The options that several commands share, each with its environment variable."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eas_engine.cli.settings import below_flags


class LogFormatChoice(StrEnum):
    """How the log looks."""

    console = "console"
    json = "json"


File = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="The same as --config FILE.", show_default=False)
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="EAS_CONFIG",
        metavar="FILE",
        help="The service: a service.json.",
        show_default=False,
    ),
]
Define = Annotated[
    list[str] | None,
    typer.Option(
        "-D",
        "--define",
        envvar="EAS_DEFINE",
        metavar="KEY=VALUE",
        help="Override a parameter of the file, such as -D metadata.rpc.keepalive=1000. May be repeated.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", envvar="EAS_STRICT", help="Warnings about the file are errors.")
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        envvar="EAS_FRESH",
        help="Take the file as it is, even if the service was updated since it was last started with it.",
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar="EAS_STATE_DIR",
        metavar="DIR",
        file_okay=False,
        help="Where tokens and engine.json live. [default: /var/lib/eas-engine as root, else XDG's]",
        show_default=False,
        is_eager=True,  # --settings wants to know it
    ),
]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        envvar="EAS_SETTINGS",
        metavar="FILE",
        help="The engine settings. [default: eas-engine.toml in --state-dir, else in /etc/eas-engine]",
        show_default=False,
        is_eager=True,
        callback=below_flags,
    ),
]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Which engine, when several run.")]
WorkspaceId = Annotated[
    str | None, typer.Option("--workspace-id", metavar="ID", help="Of that workspace.", show_default=False)
]
Debug = Annotated[bool, typer.Option("--debug", envvar="EAS_DEBUG", help="More in the log, and tracebacks.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Host = Annotated[
    str, typer.Option("--host", envvar="EAS_HOST", metavar="ADDRESS", help="Where requests are taken.")
]
Port = Annotated[
    int,
    typer.Option("--port", envvar="EAS_PORT", metavar="PORT", min=0, max=65535, help="0 = any free port."),
]
AdminHost = Annotated[
    str,
    typer.Option(
        "--admin-host",
        envvar="EAS_ADMIN_HOST",
        metavar="ADDRESS",
        help="Where health, metrics and status are shown.",
    ),
]
AdminPort = Annotated[
    int,
    typer.Option(
        "--admin-port", envvar="EAS_ADMIN_PORT", metavar="PORT", min=0, max=65535, help="0 = any free port."
    ),
]
LogFormat = Annotated[
    LogFormatChoice,
    typer.Option(
        "--log-format", envvar="EAS_LOG_FORMAT", metavar="console|json", help="Of the log, on stderr."
    ),
]
CacheSize = Annotated[
    str,
    typer.Option(
        "--cache-size",
        envvar="EAS_CACHE_SIZE",
        metavar="SIZE",
        help="How large the cache of fetched artifacts may be: 200G, or 30% of its disk. [default: 50%]",
        show_default=False,
    ),
]
AnyPath = Annotated[bool, typer.Option("--any-path", envvar="EAS_ANY_PATH", hidden=True)]
AccessLog = Annotated[
    str,
    typer.Option(
        "--access-log",
        envvar="EAS_ACCESS_LOG",
        metavar="FILE",
        help="A line of JSON for each answer; - = stdout. SIGUSR1 opens the file anew. [default: none]",
        show_default=False,
    ),
]
Announce = Annotated[bool, typer.Option("--announce/--no-announce", hidden=True)]
