"""Pages that show: the service, its instances, operations, versions, autoscaler and canary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.responses import Response

from eas_engine.clock import Clock
from eas_engine.gateway.admin_source import AdminSource
from eas_engine.gateway.api import documents
from eas_engine.gateway.api.answers import Answer, ApiError
from eas_engine.gateway.api.page import Call, Content, Gateway, Page
from eas_engine.gateway.api.parameters import seconds
from eas_engine.operations import Operation, OperationState
from eas_engine.telemetry.report import document

LONGEST_WAIT = 60.0
"""Seconds that an answer may be held back until there is news."""
LOOK = 0.1
"""Seconds between two looks whether there is."""
WAIT = seconds(
    "wait",
    "Hold the answer back for so many seconds, until the operation has ended or a canary is ready.",
    most=LONGEST_WAIT,
)


class Reading:
    """The pages and what they ask."""

    def __init__(
        self,
        source: AdminSource,
        gateway: Gateway,
        *,
        clock: Clock,
        patience: float,
        stopping: Callable[[], bool],
    ) -> None:
        self._source = source
        self._gateway = gateway
        self._clock = clock
        self._patience = patience
        self._stopping = stopping

    def pages(self) -> tuple[Page, ...]:
        """All of them."""
        return (*self._of_the_service(), *self._of_changes(), *self._of_traffic())

    def _of_the_service(self) -> tuple[Page, ...]:
        return (
            Page(
                method="GET",
                path="/service",
                name="getService",
                about="Everything about the service: load, rates, instances, configuration without secrets.",
                handle=self._service,
                answers={200: Content(about="The service.", schema="Service")},
            ),
            Page(
                method="GET",
                path="/instances",
                name="listInstances",
                about="The instances. Those of two releases live side by side while one replaces the other.",
                handle=self._instances,
                answers={200: Content(about="By number.", schema="Instances")},
            ),
        )

    def _of_changes(self) -> tuple[Page, ...]:
        return (
            Page(
                method="GET",
                path="/operations",
                name="listOperations",
                about="What changes became of, oldest first.",
                handle=self._operations,
                answers={200: Content(about="Those that are remembered.", schema="Operations")},
            ),
            Page(
                method="GET",
                path="/operations/{number}",
                name="getOperation",
                about="What became of one change.",
                handle=self._operation,
                parts={"number": "The operation's."},
                parameters=(WAIT,),
                answers={200: Content(about="The operation.", schema="Operation")},
                errors=(404,),
            ),
            Page(
                method="GET",
                path="/versions",
                name="listVersions",
                about="The configurations that were accepted, oldest first.",
                handle=self._versions,
                answers={200: Content(about="Those that are kept.", schema="Versions")},
            ),
            Page(
                method="GET",
                path="/versions/{number}",
                name="getVersion",
                about="One accepted configuration: how it came, and all of its values but the secret ones.",
                handle=self._version,
                parts={"number": "The version's."},
                answers={200: Content(about="The version.", schema="VersionWithConfiguration")},
                errors=(404,),
            ),
        )

    def _of_traffic(self) -> tuple[Page, ...]:
        return (
            Page(
                method="GET",
                path="/autoscale",
                name="getAutoscale",
                about="The autoscaler: its settings (null without one), its last decisions, their figures.",
                handle=self._autoscale,
                answers={200: Content(about="The autoscaler.", schema="Autoscale")},
            ),
            Page(
                method="GET",
                path="/canary",
                name="getCanary",
                about="The canary or the shadow beside the service: what it answered, and how well.",
                handle=self._canary,
                answers={200: Content(about="The comparison.", schema="Comparison")},
                errors=(404,),
            ),
        )

    # -- what they do

    async def _service(self, _call: Call) -> Response:
        return Answer(await self._document())

    async def _instances(self, _call: Call) -> Response:
        return Answer({"instances": (await self._document())["instances"]})

    async def _document(self) -> Mapping[str, object]:
        status = await self._gateway.ask(self._source.status, self._patience)
        return await asyncio.to_thread(document, status)  # it measures processes

    async def _operations(self, _call: Call) -> Response:
        found = await self._gateway.ask(self._source.operations, self._patience)
        return Answer({"operations": [documents.operation(one) for one in found]})

    async def _operation(self, call: Call) -> Response:
        number = call.number("number", "operation")
        until = self._clock.now() + (0.0 if call.is_head else call.query[WAIT])
        while True:
            found = await self._find_operation(number)
            settled = found.state.is_over or found.state is OperationState.TRYING
            if settled or self._clock.now() >= until or self._stopping():
                return Answer(documents.operation(found))
            await self._clock.sleep(min(LOOK, until - self._clock.now()))
            if await call.request.is_disconnected():
                return Answer(documents.operation(found))

    async def _find_operation(self, number: int) -> Operation:
        operations = await self._gateway.ask(self._source.operations, self._patience)
        for one in operations:
            if one.number == number:
                return one
        raise ApiError(404, f"no operation {number}" + _remembered([one.number for one in operations]))

    async def _versions(self, _call: Call) -> Response:
        found = await self._gateway.ask(self._source.versions, self._patience)
        return Answer({"versions": [documents.version(one) for one in found]})

    async def _version(self, call: Call) -> Response:
        number = call.number("number", "version")
        versions = await self._gateway.ask(self._source.versions, self._patience)
        found = next((one for one in versions if one.number == number), None)
        if found is None:
            raise ApiError(404, f"no version {number}" + _remembered([one.number for one in versions]))
        holds = await self._gateway.ask(lambda: self._source.configuration(number), self._patience)
        return Answer({**documents.version(found), "configuration": holds})

    async def _autoscale(self, _call: Call) -> Response:
        return Answer(await self._gateway.ask(self._source.autoscale, self._patience))

    async def _canary(self, _call: Call) -> Response:
        found = await self._gateway.ask(self._source.comparison, self._patience)
        if found is None:
            raise ApiError(404, "there is no canary and no shadow")
        return Answer(found)


def _remembered(numbers: list[int]) -> str:
    if not numbers:
        return ": there was none yet"
    return f": there are {min(numbers)} to {max(numbers)}" if len(numbers) > 1 else f": there is {numbers[0]}"
