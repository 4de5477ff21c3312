"""The engine's end of a link, in the test's own process; the other end is a real ``eas_host.worker``."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from eas_host import wire
from eas_host.arena import Arena, map_read_only
from eas_host.worker import Server, serve

LONG = 60.0
"""Seconds until a test gives up on something that happens within milliseconds."""


@dataclass(frozen=True)
class Answered:
    """One answer as the engine got it. The plain ones of a unit stand before its BATCHED."""

    kind: int
    slot: int
    status: int
    headers: bytes
    body: bytes
    offset: int = -1
    us: int = field(default=0, compare=False)
    began: float = field(default=0.0, compare=False)


def packed_unit(
    slots: Sequence[int], heads: Sequence[bytes], bodies: Sequence[bytes], offsets: Sequence[int]
) -> bytes:
    """A UNIT frame. A request's number is its slot; bodies whose offset isn't -1 lie in the arena there."""
    columns = wire.unit(len(slots)).pack(
        *slots, *map(len, heads), *slots, *[1e9] * len(slots), *map(len, bodies), *offsets
    )
    here = [body for body, offset in zip(bodies, offsets, strict=True) if offset < 0]
    data = b"".join((columns, *heads, *here))
    return wire.REQUEST.pack(wire.REQUEST.size + len(data), wire.UNIT, len(slots), 0, 0, 0.0) + data


def unpacked_replies(count: int, payload: bytes) -> list[tuple[int, bytes]]:
    """The plain answers of a BATCHED: slots and bodies."""
    columns = wire.replies(count)
    told = columns.unpack_from(payload, wire.BATCH.size)
    at, plain = wire.BATCH.size + columns.size, []
    for slot, size in zip(told[:count], told[count:], strict=True):
        plain.append((slot, payload[at : at + size]))
        at += size
    assert at == len(payload)
    return plain


class EngineEnd:
    """Hands requests to `threads` threads that call `handle`."""

    def __init__(
        self, handle: Callable[[Any], tuple[int, Any, bytes]], threads: int = 1, *, arenas: bool = True
    ) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(LONG)
        self._fds = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("board", "requests", "answers")]
        size = 64 << 20
        for fd, length in zip(self._fds, (wire.BOARD_BYTES, size, size), strict=True):
            os.ftruncate(fd, length)
        board, requests, answers = self._fds
        self.board = memoryview(mmap.mmap(board, wire.BOARD_BYTES))
        self.requests = Arena(requests, size)
        self.answers = map_read_only(answers, size)
        self._inbox = wire.Inbox(wire.ANSWER)
        self.here: list[Answered] = []
        channel: dict[str, Any] = {
            "link": theirs.detach(),
            "board": {"fd": board},
            "requests": {"fd": requests, "size": size} if arenas else None,
            "answers": {"fd": answers, "size": size} if arenas else None,
            "request_prefix": "test",
        }
        self.server: Server = serve(handle, channel, threads)

    def frame(self, slot: int, body: bytes = b"", *, head: bytes = b"POST / HTTP/1.1") -> bytes:
        """A request; its slot is new on the board."""
        offset = self._place(slot, body)
        if offset < 0:
            size = wire.REQUEST.size + len(head) + len(body)
            return wire.REQUEST.pack(size, wire.CALL, slot, len(head), slot, 1e9) + head + body
        extent = wire.EXTENT.pack(offset, len(body))
        size = wire.REQUEST.size + len(extent) + len(head)
        return wire.REQUEST.pack(size, wire.CALL_AT, slot, len(head), slot, 1e9) + extent + head

    def unit(self, first: int, *bodies: bytes, heads: Sequence[bytes] = ()) -> bytes:
        """A unit of work with a request for each body, in slots from `first` on."""
        slots, heads = range(first, first + len(bodies)), heads or [b"POST / HTTP/1.1"] * len(bodies)
        places = [self._place(slot, body) for slot, body in zip(slots, bodies, strict=True)]
        return packed_unit(slots, heads, bodies, places)

    def _place(self, slot: int, body: bytes) -> int:
        """Where the body lies in the arena, or -1; the slot is new on the board."""
        self.board[2 * slot] = self.board[2 * slot + 1] = self.board[wire.CANCELLED + slot] = 0
        if len(body) < wire.SPILL_BYTES:
            return -1
        offset = self.requests.take(len(body))
        assert offset is not None
        self.requests.view[offset : offset + len(body)] = body
        return offset

    def hand(self, *bodies: bytes, first: int = 0) -> None:
        """One write with a request for each body, in slots from `first` on."""
        self.socket.sendall(b"".join(self.frame(first + n, body) for n, body in enumerate(bodies)))

    def hand_batch(self, *bodies: bytes, first: int = 0) -> None:
        """One unit of work, a request for each body, in slots from `first` on."""
        self.socket.sendall(self.unit(first, *bodies))

    def withdraw(self, slot: int) -> None:
        self.board[2 * slot + 1] = self.board[wire.CANCELLED + slot] = 1

    def begun(self, slot: int) -> bool:
        return bool(self.board[2 * slot])

    def release(self, offset: int) -> None:
        """The answer there was sent."""
        size = wire.REQUEST.size + wire.EXTENT.size
        frame = wire.REQUEST.pack(size, wire.RELEASE, 0, 0, 0, 0.0)
        self.socket.sendall(frame + wire.EXTENT.pack(offset, 0))

    def take(self, count: int = 1) -> list[Answered]:
        """The next `count` answers."""
        while len(self.here) < count:
            got = self.socket.recv_into(self._inbox.space())
            assert got, "the host hung up"
            for fields, payload in self._inbox.feed(got):
                self.here += self._answers(fields, payload)
        taken, self.here = self.here[:count], self.here[count:]
        return taken

    def _answers(self, fields: tuple[Any, ...], payload: bytes) -> list[Answered]:
        _, kind, count, status, us, began = fields
        if kind != wire.BATCHED:
            return [self._answer(fields, payload)]
        told, plain = payload[: wire.BATCH.size], unpacked_replies(count, payload)
        answers = [Answered(wire.REPLY, slot, 200, b"", body, -1, us, began) for slot, body in plain]
        return [*answers, Answered(kind, 0, status, b"", told, -1, us, began)]

    def _answer(self, fields: tuple[Any, ...], payload: bytes) -> Answered:
        _, kind, slot, status, us, began = fields
        if kind == wire.FULL:
            (lines,) = wire.LINES.unpack_from(payload)
            start = wire.LINES.size + lines
            return Answered(
                kind, slot, status, payload[wire.LINES.size : start], payload[start:], -1, us, began
            )
        if kind == wire.FULL_AT:
            offset, size = wire.EXTENT.unpack_from(payload)
            body = bytes(self.answers[offset : offset + size])
            return Answered(kind, slot, status, payload[wire.EXTENT.size :], body, offset, us, began)
        return Answered(kind, slot, status, b"", payload, -1, us, began)

    def stop(self) -> None:
        """Stop the threads, which must end."""
        self.server.stop()
        self.server.join(LONG)
        assert not any(thread.is_alive() for thread in self.server._threads)

    def close(self) -> None:
        self.stop()
        self.socket.close()
        self.requests.close()
        for fd in self._fds:
            os.close(fd)
