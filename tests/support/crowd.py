"""Holds many idle connections in a process of its own, whose descriptors they are.

    python crowd.py PORT COUNT

Prints how many connections it has, then waits until its stdin ends.
"""

from __future__ import annotations

import resource
import socket
import sys


def main(port: int, count: int) -> None:
    """Connect so often, say so, and wait."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(count)]
    print(len(connections), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
