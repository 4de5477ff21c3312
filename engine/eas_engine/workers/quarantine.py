"""``rpc.retry_on_crash``: what was begun when an instance died is tried once more, alone.

Theory of operation
-------------------
``lost`` makes suspects of what a dead host had begun (``suspects``). One host at a time is *reserved* for
them: it gets nothing new, what it hadn't begun goes elsewhere, and when it is empty the suspects go there one
after the other. While a host is reserved its ``Cell`` is what the link takes for the pool; so none of this
costs anything on the path of a usual request.

Which host: one that has just become ready is taken at once. Of those that serve, the emptiest, if another one
serves, too. The only one of several that still serves is spared until half of the first suspect's time is
over: the one that died will be back, as a rule, and a suspect that is guilty would end the service. Where
there is but one instance, suspects come before the queue, for they were before it.

Where a service has several lanes, suspects of all of them are tried on hosts of the main one and of those
beside it (``pools``): a canary's suspects aren't the canary's to be retried, and nobody else is tried there.

Guarantees
----------
* A request is begun twice at most; the second time nothing else is in the host until it is answered, or until
  its deadline has answered it. From then on it can't hold up anybody but by what it does.
* A suspect is answered once: by the processor, 500 ``poison_request`` when its host died with it alone, 408
  at its deadline; it keeps its place at the gate until then.
* No host stays reserved without a suspect that waits for it or is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eas_engine.errors import InstanceCrashed, InstanceStopped, PoisonRequest, Refusal
from eas_engine.workers.suspects import Convictions, Suspects

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from eas_engine.request import Ticket
    from eas_engine.telemetry.counters import Counters
    from eas_engine.workers.link import Link
    from eas_engine.workers.pool import Pool

_MOMENT = 0.001
"""Seconds until the other timer of a deadline has rung, too."""


class Log(Protocol):
    """Where it says what it does."""

    def warning(self, event: str, **fields: object) -> None:
        """One line."""


class Quarantine:
    """The suspects of one service, and the host that is reserved for them, if one is."""

    def __init__(
        self,
        pool: Pool,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        counters: Counters,
        log: Log,
    ) -> None:
        self.line = Suspects(self._one_left)
        self.pools: tuple[Pool, ...] = (pool,)
        """Whose hosts are taken for trials."""
        self.hosts = 1
        """How many they have, dead ones included."""
        self.accepting = True
        """Whether there will be suspects; without it only those that there are get their second try."""
        self._loop, self._clock, self._counters, self._log = loop, clock, counters, log
        self._cell: Cell | None = None
        self._convictions = Convictions()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Quarantine {self.line!r} {self._cell!r}>"

    @property
    def reserved(self) -> Link | None:
        """The host that is kept for suspects now."""
        return self._cell.link if self._cell is not None else None

    def count(self) -> int:
        """How many suspects there are: waiting, or being tried."""
        cell = self._cell
        return len(self.line) + (cell is not None and cell.trying is not None)

    # -- what the pool tells

    def lost(self, begun: list[Ticket], crash: InstanceCrashed) -> Refusal:
        """A host died with these begun: takes those that will be tried again; what the others end with.

        An instance that was told to leave isn't suspected of anything: its time was over.
        """
        if self.tries(crash):
            self.take([ticket for ticket in begun if ticket.client is not None], crash)
        self.look()
        return crash

    def tries(self, crash: InstanceCrashed) -> bool:
        """Whether what had begun when a host died of this is tried again."""
        return self.accepting and not isinstance(crash, InstanceStopped)

    def opened(self, link: Link) -> None:
        """A host has become ready; nothing is in it yet."""
        cell = self._cell
        ours = any(link in pool.links for pool in self.pools)
        if ours and self.line and not self._paused() and (cell is None or cell.trying is None):
            self._release()
            self._reserve(link)

    def close(self) -> None:
        """Look no more."""
        self._stop_timer()

    # -- deciding

    def take(self, tickets: list[Ticket], crash: InstanceCrashed | None = None) -> None:
        """These wait for their second try from now on."""
        if not tickets:
            return
        self.line.put(tickets)
        if crash is not None:
            self._log.warning(
                "requests were begun when their instance died; each is tried once more, alone",
                count=len(tickets),
                died_of=crash.code,
            )

    def look(self) -> None:
        """See to it that the first suspect is tried as soon as may be."""
        self._stop_timer()
        if self._cell is not None or not self.line:
            return
        if self._paused():
            self._look_at(self._convictions.pause_ends)
            return
        link = self._choose()
        if link is not None:
            self._reserve(link)

    def _choose(self) -> Link | None:
        """The host to reserve; None: none yet."""
        serving = [link for pool in self.pools for link in pool.links if link.serving]
        if not serving:
            return None  # `opened` will tell
        if len(serving) == 1 and self.hosts > 1:
            first = self.line.first
            half = (first.arrived + first.deadline) / 2
            if self._clock() < half:
                self._look_at(half)
                return None
        return min(serving, key=lambda link: link.count)

    def _paused(self) -> bool:
        return self._clock() < self._convictions.pause_ends

    def _look_at(self, instant: float) -> None:
        self._timer = self._loop.call_later(max(_MOMENT, instant - self._clock()), self.look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _one_left(self) -> None:
        """A suspect has left the line: perhaps nobody needs the reserved host any more."""
        cell = self._cell
        if not self.line and cell is not None and cell.trying is None:
            self._release()

    def move(self, link: Link, pool: Pool) -> bool:
        """The link is to be one of `pool`'s; True: it is reserved, and will be when it is released."""
        cell = self._cell
        if cell is None or cell.link is not link:
            return False
        cell.move(pool)
        return True

    # -- the reserved host

    def _reserve(self, link: Link) -> None:
        home = next(pool for pool in self.pools if link in pool.links)
        self._cell = cell = Cell(self, home, link)
        link.reserve(cell)
        cell.pull(link)

    def _release(self) -> None:
        """Its host serves like any other again."""
        cell, self._cell = self._cell, None
        if cell is not None:
            cell.open()

    def proceed(self, cell: Cell) -> None:
        """The reserved host is empty: the next suspect, if there is one."""
        if self.line and not self._paused():
            cell.attempt(self.line.pop(), self._loop, self._clock)
        else:
            self._release()
            self.look()

    def tried(self, *, guilty: bool) -> None:
        """A suspect had its second try; `guilty`: it took its host down, or all the time there was."""
        self._counters.retries += 1
        if guilty:
            self._convictions = self._convictions.after(self._clock())

    def gone(self, cell: Cell) -> None:
        """The cell's host takes nothing more, or is dead."""
        if cell is self._cell:
            self._cell = None
        self.look()

    def overdue(self, cell: Cell) -> None:
        """A suspect's time is over, and it is still being tried: nobody waits for it any longer."""
        self.tried(guilty=True)
        if cell is self._cell:
            self._release()
        self.look()


class Cell:
    """What a reserved host's link takes for the pool (``link.Pull``)."""

    def __init__(self, quarantine: Quarantine, pool: Pool, link: Link) -> None:
        self.link = link
        self.trying: Ticket | None = None
        self._quarantine, self._pool = quarantine, pool
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Cell {self.link!r} tries {self.trying!r}>"

    def attempt(self, suspect: Ticket, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        """The one thing in the host from now on."""
        self.trying = suspect
        self._timer = loop.call_later(suspect.deadline - clock() + _MOMENT, self._too_late, suspect, loop)
        self.link.hand(suspect)

    def move(self, pool: Pool) -> None:
        """The link is one of `pool`'s from now on, though the cell has it."""
        self._pool.remove(self.link)
        self._pool = pool
        pool.add(self.link)

    def open(self) -> None:
        """The host serves like any other again, unless it is leaving."""
        if self.link.serving:
            self.link.release(self._pool)

    # -- what the link tells (Pull)

    def opened(self, link: Link) -> None:
        """Never: the link was open before it was reserved."""

    def pull(self, link: Link) -> None:
        """The host gave something back, or is leaving."""
        if link.count:
            if not link.serving:
                self._quarantine.gone(self)
            return
        if self._acquit():
            self._quarantine.tried(guilty=False)
        if link.serving:
            self._quarantine.proceed(self)
        else:
            self._quarantine.gone(self)

    def remove(self, link: Link) -> None:
        """The host is gone; `lost` follows."""
        self._pool.remove(link)

    def returned(self, tickets: Iterable[Ticket]) -> None:
        """Handed out, but never begun."""
        others = []
        for ticket in tickets:
            if ticket is self.trying:
                self._acquit()
                self._quarantine.take([ticket])
                self._quarantine.look()
            else:
                others.append(ticket)
        self._pool.returned(others)

    def lost(self, begun: list[Ticket], crash: InstanceCrashed) -> Refusal:
        """The host died."""
        if self.trying is None or self.trying not in begun:
            self._quarantine.gone(self)
            return self._quarantine.lost(begun, crash)
        self._acquit()
        stopped = isinstance(crash, InstanceStopped)
        self._quarantine.tried(guilty=not stopped)
        self._quarantine.gone(self)
        return crash if stopped else PoisonRequest.of(crash)

    def _acquit(self) -> bool:
        """Nothing is being tried any more; whether something was."""
        suspect, self.trying = self.trying, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return suspect is not None

    def _too_late(self, suspect: Ticket, loop: asyncio.AbstractEventLoop) -> None:
        if suspect.client is not None:  # its 408 is about to be sent
            self._timer = loop.call_later(_MOMENT, self._too_late, suspect, loop)
        elif self._acquit():
            self._quarantine.overdue(self)
