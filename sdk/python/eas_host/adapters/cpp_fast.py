"""The fast way of what nearly every request to a library is: small, and answered with 200.

A worker thread has one of these objects. It does in one method, whose names are all its own, what
``cpp_server.Frames.call`` and ``Invoke`` do in three, and leaves everything else to them. Compiled, where
there was a compiler.
"""

from __future__ import annotations

from time import monotonic as now
from typing import Any, Callable, Final, Tuple

from eas_host.wire import ANSWER, CALL, REPLY, SPILL_BYTES
from eas_host.worker import LONGEST_CALL, Server

_pack: Final = ANSWER.pack
_HEADER_SIZE: Final = ANSWER.size
_CALL: Final = CALL
_REPLY: Final = REPLY
_SPILL: Final = SPILL_BYTES
_LONGEST: Final = LONGEST_CALL

General = Callable[[Tuple[Any, ...], bytes], float]
"""``cpp_server.Frames.call``."""


class _Call:
    """What a thread needs for either interface: its server, and whom to leave the rest to."""

    def __init__(self, server: Server, general: General, process: Any) -> None:
        self._server = server
        self._general = general
        self._marks = server.marks
        self._answers = server.outbox.frames
        self._process = process


class PlainCall(_Call):
    """``process`` of the plain interface."""

    def __init__(self, server: Server, general: General, process: Any, cells: Any, tools: Any) -> None:
        """``cells`` are ``cpp_plain``'s; ``tools`` what it does with memory and with what isn't usual.

        Args:
            server: whose thread it is.
            general: answers any frame.
            process: the library's function.
            cells: model, pointers, length, input, and what the function is told of output and length.
            tools: all memory, ``free``, where a bytes object's bytes begin, and what answers in all other
                cases: ``unusual(slot, code, took, begun)``.
        """
        super().__init__(server, general, process)
        (
            self._model,
            self._pointers,
            self._length,
            self._given,
            self._to_output,
            self._to_length,
            self._output,
        ) = cells
        self._memory, self._free, self._bytes, self._unusual = tools

    def call(self, fields: Tuple[Any, ...], payload: bytes) -> float:
        """See ``worker.Caller``."""
        kind: int = fields[1]
        slot: int = fields[2]
        head_size: int = fields[3]
        if kind != _CALL:
            return self._general(fields, payload)
        mark = slot + slot
        marks = self._marks
        marks[mark] = 1
        if marks[mark + 1]:
            return self._server.skip(slot)
        pointers, length = self._pointers, self._length
        pointers[0] = id(payload) + self._bytes + head_size
        begun = self._server.since = now()
        code = self._process(
            self._model, self._given, len(payload) - head_size, self._to_output, self._to_length
        )
        took = now() - begun
        at: int = pointers[1]
        size: int = length[0]
        if code == 200 and at and 0 <= size < _SPILL and took < _LONGEST:
            head = _pack(_HEADER_SIZE + size, _REPLY, slot, 200, int(took * 1e6), begun)
            self._answers.append(head + self._memory[at : at + size])
            self._free(self._output)
            pointers[1] = 0
            length[0] = 0
        else:
            self._unusual(slot, code, took, begun)
        return took


class VersionedCall(_Call):
    """``process`` of the versioned interface."""

    def __init__(self, server: Server, general: General, process: Any, cells: Any, tools: Any) -> None:
        """As ``PlainCall``.

        Args:
            server: whose thread it is.
            general: answers any frame.
            process: the library's function.
            cells: the processor, request and response, and what the function is told of these.
            tools: what fills a request, reads a response, and is a fresh response; all memory, where a bytes
                object's bytes begin, the address of the flags, that of the made ids' first part, and
                ``unusual(fields, payload, took, begun)``.
        """
        super().__init__(server, general, process)
        self._processor, self._request, self._response, self._to_request, self._to_response = cells
        self._fill, self._read, self._fresh, self._memory, bytes_at, flags_at, origin, self._unusual = tools
        self._bytes: int = bytes_at
        self._flags_at: int = flags_at
        self._origin: int = origin

    def call(self, fields: Tuple[Any, ...], payload: bytes) -> float:
        """See ``worker.Caller``."""
        kind: int = fields[1]
        slot: int = fields[2]
        head_size: int = fields[3]
        if kind != _CALL:
            return self._general(fields, payload)
        mark = slot + slot
        marks = self._marks
        marks[mark] = 1
        if marks[mark + 1]:
            return self._server.skip(slot)
        head = id(payload) + self._bytes
        given = len(payload) - head_size
        flag = self._flags_at + slot
        self._fill(
            self._request,
            8,
            head + head_size,
            given,
            head,
            head_size,
            fields[5],
            flag,
            fields[4],
            self._origin,
        )
        begun = self._server.since = now()
        self._process(self._processor, self._to_request, self._to_response)
        took = now() - begun
        told = self._read(self._response)
        at: int = told[2]
        size: int = told[3]
        if told[1] == 200 and at and size < _SPILL and not (told[5] or told[6]) and took < _LONGEST:
            answer = _pack(_HEADER_SIZE + size, _REPLY, slot, 200, int(took * 1e6), begun)
            self._answers.append(answer + self._memory[at : at + size])
            self._response[:] = self._fresh
        else:
            self._unusual(fields, payload, took, begun)
        return took
