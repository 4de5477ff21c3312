"""Moving to better groups, with the real supervisor and placer: whose place is whose, and nobody too few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from eas_engine.moving import Moving
from eas_engine.spec.engine.pools import pools_of
from eas_engine.state import StateDirectory
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.place import Limits, Wishes
from eas_engine.supervisor.pools.ledger import Ledger
from eas_engine.supervisor.pools.placing import Placing
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release, Strategy
from eas_engine.supervisor.settings import Processor, Settings
from support.channel import FakeChannels
from support.clock import FakeClock, settle
from support.hosts import FakeHosts
from support.placer import AtOnce
from support.pools import machine
from support.wishes import Wishing

TWO = Limits(cpu=2)
FAST = Wishes(resource="fast", rebalancing=True)
SETTINGS = Settings("d", Program("python", Path("/")), Processor("app.py"), limits=TWO, wishes=FAST)
PATIENCE = 300.0


def wishing(wishes: Wishes, number: int = 1) -> Release:
    return Release(number, number, replace(SETTINGS, wishes=wishes))


class World:
    """A service of two instances with 2 CPUs each; ``fast`` has 4, of which another service has 3."""

    def __init__(self, root: Path) -> None:
        self.clock, self.hosts = FakeClock(), FakeHosts()
        self.ledger = self.placer_of(root, "d")
        self.thread = AtOnce()
        self.placer = Placing(self.ledger, self.thread)
        self.other = self.placer_of(root, "other")
        self.other.place("other-0", Limits(cpu=3))
        self.supervisor = Supervisor(
            Release(1, 1, SETTINGS),
            FakeChannels(),
            instances=2,
            placer=self.placer,
            clock=self.clock,
            execute=self.hosts,
        )
        self.placer.found = self.supervisor.placed
        self.log: list[str] = []
        self.said: list[dict[str, object]] = []
        self.moving = Moving(self.supervisor, self.placer, self.clock, self._say)

    def _say(self, event: str, **fields: object) -> None:
        self.log.append(event)
        self.said.append(fields)

    @property
    def reasons(self) -> dict[str, str]:
        return {one.name: one.reason for one in self.supervisor.snapshot().instances if one.leaving}

    @staticmethod
    def placer_of(root: Path, name: str) -> Wishing:
        pools = pools_of(machine(10, {"fast": "0-3", "slow": "4-7"}))
        return Wishing(pools, Ledger(root, name), FAST)

    async def get_ready(self) -> None:
        for host in self.hosts.alive:
            if "load" not in host.said:
                host.hello()
                host.ready()
        await settle()

    async def leave(self) -> None:
        for host in self.hosts.alive:
            if "stop" in host.said:
                host.exits(0)
        await settle()

    def groups(self) -> dict[str, str]:
        return {one.instance: one.group for one in self.ledger.claims}

    def ready(self) -> int:
        return self.supervisor.snapshot().ready_count

    def probes(self) -> int:
        return self.supervisor.snapshot().probes


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    """One that is ready, in the lower group; nobody has anything at the end."""
    with StateDirectory.acquire(root, "d"), StateDirectory.acquire(root, "other"):
        made = World(root)
        supervision = asyncio.ensure_future(made.supervisor.run())
        await settle()
        await made.get_ready()
        assert made.groups() == {"d-0": "slow", "d-1": "slow"}
        made.moving.configure(PATIENCE)
        moving = asyncio.ensure_future(made.moving.run())
        yield made
        for task in (moving, supervision):
            task.cancel()
        await asyncio.gather(moving, supervision, return_exceptions=True)
        assert made.ledger.claims == ()


async def test_they_move_up_one_after_the_other_when_there_is_room(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.clock.advance(61.0)
        assert one.log == [], "the other has 3 CPUs"
        one.other.leave("other-0")
        await one.clock.advance(60.0)
        assert one.groups() == {"d-0": "slow", "d-1": "slow", "d-2": "fast"}
        assert one.supervisor.snapshot().wanted == 2
        await one.get_ready()
        await one.clock.advance(1.0)
        moved = "rebalancing: an instance in a better group takes its place"
        assert one.said[:2] == [{"instance": "d-2", "group": "fast"}, {"instance": "d-1", "reason": moved}]
        assert one.reasons == {"d-1": f"leaving: {moved}"}
        await one.leave()
        assert one.groups() == {"d-0": "slow", "d-2": "fast", "d-3": "fast"}, "d-1 has left for d-2"
        assert one.ready() == 2
        await one.get_ready()
        await one.clock.advance(1.0)
        await one.leave()
        await one.clock.advance(200.0)
        assert one.groups() == {"d-2": "fast", "d-3": "fast"}
        assert (one.ready(), one.probes()) == (2, 0)
        assert one.log == ["probe", "relieved"] * 2


async def test_a_probe_that_does_not_get_ready_in_time_leaves_and_gives_its_place_back(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        await one.clock.advance(60.0)
        assert one.groups()["d-2"] == "fast"
        await one.clock.advance(PATIENCE + 1.0)
        assert one.said[-1] == {"instance": "d-2", "reason": "rebalancing: it was not ready in time"}
        await one.leave()
        assert one.groups() == {"d-0": "slow", "d-1": "slow"}
        assert (one.ready(), one.probes()) == (2, 0)


async def test_a_probe_that_was_never_started_gives_its_place_back(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        one.clock.jump(60.0)
        await one.moving.step()
        assert one.groups()["d-2"] == "fast"
        one.supervisor.stop_service()
        await settle()
        assert "d-2" not in one.groups()
        assert len(one.hosts.made) == 2


async def test_without_rebalancing_probes_leave_and_no_other_comes(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        await one.clock.advance(60.0)
        assert one.probes() == 1
        one.supervisor.adjust(wishing(replace(FAST, rebalancing=False)), Strategy())
        one.moving.configure(PATIENCE)
        await settle()
        assert one.said[-1]["reason"] == "rebalancing was turned off, and it is one more than wanted"
        await one.leave()
        await one.clock.advance(200.0)
        assert (one.groups(), one.probes()) == ({"d-0": "slow", "d-1": "slow"}, 0)
        one.supervisor.adjust(wishing(FAST), Strategy())
        one.moving.configure(PATIENCE)
        await one.clock.advance(60.0)
        assert one.probes() == 1


async def test_a_service_in_motion_is_left_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        assert one.moving.steady()
        supervisor = one.supervisor
        supervisor.roll_out(Release(2, 2, SETTINGS), Strategy(1, 0, 1000.0))
        assert not one.moving.steady()
        supervisor.roll_back("no")
        await settle()
        await one.leave()
        await one.get_ready()
        assert one.moving.steady()
        supervisor.try_out(Release(3, 3, SETTINGS))
        assert not one.moving.steady()
        supervisor.dismiss("no")
        await settle()
        await one.leave()
        assert one.moving.steady()
        supervisor.scale(3)
        await settle()
        assert not one.moving.steady(), "one starts"
        supervisor.scale(0)
        assert not one.moving.steady(), "asleep"
        supervisor.scale(2)
        supervisor.stop_service()
        assert not one.moving.steady()


async def test_a_rollout_takes_a_probe_along(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        await one.clock.advance(60.0)
        assert one.probes() == 1
        one.supervisor.roll_out(Release(2, 2, SETTINGS), Strategy(1, 0, 1000.0))
        assert one.probes() == 0
        for _ in range(8):
            await settle()
            await one.get_ready()
            await one.leave()
            await one.clock.advance(1.0)
        fleet = one.supervisor.snapshot()
        assert [(seen.release, seen.state) for seen in fleet.instances] == [(2, State.READY)] * 2
        assert fleet.probes == 0
        assert len(one.ledger.claims) == 2


async def test_of_two_probes_the_one_that_is_ready_takes_a_place(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        for _ in range(2):
            reserved = await one.placer.reserve(TWO, FAST, "fast")
            assert reserved is not None
            assert one.supervisor.probe(lambda name, _, of=reserved: one.placer.take(of, name))  # type: ignore[misc]
        await settle()
        one.hosts.last.hello()
        one.hosts.last.ready()
        one.supervisor.relieve("d-0")
        await settle()
        await one.leave()
        assert (sorted(one.groups()), one.probes()) == (["d-1", "d-2", "d-3"], 1)
        one.supervisor.scale(1)
        await settle()
        await one.leave()
        assert (one.supervisor.snapshot().wanted, one.ready(), one.probes()) == (1, 1, 0)
        assert list(one.groups()) == ["d-1"], "d-2 is the probe that was left, and nobody has forgotten that"


async def test_a_probe_that_an_operator_replaces_leaves_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        await one.clock.advance(60.0)
        assert one.supervisor.replace("d-2")
        await settle()
        await one.leave()
        assert (sorted(one.groups()), one.probes()) == (["d-0", "d-1"], 0)
        assert len(one.hosts.made) == 3


async def test_a_trial_goes_where_it_wishes_and_nobody_else_with_it(tmp_path: Path) -> None:
    """All used to go by the wishes of the latest release, also those of before, until that was dismissed."""
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        one.supervisor.try_out(wishing(Wishes(), number=2))
        await settle()
        assert one.groups()["d-2"] == "", "the whole machine, less its groups"
        one.supervisor.scale(3)
        await settle()
        assert one.groups()["d-3"] == "fast", "of the release that runs"
        one.supervisor.dismiss("no")
        await settle()
        await one.leave()
        one.supervisor.scale(4)
        await settle()
        assert one.groups() == {"d-0": "slow", "d-1": "slow", "d-3": "fast", "d-2": "fast"}


async def test_a_place_that_is_found_when_nobody_rebalances_any_more_is_given_back(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.other.leave("other-0")
        one.thread.busy = True
        await one.clock.advance(60.0)
        one.supervisor.adjust(wishing(replace(FAST, rebalancing=False)), Strategy())
        one.moving.configure(PATIENCE)
        one.supervisor.adjust(wishing(FAST), Strategy())
        one.thread.go_on()
        await settle()
        assert (one.groups(), one.probes()) == ({"d-0": "slow", "d-1": "slow"}, 0)
