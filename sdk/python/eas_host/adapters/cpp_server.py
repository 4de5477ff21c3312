"""Worker threads that call a library without making a Request of every request.

What a C++ echo costs is decided here: the library gets the address of what the link received, and its answer
is copied once, into the frame (or, when it is large, into the arena of answers).
"""

from __future__ import annotations

from time import monotonic as _now
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple

from eas_host import wire
from eas_host.adapters.cpp_memory import BYTES, address_of
from eas_host.worker import Answer, Server, describe

if TYPE_CHECKING:
    from eas_sdk.request import Request

Invoke = Callable[[int, int, int, int, float, int, int, int], Tuple[int, Any, bytes, Any]]
"""Runs the library once. The arguments are those of ``eas_request``: address and size of the body, address
and size of the head, deadline, address of the cancelled flag, number, address of the id's prefix.

It returns status, answer (a view of the library's memory, or bytes), header lines, and what ``Done`` gets;
None: nothing is left behind."""

Done = Callable[[Any], None]
"""Takes back what a call left behind; the answer isn't looked at any more."""

_LONGEST_CALL = 4000.0  # seconds that fit into the field of microseconds


class Call:
    """What worker threads call for a processor in a library. The object lives as long as the host."""

    def __init__(self, invoke: Invoke, done: Done) -> None:
        self.invoke = invoke
        self.done = done

    def __call__(self, request: Request) -> Answer:
        """Any request, also one that wasn't received by a ``CallServer`` (warm-up)."""
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

    def server(self, channel: Dict[str, Any], threads: int) -> Server:
        """See ``worker.serve``."""
        return CallServer(self, channel, threads)


class CallServer(Server):
    """The worker threads of a host whose processor is a library."""

    def __init__(self, call: Call, channel: Dict[str, Any], threads: int) -> None:
        super().__init__(call, channel, threads)
        self._invoke, self._done = call.invoke, call.done
        self._flags_at = address_of(self._board)
        self._bodies_at = address_of(self._bodies)
        self._origin = self._prefix.encode("ascii", "replace") + b"\0"
        self._origin_at = address_of(self._origin)

    def _call(self, fields: Tuple[Any, ...], payload: bytes) -> float:
        """Run the processor once; how long it took, in seconds."""
        _, kind, slot, head_size, number, deadline = fields
        board = self._board
        mark = slot + slot
        board[mark] = 1
        mark += 1
        if board[mark]:
            self._outbox.put(wire.SKIPPED, slot, 0, 0, 0.0, b"")
            return 0.0
        head = id(payload) + BYTES
        if kind == wire.CALL:
            body = head + head_size
            size = len(payload) - head_size
        else:
            offset, size = wire.EXTENT.unpack_from(payload)
            body = self._bodies_at + offset
            head += wire.EXTENT.size
        begun = self._since = _now()
        kept = None
        kind = wire.REPLY
        try:
            status, answer, lines, kept = self._invoke(
                body, size, head, head_size, deadline, self._flags_at + mark, number, self._origin_at
            )
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the thread
            kind, status, lines = wire.RAISED, 400, b""
            answer = describe(error, f"{self._prefix}-{number:04x}")
        took = _now() - begun
        took_us = int(took * 1e6) if took < _LONGEST_CALL else 0xFFFFFFFF
        if lines or len(answer) >= wire.SPILL_BYTES:
            self._outbox.put_full(slot, status, took_us, begun, lines, answer)
        else:
            self._outbox.put(kind, slot, status, took_us, begun, answer)
        if kept is not None:
            self._done(kept)
        return took
