"""What operators ask for, and what became of it: words of the admin API, the command line and the engine.

A *version* is a configuration that was accepted; an *operation* is what one request for a change sets going,
from its acceptance to its end; an *event* is one line of the service's history. All of them are plain values
without secrets: texts of configurations are masked by whoever shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final, Literal

from eas_engine.errors import StartError
from eas_engine.records import dataclass

OperationKind = Literal[
    "update", "scale", "restart", "rollback", "promote", "stop", "start", "drain", "replace"
]
"""What an operation was asked for as."""

EventKind = Literal[
    "version",
    "scaled",
    "autoscaled",
    "card_fault",
    "replaced",
    "canary_ready",
    "shadow_ready",
    "promoted",
    "rollout",
    "trial",
    "probe",
    "relieved",
    "instance_crashed",
    "instance_stopped",
    "draining",
    "stopping",
    "stopped",
    "started",
    "update_failed",
    "scale_failed",
    "restart_failed",
    "rollback_failed",
    "promote_failed",
    "stop_failed",
    "start_failed",
    "drain_failed",
    "replace_failed",
]
"""What an event is about: programs go by it, so a kind never changes. docs/operating.md lists them."""

FAILURES: Final[Mapping[str, EventKind]] = {
    "update": "update_failed",
    "scale": "scale_failed",
    "restart": "restart_failed",
    "rollback": "rollback_failed",
    "promote": "promote_failed",
    "stop": "stop_failed",
    "start": "start_failed",
    "drain": "drain_failed",
    "replace": "replace_failed",
}
"""The event of an operation of each kind that has failed."""


class Effect(StrEnum):
    """What a change costs, the smallest first."""

    NOTHING = "nothing"
    """It is so already."""
    AT_ONCE = "at_once"
    """No instance is touched."""
    INSTANCES = "instances"
    """Instances start or leave; none is replaced."""
    ROLLOUT = "rollout"
    """Every instance is replaced, a few at a time."""
    ENGINE = "engine"
    """Takes a new start of the engine; an update can't do it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter of an update. Values are as ``check`` shows them: secrets are hidden."""

    path: str
    before: object
    after: object
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an update would do. ``notes``: what else is new (the model at the same address, say)."""

    effect: Effect
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class OperationState(StrEnum):
    """Where an operation is."""

    PREPARING = "preparing"
    """Artifacts are fetched and checked; nothing has changed."""
    ROLLING = "rolling"
    """Instances start, leave or are replaced."""
    TRYING = "trying"
    """A canary or a shadow runs beside the service, until it is promoted or rolled back."""
    DONE = "done"
    FAILED = "failed"
    """It was refused, or what it began was undone; ``reason`` says why."""
    SUPERSEDED = "superseded"
    """A later one took its place."""

    @property
    def is_over(self) -> bool:
        """Whether nothing will come of it any more."""
        return self in (OperationState.DONE, OperationState.FAILED, OperationState.SUPERSEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One change from its acceptance to its end.

    Attributes:
        number: counts up since the engine started.
        kind: an ``OperationKind``; ``drain``: the service takes nothing new, ``replace``: one instance.
        by: who asked, as they said.
        version: the configuration that it leads to; None when that doesn't change.
        effect: what it costs.
        started, ended: seconds since the epoch.
        reason: why it failed; else what there is to say.
        wanted, updated, ready: instances that are to be there, that are ready and of the new release, that
            are ready.
        fetching: what is being fetched: name -> (bytes so far, bytes in all or None).
        problems: with a refused configuration, each complaint: path, line, message.
        warnings: about the configuration that it leads to.
        waits: what it waits for now, for a person.
    """

    number: int
    kind: str
    by: str
    state: OperationState
    effect: Effect = Effect.NOTHING
    version: int | None = None
    started: float = 0.0
    ended: float | None = None
    reason: str = ""
    wanted: int = 0
    updated: int = 0
    ready: int = 0
    fetching: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    problems: tuple[Mapping[str, object], ...] = ()
    warnings: tuple[str, ...] = ()
    waits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One accepted configuration.

    Attributes:
        number: counts up for as long as the state directory lives.
        time: seconds since the epoch.
        source: the file that it came from.
        digest: SHA-256 of file and overrides.
        overrides: those of ``-D``.
        kind: what made it: ``start``, ``update``, ``scale``; a ``restart`` (or a ``rollback`` that ends an
            update) that found other files.
        by: who.
        state: ``current``, ``replaced``, ``trying``, ``preparing`` or ``failed``.
        reason: why it failed.
        instances: ``metadata.instance``.
        replaced_at: when another one took its place, seconds since the epoch; None: it never held, or does.
        files: which model and processor it held with, last; empty: not known.
        pinned: it was gone back to, or comes of such a one: it goes on with these files, whatever lies at its
            addresses now.
        rejected: an operator went back from it, and it hasn't held since.
        given: SHA-256 of the file and the flags that the engine was started with, where a start goes on with
            what it was updated to; else empty.
    """

    number: int
    time: float
    source: str
    digest: str
    overrides: tuple[str, ...] = ()
    kind: str = "start"
    by: str = ""
    state: str = "preparing"
    reason: str = ""
    instances: int = 1
    replaced_at: float | None = None
    files: str = ""
    pinned: bool = False
    rejected: bool = False
    given: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a service's history. ``kind`` is an ``EventKind``, ``text`` is for people."""

    number: int
    time: float
    kind: str
    text: str
    by: str = ""
    before: object = None
    after: object = None


# -- what may be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Another configuration.

    Attributes:
        text: of service.json; None: the text of the current version (``-D`` alone was given).
        source: where the file lies: relative paths in it start there. Empty: that of the current version.
        overrides: ``key=value``, applied to it; with ``text`` None they are added to the current ones.
        strict: warnings are errors.
        canary: the share of requests, 0 < share < 1, that the new version gets until it is promoted.
        shadow: the share of requests whose copies it gets, the answers being compared and thrown away.
        objective: with ``canary``: ``errors=1%,p99=2x``; broken, it is rolled back.
    """

    by: str
    text: str | None = None
    source: str = ""
    overrides: tuple[str, ...] = ()
    strict: bool = False
    canary: float | None = None
    shadow: float | None = None
    objective: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Another number of instances, which becomes a version."""

    by: str
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The same configuration in new processes, as a rolling update."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Finish what is there, then no instance: requests get 503 until ``Start``."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Undo ``Stop`` and ``Drain``."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Take nothing new (503), finish what is there, and keep the instances."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """One instance finishes what it has and leaves; another takes its place."""

    by: str
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """An earlier version; None: ends a canary, a shadow or an unfinished rollout, else the version before.

    It comes with the files that it had; ``new_files``: with those that lie at its addresses now.
    """

    by: str
    version: int | None = None
    new_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """The canary (or shadow) becomes the service."""

    by: str


Asked = Update | Scale | Restart | Stop | Start | Drain | Replace | Rollback | Promote


class RefusedError(StartError):
    """A change that can't be: nothing was changed.

    ``problems`` has each complaint about a configuration (path, line, message); ``conflict``: it could be at
    another time.
    """

    exit_status = 2

    def __init__(
        self, text: str, *, problems: tuple[Mapping[str, object], ...] = (), conflict: bool = False
    ) -> None:
        super().__init__(text)
        self.problems = problems
        self.conflict = conflict
