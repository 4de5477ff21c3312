"""A supervisor over real processes that run ``scripted_host``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from eas_engine.clock import Clock, SystemClock
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.observe import Crash, FleetSnapshot, HostSnapshot
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release, RolloutStatus
from eas_engine.supervisor.settings import Processor, Settings
from support.channel import FakeChannels

HELLO: list[Any] = [
    "say",
    {"type": "hello", "pid": 1, "python": "3", "kind": "native", "threads": 2, "processes": 1},
]
LOAD: list[Any] = ["hear", "load"]
READY: list[Any] = ["say", {"type": "ready", "properties": {}}]
UP: list[list[Any]] = [HELLO, LOAD, READY]
STOP: list[Any] = ["hear", "stop"]
STOPPED: list[Any] = ["say", {"type": "stopped"}]


def settings(directory: Path, *script: list[Any], **more: Any) -> Settings:
    """Of a service whose hosts play the script; ``directory`` becomes the SDK directory."""
    module = directory / "eas_host.py"
    if not module.exists():
        module.symlink_to(Path(__file__).with_name("scripted_host.py"))
    program = Program(sys.executable, directory, more.pop("environment", {}))
    return Settings("s", program, Processor("app.py", model_config=json.dumps(script)), **more)


class Fleet:
    """A supervisor and what it told."""

    def __init__(self, wanted: Settings, clock: Clock | None = None, instances: int = 1) -> None:
        self.channels = FakeChannels()
        self.lines: list[str] = []
        self.seen: list[FleetSnapshot] = []
        self._changed = asyncio.Event()
        hooks = Hooks(output=self._line, on_change=self._see)
        self.supervisor = Supervisor(
            Release(1, 1, wanted), self.channels, instances=instances, clock=clock, hooks=hooks
        )
        self.running: asyncio.Task[None]

    def _line(self, _instance: str, _stream: str, line: str) -> None:
        self.lines.append(line)
        self._changed.set()

    def _see(self, fleet: FleetSnapshot) -> None:
        self.seen.append(fleet)
        self._changed.set()

    @property
    def host(self) -> HostSnapshot:
        return self.supervisor.snapshot().hosts[0]

    async def until(self, condition: Callable[[FleetSnapshot], object]) -> FleetSnapshot:
        """Wait for it; fails when the supervisor ends first."""
        while not condition(seen := self.supervisor.snapshot()):
            self._changed.clear()
            change = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait([change, self.running], return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            if self.running.done():
                self.running.result()
                raise AssertionError("the supervisor ended")
        return seen

    async def state(self, name: str, *, pid_not: int | None = None) -> HostSnapshot:
        """Wait until the first host is in a state, of another process than ``pid_not``."""
        seen = await self.until(
            lambda fleet: fleet.hosts[0].state.value == name and fleet.hosts[0].pid not in {None, pid_not}
        )
        return seen.hosts[0]

    async def up(self, instances: int) -> dict[str, int]:
        """Wait until exactly so many instances are left, all ready; their processes by name."""
        seen = await self.until(lambda fleet: fleet.ready_count == len(fleet.instances) == instances)
        return {one.name: one.pids[0] for one in seen.instances}

    async def ended(self, release: int) -> RolloutStatus:
        """Wait until the rollout of the release has ended, one way or another."""

        def over(fleet: FleetSnapshot) -> bool:
            rollout = fleet.rollout
            return rollout is not None and rollout.release == release and rollout.state != "rolling"

        rollout = (await self.until(over)).rollout
        assert rollout is not None
        return rollout

    async def line(self, text: str) -> None:
        await self.until(lambda _: text in self.lines)

    async def crash(self) -> Crash:
        seen = await self.until(lambda fleet: fleet.hosts[0].last_crash)
        assert seen.hosts[0].last_crash is not None
        return seen.hosts[0].last_crash


@asynccontextmanager
async def running(wanted: Settings, clock: Clock | None = None, instances: int = 1) -> AsyncIterator[Fleet]:
    """Started; at the end everything is gone and the channels' books are in order."""
    fleet = Fleet(wanted, clock, instances)
    fleet.running = asyncio.ensure_future(fleet.supervisor.run())
    try:
        yield fleet
    finally:
        fleet.running.cancel()
        await asyncio.gather(fleet.running, return_exceptions=True)
    fleet.channels.check_books()


def is_alive(pid: int) -> bool:
    """Whether there is such a process, other than a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def group(leader: int) -> list[int]:
    """The living processes of a process group."""
    members = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == leader and is_alive(pid):
                members.append(pid)
        except ProcessLookupError:
            continue
    return members


async def until_gone(pids: list[int]) -> None:
    """Wait until none of them is alive."""
    while any(is_alive(pid) for pid in pids):
        await SystemClock().sleep(0.005)
