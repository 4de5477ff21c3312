"""Who gets the next batch? The pool of a service that batches (``rpc.batching``).

Everybody waits in line first. Whether, when and how many of them leave together is decided by
``batching.cut``; this decides who gets them: the host with the most idle threads, or, when there is none, one
that takes a full batch ahead.

Requests that come in the same turn of the loop are looked at together, at its end, unless a full batch waits
before that: of sixteen that arrive at once the first must not go alone. While no host has room nobody looks
at all: an answer, a host that opens, or one that is lost will say when that has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from eas_engine.batching.cut import Hosts
from eas_engine.workers.pool import Pool

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from eas_engine.admission.backlog import Backlog
    from eas_engine.batching.batcher import Batcher
    from eas_engine.batching.cut import Rules
    from eas_engine.request import Ticket
    from eas_engine.workers.batch_link import BatchLink
    from eas_engine.workers.link import Link


class BatchPool(Pool):
    """Links that take batches, and the backlog they come from. All its links are ``BatchLink``."""

    def __init__(self, backlog: Backlog, loop: asyncio.AbstractEventLoop, batcher: Batcher) -> None:
        super().__init__(backlog, loop)
        self.batcher = batcher
        self._armed = False  # somebody will look at the end of this turn
        self._no_room = False  # nobody need look before a link has something to say
        batcher.call(self._ring)

    def __repr__(self) -> str:
        return f"<BatchPool of {self.links!r}, {self._backlog!r}, {self.batcher!r}>"

    def submit(self, ticket: Ticket) -> None:
        """The ticket's body is complete: it waits for its batch."""
        self._backlog.put(ticket)
        if self._no_room:
            return
        if len(self._line) >= self.batcher.pace.full:
            self._deal()
        elif not self._armed:
            self._arm()

    def pull(self, link: Link) -> None:
        """There may be room in `link`."""
        self._no_room = False
        if len(self._line) >= self.batcher.pace.full:
            self._deal()
        elif self._line and not self._armed:
            self._arm()
        if link is not self._only and link.has_ahead():
            self._watch()

    def returned(self, tickets: Iterable[Ticket]) -> None:
        """Handed out, but never begun: back to the front of the line, and out again where there is room."""
        if self.heir is not None:
            self.heir(tickets)
            return
        self._backlog.put_back(tickets)
        self._no_room = False
        self._deal()
        for pool in self.besides:
            pool.serve()

    def serve(self) -> None:
        """Somebody may wait, or be judged by other rules than before: look at the end of the turn."""
        self._no_room = False
        if len(self._line) >= self.batcher.pace.full:
            self._deal()
        elif self._line and not self._armed:
            self._arm()

    def configure(self, rules: Rules) -> None:
        """Other rules from now on; those who wait already are judged by them."""
        self.batcher.configure(rules)
        self.serve()

    def drain(self) -> None:
        """Nobody comes any more: nobody waits for company either."""
        self.batcher.draining = True
        self._deal()

    def close(self) -> None:
        """Look no more."""
        self.batcher.close()

    def _arm(self) -> None:
        self._armed = True
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._armed = False
        self._deal()

    def _ring(self) -> None:
        self._deal()

    def _deal(self) -> None:
        """Hand out what is to go now."""
        take = self.batcher.take
        while self._line:
            link = self._idlest()
            if link is None:
                self._no_room = True
                take(Hosts(idle=False, ahead=False), 0)
                return
            places = link.places()
            idle = link.free_threads() > 0
            batch = take(Hosts(idle, not idle), places) if places else None
            if batch is None:
                return
            link.hand_batch(batch.tickets, batch.reason)
            if link is not self._only and link.has_ahead():
                self._watch()

    def _idlest(self) -> BatchLink | None:
        """The link with the most idle threads, else one that takes a batch ahead."""
        best: BatchLink | None = None
        most = 0
        ahead: BatchLink | None = None
        for one in self.links:
            link = cast("BatchLink", one)
            free = link.free_threads()
            if free > most:
                best, most = link, free
            elif ahead is None and link.takes_one_ahead():
                ahead = link
        return best or ahead
