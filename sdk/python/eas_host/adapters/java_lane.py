"""Calls of a Java processor: each thread has a *lane*, memory that both sides see.

JPype converts arguments and results at a microsecond each, and arrays element by element; a call that has
neither costs half of one. So the request is written into the lane's memory as ``eas.host.Lane`` describes it,
and the answer is read from there. A body that the engine received into shared memory isn't copied into the
lane: Java gets a view of it. JPype lets go of the GIL during every call, and makes each calling thread known
to the JVM as a daemon.

From ``System.exit`` on, while shutdown hooks run, JPype refuses every call. A thread that meets this waits
for the end of the process and answers nothing (``Calls.outlast``): what it had begun ends as in any crash.
The server takes nothing new from then on, so what comes later isn't begun, and goes to another instance.
"""

from __future__ import annotations

import mmap
import struct
import threading
from time import monotonic as now
from typing import Any, Callable, Dict, List, Tuple, Union

from eas_host import wire
from eas_host.adapters import Raised
from eas_host.adapters.java_vm import Machine
from eas_host.wire import SPILL_BYTES
from eas_host.worker import LONGEST_CALL, Caller, Server, microseconds
from eas_sdk import response
from eas_sdk.request import Request

Answer = Tuple[int, Any, bytes]

_MEMORY = SPILL_BYTES + 128 * 1024  # a body that comes in a frame, and the longest head; touched as needed
PLAIN = struct.Struct("=II")  # bytes to pass over, size of the body
NATIVE = struct.Struct("=IIIIq")  # sizes of body, head and id; slot; nanoseconds to the deadline
ANSWER = struct.Struct("=IIII")  # outcome, status, size, fields
_HERE, _TAKE, _FAILED = 0, 1, 2
_LONGEST_FRAME = _MEMORY - PLAIN.size
_LARGEST = 2**31 - 9  # bytes in a Java array
FAR = 2**62  # nanoseconds
_NO_FLAGS = b""


class Lane:
    """One thread's way into the processor."""

    def __init__(self, jpype: Any, service: Any, flags: Union[memoryview, bytes, bytearray]) -> None:
        self.flags = flags
        self.memory = mmap.mmap(-1, _MEMORY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.direct = jpype.nio.convertToDirectBuffer
        seen = self.direct(flags) if len(flags) else None
        self._lane = service.lane(self.direct(self.memory), seen, threading.current_thread().name)
        self.run = self._lane.run

    def run_with(self, body: Union[bytes, memoryview]) -> None:
        """As ``run``, with a body that isn't in the memory."""
        if len(body) > _LARGEST:
            raise ValueError(f"a body of {len(body)} bytes: a Java array holds {_LARGEST}")
        self._lane.runWith(self.direct(body))

    def answer(self, outcome: int, status: int, size: int, fields: int) -> Answer:
        """What isn't simply a body that lies in the memory. ``Raised`` when the processor threw."""
        end = ANSWER.size
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


class Calls:
    """What all kinds of call share."""

    def __init__(self, machine: Machine, service: Any) -> None:
        self._machine = machine
        self._made_of = machine.jpype, service
        self._lanes = threading.local()
        self._leave: Callable[[], None] = lambda: None

    def outlast(self, error: Exception) -> None:
        """Never returns if ``error`` is there because the JVM, and with it this process, is about to end."""
        if not isinstance(error, Raised) and self._machine.ending():
            self._leave()
            self._machine.outlast()

    def server(self, channel: Dict[str, Any], threads: int) -> Server:
        """See ``worker.serve``."""
        server = self._server(channel, threads)
        self._leave = server.give_up
        return server

    def _server(self, channel: Dict[str, Any], threads: int) -> Server:
        raise NotImplementedError  # single calls or batches


class SingleCalls(Calls):
    """Calls with one request each."""

    def __call__(self, request: Request) -> Answer:
        """One request, also one of warm-up."""
        try:
            return self._run(request)
        except Exception as error:
            self.outlast(error)
            raise

    def _run(self, request: Request) -> Answer:
        raise NotImplementedError

    def _server(self, channel: Dict[str, Any], threads: int) -> Server:
        return Server(self, channel, threads)


class Plain(SingleCalls):
    """The call of ``Process(byte[])``."""

    @property
    def lane(self) -> Lane:
        """The calling thread's own."""
        try:
            return self._lanes.lane  # type: ignore[no-any-return]
        except AttributeError:
            lane = self._lanes.lane = Lane(*self._made_of, _NO_FLAGS)
            return lane

    def _run(self, request: Request) -> Answer:
        lane, body = self.lane, request.body
        size = len(body)
        if size <= SPILL_BYTES and body.__class__ is bytes:
            lane.memory[: PLAIN.size + size] = PLAIN.pack(0, size) + body
            lane.run()
        else:
            lane.memory[: PLAIN.size] = PLAIN.pack(0, size)
            lane.run_with(body)
        return lane.answer(*ANSWER.unpack_from(lane.memory))

    def caller(self, server: Server) -> Caller:
        """See ``worker.serve``."""
        return Frames(self, server).caller()


class Frames:
    """The way of frames into Java, without making a ``Request`` of them."""

    def __init__(self, call: Plain, server: Server) -> None:
        self._plain = call
        self._server = server

    def caller(self) -> Caller:
        """For this thread. What nearly every request is, small and answered with 200, is done here alone."""
        server, lane = self._server, self._plain.lane
        board, outbox, general = server.board, server.outbox, server.call
        memory, run, frames = lane.memory, lane.run, outbox.frames
        pack, unpack, pack_frame = PLAIN.pack, ANSWER.unpack_from, wire.ANSWER.pack
        before, begin, frame_size = PLAIN.size, ANSWER.size, wire.ANSWER.size

        def call(fields: Tuple[Any, ...], payload: bytes) -> float:
            _, kind, slot, head_size, _, _ = fields
            whole = len(payload)
            if kind != wire.CALL or whole > _LONGEST_FRAME:
                return general(fields, payload)
            mark = slot + slot
            board[mark] = 1
            if board[mark + 1]:
                return server.skip(slot)
            begun = server.since = now()
            memory[: before + whole] = pack(head_size, whole - head_size) + payload
            try:
                run()
            except Exception as error:  # noqa: BLE001 - the JVM itself throws, as when the stack is full
                return self._failed(fields, payload, begun, error)
            outcome, _, size, _ = answered = unpack(memory)
            took = now() - begun
            if outcome or size >= SPILL_BYTES or took >= LONGEST_CALL:
                return self._settle(lane, answered, (fields, payload), begun)
            head = pack_frame(frame_size + size, wire.REPLY, slot, 200, int(took * 1e6), begun)
            frames.append(head + memory[begin : begin + size])
            return took

        return call

    def _settle(
        self,
        lane: Lane,
        answered: Tuple[int, int, int, int],
        frame: Tuple[Tuple[Any, ...], bytes],
        begun: float,
    ) -> float:
        """Queue an answer that isn't small, or none."""
        try:
            status, body, lines = lane.answer(*answered)
        except Exception as error:  # noqa: BLE001 - Raised, or the JVM throws once more
            return self._failed(*frame, begun, error)
        took = now() - begun
        self._server.outbox.put_full(frame[0][2], status, microseconds(took), begun, lines, body)
        return took

    def _failed(self, fields: Tuple[Any, ...], payload: bytes, begun: float, error: Exception) -> float:
        """Queue a failure; the exception is being handled."""
        self._plain.outlast(error)
        took = now() - begun
        self._server.raised(fields, payload, took, begun, error)
        return took


class Native(SingleCalls):
    """The call of ``process(Request)``."""

    def _run(self, request: Request) -> Answer:
        head, prefix, number, flags, slot = request.received()
        made = f"{prefix}-{number:04x}"
        lane = getattr(self._lanes, "lane", None)
        if lane is None or lane.flags is not flags:
            lane = self._lanes.lane = Lane(*self._made_of, flags)
        body, memory = request.body, lane.memory
        remaining = int(max(-FAR, min(request.remaining() * 1e9, FAR)))
        told = NATIVE.pack(len(body), len(head), len(made), slot, remaining)
        if body.__class__ is bytes and len(body) <= SPILL_BYTES:
            whole = b"".join((told, body, head, made.encode()))
            memory[: len(whole)] = whole
            lane.run()
        else:
            whole = b"".join((told, head, made.encode()))
            memory[: len(whole)] = whole
            lane.run_with(body)
        outcome, status, size, fields = ANSWER.unpack_from(memory)
        if outcome == _HERE and not fields:
            return status, memory[ANSWER.size : ANSWER.size + size], b""
        answered: Answer = lane.answer(outcome, status, size, fields)
        return answered
