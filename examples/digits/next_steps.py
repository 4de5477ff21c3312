"""Print what to try next, once the example is ready: ``python next_steps.py PID [eas-engine options]``.

Started by serve.py beside the engine. PID is the engine's, so that another engine's record is never read for
its own; when that process ends first, nothing is printed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import select
import shlex
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from client import NAME, default_state_dir

HERE = Path(__file__).resolve().parent
PAUSE = 0.1  # seconds between two looks


def is_ready(engine: dict[str, Any]) -> bool:
    """Does the admin port say that an instance is ready?"""
    address = urllib.parse.urlsplit(engine["admin_url"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def read_record(path: Path, pid: int) -> dict[str, Any] | None:
    """The engine's record, if it is that engine's; None while there is none."""
    try:
        engine: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return engine if engine.get("pid") == pid else None


def next_steps(engine: dict[str, Any], state_dir: Path, *, terminal: bool) -> str:
    """What a new user can do now; every command works as printed, from any directory.

    The token itself is for a person's eyes only: elsewhere, in a log say, the file that holds it is named.
    """
    token, header = "none: the service is open to whoever reaches the port", ""
    if engine["token_file"]:
        file = Path(engine["token_file"])
        token = file.read_text().strip() if terminal else f"in {file}"
        header = f'-H "Authorization: $(cat {shlex.quote(str(file))})" '
    one = shlex.quote(f"@{HERE / 'model' / 'one.bin'}")
    client = [sys.executable, str(HERE / "client.py")]
    if state_dir != default_state_dir():
        client += ["--state-dir", str(state_dir)]
    return f"""
The digits example is ready.

  URL     {engine["url"]}
  token   {token}

Send one digit:
  curl {header}--data-binary {one} {engine["url"]}

Send the digits that were held out of training, and see what came back:
  {shlex.join(client)}

Ctrl-C stops it.
"""


def announce(state_dir: Path, pid: int) -> None:
    """Wait until that engine is ready, print the next steps; give up silently when it ends."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    record = state_dir / NAME / "engine.json"
    while not select.select([ended], [], [], PAUSE)[0]:
        engine = read_record(record, pid)
        if engine and is_ready(engine):
            print(next_steps(engine, state_dir, terminal=sys.stdout.isatty()), flush=True)
            return


def main(arguments: list[str]) -> None:
    """Of the engine's options only the state directory matters here."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("pid", type=int)
    parser.add_argument("--state-dir", type=Path, default=default_state_dir())
    options, _ = parser.parse_known_args(arguments)
    announce(options.state_dir.absolute(), options.pid)


if __name__ == "__main__":
    main(sys.argv[1:])
