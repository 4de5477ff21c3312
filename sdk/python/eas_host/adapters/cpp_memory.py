"""Python's objects as addresses for a library, and a library's memory as bytes for Python.

Both directions are on the way of every request, so they avoid what ``ctypes`` does slowly: no ``argtypes``
(each argument would be converted by an object of its own), no ``string_at`` and no array types made by size.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

INT_MAX: Final = 2**31 - 1
LARGE: Final = 1 << 20  # bytes whose freeing may take so long that other threads should go on meanwhile

_PROBE = b"\0"
#: From a bytes object's own address to that of its bytes; the same for all of them in one interpreter.
BYTES: Final[int] = (ctypes.cast(ctypes.c_char_p(_PROBE), ctypes.c_void_p).value or 0) - id(_PROBE)

#: All memory of this process, to be sliced by address. Making it touches nothing; a slice is read as it is.
MEMORY: Final = memoryview((ctypes.c_char * (sys.maxsize >> 1)).from_address(0)).cast("B")

_libc: Final = ctypes.CDLL(None)
_libc_with_gil: Final = ctypes.PyDLL(None)
#: ``free`` of the C library that this process uses, with the GIL and without it.
free: Final = _libc_with_gil.free
free_large: Final = _libc.free
for _function in (free, free_large):
    _function.restype = None


class _View(ctypes.Structure):
    """The beginning of ``Py_buffer``, and room for the rest of it."""

    _fields_ = (("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("rest", ctypes.c_void_p * 14))


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.c_void_p]
_release_buffer.restype = None


def address_of(data: Any) -> int:
    """Where the bytes of an object lie, as long as it lives: ``bytes``, or a flat view, writable or not."""
    if type(data) is bytes:
        return id(data) + BYTES
    view = _View()
    _get_buffer(data, ctypes.byref(view), 0)  # PyBUF_SIMPLE; raises BufferError for what isn't flat
    try:
        return int(view.buf or id(_PROBE) + BYTES)
    finally:
        _release_buffer(ctypes.byref(view))


def flush_lines() -> None:
    """Lets the C library write each line of stdout at once: it is a pipe here, and lines would wait for 4 KB.

    C++ streams that are synchronised with stdio (as they are unless told otherwise) follow.
    """
    stdout = ctypes.c_void_p.in_dll(_libc, "stdout")
    _libc.setvbuf(stdout, None, 1, ctypes.c_size_t(0))  # _IOLBF
