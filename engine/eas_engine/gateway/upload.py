"""The body of one admitted request, on its way in: where it goes, whether there is room, and where it ends.

A body of known length is received straight into the memory where the processor will read it; a chunked one is
decoded first. Either way its bytes are reserved in the budget (``rpc.max_inflight_bytes``); while there is no
room the connection isn't read, until there is or the ticket's deadline comes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from eas_engine.gateway.chunked import Chunked
from eas_engine.gateway.head import CHUNKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.gateway.front import Front
    from eas_engine.request import Ticket


class Upload(ABC):
    """What both kinds share. ``done`` is called once, with what came behind the body."""

    __slots__ = ("_done", "_front", "_ticket", "_transport", "_waiting", "space")

    def __init__(self, front: Front, ticket: Ticket, transport: Any, done: Callable[[bytes], None]) -> None:
        self._front = front
        self._ticket = ticket
        self._transport = transport
        self._done = done
        self._waiting = False
        self.space = front.buffer
        """Where the next bytes go."""

    @abstractmethod
    def start(self, data: bytes) -> None:
        """Begin with what has come together with the head. Errors: as ``updated``."""

    @abstractmethod
    def updated(self, count: int) -> None:
        """`count` bytes were put into ``space``.

        Raises:
            Refusal: it isn't a body, or too large.
        """

    def cancel(self) -> None:
        """Nobody waits for the body any more."""
        self._front.budget.forget(self)

    def _reserve(self, size: int, then: Callable[[], None]) -> None:
        """Call `then` when the budget has room for `size` bytes: now, or later."""
        self._waiting = True
        if self._front.budget.take(self, size, then, held=self._ticket.size):
            self._waiting = False
            then()
        elif self._waiting:  # else it was called meanwhile
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._waiting:
            self._waiting = False
            self._transport.resume_reading()


class Sized(Upload):
    """A body of known length."""

    __slots__ = ("_early", "_length", "_placed")

    def __init__(
        self, front: Front, ticket: Ticket, transport: Any, done: Callable[[bytes], None], length: int
    ) -> None:
        super().__init__(front, ticket, transport, done)
        self._length = length
        self._early = b""  # what came before there was room
        self._placed = False

    def start(self, data: bytes) -> None:
        """See ``Upload``."""
        self._early = data
        self._reserve(self._length, self._place)

    def updated(self, count: int) -> None:
        """See ``Upload``."""
        if not self._placed:
            self._early += self._front.received[:count]
            return
        self.space = self.space[count:]
        if not self.space:
            self._done(b"")

    def _place(self) -> None:
        self._go_on()
        ticket, data, length = self._ticket, self._early, self._length
        ticket.size = length
        ticket.offset, sink = self._front.bodies.place(length)
        ticket.body = sink
        have = min(len(data), length)
        sink[:have] = data[:have]
        self._early = b""
        if have < length:
            self._placed, self.space = True, sink[have:]
        else:
            self._done(data[have:])


class Decoded(Upload):
    """A chunked body. Its size is known at its end: until then it grows in the heap."""

    __slots__ = ("_chunked",)

    def __init__(self, front: Front, ticket: Ticket, transport: Any, done: Callable[[bytes], None]) -> None:
        super().__init__(front, ticket, transport, done)
        self._chunked = Chunked(front.max_body)

    def start(self, data: bytes) -> None:
        """See ``Upload``."""
        self._chunked.feed(data)
        self._reserve(len(self._chunked.body) - self._ticket.size, self._reserved)

    def updated(self, count: int) -> None:
        """See ``Upload``."""
        self.start(self._front.received[:count])

    def _reserved(self) -> None:
        self._go_on()
        ticket, body, rest = self._ticket, self._chunked.body, self._chunked.rest
        ticket.size = len(body)
        if rest is None:
            return
        self._front.budget.forget(self)
        ticket.body = body
        if body:  # a large one goes into the arena after all
            offset, place = self._front.bodies.place(len(body))
            if offset >= 0:
                place[:] = body
                ticket.offset, ticket.body = offset, place
        self._done(rest)


def upload(
    front: Front, ticket: Ticket, length: int, transport: Any, done: Callable[[bytes], None]
) -> Upload:
    """The upload of a body of `length` bytes, or ``CHUNKED``."""
    if length == CHUNKED:
        return Decoded(front, ticket, transport, done)
    return Sized(front, ticket, transport, done, length)
