"""A link of a service that batches (``rpc.batching``): what goes to the host are *units*, not requests.

A unit is one batch, which one worker thread of the host works on, and one frame on its way there; its plain
answers come back in one, too (``wire``). Every request of it has a slot of its own and ends on its own, by an
answer, a withdrawal, being taken back; the unit is over when the host has given the last of its slots back.

Guarantees: a unit holds a thread until it is over, whatever has become of its requests, so no more units are
inside than ``credit.threads``, plus one that is full and *ahead* while units are short. A unit has no more
requests than its thread's share of the slots, so however large a batch may be, every thread gets one. A unit
that did any work, or died while it did, is counted once, for the reason it went.

Reads the clock and the socket directly: this is the hot path.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, cast

from eas_engine.batching.cut import IDLE
from eas_engine.workers.link import Link
from eas_host import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from eas_engine.admission.gate import Gate
    from eas_engine.batching.pace import Pace
    from eas_engine.errors import InstanceCrashed
    from eas_engine.request import Ticket
    from eas_engine.telemetry.counters import Counters
    from eas_engine.workers.batch_cap import Cap
    from eas_engine.workers.batch_pool import BatchPool
    from eas_engine.workers.bodies import Bodies
    from eas_engine.workers.link import Pull
    from eas_engine.workers.pool import Pool

AHEAD_US: Final = 20_000
"""A host takes a full batch ahead while its last one took less. A longer one would have to be taken back too
often, when another host has a thread free earlier."""

_pack: Final = wire.REQUEST.pack
_HEADER_SIZE: Final = wire.REQUEST.size
_BATCH_SIZE: Final = wire.BATCH.size
_SKIPPED: Final = wire.SKIPPED
_BATCHED: Final = wire.BATCHED
_CANCELLED: Final = wire.CANCELLED
_SLOTS: Final = wire.SLOTS


class Unit:
    """One batch inside a host. ``left``: slots that the host has yet to give back."""

    __slots__ = ("left", "reason", "worked")

    def __init__(self, left: int, reason: str) -> None:
        self.left = left
        self.reason = reason
        self.worked = False  # something of it was answered

    def __repr__(self) -> str:
        return f"<Unit {self.reason}, {self.left} left>"


class BatchLink(Link):
    """See above. ``units``: how many are inside; ``cap``: what the memory of a GPU leaves of a batch."""

    def __init__(
        self,
        name: str,
        *,
        pace: Pace,
        pool: Pull,
        gate: Gate,
        bodies: Bodies,
        counters: Counters,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        request_prefix: str,
        broken: Callable[[str, str], None],
    ) -> None:
        """``pace`` is told what the batches are like; the others are those of ``Link``.

        They are written out because compiled code doesn't hand ``**parts`` on to a compiled base class.
        """
        super().__init__(
            name,
            pool=pool,
            gate=gate,
            bodies=bodies,
            counters=counters,
            loop=loop,
            clock=clock,
            request_prefix=request_prefix,
            broken=broken,
        )
        self._pace = pace
        self.units = 0
        self._unit_at: list[Unit | None] = [None] * _SLOTS
        self._short = False
        self.cap: Cap | None = None

    def __repr__(self) -> str:
        return (
            f"<BatchLink {self.name} {self.count} inside, {self.units} units, {self.credit.threads} threads>"
        )

    # -- the pool's side

    def room(self) -> int:
        """How many more units may be handed out."""
        return max(0, self.free_threads()) + self.takes_one_ahead()

    def free_threads(self) -> int:
        """How many worker threads have nothing to do."""
        return self.credit.threads - self.units if self._open else 0

    def takes_one_ahead(self) -> bool:
        """Whether a full batch may wait in the host for the next thread that becomes free."""
        return (
            self._short
            and self._open
            and self.units == self.credit.threads
            and len(self._slots) >= min(self._pace.full, self._share())
            and (self.cap is None or self.cap.requests >= self._pace.full)
        )

    def has_ahead(self) -> bool:
        """Whether more is inside than the threads can work on."""
        return self.units > self.credit.threads

    def places(self) -> int:
        """How many requests the next unit may have."""
        if self.cap is not None:
            return min(len(self._slots), self._share(), self.cap.requests)
        return min(len(self._slots), self._share())

    def _share(self) -> int:
        """How many slots a thread may take, so that they suffice for every thread."""
        return max(1, _SLOTS // max(1, self.credit.threads))

    def hand(self, ticket: Ticket) -> None:
        """A batch of one: a suspect, whose host was emptied for it."""
        self.hand_batch([ticket], IDLE)

    def hand_batch(self, tickets: list[Ticket], reason: str) -> None:
        """Hand these out as one unit; there must be room for it, and places for them."""
        count, whole = len(tickets), 0
        unit = Unit(count, reason)
        slots: list[int] = []
        bodies: list[Any] = []
        for ticket in tickets:
            slot = self._slots.pop()
            self._tickets[slot] = ticket
            self._unit_at[slot] = unit
            self._words[slot] = self._marks[_CANCELLED + slot] = 0
            ticket.holder, ticket.slot = self, slot
            slots.append(slot)
            whole += len(ticket.head)
            if ticket.offset < 0:
                bodies.append(ticket.body)
                whole += ticket.size
        columns: bytes = wire.unit(count).pack(
            *slots,
            *[len(ticket.head) for ticket in tickets],
            *[ticket.number for ticket in tickets],
            *[ticket.deadline for ticket in tickets],
            *[ticket.size for ticket in tickets],
            *[ticket.offset for ticket in tickets],
        )
        whole += _HEADER_SIZE + len(columns)
        frames = self._frames
        frames += (_pack(whole, wire.UNIT, count, 0, 0, 0.0), columns)
        frames += [ticket.head for ticket in tickets]
        frames += bodies
        self.count += count
        self.units += 1
        self._flush()

    def busy(self) -> int:
        """How many threads the processor is at work in."""
        return len(self._at_work())

    def move(self, pool: Pool) -> None:
        """See ``Link``; `pool` must batch, too."""
        self._pace = cast("BatchPool", pool).batcher.pace
        super().move(pool)

    # -- the host's side

    def lost(self, crash: InstanceCrashed | None = None) -> None:
        """See ``Link``."""
        at_work = self._at_work() if self._alive else set()
        super().lost(crash)
        for unit in at_work:
            if unit.left:  # else it was counted: its last answers had left the host
                self._counters.batches[unit.reason] += 1

    def _settle(self, frames: list[wire.Frame]) -> None:
        """Of each the unit first: what is told to clients may bring the next batch."""
        answers = [frame for frame in frames if frame[0][1] != _BATCHED]
        for frame in answers:
            kind: int = frame[0][1]
            self._free(frame[0][2], worked=kind != _SKIPPED)
        if answers:
            super()._settle(answers)
        if len(answers) < len(frames):
            for frame in frames:
                if frame[0][1] == _BATCHED:
                    self._batched(frame)

    def _free(self, slot: int, *, worked: bool) -> None:
        """The host gives a slot back; it answered its request, or it skipped it."""
        unit = self._unit_at[slot] if slot < _SLOTS else None
        if unit is None:
            return  # a slot that isn't taken: seen by whoever looks for its ticket
        self._unit_at[slot] = None
        unit.left -= 1
        unit.worked = unit.worked or worked
        if not unit.left:
            self.units -= 1
            if unit.worked:
                self._counters.batches[unit.reason] += 1

    def _batched(self, frame: wire.Frame) -> None:
        """What the host says of a unit that is over, and the unit's plain answers."""
        fields, payload = frame
        count: int = fields[2]
        took: int = fields[4]
        columns = wire.replies(count)
        at: int = _BATCH_SIZE + columns.size
        try:
            requests, calls, rows, padding = wire.BATCH.unpack_from(payload)
            told: tuple[int, ...] = columns.unpack_from(payload, _BATCH_SIZE)
        except struct.error:
            raise wire.CorruptFrame(f"{self.name} sent a malformed report of a batch") from None
        slots, sizes = told[:count], told[count:]
        if len(payload) != at + sum(sizes):
            raise wire.CorruptFrame(f"{self.name} sent a malformed report of a batch")
        for slot in slots:
            self._free(slot, worked=True)
        if requests:  # else all of it was withdrawn
            self._short = took < AHEAD_US
            if calls:  # else all of its calls failed, which says nothing of those that don't
                self._pace.learn(requests, max(0, rows - padding), took / 1e6)
            self._counters.count_batch(requests, calls, rows, padding)
            if fields[3] or self.cap is not None:
                from eas_engine.workers.batch_cap import after  # noqa: PLC0415 - few instances ever need it

                self.cap = after(self.cap, requests, fields[3], self._pace.full)
        if count:
            self._succeed(slots, sizes, payload, at, took, fields[5])

    def _succeed(  # noqa: PLR0917 - the hot path passes no keywords
        self,
        slots: tuple[int, ...],
        sizes: tuple[int, ...],
        payload: bytes,
        at: int,
        took: int,
        begun: float,
    ) -> None:
        """``Answers._settle`` for the plain answers of one unit; the first begins at `at` of the payload."""
        now, counters = self._clock(), self._counters
        queue, total = counters.queue, counters.total
        queue_us = total_us = freed = plain = bytes_out = 0
        done: list[Ticket] = []
        try:
            for n, slot in enumerate(slots):
                ticket = self._tickets[slot] if slot < _SLOTS else None
                if ticket is None:
                    raise wire.CorruptFrame(f"{self.name} answered slot {slot}, which it wasn't asked to")
                self._tickets[slot] = None
                self._slots.append(slot)
                done.append(ticket)
                waited = max(0, int((begun - ticket.queued) * 1e6))
                queue[waited.bit_length()] += 1
                queue_us += waited
                if ticket.offset < 0:
                    freed += ticket.size
                else:
                    self._bodies.release(ticket)
                start = at
                at += sizes[n]
                body = payload[start:at]
                client = ticket.client
                if client is None:
                    continue
                whole = int((now - ticket.arrived) * 1e6)
                total_us += whole
                total[whole.bit_length()] += 1
                plain += 1
                bytes_out += len(body)
                client.succeeded(ticket, body, now, begun, took)
        except (IndexError, ValueError, OverflowError) as error:  # an instant that can't be one
            raise wire.CorruptFrame(f"{self.name} sent a frame that makes no sense ({error!r})") from error
        finally:  # as there
            self.count -= len(done)
            counters.statuses[200] += plain
            counters.bytes_in += freed
            counters.bytes_out += bytes_out
            counters.process[took.bit_length()] += len(done)
            counters.process_us += took * len(done)
            counters.queue_us += queue_us
            counters.total_us += total_us
            self._settled(done, freed, took * len(done), took)

    def _at_work(self) -> set[Unit]:
        """Units of which something was begun, and isn't answered."""
        marks = self._marks
        found: set[Unit] = set()
        for slot, unit in enumerate(tuple(self._unit_at)):
            if unit is not None and marks[2 * slot]:
                found.add(unit)
        return found
