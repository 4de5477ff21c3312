"""Where clients come in: the loop accepts them, unless there is a crowd.

When the queue is full, every refused client is told to close its connection, and most come back at once on a
new one. Making a transport for a connection that lives for one refusal is then most of the work, and whoever
could be admitted waits behind it. So while many are refused (450), the engine accepts by itself: a client
whose whole request has come, with a head that is known, is answered and closed on the spot. Anybody else
(there is a place by now; the request isn't here yet; the head is new) gets a connection as always.

The loop's own accepting is cheaper for connections that live on. It has a descriptor of its own for the
listening socket, so the queue of those who wait to be accepted stays as it is when the two take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Final

from eas_engine.gateway.listen import BACKLOG

if TYPE_CHECKING:
    from eas_engine.clock import Clock
    from eas_engine.gateway.front import Front

CROWD: Final = 100
"""So many refusals between two looks are a crowd."""
LOOK_EVERY: Final = 0.5
"""Seconds."""
_DEFERRED: Final = 1  # a second; the kernel rounds it up to when it would send its SYN-ACK again
_AT_ONCE: Final = 4
"""Connections accepted in one turn of the loop. A host with a free thread waits for its end: with 32, a
processor of 10 ms lost a tenth of its successes, with 4 two of a hundred, and refusals were no slower."""
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PEEK: Final = socket.MSG_DONTWAIT | socket.MSG_PEEK


class Entrance:
    """The listening socket of one service, while it is open."""

    def __init__(self, listener: socket.socket, front: Front, clock: Clock) -> None:
        self._listener, self._front, self._clock = listener, front, clock
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._welcomes: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Entrance {'crowded' if self.crowded else 'calm'}>"

    @property
    def crowded(self) -> bool:
        """Whether the engine accepts by itself."""
        return self._server is None

    async def open(self) -> None:
        """Let the loop accept."""
        own = self._listener.dup()
        self._server = await self._loop.create_server(self._front.connection, sock=own, backlog=BACKLOG)

    async def run(self) -> None:
        """Until cancelled: see whether there is a crowd. Afterwards the loop accepts, as after ``open``."""
        refused = self._front.turned_away
        try:
            while True:
                await self._clock.sleep(LOOK_EVERY)
                before, refused = refused, self._front.turned_away
                await self._adapt(crowd=refused - before >= CROWD)
        finally:
            await self._adapt(crowd=False)

    def close(self) -> None:
        """Let nobody in any more."""
        if self._server is not None:
            self._server.close()

    async def _adapt(self, *, crowd: bool) -> None:
        if crowd:
            self.close()
            self._server = None
            self._defer(_DEFERRED)
            self._loop.add_reader(self._listener.fileno(), self._accept)
        elif self._server is None:
            self._loop.remove_reader(self._listener.fileno())
            self._defer(0)
            await self.open()

    def _defer(self, seconds: int) -> None:
        """Let the kernel keep back for so long who has sent nothing yet: such a client can't be answered."""
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, seconds)

    def _accept(self) -> None:
        # Each is a descriptor before `Room` can count it, so where those are few they are taken one by one.
        for _ in range(min(_AT_ONCE, max(1, self._front.room.limit // 8))):
            try:
                client, address = self._listener.accept()
            except OSError as error:  # nobody is there, or gone again
                if error.errno in _SHORT:  # no descriptor, no memory: until the next look, instead of in vain
                    self._loop.remove_reader(self._listener.fileno())
                return
            if not self._turn_away(client, address):
                client.setblocking(False)
                task = self._loop.create_task(self._welcome(client))
                self._welcomes.add(task)
                task.add_done_callback(self._welcomes.discard)

    def _turn_away(self, client: socket.socket, address: object) -> bool:
        """Answer and close, if that is all there is to do with it."""
        front = self._front
        if not front.gate.full or front.access is not None:  # what is logged goes by way of a connection
            return False
        try:
            count = client.recv_into(front.head_buffer, 0, _PEEK)
            answer = front.turn_away(front.received[:count], address)
            if answer is None:
                return False
            client.recv_into(front.head_buffer, count)  # closing a socket with unread bytes would reset it
            client.send(answer)
        except BlockingIOError:
            return False
        except OSError:
            pass  # the client is gone
        client.close()
        return True

    async def _welcome(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is gone again
            await self._loop.connect_accepted_socket(self._front.connection, client)
