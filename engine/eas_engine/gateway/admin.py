"""The admin plane (9090): a thread of its own with a loop of its own.

However busy the gateway's loop is, health, readiness and metrics are answered from here: they only read
what other threads may read. Only what lies below ``/api/v1`` asks the gateway's loop, and gives up after
``PATIENCE``.

``start`` binds the port (so that a taken one ends the start of the engine, with its number) and returns;
the web framework is imported in the thread, beside the start of the first instance. Connections that come
earlier wait in the listener's backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import threading
from typing import TYPE_CHECKING

from eas_engine.clock import Clock, SystemClock
from eas_engine.gateway.admin_source import AdminSource
from eas_engine.gateway.listen import listen

if TYPE_CHECKING:
    import uvicorn

STOP_PATIENCE = 2.0  # seconds for answers that are under way when the engine ends


class AdminServer:
    """Serves ``source`` between ``start`` and ``stop``."""

    def __init__(
        self,
        source: AdminSource,
        host: str,
        port: int,
        admin_token: str,
        *,
        connections: int = 64,
        instead: str = "",
        clock: Clock | None = None,
    ) -> None:
        """``connections``: how many there may be at once; ``instead``: see ``listen``."""
        self._clock = clock or SystemClock()
        self._instead = instead
        self._connections = connections
        self._source = source
        self._host = host
        self._port = port
        self._token = admin_token
        self._asked: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="admin", daemon=True)

    def __repr__(self) -> str:
        return f"<AdminServer {self._host}:{self._port} {'serving' if self._thread.is_alive() else 'idle'}>"

    def start(self) -> int:
        """Listen, and serve from now on. Returns the port.

        Errors: ConfigurationError when the address can't be had.
        """
        with contextlib.suppress(RuntimeError):
            self._asked = asyncio.get_running_loop()
        self._socket = listen(self._host, self._port, option="admin-", instead=self._instead)
        self._port = int(self._socket.getsockname()[1])
        self._thread.start()
        return self._port

    def stop(self) -> None:
        """Close the listener and end the thread; blocks for up to about two seconds. May be called twice."""
        self._stopping.set()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_PATIENCE)
        if self._server is not None:
            self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_PATIENCE)
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            logging.getLogger(__name__).exception("the admin plane failed; the data plane goes on")

    async def _serve(self) -> None:
        import uvicorn  # noqa: PLC0415

        from eas_engine.gateway.admin_app import admin_app  # noqa: PLC0415
        from eas_engine.gateway.admin_connection import AT_ONCE, AdminListener, limited  # noqa: PLC0415

        with contextlib.suppress(Exception):  # so that its imports are done before there is load
            await asyncio.to_thread(self._source.metrics, "")
        assert self._socket is not None  # noqa: S101
        address = self._socket.getsockname()[0]
        guard = None if ipaddress.ip_address(address.partition("%")[0]).is_loopback else self._token
        app = admin_app(
            self._source,
            asked=self._asked,
            token=guard,
            admin_token=self._token,
            clock=self._clock,
            stopping=self._stopping.is_set,
            followers=max(1, self._connections // 4),
        )
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=limited(self._connections),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            backlog=AT_ONCE,
        )
        self._server = AdminListener(config)
        if not self._stopping.is_set():
            await self._server.serve([self._socket])
