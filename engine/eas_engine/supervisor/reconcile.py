"""The loop that keeps the instances as they should be.

    observe   an immutable snapshot of the hosts
    plan      a pure function: which actions
    act       each action is one synchronous call on one host, or on what is wanted

It wakes when a host has changed, when something else is wanted, or when a moment comes that the plan waits
for (the end of a back-off, of a grace period, of a rollout's time), and never polls. Each living host has one
task, and all of them one ``TaskGroup``, in ``run``: if that is cancelled, every host is killed and reaped
before it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from eas_engine.clock import Clock, SystemClock, wait_any, wait_until
from eas_engine.errors import ProcessorError, StartError
from eas_engine.supervisor.actions import (
    Action,
    Block,
    Complete,
    Dismiss,
    Drain,
    End,
    Expire,
    GiveUp,
    Kill,
    Remove,
    RollBack,
    Start,
)
from eas_engine.supervisor.causes import Condemned
from eas_engine.supervisor.changes import Rollout, Trial
from eas_engine.supervisor.gpu_memory import Cards
from eas_engine.supervisor.host import DUMP_SECONDS, LAST_STEPS, Host
from eas_engine.supervisor.instance import Channel, Hooks, Surroundings
from eas_engine.supervisor.intent import Intent
from eas_engine.supervisor.launch import Execute, execute
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import Crash, FleetSnapshot, HostSnapshot, Seat
from eas_engine.supervisor.place import Anywhere, NoPlace, Place, Placer
from eas_engine.supervisor.plan import failure, plan, wake_at
from eas_engine.supervisor.release import Release, Strategy
from eas_engine.supervisor.scene import Scenes
from eas_engine.supervisor.seats import Seats
from eas_engine.supervisor.settings import Settings

LINES_TOLD = 20
"""Last log lines in the message of an engine that gives up."""


class Supervisor:
    """Starts, watches, restarts and stops the hosts of one service.

    Args:
        release: what the first instances are started from.
        channels: makes the data plane's side of a host, given the host's name and its release's number.
        instances: how many are wanted at first.
        placer: says where instances run.
        clock: for back-offs and grace periods.
        hooks: whom to tell.
        execute: how a host is executed; tests have another one.
        cards: who knows what processes have on cards; None: nobody.
        scenes: where crashes are kept with ``settings.crash_block``.
    """

    def __init__(
        self,
        release: Release,
        channels: Callable[[str, int], Channel],
        *,
        instances: int = 1,
        placer: Placer | None = None,
        clock: Clock | None = None,
        hooks: Hooks | None = None,
        execute: Execute = execute,
        scenes: Scenes | None = None,
        cards: Cards | None = None,
    ) -> None:
        self._service = release.settings.service
        self._clock = clock or SystemClock()
        self._hooks = hooks or Hooks()
        self._intent = Intent(release, instances, self._clock, self._told)
        surroundings = Surroundings(
            channels, execute, self._clock, self._hooks, scenes, self._scenes_in_use, cards
        )
        self._seats = Seats(surroundings, placer or Anywhere(), self._changed)
        for number in range(instances):
            self._seats.add(Seat(number, 0), release)
        self._ever_ready = False
        self._stop_by: float | None = None
        self._failure: StartError | None = None
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False

    def __repr__(self) -> str:
        return f"<Supervisor {self._service} {self._intent!r} {self._seats!r}>"

    # -- its life

    async def run(self) -> None:
        """Until stopped. Raises ``ProcessorError`` when the processor can't be had."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                while not self._ended.is_set():
                    await self._reconcile(tasks)
        finally:
            self._seats.leave_all()
            self._ended.set()
        if self._failure is not None:
            raise self._failure

    async def stop(self, grace: float) -> None:
        """Drain all hosts at once and return when they are gone, after ``grace`` seconds at the latest.

        Called again, the earlier end counts; 0 kills what is left.
        """
        self._stop(self._clock.now() + grace)
        if self._running:
            await self._ended.wait()

    async def wait_ready(self) -> None:
        """Until an instance is ready. Raises ``StartError`` if that won't come."""
        await wait_any(self._ready.wait(), self._ended.wait())
        if not self._ready.is_set():
            raise self._failure or StartError("stopped before an instance was ready")

    # -- for the data plane

    def stuck(self, host: str) -> None:
        """A call in this host is longer than ``rpc.stuck_timeout``: it takes nothing new and is restarted."""
        cause = "stuck: a call takes longer than rpc.stuck_timeout"
        for one in self._named(host):
            by = self._clock.now() + max(one.settings.grace, DUMP_SECONDS + LAST_STEPS)
            one.condemn(Condemned("stuck", cause, answers_first=True, dump=True), by)

    def broken(self, host: str, cause: str) -> None:
        """The channel was closed by the host, or speaks nonsense: unless it dies by itself, it is ended."""
        for one in self._named(host):
            one.condemn(Condemned("link", cause), self._clock.now() + LAST_STEPS)

    def card_lost(self, card: str, why: str) -> None:
        """That card, or slice, is gone: its instances are ended, and start where another one is free.

        The placer must hear of it first; it isn't taken from it any more.
        """
        self._hooks.warn("card_lost", card=card, reason=why)
        self._seats.lose_card(card, why)
        self._changed()

    def card_back(self, card: str) -> None:
        """A card that was gone answers again: who waits for a place may start there."""
        self._seats.regain_card(card)
        self._changed()

    def check_card(self, card: str, why: str) -> None:
        """Something happened on that card: each process there looks whether it was hit, and leaves if so.

        Empty: nobody knows on which.
        """
        for host in self._seats.on_card(card):
            host.check_gpu(why)

    # -- how many, and of what

    def scale(self, instances: int) -> None:
        """So many instances should be ready from now on; 0: asleep. Also while a release is rolled out.

        What runs is never restarted: more are started, or the superfluous leave. A service that was stopped
        stays so, with that number in mind. Raises ``ValueError`` for fewer than 0.
        """
        before = self._intent.wanted
        self._intent.scale(instances)
        if instances != before:
            self._hooks.log("scaled", before=before, after=instances)
        self._changed()

    def sleep(self) -> None:
        """No instance until ``wake``, or ``scale``; requests may wait for that."""
        self.scale(0)

    def wake(self, instances: int = 1) -> None:
        """So many instances, if the service is asleep; else no change."""
        if not self._intent.wanted:
            self.scale(instances)

    def stop_service(self) -> None:
        """No instance until ``start_service``; requests are refused."""
        self._intent.stop()
        self._hooks.log("service_stopped")
        self._changed()

    def start_service(self) -> None:
        """As many instances as before ``stop_service``, or as ``scale`` said since."""
        self._intent.start()
        self._hooks.log("service_started", instances=self._intent.wanted)
        self._changed()

    def roll_out(self, release: Release, strategy: Strategy) -> None:
        """Let the release take the place of what runs; a rollout that isn't done yet is superseded.

        It goes back by itself if an instance of the release fails three starts in a row, if the processor
        refuses, and if it isn't done in time. Raises ``ValueError`` if the release's number isn't new.
        """
        self._intent.roll_out(release, strategy)
        self._changed()

    def roll_back(self, reason: str) -> bool:
        """End the rollout and go back to the release before. False if none is under way."""
        known = self._intent.roll_back(reason)
        self._changed()
        return known

    def try_out(self, release: Release, instances: int = 1, timeout: float = 300.0) -> None:
        """So many instances of the release beside the wanted ones; what was tried out before is dismissed.

        It is dismissed by itself if an instance can't be started, or if not all of them are ready after
        ``timeout`` seconds. Raises ``ValueError`` if the release's number isn't new, or for no instance.
        """
        self._intent.try_out(release, instances, timeout)
        self._changed()

    def promote(self, strategy: Strategy) -> bool:
        """Roll out what is tried out: its instances are the first of them. False if there is nothing."""
        known = self._intent.promote(strategy)
        self._changed()
        return known

    def dismiss(self, reason: str) -> bool:
        """What is tried out leaves. False if there is nothing."""
        known = self._intent.dismiss(reason)
        self._changed()
        return known

    def replace(self, instance: str) -> bool:
        """Let another instance take the place of this one, within the bounds of the last strategy.

        False if there is none of that name, or if it is leaving anyway.
        """
        meant = [one for one in self._seats.instances() if one.name == instance and not one.leaving]
        for one in meant:
            self._intent.mark(one.number)
        self._changed()
        return bool(meant)

    def probe(self, place: Callable[[str, Settings], Place | NoPlace]) -> str | None:
        """One instance more than wanted, of the running release, if ``place`` has one for it; its name.

        Its name and settings are what ``place`` is asked with; the placer must know of that place then. None
        without a place, during a rollout, and while no instance is wanted.
        """
        intent = self._intent
        if not intent.effective or intent.target is not intent.running or self._stop_by is not None:
            return None
        number = self._seats.free()
        name = intent.running.instance(number)
        if isinstance(place(name, intent.running.settings), NoPlace):
            return None
        self._seats.add(Seat(number, 0), intent.running)
        intent.probe(number)
        self._changed()
        return name

    def placed(self, instance: str) -> None:
        """The placer knows now whether there is a place for that instance, for which it was asked."""
        self._seats.placed(instance)

    def relieve(self, instance: str, why: str = "a probe takes its place") -> None:
        """That instance leaves and none comes for it: a probe has taken its place, or it is one that failed.

        A ready one leaves only while as many as were promised are ready without it. Nothing happens without
        a probe, or if there is no such instance, or if it leaves anyway. ``why`` is for people.
        """
        staying = [one for one in self._seats.instances() if not one.leaving]
        for one in staying:
            if one.name == instance:
                ready = [other.number for other in staying if other.state is State.READY]
                self._intent.relieve(one.number, ready, why)
        self._changed()

    def adjust(self, like: Release, strategy: Strategy) -> None:
        """What needs no new process is as in ``like`` from now on, its version's number included.

        Living hosts are told; what is tried out stays as it is. Instances that are leaving already keep the
        time that they were given.
        """
        self._intent.adjust(like, strategy)
        for host in self._seats:
            if host.release.number == self._intent.running.number:
                host.adjust(self._intent.running)
        self._changed()

    # -- for operators

    async def clear(self, scene: str | None = None) -> list[str]:
        """Start instances again that are blocked by a crash: the one with this scene, or all.

        Returns the names of their hosts. The scenes stay; they are the caller's to delete.
        """
        blocked = [host for host in self._seats if host.state is State.BLOCKED]
        meant = [host for host in blocked if scene is None or scene == _scene_of(host.snapshot())]
        for host in meant:
            await host.unblock()
        return [host.name for host in meant]

    # -- for those who ask

    @property
    def settings(self) -> Settings:
        """Of the release that runs."""
        return self._intent.running.settings

    def snapshot(self) -> FleetSnapshot:
        """What is now."""
        instances, intent = self._seats.instances(), self._intent
        rollout, trial = intent.statuses(instances)
        return FleetSnapshot(
            self._service,
            instances,
            self._ever_ready,
            self._stop_by,
            wanted=intent.effective,
            stopped=intent.stopped,
            release=intent.target.number,
            version=intent.target.version,
            rollout=rollout,
            trial=trial,
            probes=intent.probes,
        )

    def last_lines(self, name: str) -> tuple[str, ...]:
        """What an instance, or one host of it, printed last: at most 100 lines a host, oldest first."""
        return tuple(line for host in self._seats.named(name) for line in host.last_lines())

    # -- observe, plan, act

    async def _reconcile(self, tasks: asyncio.TaskGroup) -> None:
        self._news.clear()
        fleet, policy = self.snapshot(), self._intent.policy()
        actions = plan(fleet, policy, self._clock.now())
        for action in actions:
            self._act(action, tasks)
        if actions:  # look again at what they have changed, but let others have a turn
            await self._clock.sleep(0.0)
        else:
            await wait_until(self._clock, wake_at(fleet, policy), self._news.wait())

    def _act(self, action: Action, tasks: asyncio.TaskGroup) -> None:
        match action:
            case Start(seat, release):
                self._start(seat, release, tasks)
            case Drain(seat, by, why):
                self._seats[seat].drain(by, why)
            case Kill(seat):
                self._seats[seat].kill()
            case Expire(seat):
                self._seats[seat].expire()
            case Block(seat):
                self._seats[seat].block()
            case Remove(seat):
                self._seats.remove(seat)
            case GiveUp(seat):
                self._give_up(self._seats[seat])
            case Complete():
                self._intent.complete()
                self._changed()
            case RollBack(reason, seat):
                self._intent.roll_back(reason, self._last_words(seat))
                self._changed()
            case Dismiss(reason, seat):
                self._intent.dismiss(reason, self._last_words(seat))
                self._changed()
            case End():
                self._ended.set()

    def _start(self, seat: Seat, release: int, tasks: asyncio.TaskGroup) -> None:
        found = self._seats.ready_to_start(seat, self._intent.find(release))
        if found is not None:
            host, quarters = found
            host.begin(quarters)
            tasks.create_task(host.run(), name=f"host {host.name}")

    def _give_up(self, host: Host) -> None:
        seen = host.snapshot()
        text = [f"{host.instance} {failure(seen)}"]
        lines = self._last_words(host.seat)
        if lines:
            text += ["its last log lines:", *(f"  {line}" for line in lines)]
        self._failure = ProcessorError("\n".join(text))
        self._stop(self._clock.now())

    def _last_words(self, seat: Seat | None) -> tuple[str, ...]:
        """What the host in the seat printed before it crashed, to be told beside why."""
        crash = self._seats[seat].snapshot().last_crash if seat is not None else None
        return _without_traceback(crash)[-LINES_TOLD:] if crash else ()

    def _named(self, host: str) -> list[Host]:
        return [one for one in self._seats if one.name == host]

    def _stop(self, by: float) -> None:
        self._stop_by = by if self._stop_by is None else min(by, self._stop_by)
        self._news.set()

    def _scenes_in_use(self) -> frozenset[str]:
        seen = (host.snapshot() for host in self._seats)
        return frozenset(_scene_of(one) for one in seen if one.state is State.BLOCKED)

    def _changed(self) -> None:
        self._news.set()
        fleet = self.snapshot()
        self._intent.observe(fleet.instances)
        if not self._ever_ready and fleet.ready_count:
            self._ever_ready = True
            self._ready.set()
            fleet = self.snapshot()
        self._hooks.on_change(fleet)

    def _told(self, change: Rollout | Trial) -> None:
        """A change of release has begun or ended."""
        instances = self._seats.instances()
        log = self._hooks.warn if change.state in ("rolled_back", "dismissed") else self._hooks.log
        fields: dict[str, object] = {"version": change.release.version, "release": change.release.number}
        if change.reason:
            fields["reason"] = change.reason
        if isinstance(change, Rollout):
            log("rollout", state=change.state, **fields)
            self._hooks.on_rollout(change.status(self._intent.main(instances), self._intent.effective))
        else:
            log("trial", state=change.state, **fields)
            self._hooks.on_trial(change.status(instances))


def _scene_of(host: HostSnapshot) -> str:
    """The id of its crash's scene; empty without one."""
    return Path(host.last_crash.scene).name if host.last_crash and host.last_crash.scene else ""


def _without_traceback(crash: Crash) -> tuple[str, ...]:
    """What it printed beside the traceback of its failed start: that is in the log, once."""
    trace = tuple(crash.traceback.splitlines())
    for at in range(len(crash.lines) - len(trace), -1, -1):
        if trace and crash.lines[at : at + len(trace)] == trace:
            return crash.lines[:at] + crash.lines[at + len(trace) :]
    return crash.lines
