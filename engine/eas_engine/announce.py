"""What a person reads when the engine is ready: where it is, and a command that works as printed."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TextIO

from eas_engine.state import EngineRecord, Token
from eas_engine.telemetry.logs import wants_colours

_WRITTEN_BY: Final[Mapping[str, str]] = MappingProxyType({"": "", "gzip": "gzip"})
"""The program that writes what ``rpc.decompressor`` reads, where every machine has one."""
_GREEN, _DIM, _RESET = "\x1b[32m", "\x1b[2m", "\x1b[0m"


def announce(
    record: EngineRecord,
    token: Token | None,
    *,
    data: str = "hello",
    codec: str = "",
    out: TextIO | None = None,
) -> None:
    """Print it to ``out`` (None = stdout). Nobody there to read it is no reason not to serve.

    ``data`` is what the command sends; empty: it sends GET, which presets answer with their signature.
    ``codec`` is ``rpc.decompressor``.
    """
    out = out or sys.stdout
    with contextlib.suppress(OSError, ValueError):  # ValueError: a stream that was closed
        text = announcement(record, token, terminal=out.isatty(), data=data, codec=codec)
        out.write(_coloured(text) if wants_colours(out) else text)
        out.flush()


def announcement(
    record: EngineRecord, token: Token | None, *, terminal: bool, data: str = "hello", codec: str = ""
) -> str:
    """The text. The token itself is in it only when it was made just now and a person is looking."""
    rows = [("URL", f"{record.url}  (listening on {_address(record.host, record.port)})")]
    rows.append(("admin", record.admin_url))
    if token is None:
        rows.append(("token", "none: the service is open to whoever reaches the port"))
    elif token.fresh and terminal:
        rows.append(("token", f"{token.text}  (shown once; `eas-engine status` shows it again)"))
    else:
        rows.append(("token", f"in {token.file}"))
    if not data or codec in _WRITTEN_BY:
        rows.append(("try", curl(record, token, data, codec)))
    lines = [f"{record.name} is ready (eas-engine {record.version}, pid {record.pid})"]
    return "\n".join([*lines, *(f"  {name:<6} {text}" for name, text in rows)]) + "\n"


def curl(record: EngineRecord, token: Token | None, data: str = "hello", codec: str = "") -> str:
    """A command line for a POSIX shell; the token stays in its file."""
    header = f'-H "Authorization: $(cat {_quoted(str(token.file))})" ' if token else ""
    url = shlex.quote(record.url)
    if not data:
        return f"curl {header}{url}"
    if program := _WRITTEN_BY[codec]:
        return f"printf %s {shlex.quote(data)} | {program} | curl {header}--data-binary @- {url}"
    return f"curl {header}--data-binary {shlex.quote(data)} {url}"


def _coloured(text: str) -> str:
    """Its first line green, and the names of the rows dim."""
    first, *rows = text.rstrip("\n").split("\n")
    dimmed = [f"{_DIM}{row[:8]}{_RESET}{row[8:]}" for row in rows]
    return "\n".join([f"{_GREEN}{first}{_RESET}", *dimmed]) + "\n"


def _quoted(path: str) -> str:
    """For a command substitution inside double quotes, where single quotes work as ever."""
    return shlex.quote(path)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
