"""A processor host under a test's thumb: the host's end of a link, in the test's own process and thread.

It does by hand what ``eas_host.worker`` does by threads: read requests, mark them begun or see them
withdrawn, answer, die. What it is asked is written with ``eas_host.wire``, like everything real.
"""

from __future__ import annotations

import mmap
import os
import socket
from dataclasses import dataclass, field
from typing import Any

from eas_engine.workers.batch_link import BatchLink
from eas_engine.workers.link import Link
from eas_host import wire
from eas_host.arena import Arena, map_read_only


@dataclass(eq=False)
class Unit:
    """Requests that one thread works on together; one alone where the service doesn't batch."""

    calls: list[Call] = field(default_factory=list)
    size: int = 0  # requests it had when it came
    begun: int = 0
    us: int = 50
    plain: list[tuple[int, bytes]] = field(default_factory=list)  # answers that go with its report


@dataclass(eq=False)
class Call:
    """A request as the host got it."""

    slot: int
    number: int
    deadline: float
    head: bytes
    body: bytes
    began: bool = False
    unit: Unit = field(default_factory=Unit)


class WireHost:
    """The other end of `link`."""

    def __init__(self, link: Link) -> None:
        channel: dict[str, Any] = link.describe()
        self.link = link
        self.socket = socket.socket(fileno=os.dup(channel["link"]))
        self.socket.setblocking(False)
        self._board_map = mmap.mmap(channel["board"]["fd"], wire.BOARD_BYTES)
        self.board = memoryview(self._board_map)
        requests, answers = channel["requests"], channel["answers"]
        self._bodies = map_read_only(requests["fd"], requests["size"]) if requests else memoryview(b"")
        self._answers_fd = os.dup(answers["fd"])
        self.arena = Arena(self._answers_fd, answers["size"])
        self.inbox = wire.Inbox(wire.REQUEST)
        self.calls: list[Call] = []
        self.units: list[Unit] = []  # of which something isn't answered yet
        self.too_large = 0  # what the reports say of the memory of a GPU
        self.rows = 1  # of a request, in the reports of batches
        self.released: list[int] = []
        link.started()

    def read(self) -> list[Call]:
        """Take what has come; everything that isn't answered yet."""
        while True:
            try:
                count = self.socket.recv_into(self.inbox.space())
            except BlockingIOError:
                return self.calls
            if not count:
                return self.calls
            for fields, payload in self.inbox.feed(count):
                self._take(fields, payload)

    def _take(self, fields: tuple[Any, ...], payload: bytes) -> None:
        _, kind, slot, head_size, number, deadline = fields
        if kind == wire.RELEASE:
            (offset, _) = wire.EXTENT.unpack(payload)
            self.arena.give(offset)
            self.released.append(offset)
        elif kind == wire.CALL:
            assert len(payload) >= head_size
            self._add([Call(slot, number, deadline, payload[:head_size], payload[head_size:])])
        elif kind == wire.CALL_AT:
            offset, size = wire.EXTENT.unpack_from(payload)
            body = bytes(self._bodies[offset : offset + size])
            self._add([Call(slot, number, deadline, payload[wire.EXTENT.size :], body)])
        else:
            assert kind == wire.UNIT
            self._add(self._unit(slot, payload))

    def _unit(self, count: int, payload: bytes) -> list[Call]:
        columns = wire.unit(count)
        told = columns.unpack_from(payload)
        head_at = columns.size
        body_at = head_at + sum(told[count : 2 * count])
        calls = []
        for n in range(count):
            slot, head_size, number, deadline, size, offset = told[n::count]
            body = payload[body_at : body_at + size]
            if offset < 0:
                body_at += size
            else:
                body = bytes(self._bodies[offset : offset + size])
            calls.append(Call(slot, number, deadline, payload[head_at : head_at + head_size], body))
            head_at += head_size
        assert body_at == len(payload)
        return calls

    def _add(self, calls: list[Call]) -> None:
        unit = Unit(calls, len(calls))
        self.units.append(unit)
        for call in calls:
            call.unit = unit
            self.calls.append(call)

    def _report(self, call: Call) -> None:
        unit = call.unit
        unit.calls.remove(call)
        if unit.calls:
            return
        self.units.remove(unit)
        if isinstance(self.link, BatchLink):
            begun = unit.begun
            report = wire.BATCH.pack(begun, min(begun, 1), begun * self.rows, 0)
            slots, bodies = [slot for slot, _ in unit.plain], [body for _, body in unit.plain]
            columns = wire.replies(len(slots)).pack(*slots, *map(len, bodies))
            report = b"".join((report, columns, *bodies))
            large = self.too_large
            self.send(wire.BATCHED, len(slots), report, status=large, us=unit.us, begun=self.link._clock())

    def begin(self, call: Call) -> bool:
        """A thread takes the request. False: it was withdrawn, and its slot given back."""
        self.board[2 * call.slot] = 1
        if self.board[2 * call.slot + 1]:
            self.skip(call)
            return False
        call.began = True
        call.unit.begun += 1
        return True

    def skip(self, call: Call) -> None:
        self.calls.remove(call)
        self.send(wire.SKIPPED, call.slot, status=0, begun=0.0)
        self._report(call)

    def answer(
        self, call: Call, body: bytes = b"", *, status: int = 200, headers: bytes = b"", us: int = 50
    ) -> None:
        """The processor returns."""
        self.calls.remove(call)
        begun = self.link._clock()
        if len(body) >= wire.SPILL_BYTES:
            offset = self.arena.take(len(body))
            assert offset is not None
            self.arena.view[offset : offset + len(body)] = body
            payload = wire.EXTENT.pack(offset, len(body)) + headers
            self.send(wire.FULL_AT, call.slot, payload, status=status, us=us, begun=begun)
        elif headers:
            payload = wire.LINES.pack(len(headers)) + headers + body
            self.send(wire.FULL, call.slot, payload, status=status, us=us, begun=begun)
        elif status == 200 and isinstance(self.link, BatchLink):
            call.unit.plain.append((call.slot, body))
        else:
            self.send(wire.REPLY, call.slot, body, status=status, us=us, begun=begun)
        call.unit.us = us
        self._report(call)

    def fail(self, call: Call, message: bytes, *, status: int = 400) -> None:
        """The processor raises; 500: for want of GPU memory."""
        self.calls.remove(call)
        self.send(wire.RAISED, call.slot, message, status=status, begun=self.link._clock())
        self._report(call)

    def serve(self, body: bytes = b"") -> int:
        """Begin and answer everything that is here; how many were answered."""
        taken = list(self.read())
        began = [call for call in taken if call.began or self.begin(call)]
        for call in began:
            self.answer(call, body or call.body)
        return len(began)

    def send(
        self,
        kind: int,
        slot: int,
        payload: bytes = b"",
        *,
        status: int = 200,
        us: int = 0,
        begun: float = 0.0,
    ) -> None:
        size = wire.ANSWER.size + len(payload)
        self.socket.setblocking(True)
        self.socket.sendall(wire.ANSWER.pack(size, kind, slot, status, us, begun) + payload)
        self.socket.setblocking(False)

    def die(self) -> None:
        """Like ``kill -9``: everything is closed, the board stays as it was."""
        self.socket.close()
        self.arena.close()
        os.close(self._answers_fd)
        self.board.release()
        self._board_map.close()
        self._bodies.release()
