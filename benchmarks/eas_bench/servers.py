"""Reference and engine as processes, started as a user would start them, and ended by their pid."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eas_bench import places
from eas_bench.interrupts import held
from eas_bench.machine import running_on

READY_WITHIN = 60.0  # seconds
STOPS_WITHIN = 45.0
_LOOK_EVERY = 0.005


class NotServing(Exception):
    """A server didn't start, or answered wrongly; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request needs."""

    port: int
    path: str
    headers: tuple[str, ...]  # "Name: value"

    @property
    def url(self) -> str:
        """As wrk wants it."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def request(self, body: bytes) -> bytes:
        """A whole HTTP/1.1 request."""
        head = (f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *self.headers)
        return "\r\n".join((*head, f"Content-Length: {len(body)}", "", "")).encode() + body

    def ask(self, body: bytes) -> tuple[int, bytes]:
        """One request over a connection of its own: status and body. Errors: OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        fields = dict(header.split(": ", 1) for header in self.headers)
        try:
            connection.request("POST", self.path, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()

    def expect(self, body: bytes, answer: bytes) -> None:
        """Is it what we think it is? Errors: NotServing."""
        status, got = self.ask(body)
        if (status, got) != (200, answer):
            raise NotServing(
                f"{self.url} answered {status} and {len(got)} bytes ({got[:200]!r}), not what was asked"
            )


@dataclass(frozen=True, slots=True)
class Reference(Target):
    """A reference server that runs."""

    pid: int = 0


@contextmanager
def reference(
    module: str, *arguments: str, like: Target, cores: frozenset[int], log: Path
) -> Iterator[Reference]:
    """A reference server, addressed with the very same requests as the engine (``like``)."""
    command = [sys.executable, "-m", f"reference.{module}", *arguments]
    with ExitStack() as stack:
        with held(), log.open("wb") as stderr, running_on(cores):
            process = subprocess.Popen(
                command,
                cwd=places.BENCHMARKS,
                stdout=subprocess.PIPE,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
            )
            assert process.stdout is not None  # noqa: S101 - for the type checker
            stack.callback(process.stdout.close)
            stack.callback(end, process)
        words = process.stdout.readline().split()
        if len(words) != 2 or words[0] != b"listening":
            raise NotServing(f"reference.{module} didn't start: {tail(log)}")
        yield Reference(int(words[1]), like.path, like.headers, process.pid)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, for some have processes of their own to end; SIGKILL when that isn't enough."""
    process.terminate()
    try:
        process.wait(STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class Launch:
    """How an engine is started."""

    command: Sequence[str]  # eas-engine, or what stands for it
    directory: Path  # of ours, for state directories and logs
    cores: frozenset[int]
    config: Path | None = None  # a service.json of ours, instead of the processor's own; its name stays
    state: Path | None = None  # the state directory, which engines share; None: each has its own


class Engine:
    """One engine with one of the processors of benchmarks/processors/."""

    def __init__(self, launch: Launch, processor: str) -> None:
        self.processor = processor
        own = launch.directory / f"state-{processor}-{time.monotonic_ns()}"
        self.state = launch.state or own
        self._log = own.with_suffix(".log")
        config = launch.config or places.PROCESSORS / processor / "service.json"
        command = [
            *(*launch.command, "serve", "--config", str(config)),
            *("--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--state-dir", str(self.state)),
        ]
        self.began = time.monotonic()
        with self._log.open("wb") as log, running_on(launch.cores):
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def wait_ready(self) -> None:
        """Until ``/readyz`` says 200. Errors: NotServing."""
        self._wait("isn't ready", lambda: self.admin("/readyz")[0] == 200)

    def wait_answer(self, body: bytes) -> float:
        """Until the first 200; the seconds since it was started. Errors: NotServing."""
        self._wait("doesn't answer 200", lambda: self.target.ask(body)[0] == 200)
        return time.monotonic() - self.began

    @property
    def target(self) -> Target:
        """Where it predicts. Errors: FileNotFoundError while it isn't known."""
        record = self._record()
        token = Path(record["token_file"]).read_text().strip()
        url = urlsplit(record["url"])
        return Target(int(url.port or 0), url.path, (f"Authorization: {token}",))

    @property
    def pid(self) -> int:
        """Of the engine process itself."""
        return int(self._record()["pid"])

    @property
    def admin_port(self) -> int:
        """Where it tells of itself."""
        return int(urlsplit(self._record()["admin_url"]).port or 0)

    @property
    def printed(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def admin(self, path: str) -> tuple[int, bytes]:
        """GET from the admin plane: status and body. Errors: OSError."""
        return get(self.admin_port, path)

    def stop(self) -> str | None:
        """SIGTERM, and the end; what was wrong with it, if anything was."""
        self._process.terminate()
        try:
            status = self._process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"the engine ({self.processor}) didn't stop within {STOPS_WITHIN:.0f} s of SIGTERM"
        return f"the engine ({self.processor}) exited with {status}: {tail(self._log)}" if status else None

    def _record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.state / self.processor / "engine.json").read_text())
        return record

    def _wait(self, what: str, condition: Any) -> None:
        until = self.began + READY_WITHIN
        while time.monotonic() < until:
            try:
                if condition():
                    return
            except OSError:
                pass  # nothing listens yet, or its record isn't there yet
            if self._process.poll() is not None:
                raise NotServing(f"the engine exited with {self._process.returncode}: {tail(self._log)}")
            time.sleep(_LOOK_EVERY)
        raise NotServing(f"the engine {what} after {READY_WITHIN:.0f} s: {tail(self._log)}")


@contextmanager
def engine(launch: Launch, processor: str, faults: list[str]) -> Iterator[Engine]:
    """A ready engine. What is wrong with its end goes to ``faults``. Errors: NotServing."""
    with ExitStack() as stack:
        with held():
            started = Engine(launch, processor)
            stack.callback(lambda: faults.extend(filter(None, [started.stop()])))
        started.wait_ready()
        yield started


def get(port: int, path: str) -> tuple[int, bytes]:
    """GET over a connection of its own. Errors: OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()


def tail(log: Path) -> str:
    """The end of a log, for a message."""
    return log.read_text(errors="replace").strip()[-2000:] or "(it printed nothing)"
