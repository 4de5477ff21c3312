"""What a page of the admin API is, and how a request comes to its handler.

In this order a request is refused: 405 (method), 401 (token), 403 (workspace), 400 (query, body).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eas_engine.gateway.admin_source import AdminSource
from eas_engine.gateway.api.answers import ApiError, needs_token
from eas_engine.gateway.api.parameters import LARGEST, Parameter, Query, text
from eas_engine.records import dataclass

T = TypeVar("T")

ROOT = "/api/v1"
LARGEST_BODY = 1 << 20
"""Bytes: the largest service.json."""
_READ_ON = 16 * LARGEST_BODY
"""Bytes of a larger body that are read and dropped, so that its sender reads the answer."""
WORKSPACE = text("workspace_id", "metadata.workspace_id of the service, if it has one.")


class Call:
    """One request for a page."""

    def __init__(self, request: Request, query: Query, body: str = "") -> None:
        self.request = request
        self.query = query
        self.body = body

    def name(self, part: str) -> str:
        """A name that is part of the path."""
        return str(self.request.path_params[part])

    def number(self, part: str, what: str) -> int:
        """A number that is part of the path. Errors: ApiError (404)."""
        given = self.name(part)
        if not (given.isascii() and given.isdigit() and len(given) < len(str(LARGEST))):
            raise ApiError(404, f"no {what} {given[:100]!r}")
        return int(given)

    @property
    def is_head(self) -> bool:
        """Whether only the head of the answer is wanted."""
        return self.request.method == "HEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an answer holds: for people, and as the name of a schema (``schemas``)."""

    about: str
    schema: str = ""
    types: tuple[str, ...] = ("application/json",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One method of one path.

    Attributes:
        path: below ``/api/v1``; parts of it in braces are names.
        name: ``operationId`` of the OpenAPI document.
        about: what it does, for people; the first sentence is the summary.
        answers: those that aren't errors, by status.
        errors: statuses of refusals beside those that every page has.
        body: what the body is; None: there must be none.
        changes: it changes something: wants the admin token, and the workspace's id.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    about: str
    handle: Callable[[Call], Awaitable[Response]]
    answers: Mapping[int, Content]
    parts: Mapping[str, str] = field(default_factory=dict)
    parameters: tuple[Parameter[Any], ...] = ()
    errors: tuple[int, ...] = ()
    body: str | None = None
    changes: bool = False

    @property
    def query(self) -> tuple[Parameter[Any], ...]:
        """Every parameter that its query may have."""
        return (*self.parameters, WORKSPACE) if self.changes else self.parameters


class Gateway:
    """Asks the gateway's loop from the admin thread's."""

    def __init__(self, source: AdminSource, loop: asyncio.AbstractEventLoop | None) -> None:
        """``loop``: the one that coroutines of ``source`` run on; None = that of whoever asks."""
        self._source = source
        self._loop = loop

    async def ask(self, question: Callable[[], Coroutine[Any, Any, T]], patience: float) -> T:
        """Its answer. Errors: those of the question; ApiError (503) when there is none in time."""
        try:
            async with asyncio.timeout(patience):
                return await self._ask(question)
        except (TimeoutError, RuntimeError) as error:
            age = self._source.heartbeat_age()
            reason = str(error) or f"the gateway's loop did not answer within {patience:g} s"
            raise ApiError(503, f"{reason}; its last heartbeat was {age:.1f} s ago") from None

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._loop is None:
            return await question()
        if self._loop.is_closed():
            raise RuntimeError("the engine is ending")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(question(), self._loop))


def routes(pages: Sequence[Page], source: AdminSource, admin_token: str) -> list[Route]:
    """One route for each path; a path's methods share it, so that 405 names all of them."""
    by_path: dict[str, dict[str, Page]] = {}
    for page in pages:
        by_path.setdefault(page.path, {})[page.method] = page
    return [
        Route(ROOT + path, _Endpoint(methods, source, admin_token).answer, methods=list(methods))
        for path, methods in by_path.items()
    ]


class _Endpoint:
    """The pages of one path."""

    def __init__(self, pages: Mapping[str, Page], source: AdminSource, admin_token: str) -> None:
        self._pages = pages
        self._source = source
        self._token = admin_token

    async def answer(self, request: Request) -> Response:
        page = self._pages["GET" if request.method == "HEAD" else request.method]
        if page.changes:
            self._check_token(request)
        query = _query(request, page)
        if page.changes:
            self._check_workspace(query[WORKSPACE])
        body = await _text(request) if page.body is not None else ""
        if page.body is None and _has_body(request):
            raise ApiError(400, "takes no body: what it needs stands in the query")
        try:
            return await page.handle(Call(request, query, body))
        except ApiError:
            raise
        except Exception:
            logging.getLogger(__name__).exception("%s %s failed", page.method, page.path)
            raise ApiError(500, "the engine failed to answer; its log says why") from None

    def _check_token(self, request: Request) -> None:
        values = request.headers.getlist("authorization")
        if not self._token or not has_token(values, self._token):
            raise needs_token()

    def _check_workspace(self, given: str) -> None:
        own = self._source.workspace_id()
        if given == own:
            return
        if not own:
            raise ApiError(403, f"this service is of no workspace, not of {given!r}")
        wanted = f", not of {given!r}" if given else f": the query must have workspace_id={own}"
        raise ApiError(403, f"this service is of workspace {own!r}{wanted}")


def _query(request: Request, page: Page) -> Query:
    raw: bytes = request.scope["query_string"]
    try:
        return Query(raw.decode("ascii"), page.query)
    except UnicodeDecodeError:
        raise ApiError(400, "the query isn't ASCII: other characters need percent-encoding") from None


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0").strip("0 ")
    return bool(length) or "transfer-encoding" in request.headers


async def _text(request: Request) -> str:
    """The body. Errors: ApiError (413, 400)."""
    data = bytearray()
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= LARGEST_BODY:
            data += piece
        if size > _READ_ON:
            break
    if size > LARGEST_BODY:
        hang_up = {"Connection": "close"} if size > _READ_ON else {}  # else uvicorn would read it all
        raise ApiError(413, "larger than 1 MiB: this is no service.json", headers=hang_up)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body isn't UTF-8: byte {error.start} is {data[error.start]:#04x}") from None


def has_token(values: Sequence[str], token: str) -> bool:
    """Exactly one ``Authorization``, of the scheme Bearer (RFC 6750), compared in constant time."""
    if len(values) != 1:
        return False
    scheme, _, given = values[0].partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return same and scheme.lower() == "bearer"
