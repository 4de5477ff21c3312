"""What changes act upon, as interfaces: the supervisor, the lanes of the data plane, the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eas_engine.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from eas_engine.artifacts.resolve import Places
    from eas_engine.clock import Clock
    from eas_engine.configuration import Configured
    from eas_engine.disk import Disk
    from eas_engine.history import History
    from eas_engine.operations import Update
    from eas_engine.spec import Machine
    from eas_engine.supervisor.reconcile import Supervisor
    from eas_engine.supervisor.release import Release
    from eas_engine.telemetry.events import Events
    from eas_engine.telemetry.logs import Logs


class Lanes(Protocol):
    """What changes need of the data plane."""

    def open_beside(self, release: int, configured: Configured) -> bool:
        """A lane of its own, if the release's requests can't go the way of the running one's."""
        ...

    def open_trial(self, release: int, configured: Configured, asked: Update) -> None:
        """A lane for a canary or a shadow."""
        ...

    def merge(self, release: int) -> None:
        """Its hosts and its requests join the others."""
        ...

    def close(self, release: int) -> None:
        """Its hosts are leaving; its requests go the usual way."""
        ...

    def broken(self, release: int, objective: str) -> str:
        """Why a canary doesn't meet its objective; empty while it does, or nobody can tell."""
        ...

    def pause(self) -> None:
        """Admit nobody until ``resume``."""
        ...

    def resume(self) -> None:
        """Admit again."""
        ...

    async def wait_empty(self) -> None:
        """Until no admitted request is left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What changes act upon.

    Attributes:
        release: what hosts are started from, for a number and a configuration.
        places: where artifacts are kept, while these workspaces are in use.
        adopt: the configuration holds: apply what needs no new process. Errors: ConfigurationError.
        machine: this machine as it is now, with its settings. Errors: ConfigurationError.
    """

    supervisor: Supervisor
    lanes: Lanes
    history: History
    disk: Disk
    events: Events
    logs: Logs
    clock: Clock
    release: Callable[[int, Configured], Release]
    places: Callable[[tuple[Path, ...]], Places]
    adopt: Callable[[Configured], Awaitable[None]]
    machine: Callable[[], Machine]
