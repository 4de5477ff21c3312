"""Finding running engines and asking their admin port."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import socket
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from eas_engine.errors import ConfigurationError, StartError
from eas_engine.state import EngineRecord, Found, default_root, find_engines

API = "/api/v1"
TIMEOUT = 10.0  # seconds for an answer of an admin port
CHANGE_TIMEOUT = 90.0  # seconds for a change to be accepted: the configuration is read and checked first
_PIECE = 1 << 16
LONGEST_QUERY = 48 << 10  # bytes: the engine takes heads of at most 64 KiB

Query = Mapping[str, str | Sequence[str]]


class NoAnswerError(StartError):
    """There is no such engine, or it doesn't answer."""


class RefusedByEngineError(StartError):
    """It says no; nothing was changed."""

    def __init__(self, text: str, exit_status: int) -> None:
        super().__init__(text)
        self.exit_status = exit_status  # type: ignore[misc]


class BusyError(RefusedByEngineError):
    """Its loop did not come round to answer: 503. It may the next time."""


def find(state_dir: Path | None) -> tuple[list[Found], list[str]]:
    """Every engine of a state directory, and what couldn't be read there."""
    return find_engines((state_dir or default_root()).absolute())


def pick(state_dir: Path | None, name: str | None, workspace_id: str | None) -> Found:
    """The one running engine that is meant. Errors: NoAnswerError, ConfigurationError (which of several?)."""
    found, problems = find(state_dir)
    running = [one for one in found if one.running]
    meant = [
        one
        for one in running
        if name in (None, one.record.name) and workspace_id in (None, one.record.workspace_id)
    ]
    if len(meant) == 1:
        return meant[0]
    root = state_dir or default_root()
    names = ", ".join(_label(one.record) for one in (meant or running)) or "none"
    if meant:
        raise ConfigurationError(f"several engines run ({names}); say which with --name and --workspace-id")
    wanted = f"engine {name!r}" if name else "engine"
    more = "".join(f"\n{problem}" for problem in problems)
    raise NoAnswerError(f"no {wanted} runs (state directory {root}; running: {names}){more}")


def is_running(engine: Found) -> bool:
    """Whether that very engine still runs."""
    again = [one for one in find_engines(engine.path.parent)[0] if one.path == engine.path]
    return any(one.running and one.record.pid == engine.record.pid for one in again)


def ask(found: Found, path: str, query: Query | None = None) -> tuple[int, Any]:
    """GET a JSON page of its admin port. Errors: NoAnswerError."""
    return _exchange(found, "GET", _url(path, query))


def tell(found: Found, path: str, query: Query | None = None, body: str = "") -> tuple[int, Any]:
    """POST to its admin port. Errors: NoAnswerError, ConfigurationError (more than fits)."""
    url = _url(path, query)
    if len(url) > LONGEST_QUERY:
        raise ConfigurationError("more in -D than can be sent; write it into the file")
    return _exchange(found, "POST", url, body.encode(), timeout=CHANGE_TIMEOUT)


def get(found: Found, path: str, query: Query | None = None, *, absent: int = 2) -> Any:
    """A page of its API. ``absent``: the exit status when that isn't there; as a rule somebody has named it.

    Errors: NoAnswerError, RefusedByEngineError.
    """
    return _good(ask(found, API + path, query), absent)


def change(found: Found, path: str, query: Query, body: str = "") -> Any:
    """Ask it for a change, in this user's name; what it says. Errors: as ``get``, ConfigurationError."""
    mine = {"by": who(), "workspace_id": found.record.workspace_id}
    return _good(tell(found, API + path, {**query, **mine}, body))


@contextmanager
def follow(found: Found, path: str, query: Query, accept: str) -> Iterator[Iterator[bytes]]:
    """The lines of an answer that goes on. They end when the engine ends, however it ends.

    Errors: NoAnswerError, RefusedByEngineError.
    """
    connection = _connection(found, TIMEOUT)
    try:
        response = _send(found, connection, "GET", _url(API + path, query), accept=accept)
        if response.status != 200:
            _good((response.status, _json(found, response)))
        if connection.sock is not None:
            connection.sock.settimeout(None)
        yield _lines(response)
    finally:
        connection.close()


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    rest = b""
    while piece := _piece(response):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _piece(response: http.client.HTTPResponse) -> bytes:
    """What has come; nothing at the end."""
    try:
        return response.read1(_PIECE)
    except (OSError, http.client.HTTPException, ValueError):  # the engine was killed
        return b""


def who() -> str:
    """``user@host``, for the history."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # in a container, a user without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _good(answer: tuple[int, Any], absent: int = 2) -> Any:
    """What it says, unless it says no. Errors: RefusedByEngineError, BusyError."""
    code, value = answer
    if code in (200, 202):
        return value
    text = str(value.get("error", code))
    # Every complaint, as ``check`` and ``serve`` print them, unless the text has them already.
    for one in value.get("problems", ()):
        if str(one.get("message")) not in text:
            text += f"\n  {_problem(one)}"
    if code == HTTPStatus.SERVICE_UNAVAILABLE:
        raise BusyError(text, 1)
    if code == HTTPStatus.NOT_FOUND:
        raise RefusedByEngineError(text, absent)
    raise RefusedByEngineError(text, 2 if code in (400, 403, 413, 422) else 1)


def _problem(one: Mapping[str, Any]) -> str:
    where = f"line {one['line']}: " if one.get("line") is not None else ""
    path = f"{one['path']}: " if one.get("path") else ""
    return f"{where}{path}{one.get('message')}"


def _url(path: str, query: Query | None) -> str:
    if not query:
        return path
    return f"{path}?{urllib.parse.urlencode(query, doseq=True, errors='surrogateescape')}"


def _exchange(
    found: Found, method: str, url: str, body: bytes = b"", *, timeout: float = TIMEOUT
) -> tuple[int, Any]:
    connection = _connection(found, timeout)
    try:
        response = _send(found, connection, method, url, body)
        return response.status, _json(found, response)
    finally:
        connection.close()


def _connection(found: Found, timeout: float) -> http.client.HTTPConnection:
    address = urllib.parse.urlsplit(found.record.admin_url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)


def _send(
    found: Found,
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    body: bytes = b"",
    *,
    accept: str = "*/*",
) -> http.client.HTTPResponse:
    headers = {"Authorization": f"Bearer {found.admin_token()}", "Accept": accept}
    try:
        connection.request(method, url, body or None, headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise _no_answer(found, error) from None


def _json(found: Found, response: http.client.HTTPResponse) -> Any:
    try:
        return json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(found, error) from None


def _no_answer(found: Found, error: Exception) -> NoAnswerError:
    return NoAnswerError(
        f"engine {_label(found.record)} (pid {found.record.pid}) doesn't answer on "
        f"{found.record.admin_url}: {type(error).__name__}: {error}"
    )


def _label(record: EngineRecord) -> str:
    return f"{record.workspace_id}/{record.name}" if record.workspace_id else record.name
