"""``rpc.retry_on_crash``: who is under suspicion, and how often suspicion may cost an instance. Pure.

When an instance dies, one of the requests that it had begun may have killed it, and nobody knows which. Each
of them is a *suspect*: it is tried once more, alone on an instance, so that what happens then is its own
doing. Answered: it was innocent. Dead again: it is *convicted*.

A conviction costs an instance, so they are rationed: after the n-th in a row no suspect is tried for 0, 1, 2,
4, 8, 16, 30, 30 ... seconds, and only a minute without one forgets them. So a flood of requests that crash
the processor costs hardly more instances with retries than without; its suspects end with 408.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eas_engine.request import Holder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eas_engine.request import Ticket

PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds without a trial after a conviction, by the number of convictions in a row; then the last one."""

FORGOTTEN_AFTER: Final = 60.0
"""Seconds without a conviction after which earlier ones don't count."""


@dataclass(frozen=True)
class Convictions:
    """What rationing has to remember."""

    in_a_row: int = 0
    last: float = -math.inf

    def after(self, now: float) -> Convictions:
        """One more."""
        forgotten = now - self.last >= FORGOTTEN_AFTER
        return Convictions(1 if forgotten else self.in_a_row + 1, now)

    @property
    def pause_ends(self) -> float:
        """The instant before which no suspect is tried."""
        if not self.in_a_row:
            return -math.inf
        return self.last + PAUSES[min(self.in_a_row, len(PAUSES)) - 1]


class Suspects(Holder):
    """The line of those that wait for their second try, longest waiting first.

    `left` is called behind the going of one that was answered 408, or whose client hung up.
    """

    def __init__(self, left: Callable[[], None]) -> None:
        self._line: dict[Ticket, None] = {}
        self._left = left

    def __len__(self) -> int:
        return len(self._line)

    def __repr__(self) -> str:
        return f"<Suspects {len(self._line)} waiting>"

    @property
    def first(self) -> Ticket:
        """Who is next. StopIteration when nobody waits."""
        return next(iter(self._line))

    def put(self, tickets: Iterable[Ticket]) -> None:
        """To where they belong. There are never many: what the threads of a few dead hosts had begun."""
        for ticket in tickets:
            ticket.holder = self
            self._line[ticket] = None
        self._line = dict.fromkeys(sorted(self._line, key=_order))

    def pop(self) -> Ticket:
        """The ticket that has waited longest. StopIteration when nobody waits."""
        ticket = self.first
        del self._line[ticket]
        return ticket

    def withdraw(self, ticket: Ticket) -> bool:
        """Its client doesn't wait any more; see ``request.Holder``."""
        del self._line[ticket]
        ticket.holder = None
        self._left()
        return True


def _order(ticket: Ticket) -> tuple[float, int]:
    return ticket.queued, ticket.number
