"""The life of a host as a table.

House rules: every transition is in ``TABLE`` and nowhere else; an event that the table doesn't have for a
state raises ``IllegalEvent`` and changes nothing; this file knows nothing of processes, clocks or policies.

    PENDING -> STARTING -> WARMING -> READY -> DRAINING -> STOPPED
                  |           |       |  |        (an exit while draining is no crash)
                  |           |       |  +-> STUCK --+
                  +-----------+-------+--------------+-> CRASHED -> STARTING   after the back-off
                                                            +-----> BLOCKED    runtime.enable_crash_block
                                                                       +-> PENDING   eas-engine crash clear

An *instance* is a group of hosts (one, or ``worker_processes`` of allspark); ``aggregate`` tells its state.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class State(Enum):
    """Where a host, or an instance, is in its life."""

    PENDING = "pending"
    """Wanted, not yet executed."""
    STARTING = "starting"
    """Executed; the processor object doesn't exist yet."""
    WARMING = "warming"
    """It said hello; the processor initialises."""
    READY = "ready"
    """Takes requests."""
    STUCK = "stuck"
    """A call never ends: takes nothing new, its other calls may finish, then it is killed. A crash."""
    DRAINING = "draining"
    """Takes nothing new, finishes what it has, and leaves."""
    STOPPED = "stopped"
    """Left as it was told to. Final."""
    CRASHED = "crashed"
    """Died unasked; is started again when the back-off is over."""
    BLOCKED = "blocked"
    """Died unasked and is kept as it is for whoever looks into it."""


class Event(Enum):
    """What happens to a host."""

    START = "start"
    HELLO = "hello"
    READY = "ready"
    STUCK = "stuck"
    DRAIN = "drain"
    EXIT = "exit"
    BLOCK = "block"
    RELEASE = "release"


class IllegalEvent(Exception):
    """The event has no meaning in this state; nothing was changed."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value!r} in state {state.value!r}")
        self.state = state
        self.event = event


TABLE: dict[tuple[State, Event], State] = {
    (State.PENDING, Event.START): State.STARTING,
    (State.PENDING, Event.DRAIN): State.STOPPED,
    (State.STARTING, Event.HELLO): State.WARMING,
    (State.STARTING, Event.DRAIN): State.DRAINING,
    (State.STARTING, Event.EXIT): State.CRASHED,
    (State.WARMING, Event.READY): State.READY,
    (State.WARMING, Event.DRAIN): State.DRAINING,
    (State.WARMING, Event.EXIT): State.CRASHED,
    (State.READY, Event.STUCK): State.STUCK,
    (State.READY, Event.DRAIN): State.DRAINING,
    (State.READY, Event.EXIT): State.CRASHED,
    (State.STUCK, Event.DRAIN): State.DRAINING,
    (State.STUCK, Event.EXIT): State.CRASHED,
    (State.DRAINING, Event.EXIT): State.STOPPED,
    (State.CRASHED, Event.START): State.STARTING,
    (State.CRASHED, Event.BLOCK): State.BLOCKED,
    (State.CRASHED, Event.DRAIN): State.STOPPED,
    (State.BLOCKED, Event.DRAIN): State.STOPPED,
    (State.BLOCKED, Event.RELEASE): State.PENDING,
}

LIVE = frozenset({State.STARTING, State.WARMING, State.READY, State.STUCK, State.DRAINING})
"""There is a process."""

HOPEFUL = frozenset({State.PENDING, State.STARTING, State.WARMING, State.READY})
"""Takes requests, or will without having crashed first: what the gate counts."""

_WORST_FIRST = (
    State.BLOCKED,
    State.CRASHED,
    State.STUCK,
    State.DRAINING,
    State.PENDING,
    State.STARTING,
    State.WARMING,
    State.READY,
    State.STOPPED,
)


def advance(state: State, event: Event) -> State:
    """The state after ``event``. Raises ``IllegalEvent``."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalEvent(state, event) from None


def badness(state: State) -> int:
    """How far it is from taking requests, for comparisons only: the smaller, the worse."""
    return _WORST_FIRST.index(state)


def aggregate(states: Iterable[State]) -> State:
    """The state of a group: ready when all are, otherwise that of the one that is worst off.

    A group in which some hosts have been started and others not yet is ``STARTING``. An empty group is
    ``STOPPED``.
    """
    present = set(states)
    worst = next((state for state in _WORST_FIRST if state in present), State.STOPPED)
    if worst is State.PENDING and present != {State.PENDING}:
        return State.STARTING
    return worst
