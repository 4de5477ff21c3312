"""The gate: admit or refuse, in the same turn of the loop, and count who is in.

*Full* means that as many tickets are in the system (uploading, waiting, handed out) as the queue and the worker
threads of the instances that admit or start can hold together. The backlog is looked at before the rate, so that a
450 costs no token. Refusals that don't depend on load (404, 405, 403, 401, 413) were made by the gateway before.

Guarantees: a place taken is returned exactly once, whichever way the ticket ends; ``count`` never exceeds the
capacity that was in force when its last ticket came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eas_engine.admission.deadlines import Deadlines
from eas_engine.admission.rate import TokenBucket
from eas_engine.errors import DeadlineExceeded, Draining, NotReady, QueueFull, RateLimited, Refusal
from eas_engine.request import Client, Ticket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


@dataclass(frozen=True)
class Limits:
    """What one instance takes. Sources: ``rpc.max_queue_size``, ``worker_threads``, ``rate_limit``, ``keepalive``."""

    queue: int
    threads: int
    rate: float
    keepalive: float
    batch: int = 1


@dataclass(frozen=True)
class Fleet:
    """What the gate must know of the instances.

    ``live``: how many admit or start. ``ever_ready``: one has been ready since the engine started.
    ``next_start``: when none is live, the instant of the next start (None: some instance is live, or none will be).
    """

    live: int = 1
    ever_ready: bool = False
    next_start: float | None = None
    hopeless: str = ""


class Gate:
    """Admission of one service."""

    def __init__(
        self,
        limits: Limits,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        refuse: Callable[[Ticket, Refusal, float], None],
    ) -> None:
        self.count = 0
        self.number = 0
        self.draining = False
        self._open = False
        self.fleet = Fleet()
        self._clock = clock
        self._refuse = refuse
        self._bucket: TokenBucket | None = None
        self.deadlines = Deadlines(loop, clock, self._expire)
        self.configure(limits)

    def __repr__(self) -> str:
        return f"<Gate {self.count} of {self.capacity} in, {self.fleet!r}>"

    def configure(self, limits: Limits) -> None:
        """Other limits from now on."""
        self.limits = limits
        self.keepalive = limits.keepalive
        self._resize()

    def observe(self, fleet: Fleet) -> None:
        """The instances have changed."""
        self.fleet = fleet
        self._open = fleet.ever_ready and fleet.next_start is None and not fleet.hopeless
        self._resize()

    def drain(self) -> None:
        """Refuse whoever comes from now on: the engine is shutting down."""
        self.draining = True
        self._open = False

    def admit(self, client: Client, head: bytes, arrived: float, now: float) -> Ticket | Refusal:
        """A ticket with a place, or why not."""
        deadline = arrived + self.keepalive
        if not self._open:
            refusal = self._closed(deadline)
            if refusal is not None:
                return refusal
        if deadline <= now:
            return DeadlineExceeded()
        if self.count >= self.capacity:
            return QueueFull()
        if self._bucket is not None:
            wait = self._bucket.take(now)
            if wait:
                return RateLimited(retry_after=wait)
        self.count += 1
        self.number += 1
        ticket = Ticket(client, head, self.number, arrived, deadline)
        self.deadlines.add(ticket)
        return ticket

    def settle(self, ticket: Ticket) -> None:
        """The ticket was answered; its place is free."""
        ticket.client = None
        self.deadlines.discard(ticket)
        if ticket.placed:
            ticket.placed = False
            self.count -= 1

    def abandon(self, ticket: Ticket) -> None:
        """Nobody waits for the ticket any more. Its place is free unless a processor is at work on it."""
        ticket.client = None
        self.deadlines.discard(ticket)
        if ticket.holder is None or ticket.holder.withdraw(ticket):
            self.leave(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Return the place, if the ticket still has it."""
        if ticket.placed:
            ticket.placed = False
            self.count -= 1

    def _expire(self, ticket: Ticket, now: float) -> None:
        self._refuse(ticket, DeadlineExceeded(), now)

    def _closed(self, deadline: float) -> Refusal | None:
        fleet = self.fleet
        if self.draining:
            return Draining()
        if not fleet.ever_ready:
            return NotReady()
        if fleet.hopeless:
            return NotReady(f"no healthy upstream: {fleet.hopeless}")
        if fleet.next_start is not None and fleet.next_start > deadline:
            return NotReady("no healthy upstream: the next start is due after this request's deadline")
        return None

    def _resize(self) -> None:
        limits, instances = self.limits, max(1, self.fleet.live)
        self.capacity = (limits.queue + limits.threads * limits.batch) * instances
        if not limits.rate:
            self._bucket = None
            return
        rate = limits.rate * instances
        burst = max(1.0, rate / 10)
        if self._bucket is None:
            self._bucket = TokenBucket(rate, burst, self._clock())
        else:
            self._bucket.resize(rate, burst, self._clock())
