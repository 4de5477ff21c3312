"""What joins the hosts of an instance to the rest of the engine: interfaces, and what every host is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from eas_engine.clock import Clock
from eas_engine.errors import InstanceCrashed
from eas_engine.records import dataclass
from eas_engine.request import Held
from eas_engine.supervisor.gpu_memory import Cards
from eas_engine.supervisor.launch import Execute
from eas_engine.supervisor.observe import FleetSnapshot
from eas_engine.supervisor.release import RolloutStatus, TrialStatus
from eas_engine.supervisor.scene import Scenes


class Channel(Protocol):
    """The data plane's side of one host, as far as the supervisor sees it. One per process."""

    @property
    def fds(self) -> tuple[int, ...]:
        """Inherited by the host under the same numbers."""
        ...

    def describe(self) -> dict[str, object]:
        """The ``channel`` of the start message; for the host's worker only."""
        ...

    def started(self) -> None:
        """The host was executed, or failed to be: our copies of its ends can be closed."""
        ...

    def open(self, threads: int) -> None:
        """The host is ready: hand out work."""
        ...

    def drain(self) -> None:
        """Hand out nothing new; take back what wasn't begun. May be called more than once."""
        ...

    def idle(self) -> bool:
        """Nothing of ours is inside the host. A call that was reported as stuck doesn't count."""
        ...

    async def wait_idle(self) -> None:
        """Until ``idle``, or ``lost``."""
        ...

    def held(self, limit: int) -> list[Held]:
        """The requests inside a dead host, with at most ``limit`` bytes of bodies. Before ``lost``."""
        ...

    def lost(self, crash: InstanceCrashed) -> None:
        """The host is dead: begun requests are answered with ``crash``, others taken back, all is freed."""
        ...


def _no_log(event: str, **fields: object) -> None:
    """The default of ``Hooks.log`` and ``Hooks.warn``."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom the supervisor tells; each is called synchronously on the loop and must not block.

    Attributes:
        log: an event and its fields, as structlog's ``info``.
        warn: the same for what should not happen, a crash: as structlog's ``warning``.
        output: a line that a processor printed: instance, stream (stdout or stderr), text.
        on_change: after every transition of a host, and after every change of what is wanted.
        on_rollout: a rollout has begun, is done, was rolled back, or is superseded by another.
        on_trial: a release is tried out, is promoted, or is dismissed.
        on_properties: the effective keepalive, milliseconds, when a host has said what its code asks for.
    """

    log: Callable[..., None] = _no_log
    warn: Callable[..., None] = _no_log
    output: Callable[[str, str, str], None] = lambda _instance, _stream, _line: None
    on_change: Callable[[FleetSnapshot], None] = lambda _snapshot: None
    on_rollout: Callable[[RolloutStatus], None] = lambda _status: None
    on_trial: Callable[[TrialStatus], None] = lambda _status: None
    on_properties: Callable[[int], None] = lambda _keepalive_ms: None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every host of a service is given."""

    channels: Callable[[str, int], Channel]
    """Makes the data plane's side of a host, given its name and the number of its release."""
    execute: Execute
    clock: Clock
    hooks: Hooks
    scenes: Scenes | None = None
    """Where crashes are kept; None: nowhere."""
    spared: Callable[[], frozenset[str]] = frozenset
    """The ids of the scenes of hosts that are blocked now."""
    cards: Cards | None = None
    """Who knows what processes have on cards; None: nobody."""
