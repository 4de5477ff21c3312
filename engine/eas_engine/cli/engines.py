"""Finding running engines and asking their admin port."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from pathlib import Path
from typing import Any

from eas_engine.errors import ConfigurationError, StartError
from eas_engine.state import EngineRecord, Found, default_root, find_engines

TIMEOUT = 10.0  # seconds for an answer of an admin port


class NoAnswerError(StartError):
    """There is no such engine, or it doesn't answer."""


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


def ask(found: Found, path: str) -> tuple[int, Any]:
    """GET a JSON page of its admin port. Errors: NoAnswerError."""
    return _exchange(found, "GET", path)


def tell(found: Found, path: str) -> tuple[int, Any]:
    """POST to its admin port, without a body. Errors: NoAnswerError."""
    return _exchange(found, "POST", path)


def _exchange(found: Found, method: str, path: str) -> tuple[int, Any]:
    address = urllib.parse.urlsplit(found.record.admin_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {found.admin_token()}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise NoAnswerError(
            f"engine {_label(found.record)} (pid {found.record.pid}) doesn't answer on "
            f"{found.record.admin_url}: {why}"
        ) from None
    finally:
        connection.close()


def _label(record: EngineRecord) -> str:
    return f"{record.workspace_id}/{record.name}" if record.workspace_id else record.name
