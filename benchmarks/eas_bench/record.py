"""What a run leaves behind: the JSON that ``--json`` writes, and that reports and comparisons read.

Everything that measures makes a :class:`Run`, everything that shows or judges takes one; nothing else is
passed between them. Times are seconds and counted from the start of the measured part unless a name says
otherwise; latencies are whole microseconds. The token and the signature's key never get in here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eas_bench import writing

FORMAT: Final = "eas-bench.run/1"
STOPPED: Final = "stopped after"  # how the note of a run begins that Ctrl-C ended

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class NoRecord(Exception):
    """A file isn't the record of a run; the message says which and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Part):
    """Whom the requests went to, and what they were."""

    url: str
    protocol: Literal["http", "grpc"] = "http"
    method: str = "POST"
    body_bytes: Annotated[list[Count], Field(min_length=1)]  # one for each body that is sent in turns
    authentication: Literal["none", "token", "signature"] = "none"


class Load(_Part):
    """How they were sent.

    ``open``: at times fixed in advance (``rate`` a second), latency counted from the intended time, so that a
    server that stalls is charged for all who would have come meanwhile. ``closed``: each of ``connections``
    sends its next request when it has its answer, latency counted from the sending.
    """

    kind: Literal["open", "closed"]
    rate: Annotated[float, Field(gt=0)] | None = None
    arrivals: Literal["constant", "poisson", "bursts"] | None = None
    burst: Annotated[int, Field(gt=0)] | None = (
        None  # bursts: how many come at once; None: a tenth of a second's
    )
    connections: Annotated[int, Field(gt=0)]  # open: the most there may be at once
    duration: Annotated[float, Field(gt=0)]
    warm_up: Seconds = 0
    timeout: Annotated[float, Field(gt=0)]
    processes: Annotated[int, Field(gt=0)] = 1
    seed: int = 0


class Percentiles(_Part):
    """Of latencies, in microseconds, from an HDR histogram of three significant digits."""

    p50: Count
    p90: Count
    p99: Count
    p999: Count
    max: Count


class Tally(_Part):
    """What became of the requests of a stretch of time."""

    sent: Count
    statuses: dict[str, Count]  # "200" -> how many answers
    failures: dict[str, Count]  # no whole answer: "timeout", "reset", "refused", "malformed", "unsent"...
    bytes_sent: Count
    bytes_received: Count


class Interval(_Part):
    """One stretch of the run, a second as a rule: requests are counted where they ended."""

    start: Seconds
    seconds: Annotated[float, Field(gt=0)]
    tally: Tally
    latency: Percentiles | None  # of all answers; None: there was none


class Reading(_Part):
    """What was read off the server at one moment of the run."""

    at: float
    requests: dict[str, float] = {}  # counters since the server's start, by name ("queue_seconds_sum"...)
    gauges: dict[str, float] = {}  # "queue_depth", "ready"...
    processes: list[Process] = []
    cards: list[Card] = []


class Card(_Part):
    """One card of the server's machine, or a slice of one, at one moment; None: the card doesn't tell."""

    uuid: str
    name: str  # the model's
    memory_bytes: Amount | None = None  # in use
    memory_total_bytes: Amount | None = None
    utilization: Annotated[float, Field(ge=0, le=1)] | None = None  # part of the time
    watts: Amount | None = None
    celsius: float | None = None
    clock_hertz: Amount | None = None  # of its processors
    throttles: list[str] = []  # why its clocks were lower than they could be
    xid_errors: Amount = 0  # since the engine's start


class Process(_Part):
    """One process of the server at one moment."""

    name: str  # "engine", "echo-0"...
    pid: int
    cpu_seconds: Seconds  # user and system since its start
    memory_bytes: Count  # resident
    threads: Count
    descriptors: Count | None = None  # None: may not be read


class Generator(_Part):
    """Whether the load tester itself kept up."""

    limit: Annotated[float, Field(gt=0)] | None  # requests/s that it could do by itself; None: not measured
    late_p99: Count  # microseconds between intended and real sending (open loop)
    cpu_seconds: Seconds
    invalid: list[str] = []  # reasons why the figures say nothing about the server


class Run(_Part):
    """One run, whole."""

    format: Literal["eas-bench.run/1"] = FORMAT
    title: str
    taken: str  # ISO 8601, UTC
    machine: dict[str, str]
    versions: dict[str, str]
    asked: Asked
    load: Load
    seconds: Annotated[float, Field(gt=0)]  # how long the measured part really was
    tally: Tally
    latency: dict[str, str]  # status or "all" -> HDR histogram of microseconds (its own compressed base64)
    intervals: list[Interval]
    generator: Generator
    readings: list[Reading] = []
    notes: list[str] = []  # what a reader should know, in words

    @property
    def answers(self) -> int:
        """How many came back whole, whatever their status."""
        return sum(self.tally.statuses.values())

    @property
    def good(self) -> int:
        """How many of them were 2xx."""
        return sum(count for status, count in self.tally.statuses.items() if status.startswith("2"))

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C ended it before its time."""
        return any(note.startswith(STOPPED) for note in self.notes)

    @property
    def errors(self) -> int:
        """How many requests had another end: another status, or no whole answer."""
        return self.answers - self.good + sum(self.tally.failures.values())


def write(run: Run, path: Path) -> None:
    """Into a file, as one JSON document; raises OSError."""
    writing.write(path, run.model_dump_json(indent=1) + "\n")


def read(path: Path) -> Run:
    """What :func:`write` wrote; raises NoRecord."""
    return understood(content(path), path)


def content(path: Path) -> Any:
    """The JSON in a file; raises NoRecord."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise NoRecord(f"{path}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise NoRecord(f"{path}: is no JSON; expected a file that `eas-bench run --json` wrote") from None


def understood(document: Any, path: Path) -> Run:
    """The record that this JSON is; ``path``: whence it came, for messages. Raises NoRecord."""
    try:
        return Run.model_validate(document)
    except ValidationError as error:
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise NoRecord(
                f"{path}: is no record of a run; expected what `eas-bench run --json` writes, whose format "
                f"is {FORMAT}"
            ) from None
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise NoRecord(f"{path}: is no record of a run: {where}: {first['msg']}") from None
