"""The one line of requests that wait for a free worker thread.

Ordered by when each body was complete. Every operation is O(1), leaving from the middle included, so a
request that timed out or whose client left never occupies a place.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from eas_engine.request import Holder, Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable


class Backlog(Holder):
    """Tickets in order. It bounds nothing itself: the gate admits no more than there may be.

    ``line`` is for looking at, on the hot path; whoever changes it does so through the methods.
    """

    def __init__(self) -> None:
        self.line: OrderedDict[Ticket, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.line)

    def __repr__(self) -> str:
        return f"<Backlog {len(self.line)} waiting>"

    def put(self, ticket: Ticket) -> None:
        """To the end of the line."""
        ticket.holder = self
        self.line[ticket] = None

    def put_back(self, tickets: Iterable[Ticket]) -> None:
        """To where they were: in front of whoever has waited for less long."""
        back = list(tickets)
        newest = max(map(_order, back), default=(0.0, 0))
        while self.line and _order(first := next(iter(self.line))) < newest:
            del self.line[first]  # it came back a moment ago
            back.append(first)
        for ticket in sorted(back, key=_order, reverse=True):
            ticket.holder = self
            self.line[ticket] = None
            self.line.move_to_end(ticket, last=False)

    def pop(self) -> Ticket:
        """The ticket that has waited longest. KeyError when the line is empty."""
        return self.line.popitem(last=False)[0]

    def take(self, count: int) -> list[Ticket]:
        """Those that have waited longest, `count` of them or all."""
        taken = list(islice(self.line, count))
        for ticket in taken:
            del self.line[ticket]
        return taken

    def withdraw(self, ticket: Ticket) -> bool:
        """Its client doesn't wait any more; see ``request.Holder``."""
        del self.line[ticket]
        ticket.holder = None
        return True


def _order(ticket: Ticket) -> tuple[float, int]:
    return ticket.queued, ticket.number
