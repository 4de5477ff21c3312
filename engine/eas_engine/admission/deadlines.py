"""Whose time is over? One timer for all tickets instead of one each.

Nearly all tickets arrive in the order of their deadlines (arrival + ``rpc.keepalive``), so a dict in order of arrival
and one timer at its first entry are enough, at the price of two dict operations a request. A ticket whose deadline is
earlier than the last one's (its head trickled in, or keepalive was lowered) gets a timer of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.request import Ticket


class Deadlines:
    """Calls `expire` for each ticket that is still here at its deadline."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], expire: Callable[[Ticket, float], None]
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._expire = expire
        self._line: dict[Ticket, None] = {}
        self._own: dict[Ticket, asyncio.TimerHandle] = {}
        self._latest = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._line) + len(self._own)

    def __repr__(self) -> str:
        return f"<Deadlines of {len(self)} tickets>"

    def add(self, ticket: Ticket) -> None:
        """Watch the ticket until ``discard``."""
        deadline = ticket.deadline
        if deadline >= self._latest:
            self._latest = deadline
            self._line[ticket] = None
            if self._timer is None:
                self._timer = self._after(deadline, self._sweep)
        else:
            self._own[ticket] = self._after(deadline, self._one, ticket)

    def discard(self, ticket: Ticket) -> None:
        """The ticket has ended."""
        if ticket in self._line:
            del self._line[ticket]
        else:
            timer = self._own.pop(ticket, None)
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Stop watching."""
        for timer in (self._timer, *self._own.values()):
            if timer is not None:
                timer.cancel()
        self._line.clear()
        self._own.clear()

    def _after(self, deadline: float, call: Callable[..., None], *arguments: Ticket) -> asyncio.TimerHandle:
        return self._loop.call_later(max(0.0, deadline - self._clock()), call, *arguments)

    def _sweep(self) -> None:
        self._timer = None
        now = self._clock()
        late = []
        for ticket in self._line:
            if ticket.deadline > now:
                self._timer = self._after(ticket.deadline, self._sweep)
                break
            late.append(ticket)
        for ticket in late:
            self._expire(ticket, now)

    def _one(self, ticket: Ticket) -> None:
        now = self._clock()
        if ticket.deadline > now:  # timers have the resolution of a millisecond
            self._own[ticket] = self._after(ticket.deadline, self._one, ticket)
        else:
            self._expire(ticket, now)
