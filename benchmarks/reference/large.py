"""The bare loop for large bodies: received straight into a buffer that is used again and again, never joined.

The cost of a large body is the page faults of fresh memory, not its copying; so the body of a request goes
from the socket into a buffer that the one before it has just left. The answer is the body's first 4096 bytes.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import uvloop

from reference.listening import BACKLOG, announce, listen

_HEAD_SIZE = 16 * 1024
_BODY_SIZE = 1 << 20  # the largest body
_ANSWER_SIZE = 4096
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%b"


class Buffers:
    """Buffers for bodies; the one given back last is lent first, while the cache still holds it."""

    def __init__(self) -> None:
        self.head = memoryview(bytearray(_HEAD_SIZE))  # one for all: it is parsed as soon as it is filled
        self._free: list[memoryview] = []

    def lend(self) -> memoryview:
        """One of ``_BODY_SIZE`` bytes."""
        return self._free.pop() if self._free else memoryview(bytearray(_BODY_SIZE))

    def give_back(self, buffer: memoryview) -> None:
        """The borrower is done with it."""
        self._free.append(buffer)


class LargeBodies(asyncio.BufferedProtocol):
    """One connection; no pipelining, bodies with a Content-Length only."""

    _transport: asyncio.WriteTransport

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body: memoryview | None = None
        self._length = self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Loop: somebody came."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own are no subclass of it

    def get_buffer(self, sizehint: int) -> memoryview:
        """Loop: where shall the next bytes go?"""
        return self._buffers.head if self._body is None else self._body[self._received : self._length]

    def buffer_updated(self, nbytes: int) -> None:
        """Loop: they are there."""
        if self._body is None:
            self._parser.feed_data(self._buffers.head[:nbytes])
        else:
            self._received += nbytes
        if self._body is not None and self._received == self._length:
            self._answer(self._body)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: a header field."""
        if name.lower() == b"content-length":
            self._length = int(value)

    def on_headers_complete(self) -> None:
        """Parser: the body comes next; from here on the parser isn't needed."""
        self._body = self._buffers.lend()

    def on_body(self, part: bytes) -> None:
        """Parser: what of the body came along with the head."""
        assert self._body is not None  # noqa: S101 - for the type checker
        self._body[self._received : self._received + len(part)] = part
        self._received += len(part)

    def _answer(self, body: memoryview) -> None:
        first = bytes(body[: min(self._length, _ANSWER_SIZE)])
        self._buffers.give_back(body)
        self._begin()
        self._transport.write(_ANSWER % (len(first), first))

    def connection_lost(self, exc: Exception | None) -> None:
        """Loop: they are gone."""
        if self._body is not None:
            self._buffers.give_back(self._body)


async def main() -> None:
    """Serve until killed."""
    listener, buffers = listen(), Buffers()
    server = await asyncio.get_running_loop().create_server(
        lambda: LargeBodies(buffers), sock=listener, backlog=BACKLOG
    )
    announce(listener)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
