"""The engine's end of one host: what is inside the host, what goes there and what comes back.

One socketpair carries frames both ways (``eas_host.wire``), coalesced: everything handed out in one turn of
the loop goes in one write, and one read brings as many answers as the host had ready. A *slot* is a request's
place in the host, from being handed out until the host gives it back; it is what frames and the shared board
name.

Theory of operation
-------------------
* The pool hands tickets out while ``room()``; nothing here decides who gets what.
* A ticket that is handed out but not begun is still waiting: ``withdraw`` frees its place at once,
  ``take_back`` returns it to the caller. Both mark the board, and the host skips the slot and gives it back
  when it comes to it.
* A ticket whose client is gone while the processor works on it keeps its place until the processor returns.
* ``lost``: answers that had left the host before it died still count; what was begun is answered 500, unless
  the pool keeps it for a second try; what was not goes back to the pool.

A link is one object in three files: ``slots`` has its fields and hands out, ``answers`` settles what comes
back, and here it lives, takes back and dies.

Reads the clock and the socket directly: this is the hot path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eas_engine.errors import InstanceCrashed
from eas_engine.request import UNKNOWN, Held
from eas_engine.workers.answers import Answers
from eas_engine.workers.credit import Credit
from eas_host import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eas_engine.admission.gate import Gate
    from eas_engine.errors import Refusal
    from eas_engine.request import Ticket
    from eas_engine.telemetry.counters import Counters
    from eas_engine.workers.bodies import Bodies
    from eas_engine.workers.pool import Pool


class Pull(Protocol):
    """Who is told what became of this host's requests: the pool."""

    def opened(self, link: Link) -> None:
        """The host is ready."""

    def pull(self, link: Link) -> None:
        """There may be room in the host, or it is leaving."""

    def remove(self, link: Link) -> None:
        """The host is gone."""

    def returned(self, tickets: Iterable[Ticket]) -> None:
        """These were handed out, but never begun."""

    def lost(self, begun: list[Ticket], crash: InstanceCrashed) -> Refusal:
        """These were begun. What those end with that haven't got another holder by now."""


class Link(Answers):
    """One host's requests. Implements the supervisor's ``Channel``."""

    # -- the supervisor's side

    @property
    def fds(self) -> tuple[int, ...]:
        """What the host inherits."""
        return self._ends.fds

    def describe(self) -> dict[str, object]:
        """What the host must know of ``fds``."""
        return self._ends.describe()

    def started(self) -> None:
        """The host has its copies; ours would keep the link open after its death."""
        self._ends.started()

    def open(self, threads: int) -> None:
        """The host is ready."""
        self.credit = Credit(threads, alone=self._alone)
        self._open = self.serving = True
        self.limit = self.credit.limit
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._pool.opened(self)

    def drain(self) -> None:
        """Hand out nothing new, and take back what wasn't begun."""
        self._open = self.serving = False
        self.limit = 0
        self.take_back()
        self._pool.pull(self)

    async def wait_idle(self) -> None:
        """Until nothing is inside the host, but for calls that are stuck."""
        if self._alive and not self.idle():
            waiter = self._loop.create_future()
            self._idle_waiters.append(waiter)
            await waiter

    def held(self, limit: int) -> list[Held]:
        """Copies of the requests inside; their bodies until ``limit`` bytes are reached. Before ``lost``."""
        copies, now, left = [], self._clock(), limit
        for slot, ticket in enumerate(self._tickets):
            if ticket is not None:
                body = self._bodies.copy(ticket, left)
                left -= len(body)
                begun = bool(self._words[slot] & 0xFF)
                copies.append(
                    Held(ticket.number, bytes(ticket.head), body, ticket.size, begun, now - ticket.arrived)
                )
        return copies

    def lost(self, crash: InstanceCrashed | None = None) -> None:
        """The host is dead, of ``crash``. Tells everybody who waits for it; harmless when called again."""
        if not self._alive:
            return
        if self.credit.threads:
            self._drain_socket()
        self._close()
        now = self._clock()
        crashed: list[Ticket] = []
        unbegun: list[Ticket] = []
        for slot, ticket in enumerate(self._tickets):
            if ticket is not None:
                (crashed if self._words[slot] & 0xFF else unbegun).append(ticket)
        self._tickets = [None] * wire.SLOTS
        self._taking.clear()
        self.count = 0
        for ticket in crashed + unbegun:
            ticket.holder = None
        for ticket in crashed:
            ticket.begun = UNKNOWN
        ending = self._pool.lost(crashed, crash or InstanceCrashed())
        for ticket in crashed:
            if ticket.holder is None:
                self._end(ticket, ending, now)
        self._give_back(unbegun)
        self._wake()
        self._answers = memoryview(b"")  # its memory goes with the last answer that is still being sent

    # -- the pool's side

    def reserve(self, pool: Pull) -> None:
        """From now on only `pool` hands anything out here; what wasn't begun goes back to it."""
        self._pool = pool
        self._open = False
        self.limit = 0
        self.take_back()

    def release(self, pool: Pull) -> None:
        """Serve `pool` like any other link again."""
        self._pool = pool
        self._open = True
        self.limit = self.credit.limit
        pool.pull(self)

    def be_alone(self, *, alone: bool) -> None:
        """Whether the pool has no other link."""
        if alone == self._alone:
            return
        self._alone = alone
        self.credit.be_alone(alone=alone)
        if self._open:
            self.limit = self.credit.limit

    def move(self, pool: Pool) -> None:
        """Be one of `pool`'s links from now on, and of nobody else's. Its pool before takes it out."""
        self._pool = pool
        pool.add(self)
        pool.pull(self)

    def adopt(self, gate: Gate, bodies: Bodies, counters: Counters) -> None:
        """Count with these from now on; nothing may be inside, and the bodies must lie in the same arena."""
        self._gate, self._bodies, self._counters = gate, bodies, counters

    def take_back(self) -> None:
        """Withdraw everything that wasn't begun and return it to the pool, once that is certain."""
        candidates = [
            t
            for t in self._tickets
            if t is not None and t.client and not self._marks[2 * t.slot] and t not in self._taking
        ]
        for ticket in candidates:
            self._marks[2 * ticket.slot + 1] = 1
            self._taking[ticket] = candidates
        if candidates:
            self._loop.call_later(2 * wire.SETTLE_SECONDS, self._collect, candidates)

    def look(self) -> None:
        """Take what the host has sent, if anything."""
        if self._open and self.count:
            self._readable()

    # -- frames in

    def _readable(self) -> None:
        inbox = self._inbox
        try:
            count = self._socket.recv_into(inbox.space())
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            # The host closed its end, or died: then the supervisor has seen, or will see, its exit status.
            self._give_up("the link was closed")
            return
        try:
            self._settle(inbox.feed(count))
        except wire.CorruptFrame as error:
            self._give_up(str(error))
            return
        self._pool.pull(self)

    def _give_up(self, why: str) -> None:
        """Nothing that comes from the host is believed any more, and nothing is handed to it."""
        self._open = self.serving = False
        self.limit = 0
        self._loop.remove_reader(self._socket.fileno())
        self._broken(self.name, why)

    def _drain_socket(self) -> None:
        """Take the answers that left the host before it died."""
        try:
            while True:
                count = self._socket.recv_into(self._inbox.space())
                if not count:
                    return
                self._settle(self._inbox.feed(count))
        except (OSError, wire.CorruptFrame):
            return

    # -- the end

    def _collect(self, candidates: list[Ticket]) -> None:
        """What was withdrawn a moment ago and isn't begun now, never will be (see ``wire``)."""
        still = [t for t in candidates if self._taking.get(t) is candidates]
        for ticket in still:
            del self._taking[ticket]
        # The others were answered, have lost their client, or come back by themselves: see `_skipped`.
        ours = [t for t in still if t.holder is self and t.client and not self._marks[2 * t.slot]]
        for ticket in ours:
            ticket.holder = None
            self._tickets[ticket.slot] = None
            self._taken_back.add(ticket.slot)
        self._pool.returned(ours)
        if self._idle_waiters and self.idle():
            self._wake()

    def _end(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        self._bodies.release(ticket)
        client = ticket.client
        self._gate.settle(ticket)
        if client is not None:
            client.refused(ticket, refusal, now)

    def _give_back(self, tickets: list[Ticket]) -> None:
        waiting = []
        for ticket in tickets:
            if ticket.client is None:
                self._bodies.release(ticket)
                self._gate.leave(ticket)
            else:
                waiting.append(ticket)
        self._pool.returned(waiting)

    def _close(self) -> None:
        self._alive = self._open = self.serving = False
        self.limit = 0
        self._pool.remove(self)
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._ends.close()
        self._frames.clear()
        self._unsent = None
