"""Takes what operators ask for, and sees each change to its end.

*Order.* A configuration is read and held against this machine before anything happens, and its artifacts are
fetched before the first instance changes. Then, if it takes new processes, a rollout; only when that is done
the new configuration *holds*: it is the current version on disk, and what needs no new process (the token,
the queue, the rate ...) applies. A change that fails therefore leaves everything as it was; what was begun
goes back by itself (``supervisor``).

*One at a time.* Of two updates the later one counts: the earlier one's preparations are ended, its rollout is
superseded. A release that is tried out (a canary, a shadow) must be promoted or rolled back first.

*Numbers of instances* belong to no release: ``scale`` acts at once, also during an update, and becomes a
version of its own when that is over.

Everything here runs on the engine's loop, and never holds it: configurations are read and artifacts fetched
in threads, versions are kept and marked in that of the disk. So whatever is asked for is looked at anew when
the answer is there: what holds may have changed meanwhile.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

from eas_engine.artifacts.fetching.progress import LogProgress
from eas_engine.configuration import Configured, configured, look_around
from eas_engine.errors import ConfigurationError, StartError
from eas_engine.operations import (
    Asked,
    Drain,
    Effect,
    EventKind,
    Operation,
    OperationKind,
    OperationState,
    Plan,
    Promote,
    RefusedError,
    Replace,
    Restart,
    Rollback,
    Scale,
    Start,
    Stop,
    Update,
    Version,
)
from eas_engine.updates.book import Book, Entry
from eas_engine.updates.fetching import WatchedProgress
from eas_engine.updates.instances import Instances
from eas_engine.updates.numbers import back, forward, refuse_out_of_bounds
from eas_engine.updates.releases import Releases
from eas_engine.updates.targets import Target, Targets, refuse_what_cannot_be
from eas_engine.updates.works import Works

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eas_engine.supervisor.observe import FleetSnapshot
    from eas_engine.supervisor.release import Release, RolloutStatus
    from eas_engine.updates.joined import Joined

_INSTANCE: Final = "metadata.instance"
_LOOK: Final = 1.0  # seconds between two looks at a canary's figures
_SOON: Final = 0.02
_PATIENCE: Final = 1.0  # seconds for a version to be written before others read which there are
_AT_ONCE: Final = (Effect.AT_ONCE, Effect.INSTANCES)
_ON_ITS_WAY: Final = ("preparing", "trying")


@dataclass(slots=True)
class Trial:
    """A release that is tried out. ``scaled``: to a number that it has too, once it is promoted."""

    entry: Entry
    target: Target
    configured: Configured
    release: Release
    scaled: Scale | None = None


class Updates:
    """Changes of one service."""

    def __init__(self, joined: Joined, first: Configured) -> None:
        self._all = joined
        self._clock = joined.clock
        self.current = first
        """The configuration that holds."""
        self.releases = Releases(joined, first)
        self._works = Works(joined, self._ended)
        self._instances = Instances(joined, self.releases, self._works, lambda: self.current.loaded.spec)
        self._targets = Targets(joined.history, joined.clock, joined.machine)
        self._accepting = (
            asyncio.Lock()
        )  # of what takes reading or writing; in the order in which it was asked
        self._holding = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self._busy: Entry | None = None  # its preparations or its rollout are under way
        self._latest: Entry | None = (
            None  # towards another configuration; it may hold, and wait for instances
        )
        self._trial: Trial | None = None
        self._tried: tuple[int, Update] | None = None  # the release of the last trial, and what was asked for
        self._scaled: Scale | None = None  # during an update; becomes a version when that is over

    def __repr__(self) -> str:
        return f"<Updates version {self.current.version}, {self.book!r}>"

    @property
    def book(self) -> Book:
        """What is under way, and what was."""
        return self._works.book

    # -- its life

    async def run(self) -> None:
        """Carries operations out until cancelled."""
        try:
            await self._works.run()
        finally:
            self.releases.close()

    async def started(self) -> None:
        """An instance of the first version is ready: it holds, for whoever starts after a crash."""
        await self._mark(self.current.version, "current")

    def observe(self, fleet: FleetSnapshot) -> None:
        """The instances have changed."""
        self.book.observe(fleet)
        self.releases.observe(fleet)

    # -- what operators ask

    async def plan(self, asked: Update) -> Plan:
        """What an update would do. Errors: RefusedError."""
        return (await self._read(lambda current: self._targets.asked(asked, current))).plan

    async def versions(self) -> tuple[Version, ...]:
        """Those that are kept, oldest first. What is being written down is waited for, within reason."""
        await self._all.disk.settled(_PATIENCE)
        return self._all.history.versions()

    def tried(self, release: int) -> Mapping[str, object]:
        """How a release is tried out, or was, for people and programs; empty when it isn't known."""
        if self._tried is None or self._tried[0] != release:
            return {}
        asked = self._tried[1]
        if asked.canary:
            return {"kind": "canary", "share": asked.canary, "objective": asked.objective}
        return {"kind": "shadow", "share": asked.shadow, "objective": ""}

    async def change(self, asked: Asked) -> Operation:
        """Begin it. Errors: StartError, RefusedError; then nothing was changed."""
        match asked:
            case Promote():
                entry = self._promote(asked)
            case Replace():
                entry = self._instances.replace(asked)
            case Stop() | Start() | Drain():
                entry = self._instances.turn(asked)
            case Rollback(version=None) if self._is_under_way:
                entry = self._begin_to_undo(asked)
            case _:
                async with self._accepting:
                    entry = await self._accept(asked)
        return entry.record

    async def _accept(self, asked: Update | Scale | Restart | Rollback) -> Entry:
        match asked:
            case Update():
                return await self._update(asked)
            case Scale():
                return await self._scale(asked)
            case Restart():
                return await self._restart(asked)
            case Rollback():
                return await self._roll_back(asked)
            case _:
                assert_never(asked)

    async def _update(self, asked: Update) -> Entry:
        def look(current: Configured) -> Target:
            target = self._targets.asked(asked, current)
            refuse_what_cannot_be(target, asked)
            return target

        target = await self._read(look)
        self._refuse_during_a_trial()
        await asyncio.to_thread(look_around, target.checked)
        return await self._set_out("update", asked.by, target, asked)

    async def _scale(self, asked: Scale) -> Entry:
        refuse_out_of_bounds(asked.instances, self.current.loaded.spec)
        target = await self._scaled_to(asked)  # what can't be is refused now, also during an update
        if self._busy is None:
            await self._hold_scaled(target)
        if self._busy is not None:
            self._scaled = asked
        elif self._trial is not None:
            self._trial.scaled = asked
        before = self._all.supervisor.snapshot().wanted
        self._all.supervisor.scale(asked.instances)
        text = f"{before} -> {asked.instances} instances"
        self._all.events.tell("scaled", text, by=asked.by, before=before, after=asked.instances)

        async def scaled(entry: Entry) -> None:
            if self._all.supervisor.snapshot().stopped:
                entry.change(wanted=asked.instances)
                entry.end(OperationState.DONE, "from eas-engine start on: the service is stopped")
            await self._instances.wait(entry)

        return self._works.begin("scale", asked.by, scaled, Effect.INSTANCES)

    async def _restart(self, asked: Restart) -> Entry:
        self._refuse_during_a_trial()

        def look(current: Configured) -> Target:
            kept = self._targets.kept(current)
            target = self._targets.again(kept, current, kind=kept.version.kind, by=kept.version.by)
            return replace(target, plan=Plan(effect=Effect.ROLLOUT))

        return await self._set_out("restart", asked.by, await self._read(look))

    async def _roll_back(self, asked: Rollback) -> Entry:
        if asked.version is None and self._is_under_way:
            return self._begin_to_undo(asked)
        self._refuse_during_a_trial()
        history = self._all.history
        kept = history.previous if asked.version is None else history.find(asked.version)
        if kept is None:
            lacking = "version before this one" if asked.version is None else f"version {asked.version}"
            known = ", ".join(str(one.number) for one in history.versions()[-20:])
            raise RefusedError(f"there is no {lacking} (there are: {known})")
        if kept.version.number == self.current.version and self._busy is None:
            raise RefusedError(f"version {kept.version.number} is the current one")
        target = await self._read(
            lambda current: self._targets.again(kept, current, kind="rollback", by=asked.by)
        )
        await asyncio.to_thread(look_around, target.checked)
        return await self._set_out("rollback", asked.by, target)

    def _begin_to_undo(self, asked: Rollback) -> Entry:
        return self._works.begin(
            "rollback", asked.by, lambda entry: self._undo(entry, asked.by), Effect.ROLLOUT
        )

    async def _read(self, look: Callable[[Configured], Target]) -> Target:
        """What ``look`` makes of the configuration that holds, in a thread. Errors: RefusedError."""
        while True:
            current = self.current
            target = await asyncio.to_thread(look, current)
            if self.current is current:
                return target

    def _promote(self, asked: Promote) -> Entry:
        trial = self._trial
        if trial is None:
            raise RefusedError("nothing is tried out; eas-engine update FILE --canary 10%", conflict=True)
        if trial.entry.record.state is not OperationState.TRYING:
            raise RefusedError("no instance of what is tried out is ready yet", conflict=True)
        self._trial = None
        if trial.configured.loaded.spec.autoscaler is None:
            self._scaled = trial.scaled
        text = f"version {trial.configured.version} is promoted"
        self._all.events.tell("promoted", text, by=asked.by, after=trial.configured.version)
        entry = self._works.begin(
            "promote", asked.by, lambda own: self._see_promotion(own, trial), Effect.ROLLOUT
        )
        entry.change(version=trial.configured.version)
        self._busy = self._latest = entry
        return entry

    # -- refusals

    @property
    def _is_under_way(self) -> bool:
        """Whether there is something to undo; what applies at once will be done in a moment."""
        rolling = self._busy is not None and self._busy.record.effect not in _AT_ONCE
        return rolling or self._trial is not None

    def _refuse_during_a_trial(self) -> None:
        if self._trial is not None:
            raise RefusedError(
                f"version {self._trial.configured.version} is being tried out: "
                "eas-engine promote or eas-engine rollback first",
                conflict=True,
            )

    # -- seeing it through

    async def _ended(self, entry: Entry) -> None:
        """An operation is over; what had to wait for it doesn't any more."""
        await self._give_way(entry)
        await self._settle(entry)

    async def _give_way(self, entry: Entry) -> None:
        """It is no longer what is under way; a number of instances that was asked for meanwhile holds."""
        if self._busy is entry:
            async with self._accepting:
                await self._leave_off(entry)

    async def _leave_off(self, entry: Entry) -> None:
        if self._busy is entry:
            self._busy = None
            asked, self._scaled = self._scaled, None
            if asked is not None:
                await self._hold_what_was_scaled(asked)

    async def _set_out(
        self, kind: OperationKind, by: str, target: Target, asked: Update | None = None
    ) -> Entry:
        """Towards another configuration. What was under way before gives way to it."""
        if self._busy is not None:
            target = replace(target, plan=replace(target.plan, effect=Effect.ROLLOUT))
        if target.plan.effect is not Effect.NOTHING:
            target = await self._keep(target)
            await self._refuse_late(target)
        latest = self._latest
        if latest is not None:
            latest.change(reason=f"another {kind} took its place")
            latest.stop.set()
        entry = self._works.begin(
            kind,
            by,
            lambda entry: self._carry_out(entry, target, asked),
            target.plan.effect,
            OperationState.PREPARING,
        )
        number = target.kept.version.number if target.kept else self.current.version
        entry.change(version=number, warnings=target.plan.warnings)
        self._busy = self._latest = entry
        return entry

    async def _refuse_late(self, target: Target) -> None:
        """What was under way may have become a trial while the version was written. Errors: RefusedError."""
        try:
            self._refuse_during_a_trial()
        except RefusedError as error:
            if target.kept is not None and target.kept.version.state in _ON_ITS_WAY:
                await self._mark(target.number, "failed", str(error))
            raise

    async def _carry_out(self, entry: Entry, target: Target, asked: Update | None) -> None:
        if target.plan.effect in _AT_ONCE:
            await self._apply(entry, target)
            return
        made, hold = await self._prepare(entry, target)
        if target.plan.effect is Effect.NOTHING:
            if made.artifacts.is_like(self.current.artifacts):
                self._all.disk.later(hold.close)
                entry.end(OperationState.DONE, "nothing is new")
                return
            target = await self._keep(target)
            made = replace(made, version=target.number)
            entry.change(
                version=target.number,
                effect=Effect.ROLLOUT,
                reason="the files of the model or the processor are new",
            )
        if asked is not None and (asked.canary or asked.shadow):
            await self._try_out(entry, target, made, hold, asked)
            return
        entry.release = self.releases.next
        entry.change(state=OperationState.ROLLING, updated=0)
        before, wanted = self._all.supervisor.snapshot().wanted, self._wanted(made)
        status = await self.releases.roll_out(made, hold, wanted)
        await self._see_rollout(entry, made, status, (before, wanted))

    async def _apply(self, entry: Entry, target: Target) -> None:
        """What needs no new release holds at once; whatever comes from then on starts from there."""
        async with self._accepting:  # whoever asks for something meanwhile finds it done
            before = self._all.supervisor.snapshot().wanted
            lost = await self._hold(self._alike(target))
            await self._leave_off(entry)
        if self._all.supervisor.snapshot().wanted != before:
            await self._instances.wait(entry)
        entry.end(OperationState.DONE, lost)

    async def _prepare(self, entry: Entry, target: Target) -> tuple[Configured, ExitStack]:
        """Everything on this machine. Errors: StartError; StoppedError when another change came."""
        logs, hold = self._all.logs, ExitStack()
        progress = WatchedProgress(
            LogProgress(self._clock, logs.log.info, logs.log.warning),
            lambda figures: entry.change(fetching=figures),
        )
        context = configured(
            target.checked,
            target.number if target.kept else self.current.version,
            places=self._all.places(self.releases.workspaces),
            clock=self._clock,
            progress=progress,
            stop=entry.stop,
        )
        try:
            async with self._preparing:  # workspaces are made by one at a time
                entry.stop.check()
                made = await asyncio.to_thread(hold.enter_context, context)
            entry.stop.check()
        except BaseException:
            self._all.disk.later(hold.close)
            raise
        return made, hold

    async def _see_rollout(
        self, entry: Entry, made: Configured, status: RolloutStatus, numbers: tuple[int, int]
    ) -> None:
        """Its end is known. ``numbers``: of instances that were wanted before it, and by it."""
        if status.state == "done":
            reason = entry.record.reason
            lost = await self._hold(made)
            await self._give_way(entry)
            entry.end(OperationState.DONE, lost or reason)
        elif status.state == "superseded":
            entry.end(OperationState.SUPERSEDED, entry.record.reason or "another rollout took its place")
        else:
            now = self._all.supervisor.snapshot().wanted
            before = back(self.current.loaded.spec, numbers, now, self._scaled)
            if before is not None:
                self._all.supervisor.scale(before)
            await self._give_way(entry)
            lines = "".join(f"\n  {line}" for line in status.lines)
            entry.end(OperationState.FAILED, f"rolled back: {status.reason}{lines}")

    # -- a canary or a shadow

    async def _try_out(
        self, entry: Entry, target: Target, made: Configured, hold: ExitStack, asked: Update
    ) -> None:
        release, end = self.releases.try_out(made, hold, asked)
        self._trial = Trial(entry, target, made, release)
        self._tried = (release.number, asked)
        self._busy = None
        number = release.number

        def ready() -> bool:
            trial = self.releases.fleet.trial
            return end.done() or (
                trial is not None and trial.release == number and trial.ready >= trial.wanted
            )

        entry.change(state=OperationState.ROLLING)
        await self.releases.until(ready)
        if not end.done():
            await self._mark(made.version, "trying")
        if not end.done():
            entry.change(state=OperationState.TRYING)
            kind = "canary" if asked.canary else "shadow"
            share = asked.canary or asked.shadow or 0.0
            text = f"version {made.version} is tried out: a {kind} of {share:.4g}"
            told: EventKind = "canary_ready" if asked.canary else "shadow_ready"
            self._all.events.tell(told, text, by=asked.by, after=made.version)
        while not end.done():
            if asked.objective and (reason := self._all.lanes.broken(number, asked.objective)):
                self._all.supervisor.dismiss(f"its objective is not met: {reason}")
            await self.releases.until(end.done, self._clock.now() + _LOOK)
        status = end.result()
        if status.state == "dismissed":
            self._trial = None
            self.releases.dismissed(release)
            lines = "".join(f"\n  {line}" for line in status.lines)
            entry.end(OperationState.FAILED, f"dismissed: {status.reason}{lines}")
        else:  # promoted: how that ends is the end of both
            await self.releases.until(lambda: entry.is_over)

    async def _see_promotion(self, entry: Entry, trial: Trial) -> None:
        before, wanted = self._all.supervisor.snapshot().wanted, self._wanted(trial.configured)
        status = await self.releases.promote(trial.release, trial.configured, wanted)
        await self._see_rollout(entry, trial.configured, status, (before, wanted))
        trial.entry.end(entry.record.state, entry.record.reason or "promoted")

    async def _undo(self, entry: Entry, by: str) -> None:
        """What is under way, or is tried out, goes."""
        other = self._trial.entry if self._trial is not None else self._busy
        reason = f"by {by}" if by else "by the operator"
        if other is None:
            entry.end(OperationState.DONE, "it was over already")
            return
        if not self._all.supervisor.dismiss(reason) and not self._all.supervisor.roll_back(reason):
            other.change(reason=f"rolled back {reason}")
            other.stop.set()
        while not other.is_over:
            await self._clock.sleep(_SOON)
        entry.end(OperationState.DONE)

    # -- what holds

    async def _hold(self, made: Configured) -> str:
        """The configuration holds from now on. Why the next start won't know that; as a rule it will."""
        async with self._holding:
            before, self.current = self.current, made
            await self._all.adopt(made)
            if made.version == before.version:
                return ""
            text = f"version {made.version} took the place of version {before.version}"
            self._all.events.tell("version", text, before=before.version, after=made.version)
            lost = await self._mark(made.version, "current")
        return f"until the engine is started again: {lost}" if lost else ""

    async def _keep(self, target: Target) -> Target:
        """The same, as a version of its own. Errors: ConfigurationError."""
        return await self._all.disk.do(self._targets.keep, target)

    async def _mark(self, number: int, state: str, reason: str = "") -> str:
        """Write down what became of a version. If that can't be done, why; it is so all the same."""
        history, at = self._all.history, self._clock.wall()
        try:
            await self._all.disk.do(history.settle, number, state, reason, at=at)
        except ConfigurationError as error:
            self._all.logs.log.warning(
                "the history of versions can't be written", version=number, state=state, reason=str(error)
            )
            return str(error)
        return ""

    def _alike(self, target: Target) -> Configured:
        """The current processes, under another configuration."""
        told = tuple(target.plan.warnings)
        loaded = target.checked.loaded
        self._all.supervisor.scale(self._wanted(replace(self.current, loaded=loaded)))
        return replace(self.current, version=target.number, loaded=loaded, warnings=told)

    async def _hold_scaled(self, target: Target | None) -> None:
        """A number of instances becomes a version, unless it is that of the current one.

        An autoscaler goes on from any number, so there it is no more than where it goes on from.
        """
        if target is not None and target.plan.changes:
            target = await self._keep(target)
            await self._hold(replace(self.current, version=target.number, loaded=target.checked.loaded))

    async def _hold_what_was_scaled(self, asked: Scale) -> None:
        """The same for what is behind a change, whose end it doesn't concern."""
        try:
            await self._hold_scaled(await self._scaled_to(asked))
        except StartError as error:  # the disk is full, say
            text = "the number of instances is lost when the engine is started again"
            self._all.logs.log.warning(text, instances=asked.instances, reason=str(error))

    async def _scaled_to(self, asked: Scale) -> Target | None:
        """The current configuration with that number; None with an autoscaler. Errors: RefusedError."""
        if self.current.loaded.spec.autoscaler is not None:
            return None
        return await self._read(
            lambda current: self._targets.scaled(current, _INSTANCE, asked.instances, by=asked.by)
        )

    async def _settle(self, entry: Entry) -> None:
        """What has become of a version that doesn't hold."""
        number = entry.record.version
        kept = self._all.history.find(number) if number is not None else None
        if kept is not None and number != self.current.version and kept.version.state in _ON_ITS_WAY:
            await self._mark(kept.version.number, "failed", entry.record.reason)

    def _wanted(self, made: Configured) -> int:
        """How many instances a configuration wants."""
        now = self._all.supervisor.snapshot().wanted
        return forward(made.loaded.spec, self.current.loaded.spec, now, self._scaled)
