"""The slots of one host: what was handed out to it, and the bytes on their way there.

The bottom of a link (``link``): its fields, what the pool asks for request by request, and the sending.
Handing out is coalesced: everything handed out in one turn of the loop goes in one write, and while each turn
brings more, the write waits for the next one, three times at most: a crowd comes over several turns, and
where both processes share a CPU each write is two switches between them (``docs/performance.md``).

Reads the clock and the socket directly: this is the hot path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eas_engine.request import Holder
from eas_engine.workers.credit import Credit
from eas_engine.workers.ends import Ends
from eas_host import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.admission.gate import Gate
    from eas_engine.request import Ticket
    from eas_engine.telemetry.counters import Counters
    from eas_engine.workers.bodies import Bodies
    from eas_engine.workers.link import Pull

_pack: Final = wire.REQUEST.pack
_HEADER_SIZE: Final = wire.REQUEST.size
_CANCELLED: Final = wire.CANCELLED
_CALL: Final = wire.CALL
_TURNS: Final = 3  # that a write waits for more
_MANY: Final = 48  # frames that wait for nothing: 16 requests


class Slots(Holder):
    """See above. Whoever hands out looks at ``count`` and ``limit`` first."""

    def __init__(
        self,
        name: str,
        *,
        pool: Pull,
        gate: Gate,
        bodies: Bodies,
        counters: Counters,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        request_prefix: str,
        broken: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self._broken = broken
        self._pool, self._gate, self._bodies, self._counters = pool, gate, bodies, counters
        self._loop, self._clock = loop, clock
        self._ends = Ends(bodies, request_prefix)
        self._socket = self._ends.socket
        self._marks, self._words = self._ends.marks, self._ends.words
        self._answers = self._ends.answers
        self._tickets: list[Ticket | None] = [None] * wire.SLOTS
        self._slots = list(range(wire.SLOTS - 1, -1, -1))
        self.count = 0  # slots that are taken
        self.limit = 0  # how many may be; 0 unless the link is open
        self.credit = Credit(0)
        self._alone = False  # the pool has no other link
        self._frames: list[Any] = []
        self._unsent: memoryview | None = None
        self._armed = False
        self._turns = 0  # that the armed write may still wait
        self._seen = 0  # frames, when it was looked at last
        self._single = True  # the last write had one request
        self._inbox = wire.Inbox(wire.ANSWER)
        self._open = False
        self._alive = True
        self.serving = False  # ready, and not told to leave
        self._idle_waiters: list[asyncio.Future[None]] = []
        # Slots whose tickets went elsewhere before the host gave them back.
        self._taken_back: set[int] = set()
        self._taking: dict[Ticket, list[Ticket]] = {}  # withdrawn a moment ago, and with which others
        self._skips: list[Ticket] = []  # taken back, and given back by the host just now
        self._running_since: dict[Ticket, float] = {}  # when a call was first seen running
        self._stuck: set[Ticket] = set()  # whose calls never end

    def __repr__(self) -> str:
        return f"<Link {self.name} {self.count} inside, {self.credit!r}>"

    # -- the pool's side

    def room(self) -> int:
        """How many more tickets may be handed out."""
        return self.limit - self.count

    def free_threads(self) -> int:
        """How many worker threads have nothing to do."""
        return self.credit.threads - self.count if self._open else 0

    def hand(self, ticket: Ticket) -> None:
        """Hand the ticket out; there must be room."""
        slot = self._slots.pop()
        self._tickets[slot] = ticket
        self._words[slot] = self._marks[_CANCELLED + slot] = 0
        ticket.holder, ticket.slot = self, slot
        self.count += 1
        head = ticket.head
        head_size = len(head)
        if ticket.offset < 0:
            whole = _HEADER_SIZE + head_size + ticket.size
            header = _pack(whole, _CALL, slot, head_size, ticket.number, ticket.deadline)
            self._frames += (header, head, ticket.body)
        else:
            whole = _HEADER_SIZE + wire.EXTENT.size + head_size
            header = _pack(whole, wire.CALL_AT, slot, head_size, ticket.number, ticket.deadline)
            self._frames += (header, wire.EXTENT.pack(ticket.offset, ticket.size), head)
        if self._armed:
            return
        if self.count == 1 and self._single:
            # Nothing to coalesce with: who comes alone doesn't wait for the loop's next turn. Unless the last
            # time others came right behind, as they do when several clients get their answers together.
            self._flush()
        else:
            self._arm()

    def withdraw(self, ticket: Ticket) -> bool:
        """See ``request.Holder``. The slot stays taken until the host gives it back."""
        slot = ticket.slot
        self._marks[2 * slot + 1] = self._marks[_CANCELLED + slot] = 1
        return not self._marks[2 * slot]

    def begun(self) -> int:
        """How many requests the processor is at work on."""
        return sum(1 for t in self._tickets if t is not None and self._marks[2 * t.slot])

    def busy(self) -> int:
        """How many threads the processor is at work in."""
        return self.begun()

    def has_ahead(self) -> bool:
        """Whether more is inside than the threads can work on."""
        return self.count > self.credit.threads

    def find_stuck(self, now: float, longest: float) -> bool:
        """Look which calls run; True when one of them has been seen running for `longest` seconds.

        A request that isn't begun although a thread is free counts, too: the host has stopped altogether.
        """
        inside = [t for t in self._tickets if t is not None]
        begun = [t for t in inside if self._marks[2 * t.slot]]
        running = begun if len(begun) >= self.credit.threads else inside
        self._running_since = {ticket: self._running_since.get(ticket, now) for ticket in running}
        self._stuck = {ticket for ticket, since in self._running_since.items() if now - since >= longest}
        if self._stuck and self.idle():
            self._wake()
        return bool(self._stuck)

    def overdue(self, now: float, longest: float) -> int:
        """How many requests have been seen running for `longest` seconds, as ``find_stuck`` looked last.

        For whoever watches, from any thread: the dictionary is never changed once it is made.
        """
        return sum(1 for since in self._running_since.values() if now - since >= longest)

    def idle(self) -> bool:
        """Nothing is inside the host, but for calls that are stuck."""
        stuck = sum(1 for ticket in self._stuck if self._tickets[ticket.slot] is ticket)
        return self.count <= stuck + len(self._taken_back)

    # -- frames out

    def _arm(self) -> None:
        """Send when the loop has turned."""
        self._armed = True
        self._turns = _TURNS
        self._seen = 0
        self._loop.call_soon(self._gather)

    def _gather(self) -> None:
        """Send, unless the turn has brought more."""
        count = len(self._frames)
        if self._turns and self._seen < count < _MANY:
            self._turns -= 1
            self._seen = count
            self._loop.call_soon(self._gather)
        else:
            self._flush()

    def _flush(self) -> None:
        self._armed = False
        if not self._alive:
            return
        frames = self._frames
        if not frames or self._unsent is not None:
            return
        self._single = self.count == 1
        data = b"".join(frames)
        frames.clear()
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            frames.clear()  # the host is dying; `lost` settles what is inside
            return
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        unsent = self._unsent
        if unsent is None:
            return
        try:
            sent = self._socket.send(unsent)
        except BlockingIOError:
            return
        except OSError:
            self._loop.remove_writer(self._socket.fileno())
            return
        if sent < len(unsent):
            self._unsent = unsent[sent:]
            return
        self._unsent = None
        self._loop.remove_writer(self._socket.fileno())
        self._flush()

    def _release(self, offset: int) -> None:
        """The bytes of an answer in the host's arena aren't needed any more."""
        if self._alive:
            whole = _HEADER_SIZE + wire.EXTENT.size
            self._frames += (_pack(whole, wire.RELEASE, 0, 0, 0, 0.0), wire.EXTENT.pack(offset, 0))
            if not self._armed:
                self._arm()

    def _wake(self) -> None:
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
