"""What is kept of a measurement: benchmarks/results/DATE.json, whose README says what each field means."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eas_bench import writing
from eas_bench.scenarios.bars import Bar, Sense, Verdict
from eas_bench.scenarios.measuring import Outcome

FORMAT: Final = "eas-bench.results/1"


class NoResults(Exception):
    """A file isn't what `eas-bench scenario` keeps, or there is none; the message says which and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Figure(_Part):
    """One figure, judged."""

    scenario: str
    key: str
    words: str
    sense: Sense
    limit: float | None
    unit: str
    value: float
    low: float
    high: float
    samples: Annotated[list[float], Field(min_length=1)]
    met: bool
    reliable: bool
    faults: list[str]
    doubts: list[str]

    @classmethod
    def of(cls, scenario: str, verdict: Verdict) -> Figure:
        """As it is kept."""
        bar = verdict.bar
        return cls(
            scenario=scenario,
            key=bar.key,
            words=bar.words,
            sense=bar.sense,
            limit=bar.limit,
            unit=bar.unit,
            value=verdict.value,
            low=min(verdict.samples),
            high=max(verdict.samples),
            samples=list(verdict.samples),
            met=verdict.met,
            reliable=verdict.reliable,
            faults=list(verdict.faults),
            doubts=list(verdict.doubts),
        )

    @property
    def bar(self) -> Bar:
        """What was asked."""
        return Bar(self.key, self.words, self.sense, self.limit, self.unit)


class Ran(_Part):
    """One scenario that was run."""

    title: str
    seconds: float
    cores_taken_by_others: float
    faults: list[str]
    raw: dict[str, Any]

    @classmethod
    def of(cls, title: str, outcome: Outcome) -> Ran:
        """As it is kept."""
        return cls(
            title=title,
            seconds=round(outcome.seconds, 1),
            cores_taken_by_others=round(outcome.taken, 3),
            faults=outcome.result.faults,
            raw=outcome.result.raw,
        )


class Settings(_Part):
    """How it was measured."""

    rounds: int
    seconds: float
    pinned: str
    engine: str  # the command, without the directory of its program


class Averages(_Part):
    """Processes that wanted to run, over 1, 5 and 15 minutes."""

    before: list[float]
    after: list[float]


class Results(_Part):
    """All of it."""

    format: Literal["eas-bench.results/1"] = FORMAT
    taken: dt.datetime
    machine: dict[str, str | int]
    versions: dict[str, str]
    settings: Settings
    load_average: Averages
    figures: list[Figure]
    scenarios: dict[str, Ran]
    unmeasured: dict[str, str] = {}  # scenario -> why not

    @property
    def good(self) -> bool:
        """Every bar was met, and nothing went wrong."""
        met = all(figure.met for figure in self.figures)
        return met and not any(ran.faults for ran in self.scenarios.values())


def write(results: Results, path: Path) -> None:
    """As one JSON document. Errors: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writing.write(path, results.model_dump_json(indent=1) + "\n")


def read(path: Path) -> Results:
    """What :func:`write` wrote. Errors: NoResults."""
    try:
        return Results.model_validate_json(path.read_bytes())
    except OSError as error:
        raise NoResults(f"{path}: can't be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid" or first["loc"] == ("format",):
            raise NoResults(
                f"{path}: isn't what `eas-bench scenario` keeps; expected a file such as those of "
                "benchmarks/results"
            ) from None
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise NoResults(f"{path}: isn't what `eas-bench scenario` keeps: {where}: {first['msg']}") from None


def place(folder: Path, day: dt.date) -> Path:
    """Where to keep what was measured on that day: a file that isn't there yet."""
    path, number = folder / f"{day}.json", 1
    while path.exists():
        number += 1
        path = folder / f"{day}-{number}.json"
    return path


def newest(folder: Path, other_than: Path | None = None) -> Path:
    """The kept result that was taken last. Errors: NoResults: there is none."""
    kept = [
        path for path in folder.glob("*.json") if other_than is None or path.resolve() != other_than.resolve()
    ]
    if not kept:
        raise NoResults(f"{folder} holds no result to compare with: `eas-bench scenario` keeps one there")
    return max(kept, key=lambda path: read(path).taken)
