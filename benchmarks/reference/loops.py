"""The bare echo loop, N times in threads of one process: ``python -m reference.loops N``.

Each thread has a loop and a listening socket of its own on the same port (SO_REUSEPORT), so that the threads
share nothing but the interpreter: what are more loops worth with a GIL, and without one?
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading

import uvloop

from reference.echo import Echo
from reference.listening import BACKLOG, announce, listen


async def serve(listener: socket.socket) -> None:
    """One loop's life."""
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener, backlog=BACKLOG)
    await server.serve_forever()


def main(loops: int) -> None:
    """Serve until killed."""
    first = listen(shared=True)
    port = int(first.getsockname()[1])
    listeners = [first, *(listen(port, shared=True) for _ in range(loops - 1))]
    threads = [threading.Thread(target=uvloop.run, args=(serve(each),), daemon=True) for each in listeners]
    for thread in threads:
        thread.start()
    announce(first)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]))
