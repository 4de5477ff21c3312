"""Connections to the admin plane: there may be only so many, so that hosts don't lack descriptors for them.

One more than that takes the place of the one that has been idle for longest; when all are busy, it is closed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from eas_engine.gateway.listen import BACKLOG

if TYPE_CHECKING:
    import socket
    from typing import ClassVar

AT_ONCE = 2
"""How many are accepted in one turn of the loop: each is a descriptor before it can be counted."""


class AdminListener(uvicorn.Server):
    """asyncio has one number for how many are accepted at once and how many wait; here are two."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See ``uvicorn``."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)


class AdminConnection(H11Protocol):
    """uvicorn's protocol, with a limit."""

    limit: ClassVar[int] = 64
    since: float = 0.0
    """When it last had nothing to do, by the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """See ``asyncio``."""
        super().connection_made(transport)
        self.since = self.loop.time()
        others = [one for one in self.connections if one is not self and isinstance(one, AdminConnection)]
        if len(others) < self.limit:
            return
        idle = [one for one in others if one.idle]
        leaving = min(idle, key=lambda one: one.since, default=self)
        leaving.transport.close()
        self.connections.discard(leaving)  # now: it is told of its end a turn later

    def on_response_complete(self) -> None:
        """See ``uvicorn``."""
        super().on_response_complete()
        self.since = self.loop.time()

    @property
    def idle(self) -> bool:
        """Between two requests, or before the first."""
        return bool(getattr(self.cycle, "response_complete", True))


def limited(limit: int) -> type[AdminConnection]:
    """The protocol for a server with at most `limit` connections."""
    return type("LimitedAdminConnection", (AdminConnection,), {"limit": limit})
