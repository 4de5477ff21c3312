"""What a version needs on this machine, before its first instance starts: fetched, and laid out."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from eas_engine.artifacts.fetching.progress import LogProgress
from eas_engine.configuration import Configured, configured
from eas_engine.updates.fetching import WatchedProgress

if TYPE_CHECKING:
    from eas_engine.updates.book import Entry
    from eas_engine.updates.holding import Holding
    from eas_engine.updates.joined import Joined
    from eas_engine.updates.releases import Releases
    from eas_engine.updates.targets import Target


class Preparing:
    """The preparations of one service, one at a time: the later ones wait for the earlier ones' end."""

    def __init__(self, joined: Joined, releases: Releases, holding: Holding) -> None:
        self._all, self._releases, self._holding = joined, releases, holding
        self.one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Preparing for {self._holding!r}>"

    async def prepare(self, entry: Entry, target: Target) -> tuple[Configured, ExitStack]:
        """Everything on this machine. Errors: StartError; StoppedError when another change came."""
        logs, hold = self._all.logs, ExitStack()
        progress = WatchedProgress(
            LogProgress(self._all.clock, logs.log.info, logs.log.warning),
            lambda figures: entry.change(fetching=figures),
        )
        context = configured(
            target.checked,
            target.number if target.kept else self._holding.current.version,
            places=replace(self._all.places(self._releases.workspaces), keep=self._all.history.files_wanted),
            clock=self._all.clock,
            progress=progress,
            stop=entry.stop,
            files=target.files,
        )
        try:
            async with self.one_at_a_time:
                entry.stop.check()
                made = await asyncio.to_thread(hold.enter_context, context)
            entry.stop.check()
        except BaseException:
            self._all.disk.later(hold.close)
            raise
        if target.is_on_its_way:
            self._holding.note_files(target.number, made)
        return made, hold

    async def as_version(
        self, entry: Entry, target: Target, made: Configured, hold: ExitStack
    ) -> tuple[Target, Configured]:
        """What was made, as a version of its own. Errors: ConfigurationError; StoppedError as above."""
        try:
            version = replace(target.version, files=made.files, pinned=made.pinned)
            target = await self._holding.keep(replace(target, kept=None, version=version))
            entry.change(version=target.number)
            entry.stop.check()
        except BaseException:
            self._all.disk.later(hold.close)
            raise
        return target, replace(made, version=target.number)
