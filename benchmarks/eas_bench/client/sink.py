"""The server that costs least: ``python -m eas_bench.client.sink``; the generator is measured against it.

It tells its port (``listening PORT``) and is told, on stdin, how many bytes a request has, head and body.
Those are thrown away unread, in the kernel. It ends with its stdin.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
from typing import Final

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\nok"
_WATCHED: Final = select.EPOLLIN | select.EPOLLET
_LOOK: Final = 1 << 20


class Sink:
    """One listener and its connections."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(4096)
        self._listener.setblocking(False)
        self._poll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._left: dict[int, int] = {}  # bytes until the request is whole
        self._size = 0
        self._scratch = bytearray(_LOOK)
        self.port = int(self._listener.getsockname()[1])

    def run(self, size: int) -> None:
        """For ever; each request has this size."""
        self._size = size
        listener = self._listener.fileno()
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == listener:
                    self._accept()
                else:
                    with contextlib.suppress(OSError):
                        self._take(descriptor)

    def _accept(self) -> None:
        made, _ = self._listener.accept()
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[made.fileno()] = made
        self._left[made.fileno()] = self._size
        self._poll.register(made, _WATCHED)

    def _take(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        while True:
            size = connection.recv_into(self._scratch, _LOOK, socket.MSG_TRUNC)
            if not size:
                del self._connections[descriptor]
                connection.close()
                return
            left = self._left[descriptor] - size
            if left <= 0:
                connection.send(ANSWER)
                left = self._size
            self._left[descriptor] = left
            if size < _LOOK:
                return


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    server = Sink()
    print(f"listening {server.port}", flush=True)  # noqa: T201 - the starter reads it
    size = int(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    server.run(size)
