"""What is known of one process of a host, from its execution to its death."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field

from eas_engine.supervisor.control import Failed
from eas_engine.supervisor.instance import Channel
from eas_engine.supervisor.launch import Running
from eas_engine.supervisor.output import Tail


@dataclass(frozen=True, slots=True)
class Condemned:
    """Why a host can't go on. It is the cause of its crash if it takes our SIGKILL to end it."""

    kind: str
    cause: str
    answers_first: bool = False
    """Stuck: its other requests may finish, and then it is killed; otherwise only its time counts."""


@dataclass(slots=True)
class Life:
    """One process of a host."""

    channel: Channel
    running: Running
    started: float
    """Monotonic."""
    started_at: float
    """Since the epoch."""
    ready_at: float | None = None
    tail: Tail = field(default_factory=Tail)
    answers_first: bool = False
    """It had requests when it was told to leave: they come first."""
    killed: bool = False
    failure: Failed | None = None
    condemned: Condemned | None = None
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def why_dead(self, status: int) -> tuple[str, str]:
        """Kind and cause of its death; ``status`` as in ``Popen``."""
        if self.failure is not None:
            return "failed", f"{self.failure.stage}: {self.failure.message}"
        if self.condemned is not None and self.killed:
            return self.condemned.kind, self.condemned.cause
        if status >= 0:
            return "exit", f"exit {status}"
        return "signal", f"signal {-status} ({_signal_name(-status)})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
