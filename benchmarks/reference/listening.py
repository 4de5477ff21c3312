"""What every reference server begins with: a port of its own, and the line that tells it."""

from __future__ import annotations

import socket

BACKLOG = 1024  # to be given to create_server too, which listens again, by default with 100


def listen(port: int = 0, *, shared: bool = False) -> socket.socket:
    """A listening socket on loopback; port 0 = any free one. ``shared``: several sockets on one port."""
    listener = socket.socket()
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    return listener


def announce(listener: socket.socket) -> int:
    """Tell whoever started us where we are; the port."""
    port = int(listener.getsockname()[1])
    print(f"listening {port}", flush=True)  # noqa: T201 - the starter reads it
    return port


def free_port() -> int:
    """A port that nobody has now, for servers that can't be given a socket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
