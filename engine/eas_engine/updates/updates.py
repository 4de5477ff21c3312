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
from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from eas_engine.configuration import Configured, look_around
from eas_engine.operations import (
    Asked,
    Drain,
    Effect,
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
from eas_engine.updates.holding import Holding
from eas_engine.updates.instances import Instances
from eas_engine.updates.numbers import back, forward, refuse_out_of_bounds
from eas_engine.updates.preparing import Preparing
from eas_engine.updates.releases import Releases
from eas_engine.updates.targets import NEW, Target, Targets, refuse_what_cannot_be
from eas_engine.updates.trials import Trials
from eas_engine.updates.works import Works

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eas_engine.supervisor.observe import FleetSnapshot
    from eas_engine.supervisor.release import RolloutStatus
    from eas_engine.updates.joined import Joined
    from eas_engine.updates.trials import Trial

_INSTANCE: Final = "metadata.instance"
_LOOK: Final = 1.0  # seconds between two looks at a canary's figures
_SOON: Final = 0.02
_PATIENCE: Final = 1.0  # seconds for a version to be written before others read which there are
_AT_ONCE: Final = (Effect.AT_ONCE, Effect.INSTANCES)


class Updates:
    """Changes of one service."""

    def __init__(self, joined: Joined, first: Configured) -> None:
        self._all = joined
        self._clock = joined.clock
        self._targets = Targets(joined.history, joined.clock, joined.machine, joined.places(()).root)
        self._holding = Holding(joined, self._targets, first)
        self.releases = Releases(joined, first)
        self._works = Works(joined, self._ended)
        self._instances = Instances(joined, self.releases, self._works, lambda: self.current.loaded.spec)
        self._trials = Trials(joined, self.releases, self._holding)
        self._accepting = asyncio.Lock()  # what takes reading or writing, in the order in which it was asked
        self._preparing = Preparing(joined, self.releases, self._holding)
        # its preparations or its rollout are under way
        self._busy: Entry | None = None
        # towards another configuration; it may hold, and wait for instances
        self._latest: Entry | None = None
        # during an update; becomes a version when that is over
        self._scaled: Scale | None = None

    def __repr__(self) -> str:
        return f"<Updates version {self.current.version}, {self.book!r}>"

    @property
    def book(self) -> Book:
        """What is under way, and what was."""
        return self._works.book

    @property
    def current(self) -> Configured:
        """The configuration that holds."""
        return self._holding.current

    # -- its life

    async def run(self) -> None:
        """Carries operations out until cancelled."""
        try:
            await self._works.run()
        finally:
            self.releases.close()

    async def started(self) -> None:
        """An instance of the first version is ready: it holds, for whoever starts after a crash."""
        await self._holding.mark(self.current.version, "current", held=self.current)

    def observe(self, fleet: FleetSnapshot) -> None:
        """The instances have changed."""
        self.book.observe(fleet)
        self.releases.observe(fleet)

    # -- what operators ask

    async def plan(self, asked: Update) -> Plan:
        """What an update would do. Errors: RefusedError."""
        return (await self._holding.read(lambda current: self._targets.asked(asked, current))).plan

    async def versions(self) -> tuple[Version, ...]:
        """Those that are kept, oldest first."""
        return await self._holding.versions()

    def tried(self, release: int) -> Mapping[str, object]:
        """How a release is tried out, or was, for people and programs; empty when it isn't known."""
        return self._trials.how(release)

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
            refuse_what_cannot_be(target, asked, current)
            return target

        target = await self._holding.read(look)
        self._trials.refuse_others()
        await asyncio.to_thread(look_around, target.checked)
        return await self._set_out("update", asked.by, target, asked)

    async def _scale(self, asked: Scale) -> Entry:
        refuse_out_of_bounds(asked.instances, self.current.loaded.spec)
        target = await self._holding.scaled_to(asked)  # what can't be is refused now, also during an update
        if self._busy is None:
            await self._holding.hold_scaled(target)
        if self._busy is not None:
            self._scaled = asked
        elif self._trials.current is not None:
            self._trials.current.scaled = asked
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
        self._trials.refuse_others()

        target = await self._holding.read(lambda current: self._targets.restarted(current, by=asked.by))
        return await self._set_out("restart", asked.by, target)

    async def _roll_back(self, asked: Rollback) -> Entry:
        if asked.version is None and self._is_under_way:
            return self._begin_to_undo(asked)
        self._trials.refuse_others()
        history = self._all.history
        kept = history.previous if asked.version is None else history.find(asked.version)
        if kept is None:
            lacking = "version before this one" if asked.version is None else f"version {asked.version}"
            known = ", ".join(str(one.number) for one in history.versions()[-20:])
            raise RefusedError(f"there is no {lacking} (there are: {known})")
        if kept.version.number == self.current.version and self._busy is None:
            raise RefusedError(f"version {kept.version.number} is the current one")
        target = await self._holding.read(
            lambda current: self._targets.again(kept, current, by=asked.by, new_files=asked.new_files)
        )
        await asyncio.to_thread(look_around, target.checked, target.files)
        return await self._set_out("rollback", asked.by, target)

    def _begin_to_undo(self, asked: Rollback) -> Entry:
        return self._works.begin(
            "rollback", asked.by, lambda entry: self._undo(entry, asked.by), Effect.ROLLOUT
        )

    def _promote(self, asked: Promote) -> Entry:
        trial = self._trials.promote()
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

    @property
    def _is_under_way(self) -> bool:
        """Whether there is something to undo; what applies at once will be done in a moment."""
        rolling = self._busy is not None and self._busy.record.effect not in _AT_ONCE
        return rolling or self._trials.current is not None

    # -- seeing it through

    async def _ended(self, entry: Entry) -> None:
        """An operation is over; what had to wait for it doesn't any more."""
        await self._give_way(entry)
        await self._holding.settle(entry)

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
                await self._holding.hold_what_was_scaled(asked)

    async def _set_out(
        self, kind: OperationKind, by: str, target: Target, asked: Update | None = None
    ) -> Entry:
        """Towards another configuration. What was under way before gives way to it."""
        if self._busy is not None:
            notes = (target.news,) if target.news else ()  # others say what it would leave alone
            target = replace(target, plan=replace(target.plan, effect=Effect.ROLLOUT, notes=notes))
        if target.plan.effect is not Effect.NOTHING:
            target = await self._holding.keep(target)
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
        entry.change(version=number, warnings=target.warnings, reason=target.news)
        self._busy = self._latest = entry
        return entry

    async def _refuse_late(self, target: Target) -> None:
        """What was under way may have become a trial while the version was written. Errors: RefusedError."""
        try:
            self._trials.refuse_others()
        except RefusedError as error:
            if target.is_on_its_way:
                await self._holding.mark(target.number, "failed", str(error))
            raise

    async def _carry_out(self, entry: Entry, target: Target, asked: Update | None) -> None:
        if target.plan.effect in _AT_ONCE:
            await self._apply(entry, target)
            return
        if target.plan.effect is Effect.NOTHING and target.same:
            await self._end_without_news(entry, target, asked)
            return
        made, hold = await self._preparing.prepare(entry, target)
        is_new = not made.artifacts.is_like(self.current.artifacts)
        if target.plan.effect is Effect.NOTHING and not is_new:
            self._all.disk.later(hold.close)
            await self._end_without_news(entry, target, asked)
            return
        if is_new and (target.plan.effect is Effect.NOTHING or target.number == self.current.version):
            target, made = await self._preparing.as_version(entry, target, made, hold)
            entry.change(effect=Effect.ROLLOUT, reason=NEW)
        if asked is not None and (asked.canary or asked.shadow):
            trial = self._trials.begin(entry, made, hold, asked)
            self._busy = None
            await self._trials.see(trial)
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
            lost = await self._holding.hold(self._alike(target))
            await self._leave_off(entry)
        if self._all.supervisor.snapshot().wanted != before:
            await self._instances.wait(entry)
        entry.end(OperationState.DONE, lost)

    async def _end_without_news(self, entry: Entry, target: Target, asked: Update | None) -> None:
        """A version that is gone back to holds from now on, also if it is like the one that did."""
        if asked is not None and (asked.canary or asked.shadow):
            entry.end(OperationState.FAILED, "nothing that could be tried out: the files are the same, too")
        elif target.kept is None:
            if not target.files:
                async with self._accepting:
                    await self._holding.let_go(entry.record.version)
            entry.end(OperationState.DONE, "nothing is new")
        else:
            entry.change(effect=Effect.AT_ONCE)
            await self._apply(entry, target)

    async def _see_rollout(
        self, entry: Entry, made: Configured, status: RolloutStatus, numbers: tuple[int, int]
    ) -> None:
        """Its end is known. ``numbers``: of instances that were wanted before it, and by it."""
        if status.state == "done":
            reason = entry.record.reason
            lost = await self._holding.hold(made)
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

    async def _see_promotion(self, entry: Entry, trial: Trial) -> None:
        before, wanted = self._all.supervisor.snapshot().wanted, self._wanted(trial.configured)
        status = await self.releases.promote(trial.release, trial.configured, wanted)
        await self._see_rollout(entry, trial.configured, status, (before, wanted))
        trial.entry.end(entry.record.state, entry.record.reason or "promoted")

    async def _undo(self, entry: Entry, by: str) -> None:
        """What is under way, or is tried out, goes."""
        other = self._trials.current.entry if self._trials.current is not None else self._busy
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

    def _alike(self, target: Target) -> Configured:
        """The current processes, under another configuration."""
        told = tuple(target.plan.warnings)
        loaded = target.checked.loaded
        self._all.supervisor.scale(self._wanted(replace(self.current, loaded=loaded)))
        pinned = self.current.pinned or bool(target.files)
        return replace(self.current, version=target.number, loaded=loaded, warnings=told, pinned=pinned)

    def _wanted(self, made: Configured) -> int:
        """How many instances a configuration wants."""
        now = self._all.supervisor.snapshot().wanted
        return forward(made.loaded.spec, self.current.loaded.spec, now, self._scaled)
