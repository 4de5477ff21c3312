"""What comes back from one host: answers, told to the clients, and slots that are free again.

What can be done once for all answers of one read is done at its end.

Reads the clock directly: this is the hot path.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Final

from eas_engine.errors import GpuOutOfMemory, InstanceCrashed, ProcessorRaised
from eas_engine.workers.slots import Slots
from eas_host import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.request import Body, Ticket

_REPLY: Final = wire.REPLY
_SKIPPED: Final = wire.SKIPPED


class Answers(Slots):
    """The middle of a link (``link``)."""

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
                text = payload.decode("utf-8", "replace")
                lacking = status == GpuOutOfMemory.status
                client.refused(ticket, GpuOutOfMemory(text) if lacking else ProcessorRaised(text), now)
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
