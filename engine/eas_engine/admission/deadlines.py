"""Whose time is over? One timer for all tickets instead of one each.

Nearly all tickets arrive in the order of their deadlines (arrival + ``rpc.keepalive``), so a dict in order of
arrival and one timer at its first entry are enough, at the price of two dict operations a request. The timer
is always set: with nobody in line it is due when the next to come can be late at the earliest. A ticket whose
deadline is earlier than the last one's (its head trickled in, or keepalive was lowered) gets a timer of its
own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.request import Ticket


_IDLE_SECONDS: Final = 0.02
"""With nobody in line the timer isn't due earlier than this, however short ``rpc.keepalive`` is."""


class Deadlines:
    """Calls `expire` for each ticket that is still here at its deadline."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        expire: Callable[[Ticket, float], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._expire = expire
        self.line: dict[Ticket, None] = {}
        self._own: dict[Ticket, asyncio.TimerHandle] = {}
        self.latest = 0.0
        self._keepalive = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self.line) + len(self._own)

    def __repr__(self) -> str:
        return f"<Deadlines of {len(self)} tickets>"

    def configure(self, keepalive: float) -> None:
        """No ticket will be added whose deadline is earlier than this after its arrival."""
        self._keepalive = keepalive
        self._sweep()

    def add(self, ticket: Ticket) -> None:
        """Watch the ticket until it is discarded."""
        if ticket.deadline >= self.latest:
            self.latest = ticket.deadline
            self.line[ticket] = None
        else:
            self._own[ticket] = self._after(ticket.deadline, self._one, ticket)

    def discard(self, ticket: Ticket) -> None:
        """The ticket has ended."""
        if self.line.pop(ticket, ticket) is ticket:  # the dict's values are None
            self.discard_own(ticket)

    def discard_own(self, ticket: Ticket) -> None:
        """``discard`` for a ticket that isn't in the line."""
        timer = self._own.pop(ticket, None)
        if timer is not None:
            timer.cancel()

    def tickets(self) -> list[Ticket]:
        """All that are watched."""
        return [*self.line, *self._own]

    def close(self) -> None:
        """Stop watching."""
        for timer in (self._timer, *self._own.values()):
            if timer is not None:
                timer.cancel()
        self.line.clear()
        self._own.clear()

    def _after(self, deadline: float, call: Callable[..., None], *arguments: Ticket) -> asyncio.TimerHandle:
        return self._loop.call_later(max(0.0, deadline - self._clock()), call, *arguments)

    def _sweep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        late = []
        due = now + max(self._keepalive, _IDLE_SECONDS)
        for ticket in self.line:
            if ticket.deadline > now:
                due = min(due, ticket.deadline)
                break
            late.append(ticket)
        # Whoever is due before the timer has a timer of its own: its first byte came before this sweep did.
        self.latest = max(self.latest, due)
        self._timer = self._after(due, self._sweep)
        for ticket in late:
            self._expire(ticket, now)

    def _one(self, ticket: Ticket) -> None:
        now = self._clock()
        if ticket.deadline > now:  # timers have the resolution of a millisecond
            self._own[ticket] = self._after(ticket.deadline, self._one, ticket)
        else:
            self._expire(ticket, now)
