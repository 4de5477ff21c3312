"""Pages that can go on: the history, held back until there is news, and the log of the processors.

The source is looked at every tenth of a second, from the admin thread; the gateway's loop has nothing to do
with it. Only so many may follow at once, so that health and metrics always find a connection; the engine's
end ends them all.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from eas_engine.clock import Clock
from eas_engine.gateway.admin_source import AdminSource, LogLine
from eas_engine.gateway.api import documents
from eas_engine.gateway.api.answers import Answer, ApiError
from eas_engine.gateway.api.page import Call, Content, Gateway, Page
from eas_engine.gateway.api.parameters import flag, seconds, text, whole
from eas_engine.gateway.api.reading import LONGEST_WAIT, LOOK
from eas_engine.telemetry.logs import printable

MOST_LINES = 100_000
SINCE = whole("since", "Only those after this number: the `next` of an earlier answer.")
WAIT = seconds("wait", "Hold the answer back for so many seconds until there is one.", most=LONGEST_WAIT)
INSTANCE = text("instance", "Of this one alone.", longest=256)
LINES = whole(
    "lines", "How many of those that are there already, the last ones.", high=MOST_LINES, default=100
)
FOLLOW = flag("follow", "And all that come, until the connection or the engine ends.")
_TEXT, _JSON = "text/plain", "application/x-ndjson"


class Following:
    """The pages, and who follows."""

    def __init__(
        self,
        source: AdminSource,
        gateway: Gateway,
        *,
        clock: Clock,
        patience: float,
        stopping: Callable[[], bool],
        followers: int,
    ) -> None:
        """``followers``: so many answers may be held back or go on at once."""
        self._source = source
        self._gateway = gateway
        self._clock = clock
        self._patience = patience
        self._stopping = stopping
        self._limit = followers
        self._now = 0

    def pages(self) -> tuple[Page, ...]:
        """All of them."""
        return (
            Page(
                method="GET",
                path="/events",
                name="listEvents",
                about="The history of the service, oldest first: what happened, and who asked for it.",
                handle=self._events,
                parameters=(SINCE, WAIT),
                answers={200: Content(about="Those that are kept.", schema="Events")},
            ),
            Page(
                method="GET",
                path="/logs",
                name="getLogs",
                about="What the processors printed, a line each. As application/x-ndjson (Accept) each line "
                "is a LogLine; else it is the instance, a bar and the text, control characters spelled out.",
                handle=self._logs,
                parameters=(INSTANCE, LINES, FOLLOW),
                answers={200: Content(about="The lines.", schema="LogLine", types=(_TEXT, _JSON))},
                errors=(404,),
            ),
        )

    # -- events

    async def _events(self, call: Call) -> Response:
        since, wait = call.query[SINCE], call.query[WAIT]
        if call.is_head or not wait:
            return self._page_of_events(since)
        self._take_place()
        try:
            until = self._clock.now() + wait
            while not self._source.events(since) and self._clock.now() < until and not self._stopping():
                if await call.request.is_disconnected():
                    break
                await self._clock.sleep(min(LOOK, until - self._clock.now()))
        finally:
            self._leave_place()
        return self._page_of_events(since)

    def _page_of_events(self, since: int) -> Response:
        found = self._source.events(since)
        after = found[-1].number if found else since
        return Answer({"events": [documents.event(one) for one in found], "next": after})

    # -- logs

    async def _logs(self, call: Call) -> Response:
        instance, lines = call.query[INSTANCE], call.query[LINES]
        number, found = self._source.log_lines(0, instance)
        if instance and not found:
            await self._check_instance(instance)
        as_json = _JSON in call.request.headers.get("accept", "")
        written = _written_as_json if as_json else _written_as_text
        kind = _JSON if as_json else f"{_TEXT}; charset=utf-8"
        first = written(found[-lines:] if lines else ())
        if call.is_head or not call.query[FOLLOW]:
            return Response(first, media_type=kind)
        self._take_place()
        return _Followed(self._more(first, number, instance, written), kind, self._leave_place)

    async def _more(
        self, first: bytes, number: int, instance: str, written: Callable[[Iterable[LogLine]], bytes]
    ) -> AsyncIterator[bytes]:
        yield first
        ended = False
        while not ended:
            await self._clock.sleep(LOOK)
            ended = self._stopping()  # before the last look: what was printed until now is shown
            number, found = self._source.log_lines(number, instance)
            if found:
                yield written(found)

    async def _check_instance(self, name: str) -> None:
        """Errors: ApiError (404) when there is none of that name."""
        status = await self._gateway.ask(self._source.status, self._patience)
        names = [one.name for one in status.load.instances]
        if name not in names:
            raise ApiError(404, f"no instance {name!r}; there are: {', '.join(names) or 'none'}")

    # -- how many there may be

    def _take_place(self) -> None:
        """Errors: ApiError (503) when there are as many as there may be."""
        if self._now >= self._limit:
            raise ApiError(
                503, f"{self._now} others follow events or logs already, which is all there may be"
            )
        self._now += 1

    def _leave_place(self) -> None:
        self._now -= 1


class _Followed(StreamingResponse):
    """Says when it has ended, however."""

    def __init__(self, content: AsyncIterator[bytes], kind: str, ended: Callable[[], object]) -> None:
        super().__init__(content, media_type=kind)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ``starlette``."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


def _written_as_text(lines: Iterable[LogLine]) -> bytes:
    return "".join(f"{instance} | {printable(line)}\n" for instance, _, line in lines).encode(
        errors="replace"
    )


def _written_as_json(lines: Iterable[LogLine]) -> bytes:
    found = ({"instance": instance, "stream": stream, "text": line} for instance, stream, line in lines)
    return "".join(json.dumps(one) + "\n" for one in found).encode()
