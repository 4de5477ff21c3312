"""The bare loop: a plain Protocol on uvloop, a httptools parser a connection, a write an answer."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import uvloop

from reference.listening import BACKLOG, announce, listen

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%b"


class Echo(asyncio.Protocol):
    """Answers every request with its own body."""

    _transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Loop: somebody came."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own are no subclass of it

    def data_received(self, data: bytes) -> None:
        """Loop: bytes came."""
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        """Parser: a piece of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        body = b"".join(self._parts)
        self._parts.clear()
        self._transport.write(_ANSWER % (len(body), body))


async def main() -> None:
    """Serve until killed."""
    listener = listen()
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener, backlog=BACKLOG)
    announce(listener)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
