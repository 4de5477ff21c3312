"""What is tried out beside a service: a canary or a shadow, from its beginning to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eas_engine.operations import EventKind, OperationState, RefusedError, Scale

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from contextlib import ExitStack

    from eas_engine.configuration import Configured
    from eas_engine.operations import Update
    from eas_engine.supervisor.release import Release, TrialStatus
    from eas_engine.updates.book import Entry
    from eas_engine.updates.holding import Holding
    from eas_engine.updates.joined import Joined
    from eas_engine.updates.releases import Releases

_LOOK: Final = 1.0  # seconds between two looks at a canary's figures


@dataclass(slots=True)
class Trial:
    """A release that is tried out. ``scaled``: to a number that it has too, once it is promoted."""

    entry: Entry
    configured: Configured
    release: Release
    asked: Update
    end: asyncio.Future[TrialStatus]
    scaled: Scale | None = None


class Trials:
    """Those of one service, one at a time."""

    def __init__(self, joined: Joined, releases: Releases, holding: Holding) -> None:
        self._all, self._releases, self._holding = joined, releases, holding
        self._last: Trial | None = None
        self.current: Trial | None = None

    def __repr__(self) -> str:
        return f"<Trials {self.current!r}>"

    def refuse_others(self) -> None:
        """Errors: RefusedError while one is under way."""
        if self.current is not None:
            raise RefusedError(
                f"version {self.current.configured.version} is being tried out: "
                "eas-engine promote or eas-engine rollback first",
                conflict=True,
            )

    def how(self, release: int) -> Mapping[str, object]:
        """How a release is tried out, or was, for people and programs; empty when it isn't known."""
        if self._last is None or self._last.release.number != release:
            return {}
        asked = self._last.asked
        if asked.canary:
            return {"kind": "canary", "share": asked.canary, "objective": asked.objective}
        return {"kind": "shadow", "share": asked.shadow, "objective": ""}

    def begin(self, entry: Entry, made: Configured, hold: ExitStack, asked: Update) -> Trial:
        """Another one; ``see`` sees it to its end."""
        release, end = self._releases.try_out(made, hold, asked)
        self.current = self._last = Trial(entry, made, release, asked, end)
        entry.change(state=OperationState.ROLLING)
        return self.current

    def promote(self) -> Trial:
        """It is none any more. Errors: RefusedError when there is none that is ready."""
        trial = self.current
        if trial is None:
            raise RefusedError("nothing is tried out; eas-engine update FILE --canary 10%", conflict=True)
        if trial.entry.record.state is not OperationState.TRYING:
            raise RefusedError("no instance of what is tried out is ready yet", conflict=True)
        self.current = None
        return trial

    async def see(self, trial: Trial) -> None:
        """Until it is promoted, and that has an end, or dismissed."""
        await self._wait_ready(trial)
        asked, end = trial.asked, trial.end
        while not end.done():
            number = trial.release.number
            if asked.objective and (reason := self._all.lanes.broken(number, asked.objective)):
                self._all.supervisor.dismiss(f"its objective is not met: {reason}")
            await self._releases.until(end.done, self._all.clock.now() + _LOOK)
        status = end.result()
        if status.state == "dismissed":
            self.current = None
            self._releases.dismissed(trial.release)
            lines = "".join(f"\n  {line}" for line in status.lines)
            trial.entry.end(OperationState.FAILED, f"dismissed: {status.reason}{lines}")
        else:  # promoted: how that ends is the end of both
            await self._releases.until(lambda: trial.entry.is_over)

    async def _wait_ready(self, trial: Trial) -> None:
        end, version = trial.end, trial.configured.version

        def ready() -> bool:
            seen = self._releases.fleet.trial
            of_it = seen is not None and seen.release == trial.release.number
            return end.done() or (of_it and seen is not None and seen.ready >= seen.wanted)

        await self._releases.until(ready)
        if not end.done():
            await self._holding.mark(version, "trying")
        if end.done():
            return
        trial.entry.change(state=OperationState.TRYING)
        asked = trial.asked
        kind = "canary" if asked.canary else "shadow"
        share = asked.canary or asked.shadow or 0.0
        told: EventKind = "canary_ready" if asked.canary else "shadow_ready"
        text = f"version {version} is tried out: a {kind} of {share:.4g}"
        self._all.events.tell(told, text, by=asked.by, after=version)
