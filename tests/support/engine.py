"""A real engine: started as a user starts it, asked over its ports, ended by its own pid.

``Engine.start`` returns when an instance is ready (or as soon as it listens). The processor is
``eas_processors.faults`` unless the service says otherwise; what reached it is in ``journal``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil

from eas_processors import faults
from support.client import PATIENCE, Answer, Client

T = TypeVar("T")
LOOK = 0.01
TOKEN = "c2VjcmV0"
COMMAND = [
    sys.executable,
    "-m",
    "eas_engine",
    "serve",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--admin-port",
    "0",
]
_METRIC = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def eventually(look: Callable[[], T | Literal[False] | None], what: str, seconds: float = PATIENCE) -> T:
    """What ``look`` returns once it is true; asked again and again, for a condition has no event here."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"after {seconds:g} s still not: {what} (last: {found!r})"
        time.sleep(LOOK)


def service(
    name: str, rpc: Mapping[str, object] | None = None, *, journal: Path | None = None, **given: Any
) -> dict[str, Any]:
    """A service.json for the faulty processor; ``given`` are more fields, ``environment`` is a dict."""
    metadata = {"rpc": dict(rpc or {}), **given.pop("metadata", {})}
    variables = dict(given.pop("environment", {}))
    if journal is not None:
        variables["FAULTS_JOURNAL"] = str(journal)
    return {
        "name": name,
        "token": TOKEN,
        "processor_type": "python",
        "processor_entry": str(faults.ENTRY),
        "processor_envs": [{"name": key, "value": str(value)} for key, value in variables.items()],
        "metadata": metadata,
        **given,
    }


class Engine:
    """One engine process."""

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any],
        *flags: str,
        state: Path | None = None,
        descriptors: int = 0,
    ) -> None:
        """``descriptors``: how many files it may open, as in a shell with ulimit -n; 0: as many as we may."""
        self.directory = directory
        self.name = str(config["name"])
        self.token = str(config.get("token", ""))
        self.state_dir = state or directory / "state"
        self._log = directory / "engine.log"
        self._journal = directory / "journal"
        path = directory / "service.json"
        path.write_text(json.dumps(config, indent=2))
        limited = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors else []
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*limited, *COMMAND, "--config", str(path), "--state-dir", str(self.state_dir), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
            )

    @classmethod
    def start(
        cls,
        directory: Path,
        rpc: Mapping[str, object] | None = None,
        *,
        flags: tuple[str, ...] = (),
        ready: bool = True,
        descriptors: int = 0,
        **given: Any,
    ) -> Engine:
        """Start one with the processor that misbehaves, and wait until it is ready, or until it listens."""
        directory.mkdir(parents=True, exist_ok=True)
        name = given.pop("name", "faulty")
        config = service(name, rpc, journal=directory / "journal", **given)
        engine = cls(directory, config, *flags, descriptors=descriptors)
        try:
            engine.wait_listening()
            if ready:
                engine.wait_ready()
        except BaseException:
            engine.kill()
            raise
        return engine

    def __repr__(self) -> str:
        return f"<Engine {self.name} pid {self.process.pid} in {self.directory}>"

    # -- its life

    def wait_listening(self) -> None:
        """Until it takes connections."""
        self.record: dict[str, Any] = eventually(lambda: self._alive() and self._published(), "listening")
        self.port = int(self.record["port"])

    def wait_ready(self) -> None:
        """Until an instance is ready."""
        self.wait_listening()
        eventually(lambda: self._alive() and self.get("/readyz")[0] == 200, "ready")

    def signal(self, number: signal.Signals) -> None:
        """To the engine alone."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        """As a user ends it."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once; its hosts die with it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)

    def _published(self) -> dict[str, Any] | None:
        """What it tells other programs; not what one before it has left."""
        path = self.state_dir / self.name / "engine.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:  # not yet, or what one before it left was just deleted
            return None
        return record if record.get("pid") == self.process.pid else None

    def _alive(self) -> bool:
        status = self.process.poll()
        assert status is None, f"the engine has ended with {status}:\n{self.log}"
        return True

    # -- asking it

    def connect(self, *, receive_buffer: int = 0) -> Client:
        """A connection to 8080."""
        return Client(self.port, token=self.token, name=self.name, receive_buffer=receive_buffer)

    def ask(self, query: str = "", body: bytes = b"", *, headers: Mapping[str, str] | None = None) -> Answer:
        """One request on a connection of its own."""
        with self.connect() as client:
            return client.ask(query, body, headers=headers)

    def get(self, page: str) -> tuple[int, bytes]:
        """Status and body of a page of 9090."""
        opener = urllib.request.build_opener(_NoErrors())
        with opener.open(self.record["admin_url"] + page, timeout=PATIENCE) as reply:
            return reply.status, reply.read()

    def status(self) -> dict[str, Any]:
        """``/api/v1/service``."""
        code, body = self.get("/api/v1/service")
        assert code == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def instance(self, number: int = 0) -> dict[str, Any]:
        """One instance's part of the status."""
        found: dict[str, Any] = self.status()["instances"][number]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels.

        The page is made by another thread than the answers, and may be made between an answer and its
        counting. The status is made by the thread that does both: after it, what was answered is counted.
        """
        self.status()
        total = 0.0
        for line in self.get("/metrics")[1].decode().splitlines():
            found = _METRIC.match(line)
            if found and found[1] == name:
                has = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                if labels.items() <= has.items():
                    total += float(found[3])
        return total

    def wait_metric(self, name: str, value: float, **labels: str) -> None:
        """Until a metric has a value."""
        eventually(lambda: self.metric(name, **labels) == value, f"{name} {labels or ''} is {value}")

    # -- what it is made of

    @property
    def host(self) -> int:
        """The pid of the first instance's process."""
        return int(self.instance()["pids"][0])

    def processes(self) -> list[psutil.Process]:
        """Everything below the engine."""
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def memory(self) -> int:
        """Resident bytes of the engine process, without what it shares with hosts."""
        info = psutil.Process(self.process.pid).memory_info()
        return int(info.rss - info.shared)

    @property
    def log(self) -> str:
        """What it and its processors have printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def journal(self, event: str = "process") -> list[dict[str, Any]]:
        """What the processor has written down, oldest first."""
        if not self._journal.exists():
            return []
        lines = [json.loads(line) for line in self._journal.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def reached(self) -> list[str]:
        """The request ids that reached the processor."""
        return [line["id"] for line in self.journal()]


def gone(pid: int) -> bool:
    """Whether the process doesn't run any more (one that nobody has reaped yet doesn't)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_process(pid: int) -> None:
    """``kill -9``."""
    os.kill(pid, signal.SIGKILL)


class _NoErrors(urllib.request.HTTPErrorProcessor):
    """503 of ``/readyz`` is an answer like any other."""

    def http_response(self, request: Any, response: Any) -> Any:
        """See ``urllib.request``."""
        return response
