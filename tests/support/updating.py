"""A service that can be updated, without processes and without a network: everything else is real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from eas_engine import assembly
from eas_engine.artifacts.fetching.progress import SilentProgress
from eas_engine.artifacts.resolve import Places
from eas_engine.clock import SystemClock
from eas_engine.configuration import Configured, configured, read
from eas_engine.disk import Disk
from eas_engine.history import History
from eas_engine.operations import Asked, Operation, Update, Version
from eas_engine.spec import this_machine
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import Listener, Program
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import FleetSnapshot
from eas_engine.supervisor.place import Quarters
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release, RolloutStatus, TrialStatus
from eas_engine.telemetry.events import Events
from eas_engine.telemetry.logs import Logs
from eas_engine.updates.joined import Joined
from eas_engine.updates.updates import Updates
from support.channel import FakeChannels
from support.hosts import FakeHost, FakeHosts

PLAIN: dict[str, Any] = {
    "name": "digits",
    "token": "t",
    "processor_type": "python",
    "processor_path": "package",
    "processor_entry": "app.py",
}


class WillingHost(FakeHost):
    """Comes up by itself, unless its ``model_config`` says otherwise: ``refuse``, ``crash``, ``hang``."""

    hangs = False
    stays = False
    """It takes its time to leave: until ``leave``."""
    refusal = "told to refuse"

    def leave(self) -> None:
        """If it was told to."""
        if self.alive and any(one["type"] == "stop" for one in self.sent):
            self.exits(0)

    def send(self, message: Mapping[str, object]) -> None:
        super().send(message)
        soon = asyncio.get_running_loop().call_soon
        if message["type"] == "start":
            self.version = str(message["model_config"])
            soon(self._if_alive, self.hello)
        elif message["type"] == "load" and self.version == "refuse":
            soon(self._if_alive, lambda: self.failed("initialize", self.refusal))
            soon(self.exits, 1)
        elif message["type"] == "load" and self.version == "crash":
            soon(self.exits, 3)
        elif message["type"] == "load" and self.version != "hang" and not self.hangs:
            soon(self._if_alive, self.ready)
        elif message["type"] == "stop" and not self.stays:
            soon(self.exits, 0)

    def _if_alive(self, what: Callable[[], None]) -> None:
        if self.alive:
            what()


class WillingHosts(FakeHosts):
    """Executes them. ``hang``: those from now on never come up. ``refusal``: what those say that refuse."""

    hang = False
    refusal = "told to refuse"

    def __call__(
        self, program: Program, fds: tuple[int, ...], listener: Listener, quarters: Quarters | None = None
    ) -> WillingHost:
        host = WillingHost(next(self._pids), listener, quarters)
        host.hangs, host.refusal = self.hang, self.refusal
        self.made.append(host)
        return host


class FakeLanes:
    """Implements ``updates.joined.Lanes``: keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.differs = False
        self.verdict = ""
        self.empty = asyncio.Event()
        self.empty.set()

    def open_beside(self, release: int, configured: Configured) -> bool:
        if self.differs:
            self.calls.append(f"beside {release}")
        return self.differs

    def open_trial(self, release: int, configured: Configured, asked: Update) -> None:
        self.calls.append(f"{'canary' if asked.canary else 'shadow'} {release}")

    def merge(self, release: int) -> None:
        self.calls.append(f"merge {release}")

    def close(self, release: int) -> None:
        self.calls.append(f"close {release}")

    def broken(self, release: int, objective: str) -> str:
        return self.verdict

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    async def wait_empty(self) -> None:
        await self.empty.wait()


class Service:
    """One that serves version 1; ``file`` is its service.json."""

    def __init__(self, directory: Path, first: Configured, history: History) -> None:
        clock = SystemClock()
        self.directory = directory
        self.history = history
        self.lanes = FakeLanes()
        self.hosts = WillingHosts()
        self.events = Events(clock)
        self.adopted: list[Configured] = []
        self.lost: list[Exception] = []
        self.disk = Disk(clock, self.lost.append)
        self.supervisor = Supervisor(
            self._release(1, first),
            FakeChannels(),
            instances=first.loaded.spec.start_count,
            clock=clock,
            hooks=Hooks(on_change=self._changed, on_rollout=self._rolled_out, on_trial=self._tried_out),
            execute=self.hosts,
        )
        self.updates = Updates(
            Joined(
                supervisor=self.supervisor,
                lanes=self.lanes,
                history=history,
                disk=self.disk,
                events=self.events,
                logs=Logs(lambda _: None, clock),
                clock=clock,
                release=self._release,
                places=lambda in_use: places(directory, in_use),
                adopt=self._adopt,
                machine=this_machine,
            ),
            first,
        )

    def _changed(self, fleet: FleetSnapshot) -> None:
        self.updates.observe(fleet)

    def _rolled_out(self, status: RolloutStatus) -> None:
        self.updates.releases.on_rollout(status)

    def _tried_out(self, status: TrialStatus) -> None:
        self.updates.releases.on_trial(status)

    async def _adopt(self, of: Configured) -> None:
        self.adopted.append(of)

    def _release(self, number: int, of: Configured) -> Release:
        return Release(number, of.version, assembly.settings(of, self.directory))

    def file(self, **more: Any) -> str:
        return json.dumps(PLAIN | more)

    async def update(self, *overrides: str, text: str | None = None, **how: Any) -> Operation:
        """Ask for one; its operation at its beginning."""
        return await self.ask(Update(by="me", text=text, overrides=overrides, **how))

    async def ask(self, asked: Asked) -> Operation:
        return await self.updates.change(asked)

    def now(self, operation: Operation) -> Operation:
        """What it has become."""
        return self.updates.book.records()[operation.number - 1]

    async def end(self, operation: Operation) -> Operation:
        """Wait until it is over."""
        await self.until(lambda: self.now(operation).state.is_over)
        assert await self.disk.settled(60)
        return self.now(operation)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - it may wait for a thread
                await asyncio.sleep(0.001)

    @property
    def serving(self) -> list[str]:
        """The model_config of each ready instance, by name."""
        fleet = self.supervisor.snapshot()
        pids = [pid for one in fleet.instances if one.state is State.READY for pid in one.pids]
        return [
            host.version for host in self.hosts.made if isinstance(host, WillingHost) and host.pid in pids
        ]

    @property
    def states(self) -> list[str]:
        """Of its versions."""
        return [one.state for one in self.history.versions()]


def pack(archive: Path, text: str) -> None:
    """A model of one file."""
    (archive.parent / "weights").write_text(text)
    with tarfile.open(archive, "w") as tar:
        tar.add(archive.parent / "weights", "weights")


def places(directory: Path, in_use: tuple[Path, ...]) -> Places:
    return Places(directory / "state", directory / "state" / "digits", in_use=in_use)


@contextlib.asynccontextmanager
async def serving(directory: Path, *overrides: str, **more: Any) -> AsyncIterator[Service]:
    """A service whose first version is ready."""
    (directory / "package").mkdir()
    (directory / "package" / "app.py").write_text("# a processor")
    (directory / "state" / "digits").mkdir(parents=True)
    history = History.open(directory / "state" / "digits" / "history")
    text, source = json.dumps(PLAIN | {"model_config": "one"} | more), directory / "service.json"
    version = Version(number=0, time=1.0, source=str(source), digest="", overrides=overrides)
    number = history.begin(version, text).version.number
    with configured(
        read(text, source, overrides),
        number,
        places=places(directory, ()),
        clock=SystemClock(),
        progress=SilentProgress(),
    ) as first:
        service = Service(directory, first, history)
        running = [
            asyncio.ensure_future(service.supervisor.run()),
            asyncio.ensure_future(service.updates.run()),
        ]
        try:
            await service.supervisor.wait_ready()
            await service.updates.started()
            yield service
        finally:
            await service.supervisor.stop(0)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await service.disk.close()
            assert service.lost == []
