"""The one thing that flows: a ticket, from the gate to its single ending.

A ticket is made when a request is admitted and ends exactly once: answered by a processor, refused by the
engine (deadline, crash), or left by its client. Whoever holds it in between is its ``holder``; no layer wraps
it in another object. Instants are seconds of the monotonic clock, fixed when they happen and only compared
afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.errors import Refusal

Body = bytes | bytearray | memoryview

UNKNOWN = -1.0
"""``Ticket.begun`` of one that ended before its processor was done: only the host knew when it was begun."""


class Client:
    """Who asked. Told the ending of its ticket, once.

    A base class, not a protocol: compiled code calls methods of a known class directly.
    """

    __slots__ = ()

    def succeeded(self, ticket: Ticket, body: bytes, now: float, begun: float, process_us: int) -> None:
        """The processor's answer, as nearly all are: status 200, no headers of its own, not large."""
        raise NotImplementedError

    def answered(  # noqa: PLR0917 - the hot path passes no keywords
        self,
        ticket: Ticket,
        status: int,
        headers: bytes,
        body: Body,
        now: float,
        sent: Callable[[], None] | None,
    ) -> None:
        """Any other answer of the processor's; `headers` are lines that end in CRLF.

        `sent`, if given, must be called when the bytes of `body` aren't needed any more.
        """
        raise NotImplementedError

    def refused(self, ticket: Ticket, refusal: Refusal, now: float) -> None:
        """The engine's answer."""
        raise NotImplementedError


class Holder:
    """Who has the ticket now: the backlog, or the link it was handed out on. A base class, as ``Client``."""

    __slots__ = ()

    def withdraw(self, ticket: Ticket) -> bool:
        """Its client doesn't wait for it any more. True: it holds nothing any longer.

        False: a processor has it, and its place is taken until the processor is done with it.
        """
        raise NotImplementedError


class Held(NamedTuple):
    """A request that a host had inside when it died, copied for whoever looks into the crash."""

    number: int
    head: bytes
    """As the client sent it: whoever keeps it takes the credentials out."""
    body: bytes
    """Its first bytes, all of them where the limit allowed it."""
    size: int
    """Bytes that the body had."""
    begun: bool
    """Whether the processor was at work on it."""
    age: float
    """Seconds since its first byte."""


class Ticket:
    """One admitted request.

    ``body`` is the request's body, or None when it lies in the arena of requests at ``offset``; ``size`` is
    its length in bytes either way.
    """

    __slots__ = (
        "arrived",
        "batched",
        "begun",
        "body",
        "client",
        "deadline",
        "head",
        "holder",
        "number",
        "offset",
        "process_us",
        "queued",
        "size",
        "slot",
    )

    slot: int
    """Where in its host, once it was handed out."""
    batched: float
    """Seconds it waited for its batch while a thread was idle; only once it was handed out in a batch."""

    def __init__(self, client: Client, head: bytes, number: int, arrived: float, deadline: float) -> None:
        self.client: Client | None = client
        self.head = head
        self.number = number
        self.arrived = self.queued = arrived
        self.deadline = deadline
        self.begun = 0.0
        self.process_us = 0
        self.body: Body | None = b""
        self.size = 0
        self.offset = -1
        self.holder: Holder | None = None  # once handed out, `slot` says where in the holder

    def __repr__(self) -> str:
        state = "ended" if self.client is None else f"held by {self.holder!r}"
        return f"<Ticket {self.number} {self.size} bytes, {state}>"
