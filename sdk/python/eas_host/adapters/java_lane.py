"""Calls of a Java processor: each thread has a *lane*, memory that both sides see.

JPype converts arguments and results at a microsecond each, and arrays element by element; a call that has
neither costs half of one. So the request is written into the lane's memory as ``eas.host.Lane`` describes it,
and the answer is read from there. A body that the engine received into shared memory isn't copied into the
lane: Java gets a view of it. JPype lets go of the GIL during every call, and makes each calling thread known
to the JVM as a daemon.
"""

from __future__ import annotations

import mmap
import struct
import threading
from typing import Any, List, Tuple, Union

from eas_host.adapters import Handle, Raised
from eas_host.wire import SPILL_BYTES
from eas_sdk import response
from eas_sdk.request import Request

Answer = Tuple[int, Any, bytes]

_MEMORY = SPILL_BYTES + 128 * 1024  # a body that comes in a frame, and the longest head; touched as needed
_PLAIN = struct.Struct("=I")  # size of the body
_NATIVE = struct.Struct("=IIIIq")  # sizes of body, head and id; slot; nanoseconds to the deadline
_ANSWER = struct.Struct("=IIII")  # outcome, status, size, fields
_HERE, _TAKE, _FAILED = 0, 1, 2
_LARGEST = 2**31 - 9  # bytes in a Java array
_FAR = 2**62  # nanoseconds
_NO_FLAGS = b""


class Lane:
    """One thread's way into the processor."""

    def __init__(self, jpype: Any, service: Any, flags: Union[memoryview, bytes, bytearray]) -> None:
        self.flags = flags
        self.memory = mmap.mmap(-1, _MEMORY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._direct = jpype.nio.convertToDirectBuffer
        seen = self._direct(flags) if len(flags) else None
        self._lane = service.lane(self._direct(self.memory), seen, threading.current_thread().name)
        self.run = self._lane.run

    def run_with(self, body: Union[bytes, memoryview]) -> None:
        """As ``run``, with a body that isn't in the memory."""
        if len(body) > _LARGEST:
            raise ValueError(f"a body of {len(body)} bytes: a Java array holds {_LARGEST}")
        self._lane.runWith(self._direct(body))

    def answer(self, outcome: int, status: int, size: int, fields: int) -> Answer:
        """What isn't simply a body that lies in the memory. ``Raised`` when the processor threw."""
        end = _ANSWER.size
        if outcome == _FAILED:
            message = self.memory[end : end + size].decode("utf-8", "replace")
            raise Raised(message, str(self._lane.trace()))
        body: Any
        if outcome == _TAKE:
            body = memoryview(self._lane.take()).cast("B")
        else:
            body = self.memory[end : end + size]
            end += size
        return status, body, response.encode_headers(_pairs(self.memory[end : end + fields]))


def _pairs(fields: bytes) -> List[Tuple[str, str]]:
    """Names and values of ``name LF value LF ... value``."""
    parts = fields.decode().split("\n") if fields else []
    return list(zip(parts[::2], parts[1::2]))


def plain(jpype: Any, service: Any) -> Handle:
    """The call of ``Process(byte[])``."""
    local = threading.local()
    pack, unpack, begin = _PLAIN.pack, _ANSWER.unpack_from, _ANSWER.size
    room = _MEMORY - _PLAIN.size

    def handle(request: Request) -> Answer:
        try:
            lane: Lane = local.lane
        except AttributeError:
            lane = local.lane = Lane(jpype, service, _NO_FLAGS)
        body, memory = request.body, lane.memory
        size = len(body)
        if size <= room and body.__class__ is bytes:
            memory[: 4 + size] = pack(size) + body
            lane.run()
        else:
            memory[:4] = pack(size)
            lane.run_with(body)
        outcome, status, size, fields = unpack(memory)
        if outcome == _HERE:
            return 200, memory[begin : begin + size], b""
        return lane.answer(outcome, status, size, fields)

    return handle


def native(jpype: Any, service: Any) -> Handle:
    """The call of ``process(Request)``."""
    local = threading.local()
    pack, unpack, begin = _NATIVE.pack, _ANSWER.unpack_from, _ANSWER.size

    def handle(request: Request) -> Answer:
        head, prefix, number, flags, slot = request.received()
        made = f"{prefix}-{number:04x}"
        lane = getattr(local, "lane", None)
        if lane is None or lane.flags is not flags:
            lane = local.lane = Lane(jpype, service, flags)
        body, memory = request.body, lane.memory
        remaining = int(max(-_FAR, min(request.remaining() * 1e9, _FAR)))
        told = pack(len(body), len(head), len(made), slot, remaining)
        if body.__class__ is bytes and len(body) <= SPILL_BYTES:
            whole = b"".join((told, body, head, made.encode()))
            memory[: len(whole)] = whole
            lane.run()
        else:
            whole = b"".join((told, head, made.encode()))
            memory[: len(whole)] = whole
            lane.run_with(body)
        outcome, status, size, fields = unpack(memory)
        if outcome == _HERE and not fields:
            return status, memory[begin : begin + size], b""
        answered: Answer = lane.answer(outcome, status, size, fields)
        return answered

    return handle
