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

Reads the clock and the socket directly: this is the hot path.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from eas_engine.errors import InstanceCrashed, ProcessorRaised
from eas_engine.request import UNKNOWN, Held, Holder
from eas_engine.workers.credit import Credit
from eas_engine.workers.ends import Ends
from eas_host import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from eas_engine.admission.gate import Gate
    from eas_engine.errors import Refusal
    from eas_engine.request import Body, Ticket
    from eas_engine.telemetry.counters import Counters
    from eas_engine.workers.bodies import Bodies

_pack: Final = wire.SINGLE.pack
_HEADER_SIZE: Final = wire.SINGLE.size
_CALL: Final = wire.CALL
_REPLY: Final = wire.REPLY
_SKIPPED: Final = wire.SKIPPED


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


class Link(Holder):
    """One host's requests. Implements the supervisor's ``Channel``."""

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
        self._frames: list[Any] = []
        self._unsent: memoryview | None = None
        self._armed = False
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
        self.credit = Credit(threads)
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

    def idle(self) -> bool:
        """Nothing is inside the host, but for calls that are stuck."""
        stuck = sum(1 for ticket in self._stuck if self._tickets[ticket.slot] is ticket)
        return self.count <= stuck + len(self._taken_back)

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
        self._words[slot] = 0
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
        if self.count == 1:  # nothing to coalesce with: who comes alone doesn't wait for the loop's next turn
            self._flush()
        else:
            self._armed = True
            self._loop.call_soon(self._flush)

    def withdraw(self, ticket: Ticket) -> bool:
        """See ``request.Holder``. The slot stays taken until the host gives it back."""
        slot = ticket.slot
        self._marks[2 * slot + 1] = 1
        return not self._marks[2 * slot]

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

    # -- frames out

    def _flush(self) -> None:
        self._armed = False
        if not self._alive:
            return
        frames = self._frames
        if not frames or self._unsent is not None:
            return
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
                self._armed = True
                self._loop.call_soon(self._flush)

    # -- frames in

    def look(self) -> None:
        """Take what the host has sent, if anything."""
        if self._open and self.count:
            self._readable()

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

    def _settle(self, frames: list[wire.Frame]) -> None:  # noqa: PLR0915 - the hot path calls little
        """Tell the clients. What can be done once for all answers of a read is done at the end."""
        tickets, free, now = self._tickets, self._slots.append, self._clock()
        counters = self._counters
        process, queue, total = counters.process, counters.queue, counters.total
        process_us = queue_us = total_us = longest = freed = plain = bytes_out = 0
        done: list[Ticket] = []
        kind: int
        slot: int
        status: int
        took: int
        begun: float
        try:
            for (_, kind, slot, status, took, begun), payload in frames:
                ticket = tickets[slot]
                if ticket is None or kind == _SKIPPED:
                    self._skipped(slot, ticket)
                    continue
                waited = int((begun - ticket.queued) * 1e6)
                if waited > 0:
                    queue[waited.bit_length()] += 1
                    queue_us += waited
                else:
                    queue[0] += 1
                tickets[slot] = None
                free(slot)
                done.append(ticket)
                process_us += took
                process[took.bit_length()] += 1
                if took > longest:  # noqa: PLR1730 - max() costs more than the rest of the line
                    longest = took
                if ticket.offset < 0:
                    freed += ticket.size
                else:
                    self._bodies.release(ticket)
                client = ticket.client
                if kind == _REPLY and status == 200 and client is not None:
                    whole = int((now - ticket.arrived) * 1e6)
                    total_us += whole
                    total[whole.bit_length()] += 1
                    plain += 1
                    bytes_out += len(payload)
                    client.succeeded(ticket, payload, now, begun, took)
                else:
                    ticket.begun, ticket.process_us = begun, took
                    self._unusual(ticket, kind, status, payload, now)
        except (IndexError, ValueError, OverflowError) as error:  # a slot or an instant that can't be one
            raise wire.CorruptFrame(f"{self.name} sent a frame that makes no sense ({error!r})") from error
        finally:  # whoever was told must not be told again, whatever the next frame was
            self.count -= len(frames)
            counters.statuses[200] += plain
            counters.bytes_in += freed
            counters.bytes_out += bytes_out
            counters.process_us += process_us
            counters.queue_us += queue_us
            counters.total_us += total_us
            self._settled(done, freed, process_us, longest)

    def _settled(self, done: list[Ticket], freed: int, process_us: int, longest: int) -> None:
        if done:
            self._gate.settle_all(done)
            self._bodies.budget.give(freed)
            self.credit.learn(len(done), process_us, longest)
            if self._open:
                self.limit = self.credit.limit
        if self._skips:
            skips, self._skips = self._skips, []
            self._pool.returned(skips)
        if self._idle_waiters and self.idle():
            self._wake()

    def _unusual(self, ticket: Ticket, kind: int, status: int, payload: bytes, now: float) -> None:
        """Nobody waits any more, or it isn't a plain 200."""
        client = ticket.client
        if kind == wire.RAISED:
            if client is not None:
                client.refused(ticket, ProcessorRaised(payload.decode("utf-8", "replace")), now)
            return
        try:
            headers, body, sent = self._parts(kind, status, payload)
        except struct.error:
            if client is not None:
                client.refused(ticket, InstanceCrashed("the instance sent an answer that is none"), now)
            raise wire.CorruptFrame(f"{self.name} sent a malformed answer") from None
        if client is None:
            if sent is not None:
                sent()
            return
        counters = self._counters
        counters.statuses[status] += 1
        total = int((now - ticket.arrived) * 1e6)
        counters.total_us += total
        counters.total[total.bit_length()] += 1
        counters.bytes_out += len(body)
        client.answered(ticket, status, headers, body, now, sent)

    def _parts(self, kind: int, status: int, payload: bytes) -> tuple[bytes, Body, Callable[[], None] | None]:
        """Header lines, body, and whom to tell when it was sent; struct.error: it can't be an answer."""
        if not 200 <= status < 600:
            raise struct.error
        if kind == _REPLY:
            return b"", payload, None
        if kind == wire.FULL:
            (lines,) = wire.LINES.unpack_from(payload)
            start = wire.LINES.size + lines
            return payload[wire.LINES.size : start], payload[start:], None
        if kind != wire.FULL_AT:
            raise struct.error
        offset, size = wire.EXTENT.unpack_from(payload)
        body = self._answers[offset : offset + size]
        if len(body) != size:
            raise struct.error
        return payload[wire.EXTENT.size :], body, partial(self._release, offset)

    def _skipped(self, slot: int, ticket: Ticket | None) -> None:
        """The host gave a slot back that was withdrawn."""
        if slot not in self._taken_back if ticket is None else not self._marks[2 * slot + 1]:
            raise wire.CorruptFrame(f"{self.name} answered slot {slot}, which it wasn't asked to")
        self._tickets[slot] = None
        self._slots.append(slot)
        if ticket is None:
            self._taken_back.discard(slot)
            return
        ticket.holder = None
        if ticket.client is None:
            self._bodies.release(ticket)
            self._gate.leave(ticket)
        else:  # taken back, and the host came to it before `_collect` did
            self._taking.pop(ticket, None)
            self._skips.append(ticket)

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

    def _wake(self) -> None:
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
