"""Worker threads that call a library without making a Request of every request.

What a C++ echo costs is decided here: the library gets the address of what the link received, and its answer
is copied once, into the frame (or, when it is large, into the arena of answers).
"""

from __future__ import annotations

from time import monotonic as _now
from typing import Any, Callable, Optional, Tuple

from eas_host import wire
from eas_host.adapters.cpp_memory import address_of
from eas_host.worker import Answer, Caller, Server, microseconds
from eas_sdk.request import Request

Invoke = Callable[[int, int, int, int, float, int, int, int], Tuple[int, Any, bytes, Any]]
"""Runs the library once. The arguments are those of ``eas_request``: address and size of the body, address
and size of the head, deadline, address of the cancelled flag, number, address of the id's prefix. It raises
``Raised`` for what the library threw.

It returns status, answer (a view of the library's memory, or bytes), header lines, and what ``Done`` gets;
None: nothing is left behind."""

Done = Callable[[Any], None]
"""Takes back what a call left behind; the answer isn't looked at any more."""


class Call:
    """What worker threads call for a processor in a library. The object lives as long as the host.

    ``fast`` makes, for one thread, the fast way of what nearly every request is: small, and answered with
    200. It does in one function, whose names are all its own, what ``Frames.call`` and ``invoke`` do in
    three; without one (None) these are used.
    """

    def __init__(self, invoke: Invoke, done: Done, fast: Optional[Callable[[Frames], Caller]] = None) -> None:
        self.invoke = invoke
        self.done = done
        self.fast = fast

    def __call__(self, request: Request) -> Answer:
        """Any request, also one that wasn't received as a frame (warm-up)."""
        head, prefix, number, flags, slot = request.received()
        origin = prefix.encode("ascii", "replace") + b"\0"
        status, answer, lines, kept = self.invoke(
            address_of(request.body),
            len(request.body),
            address_of(head),
            len(head),
            request.deadline,
            address_of(flags) + slot,
            number,
            address_of(origin),
        )
        content = bytes(answer)
        if kept is not None:
            self.done(kept)
        return status, content, lines

    def caller(self, server: Server) -> Caller:
        """See ``worker.serve``."""
        frames = Frames(self, server)
        return frames.call if self.fast is None else self.fast(frames)


class Frames:
    """The way of frames into a library, for one thread.

    Attributes:
        server: whose thread it is.
        board: as in ``wire``.
        flags_at: the address of the cancelled byte of the first slot.
        origin_at: the address of the first part of made request ids.
        outbox: where answers go.
    """

    def __init__(self, library: Call, server: Server) -> None:
        self._library = library
        self.server = server
        self.board, self.outbox = server.board, server.outbox
        self.flags_at = address_of(server.board) + wire.CANCELLED
        self._bodies_at = address_of(server.bodies)
        self._origin = server.prefix.encode("ascii", "replace") + b"\0"
        self.origin_at = address_of(self._origin)

    def call(self, fields: Tuple[Any, ...], payload: bytes) -> float:
        """Any frame: run the library once; how long it took, in seconds."""
        _, kind, slot, head_size, number, deadline = fields
        mark = slot + slot
        self.board[mark] = 1
        if self.board[mark + 1]:
            return self.server.skip(slot)
        head = address_of(payload)
        if kind == wire.CALL:
            body, size = head + head_size, len(payload) - head_size
        else:
            offset, size = wire.EXTENT.unpack_from(payload)
            body = self._bodies_at + offset
            head += wire.EXTENT.size
        begun = self.server.since = _now()
        flag = self.flags_at + slot
        try:
            answer = self._library.invoke(body, size, head, head_size, deadline, flag, number, self.origin_at)
        except Exception as error:  # noqa: BLE001 - Raised, or a mistake of ours, which must not end the thread
            took = _now() - begun
            self.server.raised(fields, payload, took, begun, error)
            return took
        took = _now() - begun
        self.settle(slot, took, begun, answer)
        return took

    def settle(self, slot: int, took: float, begun: float, answer: Tuple[int, Any, bytes, Any]) -> None:
        """Queue what ``Invoke`` returned, and let the library have back what it left behind."""
        status, content, lines, kept = answer
        if lines or len(content) >= wire.SPILL_BYTES:
            self.outbox.put_full(slot, status, microseconds(took), begun, lines, content)
        else:
            self.outbox.put(wire.REPLY, slot, status, microseconds(took), begun, content)
        if kept is not None:
            self._library.done(kept)
