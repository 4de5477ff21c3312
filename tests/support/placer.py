"""A machine with so many places, and the thread of a disk that is always ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from eas_engine.supervisor.place import Limits, NoPlace, Place, Wishes

T = TypeVar("T")


class AtOnce:
    """Implements ``pools.placing.Thread``. ``busy``: what is asked for waits for ``go_on``."""

    def __init__(self) -> None:
        self.busy = False
        self._waiting: list[Callable[[], None]] = []

    def begin(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(lambda: done.set_result(work()))
        if not self.busy:
            self.go_on()
        return done

    def go_on(self) -> None:
        self.busy = False
        while self._waiting:
            self._waiting.pop(0)()

    def later(self, work: Callable[[], object], /) -> None:
        self.begin(work)


class FakePlacer:
    """Implements ``eas_engine.supervisor.place.Placer``.

    ``room``: how many instances fit; None: as many as come. ``asked`` has every question, in order. ``slow``:
    questions wait in ``open`` until ``answer`` is called. ``cards``: each instance gets one of these.
    """

    def __init__(self, room: int | None = None, *, slow: bool = False) -> None:
        self.room = room
        self.slow = slow
        self.cards: list[str] = []
        self.open: set[str] = set()
        self.answered: set[str] = set()
        self.found: Callable[[str], None] = lambda _: None
        self.held: dict[str, Place] = {}
        self.asked: list[tuple[str, Limits]] = []

    def place(self, instance: str, limits: Limits, wishes: Wishes) -> Place | NoPlace | None:
        self.asked.append((instance, limits))
        if self.slow and instance not in self.held and instance not in self.answered:
            self.open.add(instance)
            return None
        return self.hold(instance, limits)

    def hold(self, instance: str, limits: Limits) -> Place | NoPlace:
        """What ``place`` says when it is known."""
        self.answered.discard(instance)
        if instance not in self.held:
            if self.room is not None and len(self.held) >= self.room:
                return NoPlace(f"{len(self.held)} of {self.room} places are taken")
            taken = {card for place in self.held.values() for card in place.cards}
            free = [card for card in self.cards if card not in taken]
            if self.cards and not free:
                return NoPlace(f"all {len(taken)} cards are taken")
            self.held[instance] = Place(cpus=(len(self.held),), cards=tuple(free[:1]))
        return self.held[instance]

    def answer(self) -> None:
        """All questions."""
        answered, self.open = self.open, set()
        self.answered |= answered
        for instance in sorted(answered):
            self.found(instance)

    def leave(self, instance: str) -> None:
        self.open.discard(instance)
        self.answered.discard(instance)
        self.held.pop(instance, None)
