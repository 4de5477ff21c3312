"""The plain C interface of PAI-EAS: ``initialize`` and ``process``, and what may stand beside them.

Codes: 0 and 200 are success, 201 to 599 are the HTTP status, everything else is sent as 400; the output is
the body in every case. Outputs are the processor's ``malloc`` and freed here. An output that can't be one (a
negative size, or NULL with a size) is answered with 500, because it is no answer about the request.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import threading
from array import array
from typing import Any, Dict, List, Optional, Sequence, Tuple

from eas_host.adapters.cpp_fast import PlainCall
from eas_host.adapters.cpp_memory import BYTES, INT_MAX, LARGE, MEMORY, address_of, free, free_large
from eas_host.adapters.cpp_server import Frames
from eas_host.load import Failed
from eas_host.worker import Caller
from eas_sdk._batches import Outcome, Ran
from eas_sdk.request import Request

_ERRORS = 400  # HTTP statuses from here on
_TOO_LARGE = "a body of {} bytes: the C interface passes sizes as int, so it can take 2147483647 at most"
_DONE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_int, ctypes.c_int)


def status_of(code: int) -> int:
    """The HTTP status of what the processor returned."""
    return 200 if code in {0, 200} else code if 201 <= code <= 599 else 400


def initialize(library: ctypes.CDLL, name: str, model_entry: str, model_config: str) -> ctypes.c_void_p:
    """Calls ``initialize``; the model, which may be NULL. Errors: ``Failed`` with the state."""
    function, state = library.initialize, ctypes.c_int(0)
    function.restype = ctypes.c_void_p
    model = function(os.fsencode(model_entry), model_config.encode(), ctypes.byref(state))
    if state.value:
        raise Failed(
            "initialize", f"{name}: initialize() set state {state.value}; what it printed is in the log"
        )
    return ctypes.c_void_p(model)


_Cells = Tuple["array[int]", "array[int]", Any, Any, Any, Any]


def _new_cells() -> _Cells:
    """Where one call finds its input and puts its output: pointers, size, and what ``ctypes`` calls them.

    An array's item is read and set in a fraction of the time that ``.value`` of a ctypes object takes.
    """
    pointers, size = array("Q", (0, 0)), array("i", (0,))
    given = ctypes.c_void_p.from_buffer(pointers, 0)
    output = ctypes.c_void_p.from_buffer(pointers, 8)
    return pointers, size, given, ctypes.byref(output), ctypes.byref(ctypes.c_int.from_buffer(size)), output


class Process:
    """``process``: the call of every processor that exports nothing more."""

    def __init__(self, library: ctypes.CDLL, model: ctypes.c_void_p) -> None:
        self._function = library.process
        self._model = model
        self._spare: List[_Cells] = []

    def invoke(self, body: int, size: int, *_others: Any) -> Tuple[int, Any, bytes, Optional[_Cells]]:
        """See ``Invoke``."""
        if size > INT_MAX:
            return 400, _TOO_LARGE.format(size).encode(), b"", None
        cells: _Cells = self._spare.pop() if self._spare else _new_cells()
        pointers, _, given, to_output, to_length, _ = cells
        pointers[0] = body
        return self._answer(self._function(self._model, given, size, to_output, to_length), cells)

    def _answer(self, code: int, cells: _Cells) -> Tuple[int, Any, bytes, _Cells]:
        """What was returned, and what lies in the cells."""
        output, count = cells[0][1], cells[1][0]
        if output and count >= 0:
            return status_of(code), MEMORY[output : output + count], b"", cells
        return (*_without_output(status_of(code), output, count), b"", cells)

    def done(self, cells: _Cells) -> None:
        """Frees the output."""
        self._clear(cells)
        self._spare.append(cells)

    def _clear(self, cells: _Cells) -> None:
        pointers, length, _, _, _, output = cells
        if pointers[1]:
            (free if length[0] < LARGE else free_large)(output)
        pointers[1] = 0
        length[0] = 0

    def fast(self, frames: Frames) -> Caller:
        """See ``Call``."""
        cells = _new_cells()
        pointers, length, given, to_output, to_length, output = cells

        def unusual(slot: int, code: int, took: float, begun: float) -> None:
            status, content, lines, _ = self._answer(code, cells)
            frames.settle(slot, took, begun, (status, content, lines, None))
            self._clear(cells)

        seen = self._model, pointers, length, given, to_output, to_length, output
        tools = MEMORY, free, BYTES, unusual
        return PlainCall(frames.server, frames.call, self._function, seen, tools).call


def _without_output(status: int, output: Optional[int], length: int) -> Tuple[int, bytes]:
    """Status and body where there is nothing to send; NULL of size 0 is an empty answer."""
    if not output and length == 0:
        return status, b""
    pointer = "an output" if output else "NULL"
    return 500, f"the processor returned {pointer} with output_size {length}".encode()


def _taken(output: Optional[int], length: int, status: int) -> Tuple[int, bytes]:
    """Status and body of an output, which is freed."""
    if output is None or length < 0:
        status, body = _without_output(status, output, length)
    else:
        body = MEMORY[output : output + length].tobytes()
    if output is not None:
        free_large(ctypes.c_void_p(output))
    return status, body


# -- batch_process


class BatchFailed(Exception):
    """A batch of several got a code that is no success: each half is to be tried by itself."""


class Batch:
    """``batch_process``: its published signature has no count, so one is passed behind the last argument.

    By the calling conventions of x86-64 and aarch64 an argument too many is never seen by the function. For
    those that look for an end instead, the arrays of pointers end in NULL and the sizes in 0.
    """

    def __init__(self, library: ctypes.CDLL, model: ctypes.c_void_p) -> None:
        self._function = library.batch_process
        self._model = model

    def run(self, bodies: Sequence[Tuple[int, int]]) -> List[Tuple[int, bytes]]:
        """Status and body for each address and size. The one returned code is the status of all.

        Raises:
            BatchFailed: a code that is no success, of several; which of them it is about isn't known.
        """
        count = len(bodies)
        pointers, sizes = ctypes.c_void_p * (count + 1), ctypes.c_int * (count + 1)
        inputs, input_sizes = pointers(*(body for body, _ in bodies)), sizes(*(size for _, size in bodies))
        outputs, output_sizes = pointers(), sizes()
        code = self._function(self._model, inputs, input_sizes, outputs, output_sizes, count)
        status = status_of(code)
        taken = [_taken(outputs[at], output_sizes[at], status) for at in range(count)]
        if count > 1 and status >= _ERRORS:
            raise BatchFailed(f"batch_process() returned {code}")
        return taken

    def invoke(self, body: int, size: int, *_: Any) -> Tuple[int, Any, bytes, None]:
        """A batch of one."""
        if size > INT_MAX:
            return 400, _TOO_LARGE.format(size).encode(), b"", None
        return (*self.run([(body, size)])[0], b"", None)

    def __call__(self, requests: List[Request]) -> Tuple[List[Outcome], Ran]:
        """A batch. Errors: BatchFailed, as ``run``."""
        answers = self._answers([request.body for request in requests])
        return [(status, body, b"") for status, body in answers], (1, len(requests), 0)

    def _answers(self, bodies: Sequence[Any]) -> List[Tuple[int, bytes]]:
        """Status and body for each body (``bytes`` or a view); one that is too large is left out."""
        fitting = [body for body in bodies if len(body) <= INT_MAX]
        ran = iter(self.run([(address_of(body), len(body)) for body in fitting]) if fitting else [])
        return [
            next(ran) if len(body) <= INT_MAX else (400, _TOO_LARGE.format(len(body)).encode())
            for body in bodies
        ]


# -- async_process


class _Pending:
    """A request that ``async_process`` has, and its answer as far as it has come."""

    __slots__ = ("code", "finished", "parts")

    def __init__(self) -> None:
        self.parts: List[bytes] = []
        self.code = 0
        self.finished = threading.Lock()
        self.finished.acquire()


class Async:
    """``async_process``: the worker thread hands the request over and waits until its answer has ended.

    It waits as long as that takes, because the processor may read the input until then; a request that never
    ends is noticed like any call that never returns (``rpc.stuck_timeout``). Callbacks come on any thread.
    One for a request that isn't waiting (answered already, or never made) is dropped and logged.
    """

    def __init__(self, library: ctypes.CDLL, model: ctypes.c_void_p) -> None:
        self._function = library.async_process
        self._function.restype = None
        self._model = model
        self._numbers = itertools.count(1)
        self._waiting: Dict[int, _Pending] = {}
        self._callback = _DONE(self._done)  # kept: the library calls it as long as it lives

    def invoke(self, body: int, size: int, *_: Any) -> Tuple[int, Any, bytes, None]:
        """One request, from handing over to the end of its answer."""
        if size > INT_MAX:
            return 400, _TOO_LARGE.format(size).encode(), b"", None
        number, pending = next(self._numbers), _Pending()
        self._waiting[number] = pending
        self._function(self._model, ctypes.c_void_p(body), size, ctypes.c_int64(number), self._callback)
        pending.finished.acquire()
        return status_of(pending.code), b"".join(pending.parts), b"", None

    def _done(self, output: Optional[int], size: int, number: int, finished: int, code: int) -> None:
        """A part of an answer, or its end."""
        pending = self._waiting.pop(number, None) if finished else self._waiting.get(number)
        if pending is None:
            sys.stderr.write(
                f"async_process: a callback for request {number}, which isn't waiting; dropped\n"
            )
            return
        if size < 0 or (output is None and size):
            pending.code, pending.parts = 500, [_without_output(200, output, size)[1]]
        elif output is not None and pending.code != 500:
            pending.parts.append(MEMORY[output : output + size].tobytes())
        pending.code = pending.code or code
        if finished:
            pending.finished.release()
