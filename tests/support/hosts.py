"""Hosts without processes: implements ``eas_engine.supervisor.launch.Execute`` and ``Running``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.control import Dumped, Failed, Fault, Hello, Ready, Warming
from eas_engine.supervisor.launch import Listener, Program
from eas_engine.supervisor.limits.report import Enforcement
from eas_engine.supervisor.place import Quarters


class FakeHost:
    """One process that does what the test says. ``stubborn``: not even SIGKILL ends it before ``exits``."""

    def __init__(self, pid: int, listener: Listener, quarters: Quarters | None = None) -> None:
        self.pid = pid
        self.quarters = quarters
        self.sent: list[dict[str, object]] = []
        self.signals: list[str] = []
        self.alive = True
        self.stubborn = False
        self.handling = False
        self.oom = 0
        self.memory_limited: tuple[int, int] | None = None
        self.enforced: Enforcement | None = None
        self._listener = listener

    # what the supervisor does to it (launch.Running)

    def send(self, message: Mapping[str, object]) -> None:
        self.sent.append(dict(message))

    def terminate(self) -> None:
        self.signals.append("TERM")

    def kill(self) -> None:
        self.signals.append("KILL")
        if not self.stubborn:
            self.exits(-9)

    def dump(self) -> None:
        self.signals.append("DUMP")

    def dumping(self) -> bool:
        return self.handling

    def oom_kills(self) -> int:
        return self.oom

    def memory(self) -> tuple[int, int] | None:
        return self.memory_limited

    def settle(self, told: Mapping[str, str]) -> Enforcement:
        self.enforced = Enforcement(**{name: f"nothing: {why}" for name, why in told.items()})
        return self.enforced

    def enforcement(self) -> Enforcement | None:
        return self.enforced

    def end(self) -> None:
        self.stubborn = False
        if self.alive:
            self.kill()

    # what it does itself

    def hello(self, **said: object) -> None:
        self._listener.on_message(Hello(**said))  # type: ignore[arg-type]

    def warms(self, seconds: float) -> None:
        self._listener.on_message(Warming(seconds))

    def dumped(self) -> None:
        self._listener.on_message(Dumped())

    def ready(self, **properties: str) -> None:
        self._listener.on_message(Ready(properties))

    def failed(self, stage: str, message: str) -> None:
        self._listener.on_message(Failed(stage, message, "Traceback ..."))

    def lost_its_gpu(self, message: str) -> None:
        self._listener.on_message(Fault(message))

    def prints(self, line: str) -> None:
        self._listener.on_line("stdout", line)

    def hangs_up(self) -> None:
        self._listener.on_control_end("the host closed its control socket")

    def is_over(self, kind: str, text: str) -> None:
        self._listener.on_over_limit(Condemned(kind, text))

    def exits(self, status: int) -> None:
        if self.alive:
            self.alive = False
            self._listener.on_exit(status)

    @property
    def said(self) -> list[object]:
        """The types of the messages that it was sent."""
        return [message["type"] for message in self.sent]


class FakeHosts:
    """Executes them; ``error`` makes every execution fail."""

    def __init__(self) -> None:
        self.made: list[FakeHost] = []
        self.error: OSError | None = None
        self.quarters: list[Quarters | None] = []
        self._pids = itertools.count(101)

    def __call__(
        self,
        program: Program,
        fds: tuple[int, ...],
        listener: Listener,
        quarters: Quarters | None = None,
    ) -> FakeHost:
        if self.error is not None:
            raise self.error
        self.quarters.append(quarters)
        host = FakeHost(next(self._pids), listener, quarters)
        self.made.append(host)
        return host

    @property
    def alive(self) -> list[FakeHost]:
        return [host for host in self.made if host.alive]

    @property
    def last(self) -> FakeHost:
        return self.made[-1]
