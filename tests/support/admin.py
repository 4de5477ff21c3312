"""An admin server around a service that a test made, and somebody who asks it."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eas_engine.gateway.admin import AdminServer
from eas_engine.gateway.admin_source import AdminSource

TOKEN = "QWRtaW4tVG9rZW4="
MINE = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def serving(source: AdminSource, host: str = "127.0.0.1", *, connections: int = 64) -> Iterator[int]:
    """The port of a running server."""
    server = AdminServer(source, host, 0, TOKEN, connections=connections)
    port = server.start()
    try:
        yield port
    finally:
        server.stop()


@contextmanager
def asking(
    port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> Iterator[http.client.HTTPResponse]:
    """The answer, unread."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        yield connection.getresponse()
    finally:
        connection.close()


def ask(
    port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    """Status and body, read as JSON if it is."""
    with asking(port, path, method, body, **headers) as response:
        data = response.read()
        is_json = response.headers["Content-Type"] == "application/json" and data
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, json.loads(data) if is_json else data


def tell(port: int, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """POST with the admin token."""
    return ask(port, path, "POST", body, **MINE)


async def call(
    app: Any, path: str, query: str = "", *, hung_up: asyncio.Event | None = None, **headers: str
) -> tuple[int, bytes]:
    """One ASGI request without a network. ``hung_up``: set when the client has gone."""
    sent: list[dict[str, Any]] = []
    gone = hung_up or asyncio.Event()
    unread: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if unread:
            return unread.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": raw,
        "query_string": query.encode(),
        "root_path": "",
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
