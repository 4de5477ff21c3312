"""Rollouts, trials, scaling, crashes, failed starts and lacking places in any order, against their promises.

The hosts are fakes that do what the rules say; everything else is the real supervisor. What is promised is
checked at every change that it tells of, not only between rules.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from eas_engine.errors import ProcessorError
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.launch import Program
from eas_engine.supervisor.lifecycle import LIVE, State
from eas_engine.supervisor.observe import FleetSnapshot, InstanceSnapshot
from eas_engine.supervisor.place import NoPlace
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Bounds, Release, RolloutStatus, Strategy, TrialStatus
from eas_engine.supervisor.settings import Processor, Settings
from support.channel import FakeChannels
from support.clock import FakeClock, settle
from support.hosts import FakeHost, FakeHosts
from support.placer import FakePlacer

T = TypeVar("T")
SETTINGS = Settings("s", Program("python", Path("/")), Processor("app.py"), grace=30.0)
STRATEGIES = [
    Strategy(1, 0, 100.0),
    Strategy(0, 1, 100.0),
    Strategy(2, 1, 100.0),
    Strategy("50%", "50%", 100.0),
    Strategy("2%", 0, 40.0),
]


def brief(fleet: FleetSnapshot) -> str:
    """A fleet in a line."""
    instances = [f"{one.name} of {one.release} {one.state.value}" for one in fleet.instances]
    rollout = f"{fleet.rollout.state} to {fleet.rollout.release}" if fleet.rollout else "no rollout"
    return f"{fleet.wanted} of {fleet.release} wanted, {rollout}: {', '.join(instances)}"


class Watch:
    """Looks at everything that the supervisor tells, and remembers what it may be held to.

    What it finds goes to ``broken``: an exception would end the supervisor in the middle of something else.
    """

    def __init__(self) -> None:
        self.strategy = Strategy()
        self.apart: set[int] = set()  # releases that were tried out and not promoted
        self.replaced: set[str] = set()
        self.probes: set[str] = set()
        self.before: FleetSnapshot | None = None
        self.secure = False  # as many are ready as are wanted, and nothing has happened to them since
        self.rollouts: dict[int, list[str]] = {}
        self.broken: list[str] = []

    def bind(self, strategy: Strategy) -> None:
        """Another promise from now on: what is already missing by the old one may be missing."""
        self.strategy, self.secure = strategy, False

    def main(self, fleet: FleetSnapshot) -> list[InstanceSnapshot]:
        return [one for one in fleet.instances if one.release not in self.apart]

    def bounds(self, fleet: FleetSnapshot) -> Bounds:
        return self.strategy.bounds(fleet.wanted)

    def see(self, fleet: FleetSnapshot) -> None:
        """Called whenever anything has changed."""
        before, self.before = self.before, fleet
        main = self.main(fleet)
        self.replaced &= {one.name for one in fleet.instances}
        self.probes &= {one.name for one in main if not one.leaving}
        for instance in fleet.instances:
            one = len({host.release for host in instance.hosts}) == 1
            self.check(one, "hosts of two releases in an instance", instance)
        if before is not None and not fleet.stopping:
            self._nothing_ready_left_too_early(before, fleet)
            self._nothing_was_started_too_much(before, fleet)
        ready = sum(one.state is State.READY for one in main)
        promised = fleet.wanted - self.bounds(fleet).unavailable
        self.secure = not fleet.stopping and (self.secure or ready >= fleet.wanted)
        self.check(not self.secure or ready >= promised, "fewer are ready than promised", fleet)

    def _nothing_ready_left_too_early(self, before: FleetSnapshot, fleet: FleetSnapshot) -> None:
        were_ready = {one.name for one in self.main(before) if one.state is State.READY}
        main = self.main(fleet)
        if any(one.name in were_ready and one.leaving for one in main):
            ready = sum(one.state is State.READY for one in main)
            promised = fleet.wanted - self.bounds(fleet).unavailable
            self.check(ready >= promised, "a ready one was told to leave too early", fleet)

    def _nothing_was_started_too_much(self, before: FleetSnapshot, fleet: FleetSnapshot) -> None:
        main = self.main(fleet)
        names = {one.name for one in self.main(before)}
        new = [one for one in main if one.name not in names]
        rolling = fleet.rollout is not None and fleet.rollout.state == "rolling"
        mixed = any(one.release != fleet.release or one.name in self.replaced for one in main)
        asked_for = fleet.probes > before.probes  # a probe has room of its own, whoever is leaving
        if new and (rolling or mixed) and not asked_for:
            most = fleet.wanted + self.bounds(fleet).surge + fleet.probes
            self.check(len(main) <= most, "more than wanted and surge", fleet)

    def rollout(self, status: RolloutStatus) -> None:
        states = self.rollouts.setdefault(status.release, [])
        states.append(status.state)
        expected = ["rolling"] if status.state == "rolling" else ["rolling", status.state]
        self.check(states == expected, "a rollout that ends twice, or never began", states)
        self.check((status.ended is None) == (status.state == "rolling"), "when it ended", status)
        if status.state == "done":
            self.check(status.updated == status.ready == status.wanted, "not done", status)
        self.check(status.reason or status.state in ("rolling", "done"), "no reason", status)
        if status.state == "rolling":
            self.apart.discard(status.release)  # promoted, if it was among them

    def trial(self, status: TrialStatus) -> None:
        if status.state == "trying":
            self.apart.add(status.release)
        else:
            self.check(status.state == "promoted" or status.reason, "no reason", status)

    def check(self, holds: object, what: str, seen: object) -> None:
        if not holds:
            self.broken.append(f"{what}: {brief(seen) if isinstance(seen, FleetSnapshot) else seen}")


class Fleet(RuleBasedStateMachine):
    """Rules pick one of the present hosts by number, so that shrinking stays simple."""

    numbers = st.integers(0, 7)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.hosts = FakeHosts()
        self.channels = FakeChannels()
        self.placer = FakePlacer()
        self.watch = Watch()
        self.phase: dict[int, str] = {}
        self.number = 1

    def do(self, wait: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(wait)

    @initialize(instances=st.integers(0, 4), up=st.booleans())
    def start(self, instances: int, up: bool) -> None:
        async def begin() -> None:
            self.supervisor = Supervisor(
                Release(1, 1, SETTINGS),
                self.channels,
                instances=instances,
                placer=self.placer,
                clock=self.clock,
                execute=self.hosts,
                hooks=Hooks(
                    on_change=self.watch.see, on_rollout=self.watch.rollout, on_trial=self.watch.trial
                ),
            )
            self.placer.found = self.supervisor.placed
            self.running = asyncio.ensure_future(self.supervisor.run())
            await settle()

        self.do(begin())
        if up:
            self.all_get_ready()

    # -- what hosts do

    def release_of(self, host: FakeHost) -> int:
        return self.channels.made[self.hosts.made.index(host)].release

    def pick(self, number: int, *phases: str) -> FakeHost | None:
        some = [host for host in self.hosts.alive if self.phase.get(host.pid, "new") in phases]
        return some[number % len(some)] if some else None

    def gets_on(self, host: FakeHost) -> None:
        """One step further on its way to ready: every other release wants two processes."""
        if self.phase.get(host.pid, "new") == "new":
            self.phase[host.pid] = "hello"
            host.hello(processes=1 + self.release_of(host) % 2)
        else:
            self.phase[host.pid] = "ready"
            host.ready()

    @rule(number=numbers)
    def one_gets_on(self, number: int) -> None:
        if host := self.pick(number, "new", "hello"):
            self.gets_on(host)
        self.do(settle())

    @rule()
    def all_get_ready(self) -> None:
        for _ in range(3):  # the further processes come with the hello of the first
            while host := self.pick(0, "new", "hello"):
                self.gets_on(host)
            self.do(settle())

    @rule(number=numbers, phase=st.sampled_from(["new", "hello", "ready"]), status=st.sampled_from([1, -9]))
    def dies(self, number: int, phase: str, status: int) -> None:
        if host := self.pick(number, phase):
            self.watch.secure = False
            host.exits(status)
        self.do(settle())

    @rule(number=numbers)
    def refuses(self, number: int) -> None:
        if host := self.pick(number, "new", "hello"):
            host.failed("initialize", "no")
            host.exits(1)
        self.do(settle())

    @rule(number=numbers, resists=st.booleans())
    def resists_sigkill(self, number: int, resists: bool) -> None:
        if host := self.pick(number, "new", "hello", "ready"):
            host.stubborn = resists

    @rule(number=numbers)
    def leaves_when_told(self, number: int) -> None:
        told = self.told_to_leave()
        if told:
            self.leaves(told[number % len(told)])
        self.do(settle())

    def told_to_leave(self) -> list[FakeHost]:
        return [host for host in self.hosts.alive if "stop" in host.said or "KILL" in host.signals]

    def leaves(self, host: FakeHost) -> None:
        self.watch.secure = self.watch.secure and "stop" in host.said  # the others may have been stuck
        host.exits(0)

    @rule(number=numbers, busy=st.booleans())
    def works(self, number: int, busy: bool) -> None:
        names = [host.name for host in self.supervisor.snapshot().hosts if host.state is State.READY]
        if names:
            channel = self.channels.latest(names[number % len(names)])
            (channel.busy if busy else channel.done)()
        self.do(settle())

    @rule(number=numbers)
    def is_stuck(self, number: int) -> None:
        names = [host.name for host in self.supervisor.snapshot().hosts]
        if names:
            self.watch.secure = False
            self.supervisor.stuck(names[number % len(names)])
        self.do(settle())

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 31.0, 101.0]))
    def time_passes(self, seconds: float) -> None:
        self.do(self.clock.advance(seconds))

    @rule(room=st.sampled_from([None, 0, 2, 4]))
    def places_are_found_or_taken(self, room: int | None) -> None:
        self.placer.room = room

    # -- what is wanted

    def next_release(self) -> Release:
        self.number += 1
        return Release(self.number, 10 * self.number, SETTINGS)

    @precondition(lambda self: not self.running.done())
    @rule(strategy=st.sampled_from(STRATEGIES))
    def roll_out(self, strategy: Strategy) -> None:
        self.watch.bind(strategy)
        self.supervisor.roll_out(self.next_release(), strategy)
        self.do(settle())

    @rule()
    def roll_back(self) -> None:
        seen = self.supervisor.snapshot().rollout
        assert self.supervisor.roll_back("no more") == (seen is not None and seen.state == "rolling")
        self.do(settle())

    @precondition(lambda self: not self.running.done())
    @rule(instances=st.integers(1, 2))
    def try_out(self, instances: int) -> None:
        self.supervisor.try_out(self.next_release(), instances, timeout=100.0)
        self.do(settle())

    @rule(strategy=st.sampled_from(STRATEGIES))
    def promote(self, strategy: Strategy) -> None:
        seen = self.supervisor.snapshot().trial
        if seen is not None and seen.state == "trying":
            self.watch.bind(strategy)
        self.supervisor.promote(strategy)
        self.do(settle())

    @rule()
    def dismiss(self) -> None:
        self.supervisor.dismiss("enough")
        self.do(settle())

    @rule(instances=st.integers(0, 5))
    def scale(self, instances: int) -> None:
        self.watch.secure = False
        self.supervisor.scale(instances)
        self.do(settle())

    @rule(stopped=st.booleans())
    def stop_or_start(self, stopped: bool) -> None:
        self.watch.secure = False
        (self.supervisor.stop_service if stopped else self.supervisor.start_service)()
        self.do(settle())

    @rule(slow=st.booleans())
    def ledger(self, slow: bool) -> None:
        """Places take time to be found from now on, or don't; what was asked before is answered now."""
        self.placer.slow = slow
        self.placer.answer()
        self.do(settle())

    @rule(number=numbers)
    def replace(self, number: int) -> None:
        names = [one.name for one in self.supervisor.snapshot().instances if not one.leaving]
        if names:
            name = names[number % len(names)]
            self.watch.replaced.add(name)
            self.watch.probes.discard(name)
            assert self.supervisor.replace(name)
        self.do(settle())

    @rule(found=st.booleans())
    def probe(self, found: bool) -> None:
        before = self.supervisor.snapshot()
        rolling = before.rollout is not None and before.rollout.state == "rolling"
        held = dict(self.placer.held)
        name = self.supervisor.probe(
            lambda one, now: self.placer.hold(one, now.limits) if found else NoPlace("none in that group")
        )
        fleet = self.supervisor.snapshot()
        if name is None:
            assert fleet.probes == before.probes
            assert self.placer.held == held
            room = self.placer.room
            full = room is not None and len(held) >= room
            assert not found or full or rolling or not before.wanted or before.stopping, brief(before)
        else:
            assert not rolling
            assert before.wanted == fleet.wanted > 0
            assert fleet.probes == before.probes + 1
            assert name in self.placer.held
            self.watch.probes.add(name)
        self.do(settle())
        staying = [one.name for one in self.supervisor.snapshot().instances if not one.leaving]
        assert name is None or name in staying, "nobody is in its way"

    @rule(number=numbers, patient=st.booleans())
    def relieve(self, number: int, patient: bool) -> None:
        """As rebalancing does: whoever is ready relieves another, or nobody; who takes too long leaves."""
        main = self.watch.main(self.supervisor.snapshot())
        others = [one.name for one in main if one.name not in self.watch.probes]
        for one in main:
            if one.name not in self.watch.probes:
                continue
            if one.state is State.READY:
                self.relieved(one.name, [*others, one.name][number % (len(others) + 1)])
            elif not patient:
                self.relieved(one.name, one.name)
        if others and not self.watch.probes:
            self.supervisor.relieve(others[0])  # there is none, so nothing happens
        self.do(settle())

    def relieved(self, probe: str, instance: str) -> None:
        before = self.supervisor.snapshot()
        staying = [one.name for one in before.instances if not one.leaving]
        self.supervisor.relieve(instance if instance in staying else probe)
        self.watch.probes.discard(probe)
        self.every_probe_is_known()

    @rule(strategy=st.sampled_from(STRATEGIES), grace=st.sampled_from([0.0, 5.0, 30.0]))
    def adjust(self, strategy: Strategy, grace: float) -> None:
        self.watch.bind(strategy)
        self.supervisor.adjust(Release(1, 1, replace(SETTINGS, grace=grace)), strategy)
        self.do(settle())

    # -- what holds at all times

    @invariant()
    def every_promise_was_kept(self) -> None:
        assert not self.watch.broken, self.watch.broken

    @invariant()
    def every_probe_is_known(self) -> None:
        fleet = self.supervisor.snapshot()
        rolling = fleet.rollout is not None and fleet.rollout.state == "rolling"
        assert fleet.probes == (len(self.watch.probes) if fleet.wanted and not rolling else 0), brief(fleet)

    @invariant()
    def nobody_is_lost(self) -> None:
        fleet = self.supervisor.snapshot()
        living = [host for host in fleet.hosts if host.state in LIVE and host.pid is not None]
        assert sorted(host.pid or 0 for host in living) == sorted(host.pid for host in self.hosts.alive)

    @invariant()
    def seats_and_names_are_unique(self) -> None:
        hosts = self.supervisor.snapshot().hosts
        for counted in (Counter(host.seat for host in hosts), Counter(host.name for host in hosts)):
            assert all(count == 1 for count in counted.values())

    @invariant()
    def hosts_run_what_they_say(self) -> None:
        for host in self.supervisor.snapshot().hosts:
            if host.pid is not None:
                assert self.channels.latest(host.name).release == host.release

    @invariant()
    def who_runs_has_a_place_and_who_is_gone_has_none(self) -> None:
        fleet = self.supervisor.snapshot()
        for host in self.hosts.alive:
            assert host.quarters is not None
            assert self.placer.held[host.quarters.instance] == host.quarters.place
        assert set(self.placer.held) <= {one.name for one in fleet.instances}

    @invariant()
    def everyone_who_is_not_ready_says_why(self) -> None:
        fleet = self.supervisor.snapshot()
        for one in fleet.instances:
            assert (one.state is State.READY) == (not one.reason)
        assert bool(fleet.reasons) == (not fleet.ready_count)

    @invariant()
    def a_rollout_ends_in_time(self) -> None:
        fleet = self.supervisor.snapshot()
        rollout = fleet.rollout
        if rollout is not None and rollout.state == "rolling" and not fleet.stopping:
            assert self.clock.wall() < rollout.started + self.watch.strategy.timeout

    @invariant()
    def it_only_gives_up_what_never_worked(self) -> None:
        if self.running.done():
            assert isinstance(self.running.exception(), ProcessorError)
            assert not self.supervisor.snapshot().ever_ready

    # -- and that it ends

    def teardown(self) -> None:
        try:
            if hasattr(self, "supervisor") and not self.supervisor.snapshot().stopping:
                self.comes_to_rest()
        finally:
            self.end()
        assert self.hosts.alive == []
        assert self.placer.held == {}
        self.channels.check_books()

    def end(self) -> None:
        if hasattr(self, "supervisor"):
            for host in self.hosts.made:
                host.stubborn = False
            self.running.cancel()
            self.do(asyncio.wait([self.running]))
        self.loop.close()

    def comes_to_rest(self) -> None:
        """Nothing new is wanted, and all goes well: soon the fleet is what is wanted, and stays so."""
        self.placer.room = None
        self.ledger(False)
        told = -1
        for _ in range(60):
            seen = self.supervisor.snapshot()
            self.relieve(0, patient=False)
            if told == len(self.hosts.made) and all(one.state is State.READY for one in seen.instances):
                break
            told = len(self.hosts.made)
            for host in self.hosts.made:
                host.stubborn = False
            for channel in self.channels.made:
                channel.done()
            self.all_get_ready()
            for host in self.told_to_leave():
                self.leaves(host)
            self.do(self.clock.advance(61.0))
        assert not self.watch.broken, self.watch.broken
        self.it_only_gives_up_what_never_worked()
        if not self.supervisor.snapshot().stopping:  # a last failed start may have ended it
            self.is_what_is_wanted()

    def is_what_is_wanted(self) -> None:
        fleet = self.supervisor.snapshot()
        assert all(one.state is State.READY for one in fleet.instances), brief(fleet)
        main = self.watch.main(fleet)
        assert [one.release for one in main] == [fleet.release] * fleet.wanted, brief(fleet)
        assert fleet.rollout is None or fleet.rollout.state != "rolling", fleet.rollout
        tried = [one for one in fleet.instances if one not in main]
        if fleet.trial is not None and fleet.trial.state == "trying" and fleet.wanted:
            assert [one.release for one in tried] == [fleet.trial.release] * fleet.trial.wanted
        else:
            assert tried == []


def test_any_history_of_a_fleet() -> None:
    run_state_machine_as_test(
        Fleet, settings=settings(max_examples=80, stateful_step_count=40, deadline=None)
    )
