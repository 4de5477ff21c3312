"""Asks an engine from an address of the internet, in a network of its own: run it under ``unshare --net``.

    python foreign_caller.py DIRECTORY

Starts an engine with ``networking.disable_internet_endpoint`` and prints the status that each address got.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import socket
import struct
import sys
from pathlib import Path

from support.engine import Engine

FOREIGN = "198.51.100.7"
_SET_ADDRESS, _SET_FLAGS = 0x8916, 0x8914
_UP_AND_RUNNING = 0x41


def set_up() -> None:
    """Loopback, and beside it the address of somebody else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
        address = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(FOREIGN))
        fcntl.ioctl(control, _SET_ADDRESS, address)


def status(engine: Engine, source: str) -> int:
    """Of one request from this address."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, 60, source_address=(source, 0))
    connection.request("POST", f"/api/predict/{engine.name}", b"x", headers={"Authorization": engine.token})
    return connection.getresponse().status


def main(directory: Path) -> None:
    """See above."""
    set_up()
    engine = Engine.start(directory, networking={"disable_internet_endpoint": True})
    try:
        print(json.dumps({source: status(engine, source) for source in ("127.0.0.1", FOREIGN)}))
    finally:
        engine.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
