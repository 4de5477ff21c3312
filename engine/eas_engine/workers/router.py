"""Which lane gets the ticket whose body is complete? Only where there is more than one: ``lanes``.

A canary takes its share while it has a host that serves and doesn't fall behind; a shadow gets copies. All
else goes to the main lane, or to those beside it: they have one line together, whose first ticket goes to
whichever host has a free thread first, whatever the lane. One that comes while several have is given to the
lane with the most.
"""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eas_engine.admission.gate import Gate
    from eas_engine.request import Ticket
    from eas_engine.workers.canary import CanaryTrial
    from eas_engine.workers.lane import Lane
    from eas_engine.workers.shadow import ShadowTrial

_FREE: Final = methodcaller("free_threads")


class Router:
    """Stands where a service with one lane has its pool. ``gate``: says what one instance may hold."""

    def __init__(self, main: Lane, gate: Gate) -> None:
        self.canary: CanaryTrial | None = None
        self.shadow: ShadowTrial | None = None
        self._gate = gate
        self._pools = [main.pool]

    def __repr__(self) -> str:
        return f"<Router of {len(self._pools)} lanes with one line, {self.canary!r}, {self.shadow!r}>"

    def serve(self, lanes: Sequence[Lane]) -> None:
        """These have one line together; the first is the main one."""
        self._pools = [lane.pool for lane in lanes]

    def submit(self, ticket: Ticket) -> None:
        """The ticket's body is complete."""
        shadow, canary = self.shadow, self.canary
        if canary is not None and self._takes(canary):
            canary.tag(ticket)
            canary.lane.pool.submit(ticket)
        else:
            if canary is not None:
                canary.pass_by(ticket)
            self._submit(ticket)
        if shadow is not None and shadow.share.next():
            shadow.copy(ticket)

    def look(self) -> None:
        """Take the answers that are here; copies can wait."""
        for pool in self._pools:
            pool.look()
        if self.canary is not None:
            self.canary.lane.pool.look()

    def _takes(self, canary: CanaryTrial) -> bool:
        """Whether the next request is the canary's."""
        hosts = sum(link.serving for link in canary.lane.pool.links)
        if not hosts or not canary.share.next():
            return False
        limits = self._gate.limits
        if len(canary.lane.backlog) >= hosts * (limits.queue + limits.threads * limits.batch):
            canary.overflowed += 1
            return False
        return True

    def _submit(self, ticket: Ticket) -> None:
        pools = self._pools
        if len(pools) == 1:
            pools[0].submit(ticket)
            return
        emptiest_first = sorted(pools, key=_FREE, reverse=True)
        emptiest_first[0].submit(ticket)
        for pool in emptiest_first:  # it is in the line if others were: they may wait for a batch to fill
            pool.serve()
