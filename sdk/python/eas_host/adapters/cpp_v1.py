"""The versioned interface: what ``eas_processor_v1()`` of ``eas/processor.h`` returns.

The structures are those of the header, field by field; their sizes are checked against the compiler's by the
tests. Requests and responses are written and read as bytes: a ``ctypes.Structure`` would cost as much as the
call itself.
"""

from __future__ import annotations

import ctypes
import os
import struct
from array import array
from typing import Any, Dict, Final, List, Sequence, Tuple

from eas_host.adapters import Raised
from eas_host.adapters.cpp_fast import VersionedCall
from eas_host.adapters.cpp_memory import BYTES, MEMORY, address_of
from eas_host.adapters.cpp_server import Call, Frames
from eas_host.load import Failed
from eas_host.worker import Caller
from eas_sdk._batches import Outcome, Ran
from eas_sdk.request import Request
from eas_sdk.response import encode_headers

ABI_VERSION = 1
SYMBOL = "eas_processor_v1"

_INITIALIZE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
)
_DESTROY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
RAISED = -10400
"""``EAS_RAISED`` of the header: the processor threw; the body is the message."""
_MESSAGE = 4096  # bytes for what initialize says

# struct_size, reserved | body, body_size, head, head_size, deadline, cancelled, id_number, id_prefix
REQUEST = struct.Struct("=IIQQQQdQQQ")
_REQUEST_HEAD = struct.Struct("=II")
_FIELDS = struct.Struct("=QQQQdQQQ")
# struct_size, status, body, body_size, headers, header_count, release, context
RESPONSE = struct.Struct("=IiQQQQQQ")
_HEADER = struct.Struct("=QQ")
_FRESH: Final = array("Q", RESPONSE.pack(RESPONSE.size, 200, 0, 0, 0, 0, 0, 0))
_EMPTY = MEMORY[:0]

Answer = Tuple[int, Any, bytes]


class Table(ctypes.Structure):
    """``eas_processor``."""

    _fields_ = (
        ("abi_version", ctypes.c_uint32),
        ("struct_size", ctypes.c_uint32),
        ("initialize", ctypes.c_void_p),
        ("process", ctypes.c_void_p),
        ("process_batch", ctypes.c_void_p),
        ("destroy", ctypes.c_void_p),
    )


class _Cells:
    """One request and its response, as the library sees them."""

    __slots__ = ("request", "request_at", "response", "response_at", "to_request", "to_response")

    def __init__(self) -> None:
        self.request = bytearray(REQUEST.size)
        _REQUEST_HEAD.pack_into(self.request, 0, REQUEST.size, 0)
        self.response = array("Q", _FRESH)
        seen = (ctypes.c_char * REQUEST.size).from_buffer(self.request)
        answered = (ctypes.c_char * RESPONSE.size).from_buffer(self.response)
        self.request_at, self.response_at = ctypes.addressof(seen), ctypes.addressof(answered)
        self.to_request, self.to_response = ctypes.byref(seen), ctypes.byref(answered)


def table_of(library: ctypes.CDLL, name: str) -> Table:
    """What the library offers. Errors: ``Failed`` for a table of another version, or an impossible one."""
    function = getattr(library, SYMBOL)
    function.restype = ctypes.POINTER(Table)
    found = function()
    if not found:
        raise Failed("construct", f"{name}: {SYMBOL}() returned NULL")
    table: Table = found.contents
    if table.abi_version != ABI_VERSION or table.struct_size < ctypes.sizeof(Table):
        raise Failed(
            "construct",
            f"{name}: {SYMBOL}() returned abi_version {table.abi_version}, struct_size {table.struct_size}; "
            f"this engine knows version {ABI_VERSION} of {ctypes.sizeof(Table)} bytes",
        )
    if not table.initialize or not (table.process or table.process_batch):
        raise Failed("construct", f"{name}: its eas_processor lacks initialize, or process and process_batch")
    return table


class Versioned:
    """A processor of the versioned interface."""

    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self._name = name
        self._processor = ctypes.c_void_p()
        self._process = ctypes.CFUNCTYPE(None)(table.process or 0)
        self._spare: List[_Cells] = []
        self._releases: Dict[int, Any] = {}
        self.batches = bool(table.process_batch)

    def initialize(self, model_entry: str, model_config: str) -> None:
        """Makes the processor. Errors: ``Failed`` with its own words."""
        message = ctypes.create_string_buffer(_MESSAGE)
        code = _INITIALIZE(self._table.initialize)(
            os.fsencode(model_entry),
            model_config.encode(),
            ctypes.addressof(self._processor),
            ctypes.cast(message, ctypes.c_char_p),
            _MESSAGE,
        )
        if code:
            said = " ".join(message.value.decode("utf-8", "replace").split()) or "without a message"
            raise Failed("initialize", f"{self._name}: initialize failed with {code}: {said}")

    def call(self) -> Call:
        """The calls of ``process``, or of ``process_batch`` with one request where there is no other."""
        alone = not self._table.process
        return Call(self._invoke, self._done, None if alone else self._fast)

    def _invoke(self, *fields: Any) -> Tuple[int, Any, bytes, _Cells]:
        """See ``Invoke``. Errors: ``Raised``."""
        cells = self._take()
        _FIELDS.pack_into(cells.request, 8, *fields)
        if self._table.process:
            self._process(self._processor, cells.to_request, cells.to_response)
        else:
            self._run_batch([cells])
        status, content, lines = self._answer(cells)
        if status == RAISED:
            error = raised(content)
            self._done(cells)
            raise error
        return status, content, lines, cells

    def _fast(self, frames: Frames) -> Caller:
        """See ``Call``."""
        cells = _Cells()

        def unusual(fields: Tuple[Any, ...], payload: bytes, took: float, begun: float) -> None:
            status, content, lines = self._answer(cells)
            if status == RAISED:
                frames.server.raised(fields, payload, took, begun, raised(content))
            else:
                frames.settle(fields[2], took, begun, (status, content, lines, None))
            self._clear(cells)

        seen = self._processor, cells.request, cells.response, cells.to_request, cells.to_response
        addresses = BYTES, frames.flags_at, frames.origin_at
        tools = (_FIELDS.pack_into, RESPONSE.unpack, _FRESH, MEMORY, *addresses, unusual)
        return VersionedCall(frames.server, frames.call, self._process, seen, tools).call

    def batch(self, requests: Sequence[Tuple[Any, ...]]) -> List[Outcome]:
        """Status, body and header lines for each request, given by the fields of ``Invoke``."""
        all_cells = [self._take() for _ in requests]
        for cells, fields in zip(all_cells, requests):
            _FIELDS.pack_into(cells.request, 8, *fields)
        self._run_batch(all_cells)
        answers: List[Outcome] = [
            raised(body) if status == RAISED else (status, bytes(body), lines)
            for status, body, lines in map(self._answer, all_cells)
        ]
        for cells in all_cells:
            self._done(cells)
        return answers

    def close(self) -> None:
        """Calls ``destroy``."""
        if self._table.destroy:
            _DESTROY(self._table.destroy)(self._processor)

    def _take(self) -> _Cells:
        return self._spare.pop() if self._spare else _Cells()

    def _run_batch(self, all_cells: Sequence[_Cells]) -> None:
        function = ctypes.CFUNCTYPE(None)(self._table.process_batch)
        pointers = ctypes.c_void_p * len(all_cells)
        function(
            self._processor,
            pointers(*(cells.request_at for cells in all_cells)),
            pointers(*(cells.response_at for cells in all_cells)),
            ctypes.c_size_t(len(all_cells)),
        )

    def _answer(self, cells: _Cells) -> Answer:
        """What the response says, whatever it says."""
        _, status, body, size, headers, count, _, _ = RESPONSE.unpack(cells.response)
        if size and (not body or body + size > len(MEMORY)):
            return 500, f"the processor answered with body {body:#x} of {size} bytes".encode(), b""
        try:
            lines = _lines(headers, count) if count else b""
        except ValueError as error:
            return 500, f"the processor's answer can't be sent: {error}".encode(), b""
        status = 200 if status == 0 else status if 200 <= status <= 599 or status == RAISED else 400
        return status, MEMORY[body : body + size] if size else _EMPTY, lines

    def _done(self, cells: _Cells) -> None:
        """Has the answer released, and takes the cells back."""
        self._clear(cells)
        self._spare.append(cells)

    def _clear(self, cells: _Cells) -> None:
        release, context = RESPONSE.unpack(cells.response)[6:]
        if release:
            function = self._releases.get(release)
            if function is None:
                function = self._releases[release] = ctypes.CFUNCTYPE(None)(release)
            function(ctypes.c_void_p(context))
        cells.response[:] = _FRESH


class Batch:
    """``process_batch``. What it was given stays until the call is over, because ``requests`` does."""

    def __init__(self, versioned: Versioned) -> None:
        self._versioned = versioned
        self._board: Tuple[Any, int] = (b"", 0)
        self._origin: Tuple[str, bytes] = ("", b"\0")

    def __call__(self, requests: List[Request]) -> Tuple[List[Outcome], Ran]:
        """A batch; in C and C++ every answer is one request's own."""
        kept = []
        fields = []
        for request in requests:
            head, prefix, number, flags, slot = request.received()
            known, board = self._board
            if known is not flags:  # once for a board; finding the address takes as long as a call
                board = address_of(flags)
                self._board = flags, board
            named, origin = self._origin
            if named != prefix:
                origin = prefix.encode("ascii", "replace") + b"\0"
                self._origin = prefix, origin
            kept.append(origin)
            body = request.body
            where = address_of(body), len(body), address_of(head), len(head)
            fields.append((*where, request.deadline, board + slot, number, address_of(origin)))
        return self._versioned.batch(fields), (1, len(requests), 0)


def raised(message: Any) -> Raised:
    """What the library's exception is to the host; of its trace C++ keeps nothing."""
    text = bytes(message).decode("utf-8", "replace")
    return Raised(text, f"{text}\n")


def _lines(headers: int, count: int) -> bytes:
    """The header lines of an array of ``eas_header``. Errors: ValueError."""
    if not headers or count > 1000:
        raise ValueError(f"{count} header fields at {headers:#x}")
    pairs = _HEADER.iter_unpack(MEMORY[headers : headers + count * _HEADER.size])
    return encode_headers([(_text(name), _text(value)) for name, value in pairs])


def _text(address: int) -> str:
    if not address:
        raise ValueError("a header field with NULL for its name or value")
    return ctypes.string_at(address).decode("latin-1")
