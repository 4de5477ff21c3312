"""The whole supervisor over fake hosts and a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from eas_engine.supervisor.gpu_memory import Cards
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.observe import FleetSnapshot
from eas_engine.supervisor.place import Placer
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release, RolloutStatus, TrialStatus
from eas_engine.supervisor.settings import Processor, Settings
from support.channel import FakeChannels
from support.clock import FakeClock, settle
from support.hosts import FakeHosts

SETTINGS = Settings("s", Program("python", Path("/")), Processor("/p/app.py", model_config="{}"))


class World:
    """A supervisor and everything around it."""

    def __init__(
        self,
        settings: Settings,
        instances: int = 1,
        placer: Placer | None = None,
        cards: Cards | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.hosts = FakeHosts()
        self.channels = FakeChannels()
        self.seen: list[FleetSnapshot] = []
        self.rollouts: list[RolloutStatus] = []
        self.trials: list[TrialStatus] = []
        self.keepalives: list[int] = []
        self.output: list[tuple[str, str, str]] = []
        self.warned: list[str] = []
        self.supervisor = Supervisor(
            Release(1, 1, settings),
            self.channels,
            instances=instances,
            placer=placer,
            cards=cards,
            clock=self.clock,
            execute=self.hosts,
            hooks=Hooks(
                warn=lambda event, **_fields: self.warned.append(event),
                output=lambda *line: self.output.append(line),
                on_change=self.seen.append,
                on_rollout=self.rollouts.append,
                on_trial=self.trials.append,
                on_properties=self.keepalives.append,
            ),
        )
        self.running: asyncio.Task[None]

    @property
    def states(self) -> list[str]:
        return [host.state.value for host in self.supervisor.snapshot().hosts]

    @property
    def fleet(self) -> FleetSnapshot:
        return self.supervisor.snapshot()

    @property
    def rolled(self) -> str:
        """The state of the last rollout, as it was told last."""
        return self.rollouts[-1].state

    @property
    def tried(self) -> str:
        """The state of the last trial, as it was told last."""
        return self.trials[-1].state

    def release(self, number: int, **more: Any) -> Release:
        """Another release, whose version is ten times its number."""
        return Release(number, 10 * number, replace(SETTINGS, **more))

    async def all_up(self) -> None:
        """Bring every host to ready that isn't."""
        for state in ("starting", "warming"):
            for host in self.hosts.alive:
                seen = next(one for one in self.fleet.hosts if one.pid == host.pid)
                if seen.state.value == state == "starting":
                    host.hello()
                elif seen.state.value == state:
                    host.ready()
        await settle()

    async def up(self, **hello: Any) -> None:
        """Bring the last executed host to ready."""
        self.hosts.last.hello(**hello)
        self.hosts.last.ready()
        await settle()

    async def stop(self, grace: float = 30.0) -> None:
        stopping = asyncio.ensure_future(self.supervisor.stop(grace))
        await self.clock.advance(grace)
        await stopping
        await self.running


@asynccontextmanager
async def started(
    instances: int = 1, placer: Placer | None = None, cards: Cards | None = None, **more: Any
) -> AsyncIterator[World]:
    """A running supervisor; at the end its channels' books are in order and no host lives."""
    world = World(replace(SETTINGS, **more), instances, placer, cards)
    world.running = asyncio.ensure_future(world.supervisor.run())
    await settle()
    yield world
    if not world.running.done():
        world.running.cancel()
    await asyncio.gather(world.running, return_exceptions=True)
    assert world.hosts.alive == []
    world.channels.check_books()
