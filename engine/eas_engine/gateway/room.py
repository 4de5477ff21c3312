"""Room for clients: how many may be connected at once, and who makes room for whom.

Every connection is a descriptor. If clients could take all of them, a host that crashed couldn't be started
again (it needs sockets, pipes and shared memory), and nobody could ask the admin plane why. So part of the
process's limit is kept for the engine itself (``share_of_clients``), and the rest is for clients.

Rules
-----
* A newcomer beyond the limit takes the place of the connection that has been idle for longest (as nginx does
  when ``worker_connections`` run out), or else of one whose last answer has left and that only waits for its
  client to close.
* When nobody can be spared, the newcomer is closed at once, without an answer.
* A connection with a request under way, or with bytes of an answer unsent, is never closed for room.
* Both are counted, and the log says so at most once a minute.

Looking for the idle ones costs a walk over all connections, so it finds many at once (one in 32), and each is
looked at again when its turn comes. After a walk that found none, the next few newcomers are closed without
another.
"""

from __future__ import annotations

from heapq import nsmallest
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eas_engine.gateway.front import Log
    from eas_engine.telemetry.counters import Counters

OWN = 32
"""Descriptors of the engine itself: loops, logs, listeners, state, shared memory, files that it reads."""
A_HOST = 12
"""Descriptors of one host, those of its start included."""
FEWEST = 8
"""Connections below which a service isn't worth starting."""
_ADMIN_LEAST, _ADMIN_MOST, _ADMIN_PART = 8, 64, 32
_AT_ONCE = 32
_TOLD_EVERY = 60.0


def share_of_admin(descriptors: int) -> int:
    """How many of `descriptors` the connections of the admin plane may have."""
    return min(_ADMIN_MOST, max(_ADMIN_LEAST, descriptors // _ADMIN_PART))


def share_of_clients(descriptors: int, hosts: int) -> int:
    """How many of `descriptors` clients may have, beside `hosts` hosts; below 1 when it can't be done."""
    return descriptors - OWN - share_of_admin(descriptors) - A_HOST * hosts


def fewest_descriptors(hosts: int) -> int:
    """How many a service with `hosts` hosts needs at least."""
    needed = OWN + _ADMIN_LEAST + A_HOST * hosts + FEWEST
    while share_of_clients(needed, hosts) < FEWEST:
        needed += 1
    return needed


class Guest(Protocol):
    """What a connection says of itself."""

    active: float
    """When it last had something to do, by the monotonic clock."""

    @property
    def spare(self) -> int:
        """Whether it can be spared: 0 no, 1 it is idle, 2 it has ended and lingers."""

    def dismiss(self) -> None:
        """Close it now."""

    def abort(self) -> None:
        """Close it now, whatever is unsent."""


class Room:
    """The connections' limit, kept."""

    def __init__(self, descriptors: int, counters: Counters, log: Log) -> None:
        self._descriptors = descriptors
        self._counters, self._log = counters, log
        self._next: list[tuple[int, float, Guest]] = []  # who goes next: the last one
        self._blind = 0  # newcomers that are closed before the next look
        self._told = (0, 0)  # how many had been closed and refused when it was last said
        self._quiet_until = 0.0
        self.limit = 0
        self.configure(1)

    def __repr__(self) -> str:
        return f"<Room for {self.limit} connections, {self._counters.connections} there>"

    def configure(self, hosts: int) -> None:
        """There are so many hosts now."""
        self.limit = max(1, share_of_clients(self._descriptors, hosts))

    def make(self, newcomer: Guest, connections: Iterable[Guest]) -> None:
        """One more has come than there is room for: `connections`, the newcomer among them."""
        if not self._dismiss_one(connections, newcomer):
            self._counters.refused_connections += 1
            newcomer.abort()

    def tick(self, now: float, connections: Iterable[Guest]) -> None:
        """Call once a second or so; `now` is of a monotonic clock."""
        counters = self._counters
        for _ in range(counters.connections - self.limit):  # there are more hosts than there were
            if not self._dismiss_one(connections):
                break
        told = (counters.closed_for_room, counters.refused_connections)
        if told == self._told or now < self._quiet_until:
            return
        closed, refused = (new - old for new, old in zip(told, self._told, strict=True))
        self._told, self._quiet_until = told, now + _TOLD_EVERY
        self._log.warning(
            "as many clients are connected as there is room for; raise the limit of open files (ulimit -n)",
            limit=self.limit,
            closed_idle=closed,
            refused=refused,
        )

    def _dismiss_one(self, connections: Iterable[Guest], newcomer: Guest | None = None) -> bool:
        leaving = self._pick() or self._look(connections, newcomer)
        if leaving is None:
            return False
        self._counters.closed_for_room += 1
        leaving.dismiss()
        return True

    def _pick(self) -> Guest | None:
        """The next that can still be spared, of those found before."""
        while self._next:
            spare, active, guest = self._next.pop()
            if guest.spare == spare and guest.active == active:
                return guest
        return None

    def _look(self, connections: Iterable[Guest], newcomer: Guest | None) -> Guest | None:
        if self._blind:
            self._blind -= 1
            return None
        everybody = [guest for guest in connections if guest is not newcomer]
        spared = ((guest.spare, guest.active, guest) for guest in everybody)
        count = 1 + len(everybody) // _AT_ONCE
        found = nsmallest(count, (one for one in spared if one[0]), key=itemgetter(0, 1))
        self._next = found[::-1]
        if not found:
            self._blind = len(everybody) // _AT_ONCE
        return self._pick()
