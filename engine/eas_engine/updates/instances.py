"""Changes of the instances alone, the configuration staying as it is: replace, stop, start, drain."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Final

from eas_engine.clock import wait_until
from eas_engine.errors import ConfigurationError
from eas_engine.operations import Drain, Effect, OperationState, RefusedError, Replace, Start, Stop
from eas_engine.supervisor.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.spec import ServiceSpec
    from eas_engine.updates.book import Entry
    from eas_engine.updates.joined import Joined
    from eas_engine.updates.releases import Releases
    from eas_engine.updates.works import Works

_TURNS: Final = frozenset({"stop", "start", "drain"})
_SOON: Final = 0.02
EMPTY: Final = "every request has its answer"
"""What is said of a service that was drained."""


class Instances:
    """Those of one service. ``spec``: the configuration that holds."""

    def __init__(
        self, joined: Joined, releases: Releases, works: Works, spec: Callable[[], ServiceSpec]
    ) -> None:
        self._all, self._releases, self._works, self._spec = joined, releases, works, spec

    def __repr__(self) -> str:
        return f"<Instances of {self._all.supervisor!r}>"

    def replace(self, asked: Replace) -> Entry:
        """Another instance takes the place of this one. Errors: RefusedError."""
        fleet = self._all.supervisor.snapshot()
        before = {pid for one in fleet.instances if one.name == asked.instance for pid in one.pids}
        if not self._all.supervisor.replace(asked.instance):
            present = ", ".join(one.name for one in fleet.instances) or "none"
            raise RefusedError(f'no instance "{asked.instance}" can be replaced (there are: {present})')
        self._all.events.tell("replaced", f"another takes the place of {asked.instance}", by=asked.by)

        async def replaced(entry: Entry) -> None:
            def gone() -> bool:
                return not before & {pid for one in self._releases.fleet.instances for pid in one.pids}

            await self._releases.until(gone)
            await self.wait(entry)

        return self._works.begin("replace", asked.by, replaced, Effect.INSTANCES)

    def turn(self, asked: Stop | Start | Drain) -> Entry:
        """The service takes requests, or doesn't. Errors: RefusedError."""
        before = self._works.book.open()
        if isinstance(asked, Stop):
            entry = self._works.begin("stop", asked.by, self._stop, Effect.INSTANCES)
        elif isinstance(asked, Start):
            entry = self._works.begin("start", asked.by, self._start, Effect.INSTANCES)
        else:
            entry = self._works.begin("drain", asked.by, self._drain)
        for other in before:  # the last word counts
            if other.record.kind in _TURNS - {entry.record.kind}:
                other.change(reason=f"{entry.record.kind} came after it")
                other.stop.set()
        return entry

    async def wait(self, entry: Entry) -> None:
        """Until as many are ready as are wanted; what is wanted stays, however long that takes.

        Errors: StoppedError when the operation was told to stop, because something else is wanted now.
        """
        by = self._all.clock.now() + self._spec().metadata.rollout_timeout
        if entry.record.kind == "scale":
            await self._warn_of_crowds(entry)

        def there() -> bool:
            entry.stop.check()
            fleet = self._releases.fleet
            staying = sum(not one.leaving for one in fleet.serving)
            return fleet.ready_count >= fleet.wanted and staying <= fleet.wanted + fleet.probes

        if await self._releases.until(there, by):
            entry.end(OperationState.DONE, self._leaving() if entry.record.kind == "scale" else "")
            return
        fleet = self._releases.fleet
        waiting = "; ".join(f"{one.name}: {one.reason}" for one in fleet.serving if one.reason)
        entry.end(
            OperationState.FAILED,
            f"{fleet.ready_count} of {fleet.wanted} instances are ready after metadata.rollout_timeout; "
            f"the others are still being tried ({waiting})",
        )

    async def _warn_of_crowds(self, entry: Entry) -> None:
        """What so many instances are too much for, if it is known."""
        from eas_engine.spec.fit import crowds  # noqa: PLC0415 - no start needs it

        with contextlib.suppress(ConfigurationError):  # of the engine's own settings: who reads them says it
            machine = await asyncio.to_thread(self._all.machine)
            entry.change(warnings=crowds(self._spec(), machine, self._all.supervisor.snapshot().wanted))

    def _leaving(self) -> str:
        """Who has not left yet, for a person."""
        count = sum(one.state is State.DRAINING for one in self._releases.fleet.serving)
        if not count:
            return ""
        are = (
            "1 instance is still leaving: it" if count == 1 else f"{count} instances are still leaving: each"
        )
        return f"{are} ends when it has answered what it has"

    async def _stop(self, entry: Entry) -> None:
        self._all.lanes.pause()
        self._all.events.tell("stopping", "the service is being stopped", by=entry.record.by)
        grace = self._spec().metadata.eas.termination_grace_period
        await self._empty(entry, self._all.clock.now() + grace)
        self._all.supervisor.stop_service()
        await self._releases.until(lambda: not self._releases.fleet.serving or entry.stop.is_set)
        entry.stop.check()
        self._all.events.tell("stopped", "no instance is left", by=entry.record.by)
        entry.end(OperationState.DONE)

    async def _start(self, entry: Entry) -> None:
        entry.stop.check()
        self._all.supervisor.start_service()
        self._all.lanes.resume()
        self._all.events.tell("started", "the service takes requests again", by=entry.record.by)
        await self.wait(entry)

    async def _drain(self, entry: Entry) -> None:
        self._all.lanes.pause()
        self._all.events.tell("draining", "the service takes nothing new", by=entry.record.by)
        await self._empty(entry)
        entry.end(OperationState.DONE, EMPTY)

    async def _empty(self, entry: Entry, by: float = math.inf) -> None:
        """Until no request is left, or ``by``. Errors: StoppedError when the service is told otherwise."""
        clock = self._all.clock

        async def told() -> None:
            while not entry.stop.is_set:
                await clock.sleep(_SOON)

        await wait_until(clock, by, self._all.lanes.wait_empty(), told())
        entry.stop.check()
