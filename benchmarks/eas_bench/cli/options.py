"""Options that more than one command has: whom to ask, what, and with which authority."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from eas_bench.slo import Objective

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


_LONGEST: Final = 366 * 86400.0  # seconds
MOST: Final = 1_000_000
"""Connections, or requests of a burst: more than a machine has ports for."""
CROWD: Final = 10_000
"""Clients that check every answer, in one process."""
INSTANCES: Final = 1_000
MOST_RATE: Final = 1e6
"""Requests/s: many times what a generator can do, and few enough to be counted one by one."""


def seconds(text: str) -> float:
    """``90``, ``500ms``, ``10s``, ``2m`` or ``1h``, in seconds; raises BadParameter."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", str(text).strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration: expected 500ms, 10s, 2m or 1h")
    length = float(found[1]) * _UNITS[found[2]]
    if length > _LONGEST:
        raise typer.BadParameter(f"{text!r} is longer than a year")
    return length


def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """What reads a number from ``least`` to ``most``, and neither ``nan`` nor ``inf``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most):
            above = "" if math.isinf(most) else f", {most:,g} at most".replace("1e+06", "1,000,000")
            raise typer.BadParameter(f"{text!r}: expected a number, {least:g} at least{above}")
        return value

    return read


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """What reads a whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        digits = str(text).strip()
        value = int(digits) if re.fullmatch(r"-?[0-9]{1,18}", digits) else None
        if value is None or value < least or (most is not None and value > most):
            above = "" if most is None else f", {most:,} at most"
            raise typer.BadParameter(f"{text!r}: expected a whole number, {least} at least{above}")
        return value

    return read


def command(text: str) -> str:
    """What starts an engine, as a shell would have it; empty: the installed one. Raises BadParameter."""
    if not text:
        return text
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no command: {str(error).lower()}") from None
    if not words or shutil.which(words[0]) is None:
        missing = repr(words[0]) if words else "nothing"
        raise typer.BadParameter(f"{text!r}: there is no program {missing}; expected such as 'eas-engine'")
    return text


Url = Annotated[
    str | None,
    typer.Argument(metavar="URL", help="http(s)://HOST:PORT/PATH of whatever speaks HTTP."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A service.json: an eas-engine is started with it for the run, and asked.",
    ),
]
Body = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="A body to send. Several are sent in turns.")
]
Text = Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A body, written out.")]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SPEC",
        help="A body of random numbers: SHAPE:TYPE, then :npy (or nothing), :raw or :json; 8x784:float32.",
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="One more field of the head."),
]
Method = Annotated[
    str, typer.Option(metavar="METHOD", help="Of HTTP.", show_default="POST with a body, GET without")
]
Token = Annotated[
    str,
    typer.Option(
        metavar="TOKEN",
        envvar="EAS_TOKEN",
        show_envvar=True,
        help="Of the service. Others on this machine can read it here: better give --token-file.",
    ),
]
TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Where the token is.")]
Sign = Annotated[bool, typer.Option("--sign", help="Sign requests with the token as key, as EAS clients do.")]
Grpc = Annotated[
    str,
    typer.Option(
        metavar="/PKG.SERVICE/METHOD", help="Ask by gRPC: bodies are the serialised messages (extra grpc)."
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        parser=command, metavar="COMMAND", help="What starts the engine.", show_default="the installed one"
    ),
]
Cacert = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="https: certificates (PEM) that are trusted instead of the system's."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="https: take every certificate, whoever's it is, expired or not.")
]


def metrics_url(text: str) -> str:
    """Where metrics are read; raises BadParameter."""
    try:
        scheme, host, _ = urlsplit(text).scheme, urlsplit(text).hostname, urlsplit(text).port
    except ValueError:
        scheme, host = "", None
    if text and (scheme not in {"http", "https"} or not host):
        raise typer.BadParameter(f"{text!r}: expected http://HOST:PORT of an admin plane, or with a path")
    return text


def header(text: str) -> tuple[str, str]:
    """``Name: value``; raises BadParameter."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"{text!r} is no header: expected 'Name: value'", param_hint="--header")
    return name.strip(), value.strip()


def token_of(token: str, file: Path | None) -> str:
    """The token that is meant; empty: none. Raises BadParameter."""
    if file is None:
        return token
    if token and token != os.environ.get("EAS_TOKEN"):
        raise typer.BadParameter("give the token or its file, not both", param_hint="--token-file")
    try:
        found = file.read_bytes().strip()
    except IsADirectoryError:
        raise typer.BadParameter(
            f"{file} is a folder; name the file in it that holds the token", param_hint="--token-file"
        ) from None
    except OSError as error:
        raise typer.BadParameter(
            f"{file} can't be read ({error.strerror}); expected a file that holds the token",
            param_hint="--token-file",
        ) from None
    if not found:
        raise typer.BadParameter(f"{file} is empty; expected a token in it", param_hint="--token-file")
    if any(not 32 <= letter < 127 for letter in found):
        raise typer.BadParameter(
            f"{file} holds no token, which is one line of printable ASCII: is it the right file?",
            param_hint="--token-file",
        )
    return found.decode()


def objective(text: str) -> Objective:
    """``p99=50ms,errors=0.1%``; raises BadParameter."""
    from eas_bench import slo

    try:
        return slo.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--slo") from None


def fields_of(
    *,
    body: list[Path] | None,
    text: list[str] | None,
    rows: list[str] | None,
    headers: list[str] | None,
    method: str,
    sign: bool,
    grpc: str,
    cacert: Path | None,
    insecure: bool,
    seed: int,
) -> dict[str, Any]:
    """The fields of a Wanted but its URL and token. Raises BadParameter, and NotWanted."""
    from eas_bench import bodies

    found = bodies.gathered(body or [], text or [], rows or [], seed)
    return {
        "method": method.upper() or ("POST" if found else "GET"),
        "headers": tuple(header(each) for each in headers or []),
        "bodies": found or (b"",),
        "signed": sign,
        "grpc": grpc,
        "cacert": "" if cacert is None else str(cacert),
        "insecure": insecure,
    }
