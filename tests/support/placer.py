"""A machine with so many places, and the thread of a disk that is always ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from eas_engine.supervisor.place import Limits, NoPlace, Place

T = TypeVar("T")


class AtOnce:
    """Implements ``pools.placing.Thread``."""

    async def do(self, work: Callable[[], T], /) -> T:
        return work()

    def later(self, work: Callable[[], object], /) -> None:
        work()


class FakePlacer:
    """Implements ``eas_engine.supervisor.place.Placer``.

    ``room``: how many instances fit; None: as many as come. ``asked`` has every question, in order.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.held: dict[str, Place] = {}
        self.asked: list[tuple[str, Limits]] = []

    def place(self, instance: str, limits: Limits) -> Place | NoPlace:
        self.asked.append((instance, limits))
        if instance not in self.held:
            if self.room is not None and len(self.held) >= self.room:
                return NoPlace(f"{len(self.held)} of {self.room} places are taken")
            self.held[instance] = Place(cpus=(len(self.held),))
        return self.held[instance]

    def leave(self, instance: str) -> None:
        self.held.pop(instance, None)
