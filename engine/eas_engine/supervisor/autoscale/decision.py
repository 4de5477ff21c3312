"""A decision of the autoscaler, with everything that it was made from, and what it hands to the next one."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, NamedTuple

from eas_engine.records import dataclass
from eas_engine.supervisor.autoscale.cron import Due
from eas_engine.supervisor.autoscale.metrics import Figure
from eas_engine.supervisor.autoscale.window import Window

Cause = Literal[
    "metric",  # a metric asks for it
    "window",  # a metric asks for another number, and the window lets it wait
    "steady",  # a metric asks for what is there
    "bound",  # min or max
    "job",
    "idle",  # to zero
    "asleep",  # at zero, and nobody wants anything
    "woken",  # from zero, by a request
    "blind",  # no metric has a figure
    "none",  # there is no metric
]


class Moment(NamedTuple):
    """The time, by both clocks: monotonic seconds, and seconds since the epoch for jobs."""

    now: float
    wall: float


@dataclass(frozen=True, slots=True)
class State:
    """What a decision hands to the next one. The empty one begins."""

    decided: int | None = None
    """The number decided last; another one wanted means that somebody has scaled by hand."""
    last_request: float = 0.0
    up: Window = field(default_factory=lambda: Window(highest=False, seconds=0.0))
    down: Window = field(default_factory=lambda: Window(highest=True, seconds=0.0))
    due: Due | None = None
    """The job whose size holds."""
    looked: float | None = None
    """When the jobs were looked at (wall), and when that has to be done again."""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How many instances, and everything that it was decided from."""

    at: float
    """Seconds since the epoch."""
    current: int
    """Wanted so far."""
    wanted: int
    cause: Cause
    reason: str
    """For people, one line."""
    low: int
    high: int
    ready: int
    starting: int
    idle: float
    """Seconds without a request."""
    figures: tuple[Figure, ...] = ()
    recommended: int | None = None
    """What the metrics ask for, before windows and bounds; ``None`` when they weren't asked."""
    lowest: int | None = None
    """Of the recommendations of the window upwards."""
    highest: int | None = None
    """Of those of the window downwards."""
    job: Due | None = None
    state: State = field(default_factory=State, repr=False)
