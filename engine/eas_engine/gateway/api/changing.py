"""Pages that change something. Each answers when the change is accepted; it goes on behind the answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response

from eas_engine.errors import StartError
from eas_engine.gateway.admin_source import AdminSource
from eas_engine.gateway.api import documents
from eas_engine.gateway.api.answers import Answer, ApiError
from eas_engine.gateway.api.page import LARGEST_BODY, ROOT, Call, Content, Gateway, Page
from eas_engine.gateway.api.parameters import Parameter, anything, flag, share, text, texts, whole
from eas_engine.operations import (
    Asked,
    Drain,
    Promote,
    RefusedError,
    Replace,
    Restart,
    Rollback,
    Scale,
    Start,
    Stop,
    Update,
)
from eas_engine.spec.problems import ConfigurationError
from eas_engine.telemetry.logs import printable

T = TypeVar("T")

CHANGE_PATIENCE = 60.0
"""Seconds for the gateway's loop to read and check a configuration, and to accept a change."""
LONGEST_BY = 200
"""Characters."""
BY = anything(
    "by", f"Who asks, for the history; {LONGEST_BY} characters are kept. Else the caller's address."
)
SOURCE = text(
    "source", "Absolute path of the file that the text came from: relative paths in it start there."
)
DEFINE = texts("define", "An override, key=value, as -D of the command line.")
STRICT = flag("strict", "Warnings about the configuration are errors.")
DRY_RUN = flag("dry_run", "Only say what it would do (200).")
CANARY = share("canary", "The new version gets this share of the requests until it is promoted.")
SHADOW = share(
    "shadow", "The new version gets copies of this share of the requests; its answers are dropped."
)
SLO = text("slo", "With canary: what it must keep, such as errors=1%,p99=2x; else it is rolled back.")
INSTANCES = whole("instances", "How many there are to be.", high=10**6, required=True)
VERSION = whole("version", "Which one; without it, the one before.", low=1)
NEW_FILES = flag("new_files", "With the files that lie at its addresses now, not with those that it had.")
CRASH = text("id", "Which crash; without it, all.")
_ACCEPTED = {202: Content(about="Accepted; the operation goes on.", schema="Operation")}


class Changing:
    """The pages and what they ask."""

    def __init__(self, source: AdminSource, gateway: Gateway, *, patience: float = CHANGE_PATIENCE) -> None:
        self._source = source
        self._gateway = gateway
        self._patience = patience

    def pages(self) -> tuple[Page, ...]:
        """All of them."""
        return (self._of_update(), *self._of_instances(), *self._of_versions(), self._of_crashes())

    def _of_update(self) -> Page:
        return Page(
            method="POST",
            path="/service",
            name="updateService",
            about="Another configuration: checked whole, fetched, and put into effect as gently as it can "
            "be: at once, by starting or ending instances, or by replacing them a few at a time.",
            handle=self._update,
            parameters=(SOURCE, DEFINE, STRICT, DRY_RUN, CANARY, SHADOW, SLO, BY),
            body="The text of a service.json, at most 1 MiB; empty, with define: the current one's.",
            answers={200: Content(about="With dry_run: what it would do.", schema="Plan"), **_ACCEPTED},
            errors=(409, 413, 422),
            changes=True,
        )

    def _of_instances(self) -> tuple[Page, ...]:
        return (
            self._page(
                "scale", "Another number of instances, which becomes a version.", self._scale, INSTANCES
            ),
            self._page(
                "restart",
                "The same configuration in new processes, a few at a time.",
                self._simply(lambda by: Restart(by=by)),
            ),
            self._page(
                "stop",
                "Finish what is there, then end every instance. Requests get 503 until it is started.",
                self._simply(lambda by: Stop(by=by)),
            ),
            self._page("start", "Undo stop and drain.", self._simply(lambda by: Start(by=by))),
            self._page(
                "drain",
                "Take nothing new (503), finish what is there, and keep the instances.",
                self._simply(lambda by: Drain(by=by)),
            ),
            Page(
                method="POST",
                path="/instances/{name}/replace",
                name="replaceInstance",
                about="One instance finishes what it has and leaves; another takes its place.",
                handle=self._replace,
                parts={"name": "The instance's."},
                parameters=(BY,),
                answers=_ACCEPTED,
                errors=(409, 422),
                changes=True,
            ),
        )

    def _of_versions(self) -> tuple[Page, ...]:
        return (
            self._page(
                "rollback",
                "An earlier version, with the files that it had. Without a number, the end of a canary, a "
                "shadow or an unfinished rollout, else the version before.",
                self._rollback,
                VERSION,
                NEW_FILES,
            ),
            self._page(
                "promote",
                "The canary or shadow becomes the service.",
                self._simply(lambda by: Promote(by=by)),
            ),
        )

    def _of_crashes(self) -> Page:
        return Page(
            method="POST",
            path="/crashes/clear",
            name="clearCrashes",
            about="Delete what was kept of crashes, and start the instances again that they block.",
            handle=self._clear_crashes,
            parameters=(CRASH,),
            answers={200: Content(about="What was done.", schema="Cleared")},
            errors=(404,),
            changes=True,
        )

    def _page(
        self,
        word: str,
        about: str,
        handle: Callable[[Call], Coroutine[Any, Any, Response]],
        *parameters: Parameter[Any],
    ) -> Page:
        return Page(
            method="POST",
            path=f"/{word}",
            name=word,
            about=about,
            handle=handle,
            parameters=(*parameters, BY),
            answers=_ACCEPTED,
            errors=(409, 422),
            changes=True,
        )

    # -- what they do

    async def _update(self, call: Call) -> Response:
        asked = _update(call)
        if call.query[DRY_RUN]:
            plan = await self._asked_for(lambda: self._source.plan(asked))
            return Answer(documents.plan(plan))
        return await self._change(asked)

    async def _scale(self, call: Call) -> Response:
        return await self._change(Scale(by=_by(call), instances=call.query[INSTANCES]))

    async def _replace(self, call: Call) -> Response:
        return await self._change(Replace(by=_by(call), instance=call.name("name")))

    async def _rollback(self, call: Call) -> Response:
        query = call.query
        return await self._change(
            Rollback(by=_by(call), version=query[VERSION] or None, new_files=query[NEW_FILES])
        )

    def _simply(self, make: Callable[[str], Asked]) -> Callable[[Call], Coroutine[Any, Any, Response]]:
        async def handle(call: Call) -> Response:
            return await self._change(make(_by(call)))

        return handle

    async def _change(self, asked: Asked) -> Response:
        operation = await self._asked_for(lambda: self._source.change(asked))
        place = f"{ROOT}/operations/{operation.number}"
        return Answer(documents.operation(operation), 202, headers={"Location": place})

    async def _clear_crashes(self, call: Call) -> Response:
        wanted = call.query[CRASH] or None
        done = await self._asked_for(lambda: self._source.clear_crashes(wanted))
        if not done.deleted and not done.restarted:
            raise ApiError(404, "no such crash was kept" if wanted else "no crash was kept")
        return Answer({"deleted": done.deleted, "restarted": done.restarted})

    async def _asked_for(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the gateway's loop says. Errors: ApiError (409 and 422: nothing was changed; 503)."""
        try:
            return await self._gateway.ask(question, self._patience)
        except RefusedError as error:
            status = 409 if error.conflict else 422
            raise ApiError(status, str(error), problems=error.problems) from None
        except ConfigurationError as error:
            problems = [
                {"path": one.path, "line": one.line, "message": one.message} for one in error.problems
            ]
            raise ApiError(422, str(error), problems=problems) from None
        except StartError as error:
            raise ApiError(422, str(error)) from None


def _update(call: Call) -> Update:
    """Errors: ApiError (400) for what contradicts itself."""
    query = call.query
    if not call.body.strip() and not query[DEFINE]:
        raise ApiError(
            400, f"what to? The body is the text of a service.json (at most {LARGEST_BODY} bytes), or define="
        )
    if query[CANARY] is not None and query[SHADOW] is not None:
        raise ApiError(400, "canary and shadow: which of them?")
    if query[SLO] and query[CANARY] is None:
        raise ApiError(400, "slo: only a canary has one")
    if query[SOURCE] and not query[SOURCE].startswith("/"):
        raise ApiError(400, f"source: {query[SOURCE]!r} isn't an absolute path")
    return Update(
        by=_by(call),
        text=call.body if call.body.strip() else None,
        source=query[SOURCE],
        overrides=query[DEFINE],
        strict=query[STRICT],
        canary=query[CANARY],
        shadow=query[SHADOW],
        objective=query[SLO],
    )


def _by(call: Call) -> str:
    """Who asks: as they say, else where from."""
    client = call.request.client
    return printable(call.query[BY])[:LONGEST_BY] or (client.host if client is not None else "")
