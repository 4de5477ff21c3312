"""``eas-engine test``: a whole engine on free ports with its own state directory, some requests, the end.

The engine is a process of its own, exactly what ``serve`` starts, so what works here works there. The
answer goes to stdout as it came (in a pipe: the very bytes), everything about it to stderr.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from eas_engine.clock import Clock, SystemClock
from eas_engine.errors import ConfigurationError, StartError
from eas_engine.options import settings_file
from eas_engine.state import Found, default_root, find_engines

_Given = TypeVar("_Given", str, Path)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*")  # RFC 9110, 5.1 and 5.5
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_LOOK = 0.02  # seconds between two looks whether the engine is ready
_SHOWN_LINES = 30  # of the engine's log, when it can't start or an answer isn't 200
_SHOWN_BYTES = 64  # of an answer that isn't text, on a terminal


class EngineEndedError(StartError):
    """The engine ended before it was ready; it said why in its log."""

    def __init__(self, exit_status: int, log: str) -> None:
        super().__init__(f"the service did not start (exit status {exit_status}):\n{log}")
        self.exit_status = exit_status if exit_status > 0 else 1  # type: ignore[misc]


@dataclass(slots=True)
class Results:
    """What came back. Times in seconds."""

    body: bytes = b""  # of the first answer
    timing: str = ""  # Server-Timing of the first answer
    times: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """All answers were 200: the only status that the cloud's clients take for success."""
        return set(self.statuses) == {200}


def run(
    config: Path,
    *,
    text: str | None,
    data: Path | None,
    header: Sequence[str],
    count: int,
    define: Sequence[str],
    settings: Path | None = None,
    debug: bool,
) -> bool:
    """Print the answer and the timings. Were all answers 200?

    Errors: ConfigurationError, EngineEndedError with the engine's exit status.
    """
    body, headers, clock = _body(text, data), _headers(header), SystemClock()
    began = clock.now()
    settings = settings_file(settings, default_root().absolute())
    if not debug:  # else the engine's own log shows them
        _warn(config, define, settings)
    with tempfile.TemporaryDirectory(prefix="eas-test-") as directory:
        log = Path(directory) / "log"
        command = _command(config, define, Path(directory) / "state", settings)
        with _engine(command, Path(directory) / "state", None if debug else log) as found:
            _tell(f"{found.record.name}: ready after {clock.now() - began:.2f} s")
            results = _send(found, body, headers, count, clock)
        _show(results)
        if not results.good and not debug:  # why, is in what the processor printed
            _tell(_tail(log))
    return results.good


def _warn(config: Path, define: Sequence[str], settings: Path | None) -> None:
    """What ``serve`` would say about the file: unknown keys, parameters not in effect. Errors are serve's."""
    from eas_engine import spec
    from eas_engine.spec.engine.load import here

    with contextlib.suppress(ConfigurationError):
        machine = here(settings, default_root().absolute(), os.environ)
        loaded = spec.load(config, overrides=define, machine=machine)
        for problem in (*loaded.warnings, *spec.startable(loaded)[1]):
            _tell(f"warning: {problem}")


def only(option: str, given: Sequence[_Given] | None) -> _Given | None:
    """What was given, if anything. Errors: ConfigurationError: more than once."""
    if given and len(given) > 1:
        raise ConfigurationError(
            f"{option} was given {len(given)} times: test sends one body (--count N sends it N times)"
        )
    return given[0] if given else None


def _body(text: str | None, data: Path | None) -> bytes:
    if (text is None) == (data is None):
        raise ConfigurationError("test needs either --text S or --data FILE")
    if text is not None:
        return text.encode("utf-8", "surrogateescape")
    if str(data) == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(str(data)).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"--data {data}: {error.strerror}") from None


def _headers(given: Sequence[str]) -> dict[str, str]:
    """The fields of ``--header``, by their names as given.

    Errors: ConfigurationError; it never shows a value, which may be a secret.
    """
    fields: dict[str, str] = {}
    for one in given:
        field = _HEADER.fullmatch(one)
        if field is None:
            name = one.partition(":")[0] if ":" in one else "..."
            raise ConfigurationError(f"--header {name!a}: expected 'Name: value', in ASCII without line ends")
        name, value = field.groups()
        if name.lower() in _FRAMING:
            raise ConfigurationError(f"--header {name}: is the connection's own")
        if name.lower() in {other.lower() for other in fields}:
            raise ConfigurationError(f"--header {name}: given twice")
        fields[name] = value
    return fields


@contextlib.contextmanager
def _engine(command: Sequence[str], state: Path, log: Path | None) -> Iterator[Found]:
    """A running engine, ready; stopped behind it. ``log``: where its stderr goes; None: where ours does."""
    with log.open("wb") if log else contextlib.nullcontext() as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=_environment(),
        )
        try:
            yield _wait_ready(process, state, log)
        finally:
            _end(process)


def _command(config: Path, define: Sequence[str], state: Path, settings: Path | None) -> list[str]:
    flags = ["--config", str(config), "--state-dir", str(state), "--host", "127.0.0.1", "--port", "0"]
    flags += ["--admin-host", "127.0.0.1", "--admin-port", "0", "--log-format", "console"]
    flags += ["--settings", str(settings)] if settings is not None else []
    return [
        sys.executable,
        "-m",
        "eas_engine",
        "serve",
        *flags,
        *(part for one in define for part in ("-D", one)),
    ]


def _environment() -> dict[str, str]:
    """Flags that the environment gives to a service must not reach this one; it has its own."""
    flags = {
        "EAS_CONFIG",
        "EAS_DEFINE",
        "EAS_DEBUG",
        "EAS_STRICT",
        "EAS_LOG_FORMAT",
        "EAS_ANY_PATH",
        "EAS_ACCESS_LOG",
    }
    return {name: value for name, value in os.environ.items() if name not in flags}


def _wait_ready(process: subprocess.Popen[bytes], state: Path, log: Path | None) -> Found:
    ended = os.pidfd_open(process.pid)
    try:
        while not select.select([ended], [], [], _LOOK)[0]:
            found = find_engines(state)[0]
            if found and _is_ready(found[0]):
                return found[0]
    finally:
        os.close(ended)
    raise EngineEndedError(process.wait(), _tail(log) if log else "")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])


def _is_ready(found: Found) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", found.record.admin_port, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """The grace period is the service's own; a second Ctrl-C ends it at once."""
    try:
        process.send_signal(signal.SIGTERM)
        process.wait()
    except KeyboardInterrupt:
        process.kill()
        process.wait()
        raise


def _send(found: Found, body: bytes, given: dict[str, str], count: int, clock: Clock) -> Results:
    token = found.token()
    ours = {"X-EAS-Timing": "1"} | ({"Authorization": token} if token else {})
    named = {name.lower() for name in given}
    headers = {name: value for name, value in ours.items() if name.lower() not in named} | given
    results = Results()
    connection = http.client.HTTPConnection("127.0.0.1", found.record.port)
    try:
        for number in _progress(count):
            began = clock.now()
            connection.request("POST", f"/api/predict/{found.record.name}", body, headers)
            response = connection.getresponse()
            answer = response.read()
            results.times.append(clock.now() - began)
            results.statuses[response.status] = results.statuses.get(response.status, 0) + 1
            if number == 0:
                results.body, results.timing = answer, response.headers.get("Server-Timing", "")
    except (OSError, http.client.HTTPException) as error:
        raise EngineEndedError(1, f"the connection broke: {error}") from None
    finally:
        connection.close()
    return results


def _progress(count: int) -> Iterator[int]:
    """Numbers from 0, with a progress bar when somebody looks and there is something to wait for."""
    if count == 1 or not sys.stderr.isatty():
        yield from range(count)
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(range(count), "sending", console=Console(stderr=True), transient=True)


def _show(results: Results) -> None:
    _print_answer(results.body)
    from eas_engine.cli.output import duration

    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(results.statuses.items()))
    times = sorted(results.times)
    _tell(f"status {statuses}; {len(results.body)} bytes")
    if len(times) == 1:
        _tell(f"time {duration(times[0])}{f' ({results.timing})' if results.timing else ''}")
    else:
        middle, tail = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
        low, high = duration(times[0]), duration(times[-1])
        _tell(f"time min {low}, p50 {duration(middle)}, p99 {duration(tail)}, max {high}")


def _print_answer(body: bytes) -> None:
    sys.stdout.flush()
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        if not body.endswith(b"\n") and _both_the_same():
            _tell("")  # those very bytes still are the answer, but nobody takes them from here
        return
    from eas_engine.telemetry.logs import printable

    try:
        text = body.decode()
    except UnicodeDecodeError:
        dots = " ..." if len(body) > _SHOWN_BYTES else ""
        print(f"{body[:_SHOWN_BYTES].hex(' ')}{dots}")
        return
    print("\n".join(printable(line) for line in text.split("\n")))


def _both_the_same() -> bool:
    """Whether stdout and stderr lead to one file, pipe or terminal."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):
        return False


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
