"""A client and the transport between it and a connection, turned by hand.

``Browser`` is both: what it sends reaches the protocol as a real transport would bring it (into the
protocol's own buffer, not while reading is paused), and what the protocol writes arrives at once, unless the
client doesn't read: then it piles up in the transport, with the calls of ``pause_writing`` and
``resume_writing`` that belong to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eas_engine.gateway.http import Connection
from support.parts import Parts
from support.wire_host import Call, WireHost

HIGH = 64 * 1024
PATH = b"/api/predict/digits"
START = b"POST " + PATH + b" HTTP/1.1\r\nHost: h\r\n"


def post(body: bytes, *lines: bytes) -> bytes:
    """A request with a body of known length."""
    fields = b"".join(line + b"\r\n" for line in (*lines, b"Content-Length: %d" % len(body)))
    return START + fields + b"\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    """A request with a body in chunks."""
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return START + b"Transfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


def next_call(host: WireHost) -> Call:
    """The one request that is in the host, begun."""
    host.link._loop.turn()  # type: ignore[attr-defined]
    (call,) = host.read()
    assert host.begin(call)
    return call


def only(browser: Browser) -> Answer:
    """The one answer that has come."""
    (answer,) = browser.answers()
    return answer


@dataclass(frozen=True)
class Answer:
    """One answer as a client reads it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return self.headers.get("x-eas-error")

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class NoSocket:
    """As a transport that has closed its socket shows it: so everything is written to the transport."""

    def fileno(self) -> int:
        return -1


class Browser:
    """A client of ``parts.front``, and its transport."""

    def __init__(self, parts: Parts, *, reads: bool = True, peer: object = ("192.0.2.7", 50_000)) -> None:
        self.parts, self.reads, self.peer = parts, reads, peer
        self.unsent = bytearray()  # written by the connection, not read by the client
        self.got = bytearray()
        self.sending = b""  # sent by the client, not read by the connection
        self.paused = self.closing = self.lost = self.half_closed = False
        self.calls: list[str] = []
        self.socket: Any = NoSocket()
        self._high = HIGH
        self._told_to_pause = False
        self.connection: Connection = parts.front.connection()
        self.connection.connection_made(self)

    # -- the client

    def send(self, data: bytes, *, pieces: int = 1 << 30) -> None:
        """Write, and let the loop turn; at most `pieces` bytes reach the connection at a time."""
        self.sending += data
        self._deliver(pieces)
        self.parts.loop.turn()
        self._deliver(pieces)

    def _deliver(self, pieces: int = 1 << 30) -> None:
        while self.sending and not self.paused and not self.lost and not self.closing:
            space = self.connection.get_buffer(-1)
            assert len(space) > 0
            now = self.sending[: min(len(space), pieces)]
            space[: len(now)] = now
            self.sending = self.sending[len(now) :]
            self.connection.buffer_updated(len(now))

    def finish(self) -> None:
        """Half-close."""
        if not self.connection.eof_received():
            self.close()
        self.parts.loop.turn()

    def leave(self) -> None:
        """Reset."""
        self._lose()
        self.parts.loop.turn()

    def read(self, count: int = 1 << 30) -> None:
        """Read what was kept back."""
        self._take(count)
        self.parts.loop.turn()
        self._deliver()
        self.parts.loop.turn()

    def answers(self, *methods: str) -> list[Answer]:
        """Everything that has come so far, which must be whole answers; `methods` if any was HEAD."""
        data = bytes(self.got)
        found: list[Answer] = []
        while data:
            head, separator, rest = data.partition(b"\r\n\r\n")
            assert separator, f"half a head: {head!r}"
            start, *lines = head.decode("latin-1").split("\r\n")
            fields = [line.split(": ", 1) for line in lines]
            headers = {name.lower(): value for name, value in fields}
            assert len(headers) == len(lines), f"a field twice: {head!r}"
            version, status, _ = start.split(" ", 2)
            assert version == "HTTP/1.1"
            length = int(headers.get("content-length", "0"))
            if status == "100" or (methods and methods[len(found)] == "HEAD"):
                length = 0
            assert len(rest) >= length, f"half a body: {len(rest)} of {length} bytes"
            found.append(Answer(int(status), headers, rest[:length]))
            data = rest[length:]
        return found

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers()]

    # -- the transport

    def write(self, data: Any) -> None:
        assert not self.half_closed, "written behind the half-close"
        if self.lost:
            return
        self.unsent += data
        if self.reads:
            self._take(1 << 30)
        elif len(self.unsent) > self._high and not self._told_to_pause:
            self._told_to_pause = True
            self.connection.pause_writing()

    def _take(self, count: int) -> None:
        self.got += self.unsent[:count]
        del self.unsent[:count]
        if self._told_to_pause and len(self.unsent) <= self._high // 4:
            self._told_to_pause = False
            self.connection.resume_writing()
        if self.closing and not self.unsent:
            self._lose()

    def get_extra_info(self, name: str) -> Any:
        return self.peer if name == "peername" else self.socket

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        self._high = HIGH if high is None else high

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        self.parts.loop.call_soon(self._deliver)

    def write_eof(self) -> None:
        self.half_closed = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.unsent:
            self._lose()

    def abort(self) -> None:
        self.unsent.clear()
        self._lose()

    def _lose(self) -> None:
        self.closing = True
        if not self.lost:
            self.lost = True
            self.parts.loop.call_soon(self.connection.connection_lost, None)
