"""An engine started for a run: a black box, known by what it writes for everybody."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from eas_bench.interrupts import held
from eas_bench.servers import NotServing, get, tail
from eas_bench.target import Wanted

COMMAND: Final = (sys.executable, "-m", "eas_engine")
READY_WITHIN: Final = 300.0  # seconds; models are large
_STOPS_WITHIN: Final = 60.0
_LOOK_EVERY: Final = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """A running engine."""

    url: str
    admin_url: str
    pid: int
    token: str = field(repr=False)  # empty: the service is open

    def wanted(self, **fields: Any) -> Wanted:
        """Requests to it; ``fields`` are the other ones of Wanted."""
        return Wanted(self.url, token=self.token, **fields)


@contextlib.contextmanager
def running(
    config: Path, *, command: Sequence[str] = COMMAND, ready_within: float = READY_WITHIN
) -> Iterator[Served]:
    """``eas-engine --config FILE`` on free ports, ready, until the block ends. Raises NotServing."""
    if os.path.isdir(config):  # noqa: PTH112 - a name that is too long is no error here
        raise NotServing(f"{config} is a folder; name the service.json in it")
    if not os.path.isfile(config):  # noqa: PTH113 - as above
        raise NotServing(f"{config}: there is no such file; expected the service.json of a service")
    with tempfile.TemporaryDirectory(prefix="eas-bench-") as directory:
        state, log = Path(directory, "state"), Path(directory, "log")
        where = ("--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--state-dir", str(state))
        whole = [*command, "serve", "--config", str(config), *where]
        with contextlib.ExitStack() as stack:
            with held(), log.open("wb") as out:
                process = subprocess.Popen(
                    whole, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
                )  # Ctrl-C is for us: the engine answers what is under way, and is stopped then
                stack.callback(_end, process)
            yield _ready(process, state, log, ready_within)


def _ready(process: subprocess.Popen[bytes], state: Path, log: Path, within: float) -> Served:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotServing(f"the engine ended ({process.returncode}) before it was ready:\n{tail(log)}")
        with contextlib.suppress(OSError, ValueError, KeyError, http.client.HTTPException):
            served = _told(state)
            if get(urlsplit(served.admin_url).port or 0, "/readyz")[0] == 200:
                return served
        time.sleep(_LOOK_EVERY)
    raise NotServing(f"the engine isn't ready after {within:.0f} s:\n{tail(log)}")


def _told(state: Path) -> Served:
    """What the engine's own record says. Raises OSError while there is none.

    It lies in the service's directory, and no deeper: what is further down are the processor's files, among
    which may be the records of other engines.
    """
    file = next(state.glob("*/engine.json"), None)
    if file is None:
        raise FileNotFoundError(state)
    record = json.loads(file.read_bytes())
    token_file = record.get("token_file")
    token = Path(token_file).read_text().strip() if token_file else ""
    return Served(record["url"], record["admin_url"], int(record["pid"]), token)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
