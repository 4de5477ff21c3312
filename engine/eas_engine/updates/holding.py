"""What holds: the configuration that a service goes by, and the versions on disk that say so.

Memory follows the disk: a version is kept before its change begins, and its change is over when the disk says
that it holds. What the loop finds out in a thread is held against what holds by then.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from eas_engine.configuration import Configured
from eas_engine.errors import ConfigurationError, StartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from eas_engine.operations import Scale, Version
    from eas_engine.updates.book import Entry
    from eas_engine.updates.joined import Joined
    from eas_engine.updates.targets import Target, Targets

_INSTANCE: Final = "metadata.instance"
_ON_ITS_WAY: Final = ("preparing", "trying")
_PATIENCE: Final = 1.0  # seconds for a version to be written before others read which there are


class Holding:
    """The configuration that holds."""

    def __init__(self, joined: Joined, targets: Targets, first: Configured) -> None:
        self._all, self._targets = joined, targets
        self.current = first
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Holding version {self.current.version}>"

    async def versions(self) -> tuple[Version, ...]:
        """Those that are kept, oldest first. What is being written down is waited for, within reason."""
        await self._all.disk.settled(_PATIENCE)
        return self._all.history.versions()

    async def hold(self, made: Configured) -> str:
        """The configuration holds from now on. Why the next start won't know that; as a rule it will."""
        async with self._one_at_a_time:
            before, self.current = self.current, made
            await self._all.adopt(made)
            if made.version == before.version:
                return ""
            text = f"version {made.version} took the place of version {before.version}"
            self._all.events.tell("version", text, before=before.version, after=made.version)
            lost = await self.mark(made.version, "current", held=made)
        return f"until the engine is started again: {lost}" if lost else ""

    async def let_go(self, number: int | None) -> None:
        """An update found a version's files where they lie: it is no longer pinned to them, if it holds."""
        async with self._one_at_a_time:
            now = self.current
            if now.pinned and now.version == number:
                self.current = replace(now, pinned=False)
                await self.mark(now.version, "current", held=self.current)

    async def keep(self, target: Target) -> Target:
        """The same, as a version of its own. Errors: ConfigurationError."""
        return await self._all.disk.do(self._targets.keep, target)

    async def mark(self, number: int, state: str, reason: str = "", *, held: Configured | None = None) -> str:
        """Write down what became of a version. If that can't be done, why; it is so all the same."""
        history, at = self._all.history, self._all.clock.wall()
        files = (held.files, held.pinned) if held is not None else None
        try:
            await self._all.disk.do(history.settle, number, state, reason, at=at, held=files)
        except ConfigurationError as error:
            self._all.logs.log.warning(
                "the history of versions can't be written", version=number, state=state, reason=str(error)
            )
            return str(error)
        return ""

    def note_files(self, number: int, made: Configured) -> None:
        """Those of a version on its way are known from now on, also if nothing more comes of it.

        Nobody waits for it, and a disk that can't take it won't take what comes next either, which says so.
        """

        def write() -> None:
            with contextlib.suppress(ConfigurationError):
                self._all.history.settle(number, "preparing", held=(made.files, made.pinned))

        self._all.disk.later(write)

    async def read(self, look: Callable[[Configured], Target]) -> Target:
        """What ``look`` makes of the configuration that holds, in a thread. Errors: RefusedError."""
        while True:
            current = self.current
            target = await asyncio.to_thread(look, current)
            if self.current is current:
                return target

    async def hold_scaled(self, target: Target | None) -> None:
        """A number of instances becomes a version, unless it is that of the current one.

        An autoscaler goes on from any number, so there it is no more than where it goes on from.
        """
        if target is not None and target.plan.changes:
            target = await self.keep(target)
            await self.hold(replace(self.current, version=target.number, loaded=target.checked.loaded))

    async def hold_what_was_scaled(self, asked: Scale) -> None:
        """The same for what is behind a change, whose end it doesn't concern."""
        try:
            await self.hold_scaled(await self.scaled_to(asked))
        except StartError as error:  # the disk is full, say
            text = "the number of instances is lost when the engine is started again"
            self._all.logs.log.warning(text, instances=asked.instances, reason=str(error))

    async def scaled_to(self, asked: Scale) -> Target | None:
        """The current configuration with that number; None with an autoscaler. Errors: RefusedError."""
        if self.current.loaded.spec.autoscaler is not None:
            return None
        return await self.read(
            lambda current: self._targets.scaled(current, _INSTANCE, asked.instances, by=asked.by)
        )

    async def settle(self, entry: Entry) -> None:
        """What has become of a version that doesn't hold."""
        number = entry.record.version
        kept = self._all.history.find(number) if number is not None else None
        if kept is not None and number != self.current.version and kept.version.state in _ON_ITS_WAY:
            await self.mark(kept.version.number, "failed", entry.record.reason)
