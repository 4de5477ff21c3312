"""HTTP/1.1 answers, from bytes: no socket here, and any cut of the bytes gives the same answer.

Most answers come whole, in one piece, and are told apart by their head alone (:func:`head_of`). An
:class:`Answer` is for the others: bodies that come in pieces, chunks, bodies that end with the connection.
"""

from __future__ import annotations

from typing import Final, NamedTuple

UNTIL_END: Final = -1
CHUNKED: Final = -2
HEAD_LIMIT: Final = 64 * 1024  # bytes

_END: Final = b"\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})


class Malformed(Exception):
    """No HTTP/1.1 answer; the message says what is wrong with it."""


class Head(NamedTuple):
    """What of a head matters here."""

    status: int
    body: int  # bytes of the body, or UNTIL_END, or CHUNKED
    closes: bool  # the server won't take another request on this connection


def head_of(head: bytes | bytearray, *, bodiless: bool) -> Head:
    """Of a head without its empty line; ``bodiless``: it answers a HEAD. Raises Malformed."""
    status_text = head[9:12]
    if not (head.startswith(b"HTTP/1.") and status_text.isdigit() and head[8:9] == b" "):
        raise Malformed(f"no status line of HTTP/1.1: {bytes(head[:60])!r}")
    status = int(status_text)
    lower = head.lower()
    connection = _field(lower, b"\r\nconnection:")
    closes = b"close" in connection if head[7:8] == b"1" else b"keep-alive" not in connection
    if bodiless or status in _BODILESS or status < 200:
        return Head(status, 0, closes)
    if b"chunked" in _field(lower, b"\r\ntransfer-encoding:"):
        return Head(status, CHUNKED, closes)
    length = _field(lower, b"\r\ncontent-length:")
    if not length:
        return Head(status, UNTIL_END, True)
    if not length.isdigit():
        raise Malformed(f"no length: Content-Length: {bytes(length[:40])!r}")
    return Head(status, int(length), closes)


def _field(lower: bytes | bytearray, name: bytes) -> bytes | bytearray:
    at = lower.find(name)
    if at < 0:
        return b""
    end = lower.find(b"\r", at + 2)
    return lower[at + len(name) : end if end >= 0 else None].strip()


class Answer:
    """One answer in the making. ``keep``: its body is wanted, too."""

    __slots__ = ("_bodiless", "_data", "_keep", "_left", "_mode", "body", "head")

    def __init__(self, *, bodiless: bool = False, keep: bool = False) -> None:
        self.head: Head | None = None
        self.body = bytearray()
        self._bodiless = bodiless
        self._keep = keep
        self._data = bytearray()  # what came and isn't understood yet
        self._mode = "head"  # then "length", "end", "size" (of a chunk), "chunk", "trailer"
        self._left = 0  # bytes until the end of the body, or of the chunk with its line end

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        """More bytes; whether it is whole now. Raises Malformed, also for bytes beyond its end."""
        if self._mode == "length" and len(data) <= self._left:  # large bodies: no copy
            return self._take(data)
        self._data += data
        while True:
            if self._mode == "head":
                if not self._begin():
                    return False
            elif self._mode in {"size", "trailer"}:
                more = self._line()
                if more is None:
                    return False
                if self._mode == "trailer" and not more:
                    return self._whole()
                if self._mode == "size":
                    self._chunk_begins(more)
            elif self._mode == "chunk":
                if not self._chunk():
                    return False
            else:
                return self._rest()

    def end(self) -> bool:
        """The connection ended; whether this ends the answer as it should."""
        return self._mode == "end"

    def _begin(self) -> bool:
        at = self._data.find(_END)
        if at < 0:
            if len(self._data) > HEAD_LIMIT:
                raise Malformed(f"a head of more than {HEAD_LIMIT} bytes")
            if self._data and not b"HTTP/1.".startswith(self._data[:7]):
                raise Malformed(f"no status line of HTTP/1.1: {bytes(self._data[:60])!r}")
            return False
        head = head_of(self._data[:at], bodiless=self._bodiless)
        del self._data[: at + len(_END)]
        if head.status < 200 and head.status != 101:
            return self._begin()  # an interim answer
        self.head = head
        self._mode = {UNTIL_END: "end", CHUNKED: "size"}.get(head.body, "length")
        self._left = max(head.body, 0)
        return True

    def _rest(self) -> bool:
        data = bytes(self._data)
        self._data.clear()
        return self._take(data)

    def _take(self, data: bytes | bytearray | memoryview) -> bool:
        if self._mode == "length" and len(data) > self._left:
            raise Malformed("more bytes than its Content-Length says")
        if self._keep:
            self.body += data
        if self._mode == "end":
            return False
        self._left -= len(data)
        return self._left == 0

    def _line(self) -> bytes | None:
        at = self._data.find(b"\r\n")
        if at < 0:
            if len(self._data) > HEAD_LIMIT:
                raise Malformed("a line between chunks without an end")
            return None
        line = bytes(self._data[:at])
        del self._data[: at + 2]
        return line

    def _chunk_begins(self, line: bytes) -> None:
        text = line.split(b";", 1)[0].strip()
        try:
            size = int(text, 16) if text.isalnum() else -1
        except ValueError:
            size = -1
        if size < 0:
            raise Malformed(f"no size of a chunk: {line[:40]!r}")
        self._mode = "chunk" if size else "trailer"
        self._left = size + 2

    def _chunk(self) -> bool:
        part = self._data[: self._left]
        del self._data[: self._left]
        self._left -= len(part)
        if self._keep:
            self.body += part[: len(part) + min(0, self._left - 2)] if self._left < 2 else part
        if self._left:
            return False
        if len(part) >= 2 and part[-2:] != b"\r\n":
            raise Malformed("a chunk without its line end")
        self._mode = "size"
        return True

    def _whole(self) -> bool:
        if self._data:
            raise Malformed("more bytes after the last chunk")
        self._mode, self._left = "length", 0  # whatever else comes is too much
        return True
