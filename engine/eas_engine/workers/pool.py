"""Who gets the next request? A ticket goes where a worker thread is free, else it waits in line.

Every free thread of any host comes before work *ahead* on one host. When a host was given work ahead and then
turns slow while another host has a free thread, what it hasn't begun is taken back and handed out again.

Where a service has more lanes than one (``lanes``), pools know of each other by three attributes, which
cost nothing on the path of a request: ``besides`` are pools that take from the same line, ``heir`` takes what
comes back to a pool whose hosts serve no more, ``died`` is told what a dead host had begun.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from eas_engine.admission.backlog import Backlog
    from eas_engine.errors import InstanceCrashed, Refusal
    from eas_engine.request import Ticket
    from eas_engine.workers.link import Link
    from eas_engine.workers.quarantine import Quarantine

_LOOK_AGAIN: Final = 0.002


class Pool:
    """The links that take work, and the backlog they take it from."""

    def __init__(self, backlog: Backlog, loop: asyncio.AbstractEventLoop) -> None:
        self._backlog = backlog
        self._loop = loop
        self._watching = False
        self._line = backlog.line
        self._only: Link | None = None  # the one link there is, as most services have it
        self.links: list[Link] = []
        self.quarantine: Quarantine | None = None
        """Where begun requests of dead hosts get their second try (``rpc.retry_on_crash``)."""
        self.besides: tuple[Pool, ...] = ()
        self.heir: Callable[[Iterable[Ticket]], None] | None = None
        self.died: Callable[[list[Ticket], InstanceCrashed], None] | None = None

    def __repr__(self) -> str:
        return f"<Pool of {self.links!r}, {self._backlog!r}>"

    def add(self, link: Link) -> None:
        """The link may get work as soon as it is open."""
        self.links.append(link)
        self._count()

    def remove(self, link: Link) -> None:
        """The link's host is gone."""
        if link in self.links:
            self.links.remove(link)
            self._count()

    def join(self, besides: tuple[Pool, ...]) -> None:
        """These take from the same line from now on."""
        self.besides = besides
        self._count()

    def opened(self, link: Link) -> None:
        """The link's host is ready."""
        if self.quarantine is not None:
            self.quarantine.opened(link)
        self.pull(link)

    def lost(self, begun: list[Ticket], crash: InstanceCrashed) -> Refusal:
        """These were begun when their host died; see ``link.Pull``."""
        if self.died is not None:
            self.died(begun, crash)
        return crash if self.quarantine is None else self.quarantine.lost(begun, crash)

    def submit(self, ticket: Ticket) -> None:
        """The ticket's body is complete: hand it out or queue it."""
        if self._line:
            self._backlog.put(ticket)
            return
        link = self._only or self._roomiest()
        if link is None or link.count >= link.limit:
            self._backlog.put(ticket)
            return
        link.hand(ticket)
        if link is not self._only and link.count > link.credit.threads:
            self._watch()

    def pull(self, link: Link) -> None:
        """There may be room in `link`: hand out what waits."""
        line, pop = self._line, self._backlog.pop
        while line and link.count < link.limit:
            link.hand(pop())
        if link is not self._only and link.count > link.credit.threads:
            self._watch()

    def look(self) -> None:
        """Take the answers that are here, without waiting for the loop to come round."""
        for link in tuple(self.links):
            link.look()

    def returned(self, tickets: Iterable[Ticket]) -> None:
        """Handed out, but never begun: back to the front of the line, and out again where there is room."""
        if self.heir is not None:
            self.heir(tickets)
            return
        self._backlog.put_back(tickets)
        self.serve()
        for pool in self.besides:
            pool.serve()

    def serve(self) -> None:
        """Hand out what waits, where there is room."""
        while self._line:
            link = self._roomiest()
            if link is None:
                return
            link.hand(self._backlog.pop())
            if link is not self._only and link.count > link.credit.threads:
                self._watch()

    def drain(self) -> None:
        """Nobody comes any more."""

    def close(self) -> None:
        """Look no more."""

    def busy_threads(self) -> int:
        """Threads in which processors are at work."""
        return sum(link.busy() for link in self.links)

    def handed_out(self) -> int:
        """Requests inside hosts, begun or not."""
        return sum(link.count for link in self.links)

    def free_threads(self) -> int:
        """Threads that have nothing to do."""
        return sum(max(0, link.free_threads()) for link in self.links)

    def _count(self) -> None:
        """The links, or the pools beside this one, are others than before."""
        self._only = self.links[0] if len(self.links) == 1 and not self.besides else None
        for link in self.links:
            link.be_alone(alone=link is self._only)
        if self._only is None and self.links:
            self._watch()  # somebody may have been given work ahead while there was nobody else

    def _roomiest(self) -> Link | None:
        best, most = None, 0
        for link in self.links:
            free = link.free_threads()
            if free > most:
                best, most = link, free
        if best is not None:
            return best
        for link in self.links:
            room = link.room()
            if room > most:
                best, most = link, room
        return best

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.call_later(_LOOK_AGAIN, self._rebalance)

    def _rebalance(self) -> None:
        """Work ahead on one host while another has a free thread: take it back."""
        self._watching = False
        ahead = [link for link in self.links if link.has_ahead()]
        if not ahead:
            return
        if self.free_threads() or any(pool.free_threads() for pool in self.besides):
            for link in ahead:
                link.take_back()
        self._watch()
