"""A shadow: copies of a share of the requests go to another release; its answers are compared and dropped.

Theory of operation
-------------------
* The request itself goes the usual way first; then its body is copied, in the same turn of the loop. A small
  client in front of its own (``Witness``) keeps the answer, behind sending it.
* The copy is a ticket of another gate, with a budget, counters and a line of its own: nothing of the
  service's counts it, or waits for it. What bounds copies is here (``LINE``, ``LARGEST``, ``MEMORY``); what
  is over is skipped. Its deadline is the request's.
* Whichever answer comes last is compared with the first: the status and the bytes; of long answers the first
  ``KEPT`` and the length.

Guarantee: what happens to a copy changes nothing for the request; one whose release has no host that is ready
is dropped.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from eas_engine.admission.gate import Gate, Limits
from eas_engine.errors import ProcessorRaised, Refusal
from eas_engine.request import Client, Ticket
from eas_engine.telemetry.comparison import Difference, ShadowComparison
from eas_engine.telemetry.counters import Counters
from eas_engine.workers.bodies import Bodies
from eas_engine.workers.lane import Lane, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eas_engine.batching.cut import Rules
    from eas_engine.request import Body
    from eas_engine.workers.lane import Ground

LINE: Final = 64
"""Copies that may wait for a thread."""
LARGEST: Final = 4 << 20
"""Bytes of a body that is copied: more would keep the loop for longer than a millisecond."""
MEMORY: Final = 64 << 20
"""Bytes of all copies."""
KEPT: Final = 1 << 20
"""Bytes of an answer that are kept to be compared."""
TOLD: Final = 10
"""Differences that are kept."""

_REQUEST_ID: Final = re.compile(rb"\r\nx-request-id:[ \t]*([!-~]{1,128})[ \t]*\r\n", re.IGNORECASE)


class Seen(NamedTuple):
    """One answer."""

    status: int
    size: int
    body: bytes
    """Its first bytes."""


class Pair:
    """A request and its copy. ``request_id``: made when it is needed."""

    __slots__ = ("_figures", "_head", "_number", "copy", "original")

    def __init__(self, figures: Figures, head: bytes, number: int) -> None:
        self._figures, self._head, self._number = figures, head, number
        self.original: Seen | None = None
        self.copy: Seen | None = None

    def request_id(self) -> str:
        """The client's own, or the one that the engine gave it."""
        found = _REQUEST_ID.search(self._head)
        return found[1].decode() if found else f"{self._figures.prefix}-{self._number:04x}"

    def saw(self, *, original: Seen | None = None, copy: Seen | None = None) -> None:
        """One of the two has its answer; when both have, they are compared."""
        self.original = original or self.original
        self.copy = copy or self.copy
        if self.original is not None and self.copy is not None:
            self._figures.compare(self, self.original, self.copy)


class Figures:
    """What is counted of one shadow."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.copies = self.same = self.different = self.failed = self.skipped = 0
        self.differences: list[Difference] = []

    def compare(self, pair: Pair, original: Seen, copy: Seen) -> None:
        """Both answers are here."""
        if original == copy:
            self.same += 1
            return
        self.different += 1
        if len(self.differences) < TOLD:
            offset = first_difference(original, copy)
            self.differences.append(Difference(pair.request_id(), original.status, copy.status, offset))


class Witness(Client):
    """In front of the client of a request that was copied: it has the answer first."""

    __slots__ = ("_client", "_pair")

    def __init__(self, client: Client, pair: Pair) -> None:
        self._client, self._pair = client, pair

    def succeeded(self, ticket: Ticket, body: bytes, now: float, begun: float, process_us: int) -> None:
        """See ``request.Client``."""
        self._client.succeeded(ticket, body, now, begun, process_us)
        self._pair.saw(original=_seen(200, body))

    def answered(  # noqa: PLR0917 - see request.Client
        self,
        ticket: Ticket,
        status: int,
        headers: bytes,
        body: Body,
        now: float,
        sent: Callable[[], None] | None,
    ) -> None:
        """See ``request.Client``. Borrowed memory isn't used again before the loop has turned."""
        self._client.answered(ticket, status, headers, body, now, sent)
        self._pair.saw(original=_seen(status, body))

    def refused(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        """See ``request.Client``. Answers of the engine's own are compared with nothing."""
        self._client.refused(ticket, refusal, now)
        if isinstance(refusal, ProcessorRaised):
            self._pair.saw(original=_seen(400, str(refusal).encode()))


class Copy(Client):
    """Who waits for the answer to a copy."""

    __slots__ = ("_figures", "_pair")

    def __init__(self, figures: Figures, pair: Pair) -> None:
        self._figures, self._pair = figures, pair

    def succeeded(self, ticket: Ticket, body: bytes, now: float, begun: float, process_us: int) -> None:
        """See ``request.Client``."""
        self._pair.saw(copy=_seen(200, body))

    def answered(  # noqa: PLR0917 - see request.Client
        self,
        ticket: Ticket,
        status: int,
        headers: bytes,
        body: Body,
        now: float,
        sent: Callable[[], None] | None,
    ) -> None:
        """See ``request.Client``."""
        self._pair.saw(copy=_seen(status, body))
        if sent is not None:
            sent()

    def refused(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        """See ``request.Client``."""
        if isinstance(refusal, ProcessorRaised):
            self._pair.saw(copy=_seen(400, str(refusal).encode()))
        else:
            self._figures.failed += 1


class ShadowTrial:
    """The copies of one service, and what became of them. ``lane``: where they wait."""

    def __init__(self, ground: Ground, batching: Rules | None, part: float) -> None:
        self.bodies = Bodies(min(MEMORY, ground.bodies.budget.limit), ground.bodies)
        self.gate = Gate(
            Limits(LINE, 1, 0.0, ground.gate.keepalive),
            loop=ground.loop,
            clock=ground.clock,
            refuse=self._refuse,
        )
        own = replace(ground, gate=self.gate, bodies=self.bodies, counters=Counters())
        self.lane = Lane(own, batching)
        self.share = Share(part)
        self._service, self._clock = ground.bodies, ground.clock
        self._figures = Figures(ground.request_prefix)
        self._began = ground.clock()

    def __repr__(self) -> str:
        return f"<ShadowTrial {self.share!r} {self.lane!r}>"

    def copy(self, ticket: Ticket) -> None:
        """Copy the request, which is under way by now and has its body still, or skip it."""
        client, lane = ticket.client, self.lane
        if client is None:
            return
        if not lane.serves or len(lane.backlog) >= LINE or not self._has_room(ticket.size):
            self._figures.skipped += 1
            return
        pair = Pair(self._figures, ticket.head, ticket.number)
        ticket.client = Witness(client, pair)
        copy = Ticket(Copy(self._figures, pair), ticket.head, ticket.number, ticket.arrived, ticket.deadline)
        copy.queued = ticket.queued
        self._fill(copy, ticket)
        self.gate.count += 1
        self.gate.deadlines.add(copy)
        self._figures.copies += 1
        lane.pool.submit(copy)

    def drop(self, copies: Iterable[Ticket]) -> None:
        """Nobody is there to take them: they weren't begun, and won't be."""
        for ticket in copies:
            self._figures.copies -= 1
            self._figures.skipped += 1
            self.gate.settle(ticket)
            self.bodies.release(ticket)

    def comparison(self) -> ShadowComparison:
        """What was counted until now."""
        figures = self._figures
        ended = figures.same + figures.different + figures.failed + self.gate.count
        return ShadowComparison(
            seconds=self._clock() - self._began,
            copies=figures.copies,
            same=figures.same,
            different=figures.different,
            failed=figures.failed,
            unmatched=max(0, figures.copies - ended),
            skipped=figures.skipped,
            differences=tuple(figures.differences),
        )

    def close(self) -> None:
        """Nothing of it is left."""
        self.drop(self.lane.leave())
        self.gate.deadlines.close()
        self.lane.pool.close()

    def _has_room(self, size: int) -> bool:
        budget = self.bodies.budget
        return size <= LARGEST and budget.used + size <= budget.limit

    def _fill(self, copy: Ticket, original: Ticket) -> None:
        size = original.size
        self.bodies.budget.used += size
        copy.size = size
        copy.offset, place = self.bodies.place(size)
        place[:] = self._service.view(original)
        copy.body = place

    def _refuse(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        client = ticket.client
        self.gate.abandon(ticket)
        if client is not None:
            client.refused(ticket, refusal, now)
        if ticket.holder is None:
            self.bodies.release(ticket)


def first_difference(one: Seen, other: Seen) -> int:
    """The offset of the first byte that differs; -1: none does."""
    if one.body == other.body:
        return -1 if one.size == other.size else len(one.body)
    for offset, (mine, theirs) in enumerate(zip(one.body, other.body, strict=False)):
        if mine != theirs:
            return offset
    return min(len(one.body), len(other.body))


def _seen(status: int, body: Body) -> Seen:
    size = len(body)
    kept = body if isinstance(body, bytes) and size <= KEPT else bytes(memoryview(body)[:KEPT])
    return Seen(status, size, kept)
