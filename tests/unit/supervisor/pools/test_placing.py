"""Places that are found in another thread: nobody waits for the ledger, and nothing is lost or had twice."""

from __future__ import annotations

import asyncio
import fcntl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from eas_engine.clock import SystemClock
from eas_engine.devices import Gpu
from eas_engine.disk import Disk
from eas_engine.spec.engine.pools import pools_of
from eas_engine.state import StateDirectory
from eas_engine.supervisor.place import Limits, NoPlace, Place, Wishes
from eas_engine.supervisor.pools.ledger import DIRECTORY, Ledger, survey
from eas_engine.supervisor.pools.placer import LedgerPlacer
from eas_engine.supervisor.pools.placing import Placing
from support.pools import machine

ONE, FAST = Limits(cpu=1), Wishes(resource="fast")


class World:
    """A service in a group of two CPUs, whose disk can stand still."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.errors: list[Exception] = []
        self.disk = Disk(SystemClock(), self.errors.append)
        pools = pools_of(machine(4, {"fast": "0-1"}))
        ledger = LedgerPlacer(pools, Ledger(root, "d"))
        self.placing = Placing(ledger, self.disk)
        self.told: list[str] = []
        self.placing.found = self.told.append

    def stop(self) -> threading.Event:
        free = threading.Event()
        self.disk.later(free.wait)
        return free

    async def settle(self) -> None:
        assert await self.disk.settled(60)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def place(self, instance: str) -> Place | NoPlace | None:
        assert self.placing.place(instance, ONE, FAST) is None
        await self.settle()
        return self.placing.place(instance, ONE, FAST)

    @property
    def had(self) -> list[str]:
        """What the ledger says."""
        return [claim.instance for claim in survey(self.root)[0]]


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    with StateDirectory.acquire(root, "d"):
        made = World(root)
        yield made
        await made.disk.close()
        assert made.errors == []


async def test_a_place_is_told_of_when_it_is_found_and_stays(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        free = one.stop()
        assert one.placing.place("d-0", ONE, FAST) is None
        assert one.placing.place("d-0", ONE, FAST) is None, "it is looked for once"
        assert (one.told, one.had) == ([], [])
        free.set()
        await one.settle()
        assert (one.told, one.had) == (["d-0"], ["d-0"])
        assert one.placing.place("d-0", ONE, FAST) == Place(cpus=(0,), group="fast")
        assert one.placing.groups == {"d-0": "fast"}


async def test_that_there_is_none_is_said_once_and_then_looked_for_again(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        assert isinstance(await one.place("d-0"), Place)
        assert isinstance(await one.place("d-1"), Place)
        assert isinstance(await one.place("d-2"), NoPlace)
        one.placing.leave("d-0")
        assert isinstance(await one.place("d-2"), Place)
        assert one.had == ["d-1", "d-2"]


async def test_who_leaves_while_a_place_is_looked_for_has_none_in_the_end(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        free = one.stop()
        assert one.placing.place("d-0", ONE, FAST) is None
        one.placing.leave("d-0")
        free.set()
        await one.settle()
        assert (one.told, one.had, dict(one.placing.groups)) == ([], [], {})


async def test_who_comes_under_the_name_of_one_that_left_is_told_of_its_own_place(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        free = one.stop()
        assert one.placing.place("d-0", ONE, FAST) is None
        one.placing.leave("d-0")
        assert one.placing.place("d-0", Limits(cpu=2), FAST) is None
        free.set()
        await one.settle()
        assert one.told == ["d-0"]
        assert one.placing.place("d-0", Limits(cpu=2), FAST) == Place(cpus=(0, 1), group="fast")
        assert one.had == ["d-0"]


async def test_a_ledger_that_another_engine_holds_keeps_only_the_thread_waiting(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        assert isinstance(await one.place("d-0"), Place)
        with (tmp_path / DIRECTORY / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert one.placing.place("d-1", ONE, FAST) is None
            turns = 0
            while len(one.told) < 2:
                await asyncio.sleep(0)
                turns += 1
            found = one.placing.place("d-1", ONE, FAST)
        assert isinstance(found, NoPlace)
        assert "is deciding about places just now" in found.reason
        assert turns > 10
        assert isinstance(await one.place("d-1"), Place)


async def test_what_was_reserved_is_taken_by_whoever_it_was_for_or_given_back(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        first, second = [await one.placing.reserve(ONE, FAST, "fast") for _ in range(2)]
        assert await one.placing.reserve(ONE, FAST, "fast") is None
        assert first is not None
        assert second is not None
        assert one.placing.take(first, "d-7") == Place(cpus=(0,), group="fast")
        one.placing.leave(second)
        assert one.placing.place("d-7", ONE, FAST) == Place(cpus=(0,), group="fast")
        await one.settle()
        assert one.had == ["d-7"]
        one.placing.leave("d-7")
        await one.settle()
        assert one.had == []


async def test_who_had_a_lost_card_is_placed_anew(tmp_path: Path) -> None:
    gpus = tuple(Gpu("A10", 1 << 30, f"GPU-{one}") for one in range(2))
    async with world(tmp_path) as one:
        pools = pools_of(replace(machine(4), gpus=gpus))
        one.placing = Placing(LedgerPlacer(pools, Ledger(tmp_path, "d")), one.disk)
        for instance in ("d-0", "d-1"):
            assert one.placing.place(instance, Limits(gpu_memory=1 << 29), Wishes()) is None
        await one.settle()
        before = one.placing.place("d-0", Limits(), Wishes())
        assert before == one.placing.place("d-1", Limits(), Wishes()) == Place(cards=("GPU-0",))
        assert one.placing.lose("GPU-0") == ("d-0", "d-1")
        assert one.placing.place("d-0", Limits(gpu_memory=1 << 29), Wishes()) is None
        await one.settle()
        assert one.placing.place("d-0", Limits(), Wishes()) == Place(cards=("GPU-1",))
        assert one.had == ["d-0"]
