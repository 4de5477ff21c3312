"""What the supervisor and processors say, for three readers: the log, the events, and ``eas-engine logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eas_engine.telemetry.events import Events
from eas_engine.telemetry.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from eas_engine.clock import Clock
    from eas_engine.disk import Disk
    from eas_engine.operations import EventKind
    from eas_engine.telemetry.logs import Logs

_TOLD: Final[Mapping[str, EventKind]] = {
    "host_crashed": "instance_crashed",
    "host_stopped": "instance_stopped",
    "rollout": "rollout",
    "trial": "trial",
    "probe": "probe",
    "relieved": "relieved",
    "card_fault": "card_fault",
}
"""Lines of the supervisor, and of the cards, that are events, too."""


class Notes:
    """Of one engine. ``info`` and ``warning`` are ``supervisor.instance.Hooks``."""

    def __init__(self, state: Path, logs: Logs, clock: Clock, disk: Disk) -> None:
        self._logs = logs
        self.tail = Tail()
        self.events = Events(clock, state / "events.jsonl", self._logs.log.info, disk.later)

    def __repr__(self) -> str:
        return f"<Notes {self.events!r} {self.tail!r}>"

    def info(self, event: str, **fields: object) -> None:
        """What was to be expected."""
        self._logs.log.info(event, **fields)
        self._tell(event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What should not happen."""
        self._logs.log.warning(event, **fields)
        self._tell(event, fields)

    def output(self, instance: str, stream: str, line: str) -> None:
        """A line that a processor printed."""
        self._logs.output(instance, [line], stream)
        self.tail.add(instance, stream, line)

    def _tell(self, event: str, fields: dict[str, object]) -> None:
        kind = _TOLD.get(event)
        if kind is not None:
            text = ", ".join(f"{name} {value}" for name, value in fields.items() if value not in ("", None))
            self.events.tell(kind, text, logged=True)
