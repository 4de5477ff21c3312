"""Connections that have nothing to say: each has had one answer, and stays."""

from __future__ import annotations

import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from eas_bench.servers import NotServing, Target

_OTHERS: Final = 512  # files that this process, and an engine, need for anything else
_SHARE: Final = 31 / 32  # of what an engine has for its clients: it keeps the rest for its admin plane
_BY_RESET: Final = struct.pack("ii", 1, 0)  # so that thousands of ports are free again at once


class Crowd:
    """All of one process."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sockets: list[socket.socket] = []

    def grow(self, count: int, body: bytes) -> None:
        """Until there are so many. Errors: NotServing: one had no answer with 200; OSError."""
        request = self._target.request(body)
        while len(self._sockets) < count:
            one = socket.create_connection(("127.0.0.1", self._target.port), timeout=30)
            self._sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _BY_RESET)
            one.sendall(request)
            answer = one.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise NotServing(f"connection {len(self._sockets)} of {count} was answered {answer[:80]!r}")

    def close(self) -> None:
        """All of them leave."""
        for one in self._sockets:
            one.close()
        self._sockets.clear()


@contextmanager
def idle_connections(target: Target) -> Iterator[Crowd]:
    """None at first; all leave at the end."""
    crowd = Crowd(target)
    try:
        yield crowd
    finally:
        crowd.close()


def room() -> int:
    """How many there may be; raises this process's limit of open files to what is allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(0, int((hard - _OTHERS) * _SHARE))
