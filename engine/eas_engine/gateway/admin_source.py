"""What the admin plane asks of the engine: the one interface between the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from eas_engine.operations import Asked, Event, Operation, Plan, Update, Version
from eas_engine.telemetry.status import Cleared, Readiness, ServiceStatus

LogLine = tuple[str, str, str]
"""Instance, stream (``stdout`` or ``stderr``) and text of one line that a processor printed."""


class AdminSource(Protocol):
    """What the admin plane shows and changes: the one interface between it and the engine.

    Coroutines run on the loop that ``AdminServer.start`` was called on, the gateway's. Plain methods are
    called from the admin thread and must be safe there, and quick.
    """

    def heartbeat_age(self) -> float:
        """Seconds since the gateway's loop last came round."""
        ...

    def readiness(self) -> Readiness:
        """Can a request be served now?"""
        ...

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, for an ``Accept`` header (``Metrics.render``)."""
        ...

    def workspace_id(self) -> str:
        """``metadata.workspace_id``: whoever changes something must name it."""
        ...

    def events(self, since: int) -> tuple[Event, ...]:
        """Those with a number above ``since`` that are still kept, oldest first."""
        ...

    def log_lines(self, since: int, instance: str) -> tuple[int, tuple[LogLine, ...]]:
        """The lines kept from number ``since`` on (0: all), of one instance or (empty) of all, oldest first.

        The number is the ``since`` of the next call: what comes then are the lines that are new.
        """
        ...

    async def status(self) -> ServiceStatus:
        """Everything."""
        ...

    async def clear_crashes(self, scene: str | None) -> Cleared:
        """Delete what was kept of one crash, or of all, and start what they block."""
        ...

    async def plan(self, asked: Update) -> Plan:
        """What an update would do; nothing is changed.

        Errors: RefusedError, ConfigurationError.
        """
        ...

    async def change(self, asked: Asked) -> Operation:
        """Accept a change, which goes on behind this call.

        Errors: RefusedError, ConfigurationError, or another StartError when it can't be; nothing is changed.
        """
        ...

    async def operations(self) -> tuple[Operation, ...]:
        """Those that are remembered, oldest first."""
        ...

    async def versions(self) -> tuple[Version, ...]:
        """Those that are kept, oldest first."""
        ...

    async def configuration(self, version: int) -> Mapping[str, object] | None:
        """The effective configuration of a version without its secrets; None when it isn't kept."""
        ...

    async def autoscale(self) -> Mapping[str, object]:
        """The autoscaler's settings (None without one), last decisions and samples as JSON."""
        ...

    async def comparison(self) -> Mapping[str, object] | None:
        """The canary, or the shadow, beside the service, as JSON; None when there is none."""
        ...
