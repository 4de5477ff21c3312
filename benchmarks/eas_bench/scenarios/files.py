"""Scenario files: benchmarks/scenarios/NAME.toml.

Each says what is run (``kind`` and what belongs to it), with which client and why, and what is asked of the
figures that come of it. Unknown fields are refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from eas_bench import places
from eas_bench.scenarios.bars import Bar, Sense

Positive = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]
LARGEST: Final = 1 << 20  # bytes of a body that the reference servers hold


class NoScenario(Exception):
    """A file isn't there or isn't a scenario; the message says which, and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Part):
    """One figure of a scenario, and what is asked of it; without ``limit`` it is only told."""

    key: Text
    figure: Text
    words: Text
    sense: Sense
    limit: float | None = None
    unit: str = ""
    rounds: bool = True

    @property
    def bar(self) -> Bar:
        """To be held against."""
        return Bar(self.key, self.words, self.sense, self.limit, self.unit, self.rounds)


class _Scenario(_Part):
    title: Text
    what: Text
    client: Literal["wrk", "closed_loop", "eas_bench.client", "clients that check", "none"]
    why: Text  # this client and no other
    processor: Text
    most_rounds: Positive = 99  # however many are asked for
    bars: Annotated[list[Asked], Field(min_length=1)]

    @model_validator(mode="after")
    def _bars_are_of_its_figures(self) -> _Scenario:
        known = self.figures
        for asked in self.bars:
            if asked.figure not in known:
                raise ValueError(f"{asked.key}: no figure {asked.figure!r}; there are {', '.join(known)}")
        return self

    @property
    def figures(self) -> tuple[str, ...]:
        """What it gives, by name."""
        raise NotImplementedError

    @property
    def seconds(self) -> float:
        """About how long it takes beside its rounds: starts, ends, warming up."""
        return 6.0

    def round_seconds(self, seconds: float) -> float:
        """About how long a round takes, with runs of ``seconds``; 0: it has none."""
        del seconds
        return 0.0


class OpenLoop(_Part):
    """Latency at a rate that both sides can hold, as ``eas_bench.client`` measures it."""

    share: Annotated[float, Field(gt=0, lt=1)]  # of the engine's own rate in the closed loop
    connections: Positive  # the most there may be


class Turns(_Scenario):
    """An engine, and as a rule somebody beside it, asked the same in turns over so many connections.

    ``reference``: a module of benchmarks/reference; ``beside``: another processor behind an engine.
    """

    kind: Literal["turns"]
    reference: str = ""
    beside: str = ""
    body_bytes: Annotated[int, Field(gt=0, le=LARGEST)]
    answer_bytes: Positive  # the body's first ones
    connections: Annotated[list[Positive], Field(min_length=1)]
    probes: str = ""  # a path of the admin plane that is asked 50 times a second meanwhile
    open_loop: OpenLoop | None = None

    @model_validator(mode="after")
    def _one_beside_it(self) -> Turns:
        if self.reference and self.beside:
            raise ValueError("reference and beside exclude each other")
        if self.open_loop and not self.reference:
            raise ValueError("open_loop needs a reference")
        if self.open_loop and self.open_loop.connections not in self.connections:
            raise ValueError("open_loop takes its rate from one of the numbers of connections")
        return self

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``turns``."""
        kinds = ("rate", "p50", "cpu") if self.reference or self.beside else ("alone",)
        told = [f"{kind}-{connections}" for connections in self.connections for kind in kinds]
        told += ["probe-p99"] if self.probes else []
        return (*told, *(("open-p50", "open-p99") if self.open_loop else ()))

    def round_seconds(self, seconds: float) -> float:
        """Both sides for each number of connections."""
        sides = 2 if self.reference or self.beside else 1
        runs = len(self.connections) + (1 if self.open_loop else 0)
        return runs * sides * (seconds + 0.2)


class Batching(_Scenario):
    """A small network behind the engine, behind mosec, and behind nothing at all."""

    kind: Literal["batching"]
    connections: Positive

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``batching``."""
        return ("over-mosec", "over-alone", "net-of-wire")

    def round_seconds(self, seconds: float) -> float:
        """Mosec, engine, alone, wire."""
        return 4 * (seconds + 0.5)


class Overload(_Scenario):
    """More clients than there is room for, back at once after each refusal, against as many as fit."""

    kind: Literal["overload"]
    calm: Positive  # connections
    flood: Positive

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``overload``."""
        return ("successes", "success-p99", "refusal-p99", "broken")

    def round_seconds(self, seconds: float) -> float:
        """Both, with a second to warm up."""
        return 2 * (seconds + 1.2)


class Shapes(_Scenario):
    """Bodies of all sizes and shapes at once, every answer checked."""

    kind: Literal["shapes"]
    connections: Positive
    shapes: Annotated[list[tuple[Positive, Positive]], Field(min_length=2)]  # rows and columns, 4 bytes each

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``shapes``."""
        return ("wrong", "failed", "rate", "p99")

    def round_seconds(self, seconds: float) -> float:
        """One run."""
        return seconds + 1.0


class Crashes(_Scenario):
    """An instance dies every ``every`` seconds, under load."""

    kind: Literal["crashes"]
    every: Annotated[float, Field(ge=1)]
    kills: Annotated[int, Field(ge=6)]  # fewer seconds show nothing of how the engine grows
    instances: Positive
    connections: Positive

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``crashes``."""
        return ("wrong", "lost-a-kill", "kills", "lost-with-retry")

    @property
    def seconds(self) -> float:
        """Twice: without trying again, and with."""
        return 2 * (self.kills * self.every + 0.4 * self.instances + 4)


class Updates(_Scenario):
    """New versions take the old ones' place, under load."""

    kind: Literal["updates"]
    updates: Positive
    connections: Positive

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``updates``."""
        return ("failed", "wrong", "slowest")

    @property
    def seconds(self) -> float:
        """Some for each."""
        return 6.0 + 4.0 * self.updates


class Cold(_Scenario):
    """From nothing to the first answer; and what an engine holds that has nothing to do."""

    kind: Literal["cold"]
    starts: Positive

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``cold``."""
        return ("start", "idle")

    @property
    def seconds(self) -> float:
        """Starts and ends, and some rest."""
        return 2.0 * self.starts + 6.0


class Curves(_Scenario):
    """Processor time a request, over what the engine has to bear."""

    kind: Literal["curves"]
    body_bytes: Annotated[list[Annotated[int, Field(gt=0, le=LARGEST)]], Field(min_length=3)]
    instances: Annotated[list[Positive], Field(min_length=3)]
    idle_connections: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=3)]
    queued: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=3)]

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``curves``."""
        return ("body", "instances", "idle", "queue")

    @property
    def seconds(self) -> float:
        """Many engines."""
        return 20.0

    def round_seconds(self, seconds: float) -> float:
        """One run a point; connections take a while."""
        points = (self.body_bytes, self.instances, self.idle_connections, self.queued)
        return sum(len(each) for each in points) * (seconds / 2 + 0.3) + 8.0


class Loops(_Scenario):
    """The bare loop several times in threads of one process."""

    kind: Literal["loops"]
    processor: str = ""
    loops: Annotated[list[Positive], Field(min_length=2)]

    @property
    def figures(self) -> tuple[str, ...]:
        """See ``loops``."""
        return ("two-over-one",)

    def round_seconds(self, seconds: float) -> float:
        """On one core, and on all."""
        return 2 * len(self.loops) * (seconds / 2 + 0.2)


Scenario = Annotated[
    Turns | Batching | Overload | Shapes | Crashes | Updates | Cold | Curves | Loops,
    Field(discriminator="kind"),
]
_SCENARIO: Final[TypeAdapter[Scenario]] = TypeAdapter(Scenario)


def names() -> tuple[str, ...]:
    """Of all, W1 first."""
    found = (path.stem for path in places.SCENARIOS.glob("*.toml"))
    return tuple(sorted(found, key=lambda name: (not name.startswith("W"), name)))


def read(path: Path) -> Scenario:
    """One file. Errors: NoScenario."""
    try:
        content: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return _SCENARIO.validate_python(content)
    except OSError as error:
        raise NoScenario(f"{path}: can't be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the file"
        raise NoScenario(f"{path}: {where}: {first['msg']}") from None
    except ValueError as error:  # no TOML, no UTF-8
        raise NoScenario(f"{path}: is no TOML: {error}") from None


def every() -> dict[str, Scenario]:
    """All of benchmarks/scenarios, by name. Errors: NoScenario: one isn't right, or two share a key."""
    told = {name: read(places.SCENARIOS / f"{name}.toml") for name in names()}
    owners: dict[str, str] = {}
    for name, scenario in told.items():
        for asked in scenario.bars:
            if asked.key in owners:
                raise NoScenario(
                    f"{name} and {owners[asked.key]} both have a figure with the key {asked.key}"
                )
            owners[asked.key] = name
    return told
