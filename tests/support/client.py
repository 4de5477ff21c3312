"""A client on a raw socket: it sends the bytes it is told to send, and reads exactly what an answer says.

No library between the test and the wire: a test sees the order of bytes, the end of the connection and a
reset as they are. Every wait ends with an error after ``PATIENCE`` seconds, so that nothing hangs for ever.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

PATIENCE = 60.0
"""Seconds after which a wait is a failure, on a slow and busy machine too."""

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r\n]*)")


class ConnectionEnded(Exception):
    """The server closed before an answer was whole; ``received`` is what came."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"the connection ended after {received[:200]!r}")
        self.received = received


@dataclass(frozen=True)
class Answer:
    """One answer. ``headers`` have lower-case names; a repeated one is an error."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    raw_head: bytes = field(repr=False)

    @property
    def code(self) -> str:
        """``X-EAS-Error``; empty when the processor made the answer."""
        return self.headers.get("x-eas-error", "")

    @property
    def closes(self) -> bool:
        """Whether it announces the end of the connection."""
        return self.headers.get("connection") == "close"

    @property
    def text(self) -> str:
        """The body without its line end."""
        return self.body.decode().rstrip("\n")

    def timing(self) -> dict[str, float]:
        """``Server-Timing`` in milliseconds; without those of which no duration is known."""
        parts = (part.partition(";dur=") for part in self.headers["server-timing"].split(", "))
        return {name: float(value) for name, known, value in parts if known}


class Client:
    """One connection."""

    def __init__(self, port: int, *, token: str = "", name: str = "", receive_buffer: int = 0) -> None:
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.token = token
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave; what the server still sends is refused."""
        self._socket.close()

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    # -- sending

    def send(self, data: bytes) -> None:
        """These bytes."""
        self._socket.sendall(data)

    def end(self) -> None:
        """No more bytes from here (half-close)."""
        self._socket.shutdown(socket.SHUT_WR)

    def head(
        self,
        query: str = "",
        *,
        method: str = "POST",
        length: int | None = 0,
        headers: Mapping[str, str] | None = None,
        path: str | None = None,
    ) -> bytes:
        """The head of a request to the service; ``length`` None leaves Content-Length out."""
        target = f"/api/predict/{self.name}" if path is None else path
        lines = [f"{method} {target}{'?' + query if query else ''} HTTP/1.1", "Host: here"]
        if self.token:
            lines.append(f"Authorization: {self.token}")
        if length is not None:
            lines.append(f"Content-Length: {length}")
        lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def post(
        self,
        query: str = "",
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        path: str | None = None,
    ) -> None:
        """Send one whole request; ``read`` its answer when it suits."""
        self.send(self.head(query, length=len(body), headers=headers, path=path) + body)

    def ask(
        self,
        query: str = "",
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        path: str | None = None,
    ) -> Answer:
        """Send one request and read its answer."""
        self.post(query, body, headers=headers, path=path)
        return self.read()

    # -- receiving

    def read(self, *, bodiless: bool = False) -> Answer:
        """The next answer, whole. ``bodiless``: it answers a HEAD.

        Raises:
            ConnectionEnded: the server closed before it was whole.
            ConnectionResetError: as it says.
        """
        head = self.until(b"\r\n\r\n")
        start = _STATUS_LINE.match(head)
        assert start, f"no status line: {head[:200]!r}"
        status, headers = int(start[1]), _fields(head)
        if status == 100:
            return Answer(status, start[2].decode(), headers, b"", head)
        without = bodiless or status in {204, 304}
        body = b"" if without else self.take(int(headers["content-length"]))
        return Answer(status, start[2].decode(), headers, body, head)

    def until(self, mark: bytes) -> bytes:
        """Everything up to and including ``mark``."""
        while mark not in self._received:
            self._more()
        end = self._received.index(mark) + len(mark)
        taken, self._received = self._received[:end], self._received[end:]
        return taken

    def take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        parts, have = [self._received], len(self._received)
        while have < size:
            data = self._socket.recv(min(1 << 20, size - have))
            if not data:
                raise ConnectionEnded(b"".join(parts))
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._received = whole[size:]
        return whole[:size]

    def rest(self) -> bytes:
        """Everything until the server's end of the connection. A reset raises."""
        parts = [self._received]
        while data := self._socket.recv(1 << 16):
            parts.append(data)
        self._received = b""
        return b"".join(parts)

    def closed(self) -> bool:
        """Whether the server ends the connection without another byte, by a reset perhaps; waits for it."""
        try:
            return self.rest() == b""
        except ConnectionResetError:
            return True

    def silent(self) -> bool:
        """Whether nothing is there to be read now."""
        self._socket.setblocking(False)
        try:
            self._received += self._socket.recv(1 << 16)
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(PATIENCE)
        return not self._received

    def _more(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionEnded(self._received)
        self._received += data


def _fields(head: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:-2]:
        name, _, value = line.partition(": ")
        assert name.lower() not in fields, f"{name} twice"
        fields[name.lower()] = value
    return fields
