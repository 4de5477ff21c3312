"""What a plan consists of. Each action is carried out by one synchronous call (``reconcile``)."""

from __future__ import annotations

from eas_engine.records import dataclass
from eas_engine.supervisor.observe import Seat


@dataclass(frozen=True, slots=True)
class Start:
    """Execute a host in the seat; of the release, if the seat is free."""

    seat: Seat
    release: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Let the host in the seat finish and leave, by an instant. ``why`` is for people."""

    seat: Seat
    by: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """Its time is over."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Expire:
    """A call of the warm-up is over time, and the host didn't give it up by itself."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Block:
    """Keep the crashed host as it is."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget the host that has stopped; its seat is free."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the engine because of the host in the seat (exit 4)."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class End:
    """Everything has stopped."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The rollout is done: what it brought is what runs."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """The rollout can't be done. ``seat``: of the host whose last lines say more; None: of none."""

    reason: str
    seat: Seat | None = None


@dataclass(frozen=True, slots=True)
class Dismiss:
    """What is tried out doesn't come up. ``seat`` as in ``RollBack``."""

    reason: str
    seat: Seat | None = None


Action = Start | Drain | Kill | Expire | Block | Remove | GiveUp | End | Complete | RollBack | Dismiss
