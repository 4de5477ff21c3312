"""A machine with so many places: implements ``eas_engine.supervisor.place.Placer``."""

from __future__ import annotations

from eas_engine.supervisor.place import Limits, NoPlace, Place


class FakePlacer:
    """``room``: how many instances fit; None: as many as come. ``asked`` has every question, in order."""

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
