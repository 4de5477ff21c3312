"""The thread that waits for the disk: in order, whoever waits, and never on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from eas_engine.clock import SystemClock
from eas_engine.disk import Disk


class Stuck:
    """A disk that stands still until ``free`` is set."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.disk = Disk(SystemClock(), self.errors.append)
        self.free = threading.Event()
        self.disk.later(self.free.wait)


@pytest.fixture
async def stuck() -> AsyncIterator[Stuck]:
    made = Stuck()
    yield made
    made.free.set()
    await made.disk.close()


async def test_everything_is_done_in_the_order_in_which_it_was_asked_for(stuck: Stuck) -> None:
    done: list[int] = []
    waits = []
    for number in range(0, 20, 2):
        waits.append(asyncio.ensure_future(stuck.disk.do(done.append, number)))
        await asyncio.sleep(0)
        stuck.disk.later(lambda number=number: done.append(number + 1))  # type: ignore[misc]
    assert done == []

    stuck.free.set()
    await asyncio.gather(*waits)
    assert await stuck.disk.settled(60)

    assert done == [*range(20)]


async def test_what_it_returns_and_raises_comes_back(stuck: Stuck) -> None:
    stuck.free.set()
    assert await stuck.disk.do(int, "12", base=8) == 10
    with pytest.raises(ValueError, match="invalid literal"):
        await stuck.disk.do(int, "x")
    assert stuck.errors == []


async def test_what_fails_and_nobody_waits_for_is_told_of(stuck: Stuck) -> None:
    stuck.free.set()
    stuck.disk.later(lambda: int("x"))
    assert await stuck.disk.settled(60)
    assert [type(error) for error in stuck.errors] == [ValueError]


async def test_whoever_is_cancelled_leaves_it_to_be_done_in_its_turn(stuck: Stuck) -> None:
    done: list[str] = []
    first = asyncio.ensure_future(stuck.disk.do(done.append, "first"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    stuck.free.set()
    await stuck.disk.do(done.append, "second")
    assert (first.cancelled(), done) == (True, ["first", "second"])


async def test_whoever_waits_for_a_disk_that_is_stuck_is_told_so(stuck: Stuck) -> None:
    assert not await stuck.disk.settled(0.01)
    stuck.free.set()
    assert await stuck.disk.settled(60)
