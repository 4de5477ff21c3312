"""A fleet in groups with room for so many, for rebalancing: instances get ready when a test says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eas_engine.supervisor.pools.rebalance import Seat


class GroupedFleet:
    """Implements ``rebalance.Fleet``. ``room``: how many instances each group holds, best group first."""

    def __init__(self, room: Mapping[str, int], seats: Sequence[str]) -> None:
        """``seats``: the group of each instance that is there, and ready, at the start."""
        self.room = dict(room)
        self.instances = {
            f"d-{number}": Seat(f"d-{number}", group, ready=True) for number, group in enumerate(seats)
        }
        self.calm = True
        self.log: list[str] = []
        """What was asked of it: ``start fast``, ``full fast``, ``drain d-0``."""
        self.most = len(seats)
        self.fewest_ready = len(seats)
        self._next = len(seats)

    def seats(self) -> Sequence[Seat]:
        return list(self.instances.values())

    def steady(self) -> bool:
        return self.calm

    async def start_in(self, group: str) -> str | None:
        if self.held(group) >= self.room[group]:
            self.log.append(f"full {group}")
            return None
        name = f"d-{self._next}"
        self._next += 1
        self.instances[name] = Seat(name, group, ready=False)
        self.log.append(f"start {group}")
        self._count()
        return name

    def drain(self, instance: str) -> None:
        seat = self.instances[instance]
        assert not seat.leaving, "nobody leaves twice"
        self.instances[instance] = Seat(seat.name, seat.group, seat.ready, leaving=True)
        self.log.append(f"drain {instance}")
        self._count()

    # -- what a test makes of it

    def get_ready(self) -> None:
        """All that start are done."""
        for seat in self.seats():
            if not seat.leaving:
                self.instances[seat.name] = Seat(seat.name, seat.group, ready=True)

    def leave(self) -> None:
        """All that are leaving have left."""
        self.instances = {name: one for name, one in self.instances.items() if not one.leaving}

    def crash(self, instance: str) -> None:
        """It is gone."""
        del self.instances[instance]

    def held(self, group: str) -> int:
        return sum(one.group == group for one in self.instances.values())

    def groups(self) -> list[str]:
        """Where those are that stay."""
        return sorted(one.group for one in self.instances.values() if not one.leaving)

    def asked(self) -> list[str]:
        """The log since the last call."""
        log, self.log = self.log, []
        return log

    def _count(self) -> None:
        staying = [one for one in self.instances.values() if not one.leaving]
        self.most = max(self.most, len(staying))
        self.fewest_ready = min(self.fewest_ready, sum(one.ready for one in staying))
