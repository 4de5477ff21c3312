"""Services for the admin plane to show: one that is quiet, and one whose changes go by a script."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from eas_engine.gateway.admin_source import LogLine
from eas_engine.operations import (
    Asked,
    Drain,
    Effect,
    Event,
    Operation,
    OperationState,
    Plan,
    RefusedError,
    Replace,
    Rollback,
    Scale,
    Start,
    Stop,
    Update,
    Version,
)
from eas_engine.telemetry.status import Cleared, InstanceStatus, Load, Readiness, ServiceStatus
from eas_engine.telemetry.window import Rates

EPOCH = 1_769_877_612.0
"""2026-01-31 16:40:12 UTC."""
NOBODY = 2**22 + 1
"""No process has this pid."""


_PREPARED = frozenset({"update", "rollback", "restart"})


class QuietService:
    """Implements ``AdminSource``: nothing happens, and nothing can be changed."""

    name = "digits"
    workspace = ""
    version = "0.1.0"

    def heartbeat_age(self) -> float:
        return 0.25

    def readiness(self) -> Readiness:
        return Readiness(ready=True)

    def metrics(self, accept: str) -> tuple[bytes, str]:
        return f"# for {accept}\n".encode(), "text/plain; version=0.0.4"

    def workspace_id(self) -> str:
        return self.workspace

    def events(self, since: int) -> tuple[Event, ...]:
        return ()

    def log_lines(self, since: int, instance: str) -> tuple[int, tuple[LogLine, ...]]:
        return since, ()

    async def status(self) -> ServiceStatus:
        return ServiceStatus(
            name=self.name,
            version=self.version,
            pid=NOBODY,
            uptime=1.0,
            url=f"http://127.0.0.1:8080/api/predict/{self.name}",
            admin_url="http://127.0.0.1:9090",
            load=Load(instances=tuple(self.instances())),
            readiness=self.readiness(),
            rates=Rates(0, 0, 0, 0, 0),
            workspace_id=self.workspace,
            configuration={"token": "Tell-Nobody"},
        )

    def instances(self) -> Iterable[InstanceStatus]:
        return ()

    async def clear_crashes(self, scene: str | None) -> Cleared:
        return Cleared()

    async def plan(self, asked: Update) -> Plan:
        raise RefusedError("this service can't be changed")

    async def change(self, asked: Asked) -> Operation:
        raise RefusedError("this service can't be changed")

    async def operations(self) -> tuple[Operation, ...]:
        return ()

    async def versions(self) -> tuple[Version, ...]:
        return ()

    async def configuration(self, version: int) -> Mapping[str, object] | None:
        return None

    async def autoscale(self) -> Mapping[str, object]:
        return {"settings": None}

    async def comparison(self) -> Mapping[str, object] | None:
        return None


Step = Mapping[str, Any]
"""What changes of an operation between one look and the next."""


class Fleet(QuietService):
    """A service with instances and versions. Each look at the operations moves the last one a step on.

    ``script``: the steps of each kind of change; without any it is done at once. ``refusing``: raised for
    each change and plan. What was asked for is in ``asked``.
    """

    def __init__(self, *, workspace: str = "", script: Mapping[str, Sequence[Step]] | None = None) -> None:
        self.workspace = workspace
        self.script = {kind: list(steps) for kind, steps in (script or {}).items()}
        self.refusing: Exception | None = None
        self.asked: list[Asked] = []
        self.planned = Plan(effect=Effect.NOTHING)
        self.history: list[Event] = []
        self.lines: list[LogLine] = []
        self.held: list[Version] = []
        self.settings: Mapping[str, object] = {"settings": None}
        self.tried: Mapping[str, object] | None = None
        self.running = [InstanceStatus(name="digits-0", state="READY", pids=(NOBODY,), uptime=1.0, threads=5)]
        self.threads: set[str] = set()
        self._operations: list[Operation] = []
        self._steps: list[Step] = []

    def happened(self, kind: str, text: str, **fields: Any) -> None:
        """One more event."""
        number = len(self.history) + 1
        self.history.append(Event(number=number, time=EPOCH + number, kind=kind, text=text, **fields))

    def printed(self, instance: str, text: str, stream: str = "stdout") -> None:
        """One more line of the log."""
        self.lines.append((instance, stream, text))

    def began(self, **fields: Any) -> Operation:
        """One more operation, as it is."""
        operation = Operation(number=len(self._operations) + 1, **{"started": EPOCH, **fields})
        self._operations.append(operation)
        return operation

    def events(self, since: int) -> tuple[Event, ...]:
        return tuple(self.history[since:])

    def log_lines(self, since: int, instance: str) -> tuple[int, tuple[LogLine, ...]]:
        found = self.lines[since:]
        return since + len(found), tuple(one for one in found if instance in ("", one[0]))

    def instances(self) -> Iterable[InstanceStatus]:
        return self.running

    async def plan(self, asked: Update) -> Plan:
        self._note(asked)
        return self.planned

    async def change(self, asked: Asked) -> Operation:
        self._note(asked)
        kind = type(asked).__name__.lower()
        self._steps = list(self.script.get(kind, ()))
        first = OperationState.PREPARING if kind in _PREPARED else OperationState.ROLLING
        state = first if self._steps else OperationState.DONE
        return self.began(kind=kind, by=asked.by, state=state, **self._about(asked))

    async def operations(self) -> tuple[Operation, ...]:
        if self._steps:
            self._operations[-1] = replace(self._operations[-1], **self._steps.pop(0))
        return tuple(self._operations)

    async def versions(self) -> tuple[Version, ...]:
        return tuple(self.held)

    async def configuration(self, version: int) -> Mapping[str, object] | None:
        return {"name": self.name, "token": "********"}

    async def autoscale(self) -> Mapping[str, object]:
        return self.settings

    async def comparison(self) -> Mapping[str, object] | None:
        return self.tried

    def _note(self, asked: Asked) -> None:
        self.threads.add(threading.current_thread().name)
        if self.refusing is not None:
            raise self.refusing
        self.asked.append(asked)

    def _about(self, asked: Asked) -> dict[str, Any]:
        count = len(self.running)
        match asked:
            case Scale():
                return {"effect": Effect.INSTANCES, "version": 2, "wanted": asked.instances, "ready": count}
            case Update() | Rollback():
                return {"effect": Effect.ROLLOUT, "version": 2, "wanted": count, "ready": count}
            case Replace():
                return {"effect": Effect.INSTANCES, "wanted": count, "ready": count}
            case Stop() | Start() | Drain():
                return {"effect": Effect.AT_ONCE}
            case _:
                return {"effect": Effect.ROLLOUT, "wanted": count, "ready": count}
