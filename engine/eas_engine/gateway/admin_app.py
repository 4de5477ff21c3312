"""The pages of the admin plane, and who may see them.

* Bound to loopback, reading is open to whoever is on this machine, but not to web pages that a browser on it
  shows: the ``Host`` must be an address or ``localhost`` (a page that rebinds its own name to 127.0.0.1 still
  sends its name), and nothing but GET and HEAD is taken from another origin.
* Bound to anything else, ``/healthz``, ``/readyz`` and ``/metrics`` are open and the rest wants
  ``Authorization: Bearer <admin token>``.
* What changes something (POST) wants that token everywhere.

What lies below ``/api/v1`` is declared in ``api``.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eas_engine import __version__
from eas_engine.clock import Clock, SystemClock
from eas_engine.gateway.admin_source import AdminSource
from eas_engine.gateway.api.answers import Answer, ApiError, answered, needs_token
from eas_engine.gateway.api.changing import Changing
from eas_engine.gateway.api.following import Following
from eas_engine.gateway.api.openapi import document
from eas_engine.gateway.api.page import ROOT, Call, Content, Gateway, Page, has_token, routes
from eas_engine.gateway.api.reading import Reading

PATIENCE = 2.0  # seconds for the gateway's loop to say how it is
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
FOLLOWERS = 16


def admin_app(
    source: AdminSource,
    *,
    asked: asyncio.AbstractEventLoop | None,
    token: str | None,
    admin_token: str = "",
    patience: float = PATIENCE,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    followers: int = FOLLOWERS,
) -> Starlette:
    """The application. ``asked``: the loop that ``source.status`` runs on, None = this one.

    ``token``: what others than the open pages want; None = bound to loopback. ``admin_token``: what changes
    want; without it nothing can be changed. ``stopping``: says when answers that go on must end;
    ``followers``: how many of those there may be.
    """
    gateway, clock = Gateway(source, asked), clock or SystemClock()
    reading = Reading(source, gateway, clock=clock, patience=patience, stopping=stopping)
    following = Following(
        source, gateway, clock=clock, patience=patience, stopping=stopping, followers=followers
    )
    pages = api_pages(reading, Changing(source, gateway), following)
    plain = _Plain(source, pages)
    app = Starlette(
        routes=[
            Route("/", plain.index),
            Route("/healthz", plain.healthz),
            Route("/readyz", plain.readyz),
            Route("/metrics", plain.metrics),
            *routes(pages, source, admin_token),
        ],
        middleware=[Middleware(Guard, token=token)],
        exception_handlers={ApiError: answered, HTTPException: _refused},
    )
    app.router.redirect_slashes = False
    return app


def api_pages(reading: Reading, changing: Changing, following: Following) -> tuple[Page, ...]:
    """Every page below ``/api/v1``, the one that describes them included."""

    async def openapi(_call: Call) -> Response:
        return Answer(described)

    own = Page(
        method="GET",
        path="/openapi.json",
        name="getOpenApi",
        about="This document.",
        handle=openapi,
        answers={200: Content(about="OpenAPI 3.1.")},
    )
    pages = (*reading.pages(), *following.pages(), *changing.pages(), own)
    described = document(pages, __version__)
    return pages


async def _refused(_request: Request, error: Exception) -> Response:
    """404 and 405, in the API's own form."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    texts = {404: "no such page", 405: f"only {(error.headers or {}).get('Allow', '')} here"}
    text = texts.get(error.status_code, error.detail)
    return ApiError(error.status_code, text, headers=error.headers).answer()


class _Plain:
    """The pages for machines that watch."""

    def __init__(self, source: AdminSource, pages: tuple[Page, ...]) -> None:
        self._source = source
        self._pages = [*sorted(OPEN_PATHS), *dict.fromkeys(ROOT + one.path for one in pages)]

    async def index(self, _request: Request) -> Response:
        return Answer({"pages": self._pages})

    async def healthz(self, _request: Request) -> Response:
        return Answer({"status": "ok", "heartbeat_age_seconds": round(self._source.heartbeat_age(), 3)})

    async def readyz(self, _request: Request) -> Response:
        readiness = self._source.readiness()
        return Answer(
            {"ready": readiness.ready, "reasons": readiness.reasons}, 200 if readiness.ready else 503
        )

    async def metrics(self, request: Request) -> Response:
        # In a thread: asking for the figures of many processes takes a while, and health mustn't wait for it.
        body, content_type = await asyncio.to_thread(self._source.metrics, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})


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
                return needs_token().answer()
            return None
        if self._token is None and not is_local_name(headers.get("host", "")):
            return ApiError(403, "unknown Host; use 127.0.0.1 or localhost").answer()
        if scope["method"] not in ("GET", "HEAD") and "origin" in headers:
            own = headers["origin"].partition("://")[2]
            if own != headers.get("host", ""):
                return ApiError(403, "not from another site").answer()
        return None


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
