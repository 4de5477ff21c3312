"""What a running engine leaves for commands to find, around a service that a test made; and the commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from typer.testing import CliRunner, Result

from eas_engine.cli.app import app
from eas_engine.gateway import admin_app
from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.admin_source import AdminSource
from eas_engine.state import EngineRecord, StateDirectory

TOKEN = "YTQ0ZTU2Nzg="
IMPORTED = admin_app
"""Now: else the server's thread and a command in this one would import the same modules at once."""


@contextmanager
def engine(
    root: Path, source: AdminSource, name: str = "digits", workspace: str = "", *, host: str = "0.0.0.0"
) -> Iterator[AdminServer]:
    """What a running engine leaves for others to find: a locked directory, a record, an admin port."""
    with StateDirectory.acquire(root, name, workspace) as state:
        token, admin = state.token(TOKEN), state.admin_token()
        assert token is not None
        server = AdminServer(source, host, 0, admin.text)
        port = server.start()
        record = EngineRecord(
            name=name,
            pid=os.getpid(),
            version="0.1.0",
            started=0.0,
            host="0.0.0.0",
            port=8080,
            admin_host="0.0.0.0",
            admin_port=port,
            url=f"http://127.0.0.1:8080/api/predict/{name}",
            admin_url=f"http://127.0.0.1:{port}",
            config="/srv/service.json",
            token_file=str(token.file),
            admin_token_file=str(admin.file),
            workspace_id=workspace,
        )
        state.publish(record)
        try:
            yield server
        finally:
            server.stop()


def eas(root: Path, *arguments: str) -> Result:
    result: Result = CliRunner().invoke(app, [*arguments, "--state-dir", str(root)])
    return result


def command(root: Path, *arguments: str, **given: Any) -> subprocess.Popen[str]:
    """The same as a process of its own. Ctrl-C ends it, even where who runs the tests ignores SIGINT."""
    return subprocess.Popen(
        [
            "env",
            "--default-signal=INT",
            sys.executable,
            "-m",
            "eas_engine",
            *arguments,
            "--state-dir",
            str(root),
        ],
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given},
    )


def line_of(stream: IO[str] | None) -> str:
    """The next line that a process prints."""
    assert stream is not None
    return stream.readline()
