"""The gate: admit or refuse, in the same turn of the loop, and count who is in.

*Full* means that as many tickets are in the system (uploading, waiting, handed out) as the queue and the
worker threads of the instances that admit or start can hold together. The backlog is looked at before the
rate, so that a 450 costs no token. Refusals that don't depend on load (404, 405, 403, 401, 413) were made by
the gateway before.

Guarantees: a place taken is returned exactly once, whichever way the ticket ends; ``count`` never exceeds the
capacity that was in force when its last ticket came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eas_engine.admission.deadlines import Deadlines
from eas_engine.admission.rate import TokenBucket
from eas_engine.errors import (
    DeadlineExceeded,
    Draining,
    NotReady,
    QueueFull,
    RateLimited,
    Refusal,
    ServiceStopped,
)
from eas_engine.request import UNKNOWN, Client, Ticket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


QUEUE_FULL: Final = QueueFull()
"""Always the same: it is needed most when there is no time to make another."""


@dataclass(frozen=True)
class Limits:
    """What one instance takes (``rpc.max_queue_size``, ``worker_threads``, ``rate_limit``, ``keepalive``)."""

    queue: int
    threads: int
    rate: float
    keepalive: float
    batch: int = 1


@dataclass(frozen=True)
class Fleet:
    """What the gate must know of the instances.

    ``live``: how many admit or start. ``ever_ready``: one has been ready since the engine started.
    ``next_start``: when none is live, the instant of the next start (None: some instance is live, or none
    will be). ``asleep``: there is none because nobody came for a while, and the next request brings one back;
    until it is there, requests wait, as many as for one instance. ``stopped``: an operator wants none.
    """

    live: int = 1
    ever_ready: bool = False
    next_start: float | None = None
    hopeless: str = ""
    asleep: bool = False
    stopped: bool = False


class Gate:
    """Admission of one service. ``on_wake`` is called behind the first admission while it is asleep."""

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
        self.draining = self.paused = False
        self._open = self._usual = False
        self.on_wake: Callable[[], None] | None = None
        self._wakes = False  # the next request that is admitted must be told
        self._loop = loop
        self._left: set[Ticket] = set()  # inside a host still, but their places are free already
        self.fleet = Fleet()
        self._clock = clock
        self._refuse = refuse
        self._bucket: TokenBucket | None = None
        self.deadlines = Deadlines(loop, clock, self._expire)
        self.configure(limits)

    def __repr__(self) -> str:
        return f"<Gate {self.count} of {self.capacity} in, {self.fleet!r}>"

    @property
    def full(self) -> bool:
        """Whether whoever comes now is refused for want of a place."""
        return self._open and self.count >= self.capacity

    def configure(self, limits: Limits) -> None:
        """Other limits from now on."""
        self.limits = limits
        self.keepalive = limits.keepalive
        self.deadlines.configure(limits.keepalive)
        self._resize()

    def observe(self, fleet: Fleet) -> None:
        """The instances have changed."""
        self.fleet = fleet
        awake = fleet.ever_ready and fleet.next_start is None and not fleet.hopeless
        self._open = (awake or fleet.asleep) and not (fleet.stopped or self.paused or self.draining)
        self._wakes = self._open and fleet.asleep
        self._resize()

    def drain(self) -> None:
        """Refuse whoever comes from now on: the engine is shutting down."""
        self.draining = True
        self._open = self._usual = False

    def pause(self, *, paused: bool) -> None:
        """Refuse whoever comes, until told otherwise: an operator wants it so."""
        self.paused = paused
        self.observe(self.fleet)

    def admit(self, client: Client, head: bytes, first: float, now: float) -> Ticket | Refusal:
        """A ticket with a place, or why not. `first`: when the request's first byte came, 0.0 for now."""
        if self._usual and not first and self.count < self.capacity:
            arrived = now
        else:
            arrived = first or now
            refusal = self._refusal(arrived + self.keepalive, now)
            if refusal is not None:
                return refusal
            if self._wakes:
                self._wakes = False
                self._loop.call_soon(self._wake)
        self.count += 1
        self.number += 1
        ticket = Ticket(client, head, self.number, arrived, arrived + self.keepalive)
        self.deadlines.add(ticket)
        return ticket

    def settle_all(self, tickets: list[Ticket]) -> None:
        """A host has given these back, answered; whoever still held a place returns it."""
        pop, ended = self.deadlines.line.pop, 0
        for ticket in tickets:
            ticket.client = None
            ticket.holder = None
            if pop(ticket, ticket) is ticket:
                self.deadlines.discard_own(ticket)
            if self._left and ticket in self._left:
                self._left.discard(ticket)
                ended += 1
        self.count -= len(tickets) - ended

    def settle(self, ticket: Ticket) -> None:
        """The ticket has ended; its place is free."""
        self.settle_all([ticket])

    def abandon(self, ticket: Ticket) -> None:
        """Nobody waits for the ticket any more. Its place is free unless a processor is at work on it."""
        ticket.client = None
        self.deadlines.discard(ticket)
        holder = ticket.holder
        if holder is None:
            self.count -= 1
        elif holder.withdraw(ticket):
            self.count -= 1
            if ticket.holder is not None:
                self._left.add(ticket)
        else:
            ticket.begun = UNKNOWN

    def leave(self, ticket: Ticket) -> None:
        """A host has given the ticket back without an answer; the place is free, if it wasn't before."""
        if ticket in self._left:
            self._left.discard(ticket)
        else:
            self.count -= 1

    def _wake(self) -> None:
        if self.on_wake is not None:
            self.on_wake()

    def _expire(self, ticket: Ticket, now: float) -> None:
        self._refuse(ticket, DeadlineExceeded(), now)

    def _refusal(self, deadline: float, now: float) -> Refusal | None:
        """Why not; None after all: then a token of the rate is spent."""
        if not self._open:
            refusal = self._closed(deadline)
            if refusal is not None:
                return refusal
        if deadline <= now:
            return DeadlineExceeded()
        if self.count >= self.capacity:
            return QUEUE_FULL
        if self._bucket is not None:
            wait = self._bucket.take(now)
            if wait:
                return RateLimited(retry_after=wait)
        return None

    def _closed(self, deadline: float) -> Refusal | None:
        fleet = self.fleet
        if self.draining:
            return Draining()
        if fleet.stopped:
            return ServiceStopped()
        if self.paused:
            return ServiceStopped("an operator drained or stopped the service: it takes nothing new")
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
        self._usual = self._open and not limits.rate and not self._wakes
        if not limits.rate:
            self._bucket = None
            return
        rate = limits.rate * instances
        burst = max(1.0, rate / 10)
        if self._bucket is None:
            self._bucket = TokenBucket(rate, burst, self._clock())
        else:
            self._bucket.resize(rate, burst, self._clock())
