"""Is the memory of a card back that a dead process had of it?

*Guarantee*: after the death of a process that had a card, its instance isn't started again, and its place is
nobody else's, before the driver shows nothing of it on that card, or ``PATIENCE`` seconds have passed. Memory
comes back when the last process of an instance has left the driver, which may be later than its death: a
successor that looked earlier would find the card full.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Protocol, TypeVar

from eas_engine.clock import Clock, wait_until
from eas_engine.supervisor.place import Quarters

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds after which an instance is started although memory isn't back: the driver may be wrong."""

_LOOK: Final = 0.05  # seconds between two looks
_MIB: Final = 2**20


class Cards(Protocol):
    """What the driver says of the cards of this machine."""

    async def used_by(self, card: str) -> Mapping[int, int]:
        """Bytes that each process has on the card (its UUID), by pid, read now; empty if that can't be had.

        Never holds the loop, for a driver may take its time.
        """
        ...

    async def members(self, leader: int) -> frozenset[int]:
        """The processes of a session that still are, and its leader, whether that is or not."""
        ...


class InThread:
    """``Cards`` of a function that may block (None: it can't be had): calls are made in a thread, in turn.

    In one of its own: of a card in trouble the driver may owe an answer for ever, and the loop's own threads
    are few, and waited for at the end of the engine.
    """

    def __init__(self, used_by: Callable[[str], Mapping[int, int] | None]) -> None:
        self._used_by = used_by
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def used_by(self, card: str) -> Mapping[int, int]:
        """See ``Cards``."""
        return await self._ask(lambda: self._used_by(card)) or {}

    async def members(self, leader: int) -> frozenset[int]:
        """See ``Cards``."""
        return await self._ask(lambda: session(leader))

    def _ask(self, question: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            if answer.cancelled():  # nobody waits for it any more
                return
            try:
                settle = partial(_give, answer, question())
            except Exception as error:  # noqa: BLE001 - who has asked is told
                settle = partial(_refuse, answer, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle)

        self._work.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gpu memory", daemon=True)
            self._thread.start()
        return answer

    def _run(self) -> None:
        while True:
            self._work.get()()


def _give(answer: asyncio.Future[T], found: T) -> None:
    if not answer.done():
        answer.set_result(found)


def _refuse(answer: asyncio.Future[T], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def session(leader: int, proc: Path = Path("/proc")) -> frozenset[int]:
    """See ``Cards.members``."""
    found = {leader}
    for directory in proc.iterdir():
        if directory.name.isdigit():
            try:
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended just now
                continue
            if int(fields[3]) == leader:
                found.add(int(directory.name))
    return frozenset(found)


async def left_over(cards: Cards, uuids: Collection[str], pids: Collection[int]) -> dict[int, int]:
    """Bytes that these processes still have on these cards."""
    found: dict[int, int] = {}
    for uuid in uuids:
        for pid, count in (await cards.used_by(uuid)).items():
            if pid in pids:
                found[pid] = found.get(pid, 0) + count
    return found


class GpuMemory:
    """What a host's last process had on its cards, on its way back.

    Args:
        cards: whom to ask; None: nobody knows, so nothing is waited for.
        clock: for the look and the patience.
        warn: told of memory that didn't come back: an event and its fields.

    Attributes:
        out: what is waited for, for people; empty: nothing.
    """

    def __init__(self, cards: Cards | None, clock: Clock, warn: Callable[..., None]) -> None:
        self._cards, self._clock, self._warn = cards, clock, warn
        self._leader = 0
        self._uuids: tuple[str, ...] = ()
        self._instance = ""
        self._given_up = asyncio.Event()
        self.out = ""

    def __repr__(self) -> str:
        return f"<GpuMemory {self.out or 'back'}>"

    def lost_by(self, leader: int, quarters: Quarters | None) -> None:
        """The process that led a host's session is dead."""
        self._uuids = quarters.place.cards if quarters is not None and self._cards is not None else ()
        if quarters is not None and self._uuids:
            self._leader, self._instance = leader, quarters.instance
            self.out = f"process {leader} is dead; is its GPU memory back?"

    def give_up(self) -> None:
        """Nobody will come after it."""
        self._given_up.set()

    async def wait(self) -> None:
        """Until nothing is out any more; or for ``PATIENCE``, or until it was given up."""
        if self._cards is None or not self.out:
            return
        until = self._clock.now() + PATIENCE
        try:
            if not await wait_until(self._clock, until, self._look(self._cards), self._given_up.wait()):
                self._warn("gpu_memory_not_back", instance=self._instance, reason=self.out)
        finally:
            self.out = ""

    async def _look(self, cards: Cards) -> None:
        pids = await cards.members(self._leader)
        while left := await left_over(cards, self._uuids, pids):
            held = ", ".join(f"process {pid} has {count / _MIB:.0f} MiB" for pid, count in left.items())
            self.out = f"{held} on {' and '.join(self._uuids)}"
            await self._clock.sleep(_LOOK)
