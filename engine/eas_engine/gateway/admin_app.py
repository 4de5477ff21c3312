"""The pages of the admin plane, and who may see them.

* Bound to loopback, reading is open to whoever is on this machine, but not to web pages that a browser on it
  shows: the ``Host`` must be an address or ``localhost`` (a page that rebinds its own name to 127.0.0.1 still
  sends its name), and nothing but GET and HEAD is taken from another origin.
* Bound to anything else, ``/healthz``, ``/readyz`` and ``/metrics`` are open and the rest wants
  ``Authorization: Bearer <admin token>``.
* What changes something (POST) wants that token everywhere.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eas_engine.gateway.admin import AdminSource
from eas_engine.telemetry.status import document

T = TypeVar("T")

PATIENCE = 2.0  # seconds for the gateway's loop to say how it is
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
PAGES = ("/healthz", "/readyz", "/metrics", "/api/v1/service")


def admin_app(
    source: AdminSource,
    *,
    asked: asyncio.AbstractEventLoop | None,
    token: str | None,
    admin_token: str = "",
    patience: float = PATIENCE,
) -> Starlette:
    """The application. ``asked``: the loop that ``source.status`` runs on, None = this one.

    ``token``: what others than the open pages want; None = bound to loopback. ``admin_token``: what changes
    want; without it nothing can be changed.
    """
    pages = _Pages(source, asked, patience, admin_token)
    routes = [
        Route("/", pages.index),
        Route("/healthz", pages.healthz),
        Route("/readyz", pages.readyz),
        Route("/metrics", pages.metrics),
        Route("/api/v1/service", pages.service),
        Route("/api/v1/crashes/clear", pages.clear_crashes, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)])


class _Pages:
    def __init__(
        self,
        source: AdminSource,
        asked: asyncio.AbstractEventLoop | None,
        patience: float,
        admin_token: str,
    ) -> None:
        self._admin_token = admin_token
        self._source = source
        self._asked = asked
        self._patience = patience

    async def index(self, _request: Request) -> Response:
        return JSONResponse({"pages": PAGES})

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "heartbeat_age_seconds": round(self._source.heartbeat_age(), 3)})

    async def readyz(self, _request: Request) -> Response:
        readiness = self._source.readiness()
        return JSONResponse(
            {"ready": readiness.ready, "reasons": readiness.reasons}, 200 if readiness.ready else 503
        )

    async def metrics(self, request: Request) -> Response:
        # In a thread: asking for the figures of many processes takes a while, and health mustn't wait for it.
        body, content_type = await asyncio.to_thread(self._source.metrics, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def service(self, _request: Request) -> Response:
        status = await self._asked_for(self._source.status)
        if isinstance(status, Response):
            return status
        return JSONResponse(await asyncio.to_thread(document, status))

    async def clear_crashes(self, request: Request) -> Response:
        values = request.headers.getlist("authorization")
        if not self._admin_token or not has_token(values, self._admin_token):
            return _needs_token()
        wanted = request.query_params.get("id")
        done = await self._asked_for(lambda: self._source.clear_crashes(wanted))
        if isinstance(done, Response):
            return done
        if not done.deleted and not done.restarted:
            return JSONResponse({"error": "no such crash was kept" if wanted else "no crash was kept"}, 404)
        return JSONResponse({"deleted": done.deleted, "restarted": done.restarted})

    async def _asked_for(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T | Response:
        """What the gateway's loop says, or 503 when it doesn't within the patience."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._ask(question)
        except (TimeoutError, RuntimeError) as error:
            age = self._source.heartbeat_age()
            reason = str(error) or f"the gateway's loop did not answer within {self._patience:g} s"
            return JSONResponse({"error": f"{reason}; its last heartbeat was {age:.1f} s ago"}, 503)

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._asked is None:
            return await question()
        if self._asked.is_closed():
            raise RuntimeError("the engine is ending")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question(), self._asked))


def _needs_token() -> Response:
    return JSONResponse(
        {"error": "needs Authorization: Bearer <text of admin-token in the state directory>"},
        401,
        headers={"WWW-Authenticate": "Bearer"},
    )


class Guard:
    """ASGI middleware: who may see what (above)."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await (refusal or self._app)(scope, receive, send_marked)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if self._token is not None and scope["path"] not in OPEN_PATHS:
            if not has_token(headers.getlist("authorization"), self._token):
                return _needs_token()
            return None
        if self._token is None and not is_local_name(headers.get("host", "")):
            return JSONResponse({"error": "unknown Host; use 127.0.0.1 or localhost"}, 403)
        if scope["method"] not in ("GET", "HEAD") and "origin" in headers:
            own = headers["origin"].partition("://")[2]
            if own != headers.get("host", ""):
                return JSONResponse({"error": "not from another site"}, 403)
        return None


def has_token(values: list[str], token: str) -> bool:
    """Exactly one ``Authorization``, of the scheme Bearer (RFC 6750), compared in constant time."""
    if len(values) != 1:
        return False
    scheme, _, given = values[0].partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return same and scheme.lower() == "bearer"


def is_local_name(host: str) -> bool:
    """A ``Host`` that no foreign web page can have: an address, ``localhost`` or a name below it, or none."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.lower().rstrip(".")
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
