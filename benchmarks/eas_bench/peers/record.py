"""What a sitting leaves behind: kept after every scenario, so that one that was interrupted goes on. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eas_bench.scenarios.figures import ClosedRun, Pair, WrkRun

FORMAT: Final = "eas-bench.peers/1"


class NoRecord(Exception):
    """A file isn't the record of a sitting; the message says why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figures(_Part):
    """One run of one server."""

    rate: float  # good answers a second
    p50_ms: float  # of good answers where the client tells them apart
    p99_ms: float
    broken: int = 0  # requests without an answer, connections that were reset, refused or cut
    refusals: float = 0.0  # answers with another status than 200, a second
    refusals_p99_ms: float = 0.0
    statuses: dict[int, int] = {}  # where the client tells them apart
    cpu_us: float | None = None  # of all the server's processes, an answer
    health_p99_ms: float | None = None
    others: float = 0.0  # cores that others took meanwhile

    @classmethod
    def of_wrk(cls, run: WrkRun) -> Self:
        """A run of wrk, which has one latency for all answers."""
        refused = run.errors.get("status", 0)
        return cls(
            rate=max(0, run.requests - refused) / run.seconds if run.seconds else 0.0,
            p50_ms=run.p50_ms,
            p99_ms=run.p99_ms,
            broken=run.failed - refused,
            refusals=refused / run.seconds if run.seconds else 0.0,
        )

    @classmethod
    def of_closed(cls, run: ClosedRun) -> Self:
        """A run of the client in C."""
        good = run.statuses.get(200)
        others = [one for status, one in run.statuses.items() if status != 200]
        return cls(
            rate=run.success_rate,
            p50_ms=good.p50_ms if good else 0.0,
            p99_ms=good.p99_ms if good else 0.0,
            broken=run.broken,
            refusals=sum(one.count for one in others) / run.seconds,
            refusals_p99_ms=max((one.p99_ms for one in others), default=0.0),
            statuses={status: one.count for status, one in run.statuses.items()},
        )


class Began(_Part):
    """A server that answered rightly."""

    seconds: float  # from its start to the first right answer
    resident_mb: float  # its processes together, of 10^6 bytes, at the end; what they share counts in each
    processes: int


class Batch(_Part):
    """A scenario with a group of servers that took turns."""

    scenario: str
    taken: str
    rounds: Annotated[int, Field(ge=1)]
    seconds: float
    absent: dict[str, str] = {}  # peer: why it isn't there
    faults: list[str] = []
    began: dict[str, Began] = {}
    turns: dict[int, list[dict[str, Figures]]] = {}  # by connections: a round each, by server

    @property
    def peers(self) -> set[str]:
        """All that were wanted, whether they were there or not."""
        return self.absent.keys() | self.began.keys()


class Record(_Part):
    """Everything."""

    format: Literal["eas-bench.peers/1"] = FORMAT
    begun: str
    open: bool = True  # not everything that was wanted has been measured
    machine: dict[str, str | int]
    versions: dict[str, str]
    pinned: str
    rounds: int
    seconds: float
    batches: list[Batch] = []

    def missing(self, scenario: str, peers: Iterable[str]) -> list[str]:
        """Those of ``peers`` that haven't been measured in this sitting, or weren't there."""
        there: set[str] = set()
        for batch in self.batches:
            if batch.scenario == scenario and batch.taken >= self.begun:
                there |= batch.peers - batch.absent.keys()
        return [peer for peer in peers if peer not in there]

    def latest(self, scenario: str, peer: str) -> Batch | None:
        """Where ``peer`` was measured last, or found absent."""
        found = [batch for batch in self.batches if batch.scenario == scenario and peer in batch.peers]
        return found[-1] if found else None

    def pairs(self, scenario: str, connections: int, reference: str, other: str) -> list[Pair[Figures]]:
        """Both in the rounds that they shared last; none when they never did."""
        for batch in reversed(self.batches):
            if batch.scenario != scenario:
                continue
            rounds = batch.turns.get(connections, [])
            shared = [Pair(one[reference], one[other]) for one in rounds if reference in one and other in one]
            if shared:
                return shared
        return []

    def with_batch(self, batch: Batch) -> Self:
        """One more; what it makes obsolete goes."""
        kept = [
            one for one in self.batches if not (one.scenario == batch.scenario and one.peers <= batch.peers)
        ]
        return self.model_copy(update={"batches": [*kept, batch]})


def read(path: Path) -> Record | None:
    """What ``write`` wrote; None: there is no such file. Errors: NoRecord."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NoRecord(f"{path}: can't be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise NoRecord(f"{path}: isn't what `eas-bench peers` keeps: {where}: {first['msg']}") from None


def write(path: Path, record: Record) -> None:
    """Whole or not at all. Errors: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(record.model_dump_json(indent=1, exclude_defaults=True) + "\n")
    scratch.replace(path)


def samples(rounds: Iterable[Mapping[str, Figures]], server: str) -> Iterator[Figures]:
    """One server's runs."""
    return (one[server] for one in rounds if server in one)
