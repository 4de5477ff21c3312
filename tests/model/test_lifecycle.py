"""The lifecycle's table against its rules, and the supervisor as a whole against any history of its hosts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
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
from eas_engine.supervisor.lifecycle import LIVE, TABLE, Event, IllegalEvent, State, advance, aggregate
from eas_engine.supervisor.observe import FleetSnapshot
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release
from eas_engine.supervisor.settings import Processor, Settings
from support.channel import FakeChannels
from support.clock import FakeClock, settle
from support.hosts import FakeHost, FakeHosts

T = TypeVar("T")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_the_table_does_not_have_is_illegal(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert advance(state, event) is TABLE[state, event]
    else:
        with pytest.raises(IllegalEvent, match=f"{event.value!r} in state {state.value!r}"):
            advance(state, event)


def test_whoever_has_a_process_can_die_and_nobody_else() -> None:
    assert {state for state, event in TABLE if event is Event.EXIT} == LIVE


def test_an_exit_is_a_crash_except_while_draining() -> None:
    for state in LIVE:
        after = advance(state, Event.EXIT)
        assert after is (State.STOPPED if state is State.DRAINING else State.CRASHED)


def test_everyone_can_be_told_to_leave_and_stopped_is_final() -> None:
    leaving = {state for state, event in TABLE if event is Event.DRAIN}
    assert leaving == set(State) - {State.DRAINING, State.STOPPED}
    assert not [event for state, event in TABLE if state is State.STOPPED]


@pytest.mark.parametrize(
    ("states", "group"),
    [
        ([State.READY, State.READY], State.READY),
        ([State.READY, State.WARMING], State.WARMING),
        ([State.READY, State.PENDING], State.STARTING),
        ([State.PENDING, State.PENDING], State.PENDING),
        ([State.READY, State.CRASHED, State.STARTING], State.CRASHED),
        ([State.DRAINING, State.STOPPED], State.DRAINING),
        ([State.STOPPED], State.STOPPED),
        ([], State.STOPPED),
    ],
)
def test_a_group_is_as_well_as_its_worst(states: list[State], group: State) -> None:
    assert aggregate(states) is group


class Life(RuleBasedStateMachine):
    """Rules pick one of the present hosts by number, so that shrinking stays simple."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.hosts = FakeHosts()
        self.channels = FakeChannels()
        self.seen: list[FleetSnapshot] = []
        self.phase: dict[int, str] = {}
        self.ever_ready = False
        self.stopping: asyncio.Future[None] | None = None
        self.stop_by = 0.0

    def do(self, wait: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(wait)

    @initialize(instances=st.integers(1, 3), block=st.booleans(), sigterm=st.booleans())
    def start(self, instances: int, block: bool, sigterm: bool) -> None:
        wanted = Settings(
            "s",
            Program("python", Path("/")),
            Processor("app.py"),
            crash_block=block,
            enable_sigterm=sigterm,
        )
        self.wanted, self.instances = wanted, instances

        async def begin() -> None:
            self.supervisor = Supervisor(
                Release(1, 1, wanted),
                self.channels,
                instances=instances,
                clock=self.clock,
                execute=self.hosts,
                hooks=Hooks(on_change=self.seen.append),
            )
            self.running = asyncio.ensure_future(self.supervisor.run())
            await settle()

        self.do(begin())

    def pick(self, number: int, *phases: str) -> FakeHost | None:
        some = [host for host in self.hosts.alive if self.phase.get(host.pid, "new") in phases]
        return some[number % len(some)] if some else None

    numbers = st.integers(0, 5)

    @rule(number=numbers, processes=st.integers(1, 3))
    def says_hello(self, number: int, processes: int) -> None:
        if host := self.pick(number, "new"):
            self.phase[host.pid] = "hello"
            host.hello(processes=processes)
        self.do(settle())

    @rule(number=numbers)
    def is_ready(self, number: int) -> None:
        if host := self.pick(number, "hello"):
            self.phase[host.pid] = "ready"
            host.ready()
        self.do(settle())

    @rule(number=numbers, status=st.sampled_from([0, 1, -9, -11]))
    def dies(self, number: int, status: int) -> None:
        if host := self.pick(number, "new", "hello", "ready"):
            host.exits(status)
        self.do(settle())

    @rule(number=numbers)
    def fails(self, number: int) -> None:
        if host := self.pick(number, "new", "hello"):
            host.failed("initialize", "no")
            host.exits(1)
        self.do(settle())

    @rule(number=numbers)
    def hangs_up(self, number: int) -> None:
        if host := self.pick(number, "new", "hello", "ready"):
            host.hangs_up()
        self.do(settle())

    @rule(number=numbers)
    def resists_sigkill(self, number: int) -> None:
        if host := self.pick(number, "new", "hello", "ready"):
            host.stubborn = True

    @rule(number=numbers)
    def leaves_when_told(self, number: int) -> None:
        told = [host for host in self.hosts.alive if "stop" in host.said]
        if told:
            told[number % len(told)].exits(0)
        self.do(settle())

    @rule(number=numbers, busy=st.booleans())
    def work(self, number: int, busy: bool) -> None:
        names = [host.name for host in self.supervisor.snapshot().hosts if host.state is State.READY]
        if names:
            channel = self.channels.latest(names[number % len(names)])
            (channel.busy if busy else channel.done)()
        self.do(settle())

    @rule(number=numbers)
    def is_stuck(self, number: int) -> None:
        names = [host.name for host in self.supervisor.snapshot().hosts]
        if names:
            self.supervisor.stuck(names[number % len(names)])
        self.do(settle())

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 31.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.do(self.clock.advance(seconds))

    @precondition(lambda self: self.stopping is None and not self.running.done())
    @rule(grace=st.sampled_from([0.0, 3.0, 30.0]))
    def stop(self, grace: float) -> None:
        async def begin() -> None:
            self.stopping = asyncio.ensure_future(self.supervisor.stop(grace))
            await settle()

        self.stop_by = self.clock.now() + grace
        self.do(begin())

    @invariant()
    def nobody_is_lost(self) -> None:
        fleet = self.supervisor.snapshot()
        living = [host for host in fleet.hosts if host.state in LIVE and host.pid is not None]
        assert sorted(host.pid or 0 for host in living) == sorted(host.pid for host in self.hosts.alive)

    @invariant()
    def no_two_hosts_in_one_seat(self) -> None:
        counted = Counter(host.seat for host in self.supervisor.snapshot().hosts)
        assert all(count == 1 for count in counted.values())

    @invariant()
    def never_more_instances_than_wanted(self) -> None:
        for fleet in self.seen:
            assert len(fleet.instances) <= self.instances
        self.seen.clear()

    @invariant()
    def every_crash_leads_to_a_start_or_an_end(self) -> None:
        fleet = self.supervisor.snapshot()
        for host in fleet.hosts:
            if host.state is State.CRASHED:
                assert self.clock.now() < host.next_start <= self.clock.now() + 60
                assert not self.wanted.crash_block
            assert host.state is not State.PENDING
            assert host.state is not State.BLOCKED or self.wanted.crash_block

    @invariant()
    def every_wanted_seat_is_taken(self) -> None:
        fleet = self.supervisor.snapshot()
        if fleet.stopping or self.running.done():
            return
        assert len(fleet.instances) == self.instances
        for instance in fleet.instances:
            staying = [host for host in instance.hosts if host.state is not State.DRAINING]
            assert len(staying) <= instance.hosts[0].processes <= len(instance.hosts)

    @invariant()
    def whoever_overstays_was_killed(self) -> None:
        for host in self.supervisor.snapshot().hosts:
            if host.state in LIVE and host.leave_by <= self.clock.now():
                assert host.killed

    @invariant()
    def the_channels_know(self) -> None:
        for channel in self.channels.made:
            assert channel.calls.count("started") == 1
            assert channel.calls.count("lost") <= 1
        assert sum("lost" not in channel.calls for channel in self.channels.made) == len(self.hosts.alive)

    @invariant()
    def it_ends_only_for_a_reason(self) -> None:
        self.ever_ready = self.ever_ready or self.supervisor.snapshot().ever_ready
        if not self.running.done():
            return
        assert self.hosts.alive == []
        if isinstance(self.running.exception(), ProcessorError):
            assert not self.ever_ready
        else:
            assert self.running.exception() is None
            assert self.stopping is not None
            assert self.stopping.done()

    def teardown(self) -> None:
        if hasattr(self, "supervisor"):
            for host in self.hosts.made:
                host.stubborn = False
            self.running.cancel()
            self.do(asyncio.wait([self.running]))
            assert self.hosts.alive == []
            self.channels.check_books()
            if self.stopping is not None:
                self.do(asyncio.wait([self.stopping]))
        self.loop.close()


def test_any_history_of_hosts() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=80, stateful_step_count=40, deadline=None))
