"""The whole supervisor over fake hosts and a clock that jumps."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from eas_engine.errors import ProcessorError, StartError
from eas_engine.supervisor.host import Host
from eas_engine.supervisor.instance import Hooks, Surroundings
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.limits.report import Enforcement
from eas_engine.supervisor.observe import Seat
from eas_engine.supervisor.place import Limits, Place, Quarters
from eas_engine.supervisor.release import Release, Strategy
from eas_engine.supervisor.settings import Batching
from support.channel import FakeChannels
from support.clock import FakeClock, settle
from support.hosts import FakeHosts
from support.world import SETTINGS, World, started


async def test_a_host_comes_up() -> None:
    async with started(threads=3) as world:
        assert world.states == ["starting"]
        host = world.hosts.last
        assert host.sent == [
            {
                "type": "start",
                "service": "s",
                "instance": "s-0",
                **asdict(SETTINGS.processor),
                "threads": 3,
                "keepalive_ms": None,
                "channel": {"fds": []},
            }
        ]
        host.hello(threads=8, properties={"rpc.keepalive": "60000"})
        assert world.states == ["warming"]
        assert host.sent[1:] == [{"type": "load", "threads": 3, "keepalive_ms": 60000}]
        assert not world.supervisor.snapshot().ever_ready
        host.ready(**{"rpc.keepalive": "70000"})
        assert world.states == ["ready"]
        await world.supervisor.wait_ready()
        assert world.keepalives == [60000, 70000]
        assert world.channels.latest("s-0").calls == ["started", "open 3"]
        seen = world.supervisor.snapshot().instances[0]
        assert (seen.name, seen.reason, seen.pids, seen.threads) == ("s-0", "", (host.pid,), 3)
        await world.clock.advance(5)
        assert world.supervisor.snapshot().instances[0].uptime == 5


async def test_every_transition_is_told_with_what_is_true_then() -> None:
    async with started() as world:
        await world.up()
        world.hosts.last.exits(1)
        states = [seen.hosts[0].state.value for seen in world.seen]
        assert list(dict.fromkeys(states)) == ["starting", "warming", "ready", "crashed"]
        assert [seen.ready_count for seen in world.seen][-2:] == [1, 0]
        assert world.seen[-2].ever_ready


async def test_a_crash_is_answered_remembered_and_repaired_at_once() -> None:
    async with started() as world:
        await world.up()
        channel = world.channels.latest("s-0")
        world.hosts.last.prints("so long")
        world.hosts.last.exits(-9)
        assert channel.calls[-1] == "lost"
        crash = world.supervisor.snapshot().instances[0].last_crash
        assert crash is not None
        killed = "signal 9 (SIGKILL), not from the engine"
        assert (crash.cause, crash.kind, crash.state) == (killed, "killed", State.READY)
        assert crash.lines == world.supervisor.last_lines("s-0") == ("so long",)
        assert crash.at == world.clock.wall()
        assert world.warned == ["host_crashed"]
        assert world.output == [("s-0", "stdout", "so long")]
        await settle()
        assert world.states == ["starting"]
        assert world.supervisor.snapshot().instances[0].restarts == {"killed": 1}
        assert "before: signal 9" in world.supervisor.snapshot().instances[0].reason
        await world.up()
        assert len(world.hosts.made) == 2


async def test_who_uses_too_much_is_ended_and_comes_again() -> None:
    limits = Limits(memory=512 << 20)
    async with started(limits=limits) as world:
        assert world.hosts.quarters == [Quarters("s-0", Place(), limits)]
        await world.up(limits={"shm": "no"})
        assert world.supervisor.snapshot().instances[0].enforced == Enforcement(shm="nothing: no")
        world.hosts.last.is_over("oom", "OOMKilled: 612 MB used, 512 MB allowed")
        await settle()
        assert world.hosts.made[0].signals == ["KILL"]
        (crash,) = [one.last_crash for one in world.supervisor.snapshot().hosts]
        assert crash is not None
        assert (crash.kind, crash.cause) == ("oom", "OOMKilled: 612 MB used, 512 MB allowed")
        assert len(world.hosts.made) == 2
        assert world.supervisor.snapshot().instances[0].enforced is None


async def test_exit_zero_while_ready_is_a_crash_too() -> None:
    async with started() as world:
        await world.up()
        world.hosts.last.exits(0)
        crash = world.supervisor.snapshot().instances[0].last_crash
        assert crash is not None
        assert (crash.cause, crash.kind) == ("exit 0", "exit")


async def test_starts_that_fail_again_and_again_wait_longer_and_longer() -> None:
    async with started() as world:
        await world.up()
        waits = []
        for _ in range(6):
            world.hosts.last.exits(1)
            due = world.supervisor.snapshot().next_start_due
            waits.append(due - world.clock.now())
            await world.clock.advance(waits[-1])
            assert world.states == ["starting"]
            assert world.supervisor.snapshot().next_start_due == 0
        assert waits == [0, 1, 1, 2, 3, 5]


async def test_three_failed_starts_end_the_engine_with_the_last_lines() -> None:
    async with started() as world:
        for number in range(3):
            world.hosts.last.prints(f"try {number}")
            world.hosts.last.exits(7)
            await world.clock.advance(1)
        assert len(world.hosts.made) == 3
        with pytest.raises(
            ProcessorError, match=r"s-0 failed to start 3 times in a row: exit 7\n.*\n  try 2$"
        ):
            await world.running
        with pytest.raises(ProcessorError):
            await world.supervisor.wait_ready()


async def test_a_processor_that_refuses_ends_the_engine_at_once_and_takes_the_others_with_it() -> None:
    async with started(instances=2) as world:
        one, other = world.hosts.made
        one.hello()
        one.prints("no such file")
        one.failed("initialize", "FileNotFoundError: model.npz")
        one.exits(1)
        await settle()
        assert not other.alive
        with pytest.raises(
            ProcessorError, match=r"initialize: FileNotFoundError: model.npz\n.*\n  no such file"
        ):
            await world.running


async def test_a_processor_that_refuses_later_is_tried_for_ever() -> None:
    async with started() as world:
        await world.up()
        world.hosts.last.exits(1)
        await settle()
        for _ in range(20):
            world.hosts.last.failed("import", "No module named 'x'")
            world.hosts.last.exits(1)
            assert "import: No module named 'x'" in world.supervisor.snapshot().instances[0].reason
            await world.clock.advance(60)
        assert world.states == ["starting"]
        assert world.supervisor.snapshot().instances[0].restarts == {"exit": 1, "failed": 20}


async def test_a_failed_host_that_does_not_leave_is_killed() -> None:
    async with started() as world:
        world.hosts.last.failed("construct", "no")
        await world.clock.advance(1.9)
        assert world.hosts.last.alive
        await world.clock.advance(0.2)
        with pytest.raises(ProcessorError, match="construct: no"):
            await world.running


async def test_batching_of_a_processor_without_a_batch_call_is_refused() -> None:
    batching = replace(SETTINGS.processor, batching=Batching(16, sizes=(1, 16)))
    async with started(processor=batching) as world:
        host = world.hosts.last
        assert host.sent[0]["batching"] == {"max_batch_size": 16, "padding": False, "sizes": (1, 16)}
        host.hello(kind="native")
        assert host.sent[1:] == [{"type": "stop"}]
        host.exits(0)
        with pytest.raises(ProcessorError, match=r"batching: .* define process_batch\(requests\)"):
            await world.running


async def test_batching_of_a_processor_with_a_batch_call() -> None:
    async with started(processor=replace(SETTINGS.processor, batching=Batching(16))) as world:
        await world.up(batch=True)
        assert world.states == ["ready"]


async def test_a_host_that_can_never_be_executed_ends_the_engine_at_once() -> None:
    world = World(SETTINGS)
    world.hosts.error = FileNotFoundError(errno.ENOENT, "No such file", "/no/python")
    with pytest.raises(ProcessorError, match=r"could not be executed: .*/no/python"):
        await world.supervisor.run()
    world.channels.check_books()


async def test_a_passing_lack_of_processes_is_only_a_failed_start() -> None:
    world = World(SETTINGS)
    world.hosts.error = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    running = asyncio.ensure_future(world.supervisor.run())
    await settle()
    world.hosts.error = None
    await world.clock.advance(1)
    assert world.states == ["starting"]
    await world.up()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    world.channels.check_books()


async def test_crash_block_keeps_the_instance_down() -> None:
    async with started(crash_block=True) as world:
        await world.up()
        world.hosts.last.exits(1)
        await world.clock.advance(600)
        assert world.states == ["blocked"]
        assert world.supervisor.snapshot().next_start_due == math.inf
        await world.stop()


async def test_drain_waits_for_the_requests_then_says_stop() -> None:
    async with started() as world:
        await world.up()
        channel, host = world.channels.latest("s-0"), world.hosts.last
        channel.busy()
        stopping = asyncio.ensure_future(world.supervisor.stop(30))
        await world.clock.advance(29)
        assert world.states == ["draining"]
        assert channel.calls[-1] == "drain"
        assert "stop" not in host.said
        assert host.signals == []
        channel.done()
        await settle()
        assert host.said[-1] == "stop"
        host.exits(0)
        await stopping
        await world.running
        assert world.supervisor.snapshot().instances == ()


async def test_drain_ends_with_the_grace_period() -> None:
    async with started() as world:
        await world.up()
        world.channels.latest("s-0").busy()
        stopping = asyncio.ensure_future(world.supervisor.stop(30))
        await world.clock.advance(29.9)
        assert world.hosts.last.signals == []
        await world.clock.advance(0.2)
        assert world.hosts.last.signals[0] == "KILL"
        await stopping


async def test_a_second_stop_with_less_grace_counts() -> None:
    async with started() as world:
        await world.up()
        world.channels.latest("s-0").busy()
        stopping = asyncio.ensure_future(world.supervisor.stop(30))
        await settle()
        await world.supervisor.stop(0)
        await stopping
        assert world.hosts.last.signals[0] == "KILL"


async def test_sigterm_goes_out_at_once_if_wanted_and_dying_of_it_is_no_crash() -> None:
    async with started(enable_sigterm=True) as world:
        await world.up()
        world.channels.latest("s-0").busy()
        stopping = asyncio.ensure_future(world.supervisor.stop(30))
        await settle()
        assert world.hosts.last.signals == ["TERM"]
        world.hosts.last.exits(-15)
        await stopping
        assert not any(host.last_crash for seen in world.seen for host in seen.hosts)


@pytest.mark.parametrize("hello", [False, True])
async def test_a_host_that_is_not_ready_is_not_waited_for(hello: bool) -> None:
    async with started() as world:
        if hello:
            world.hosts.last.hello()
        await world.supervisor.stop(30)
        assert world.hosts.last.signals[0] == "KILL"
        assert world.clock.now() == 1000


async def test_stop_before_the_first_turn_and_before_run() -> None:
    world = World(SETTINGS)
    await world.supervisor.stop(30)
    await world.supervisor.run()
    assert world.hosts.made == []
    with pytest.raises(StartError):
        await world.supervisor.wait_ready()


async def test_stop_while_the_start_is_on_its_way() -> None:
    world = World(SETTINGS)
    world.running = asyncio.ensure_future(world.supervisor.run())
    await asyncio.sleep(0)
    await world.supervisor.stop(30)
    await world.running
    assert world.hosts.alive == []


async def test_a_host_told_to_leave_before_it_was_executed_never_is() -> None:
    hosts = FakeHosts()
    around = Surroundings(FakeChannels(), hosts, FakeClock(), Hooks())
    host = Host(Seat(0, 0), Release(1, 1, SETTINGS), around, lambda: None)
    host.begin()
    host.drain(by=2000.0)
    await host.run()
    assert host.state is State.STOPPED
    assert hosts.made == []


async def test_stuck_lets_the_others_finish_then_counts_as_a_crash() -> None:
    async with started() as world:
        await world.up()
        channel = world.channels.latest("s-0")
        channel.busy()
        world.supervisor.stuck("s-0")
        await world.clock.advance(29)
        assert world.states == ["stuck"]
        assert world.supervisor.snapshot().admitting_or_starting_count == 0
        assert channel.calls[-1] == "drain"
        channel.done()
        await settle()
        crash = world.supervisor.snapshot().instances[0].last_crash
        assert crash is not None
        assert (crash.cause, crash.kind) == ("stuck: a call takes longer than rpc.stuck_timeout", "stuck")
        assert world.states == ["starting"]


async def test_stuck_is_bounded_by_the_grace_period_and_by_stop() -> None:
    async with started(grace=10.0) as world:
        await world.up()
        world.channels.latest("s-0").busy()
        world.supervisor.stuck("s-0")
        await world.clock.advance(10)
        assert len(world.hosts.made) == 2
        await world.up()
        world.channels.latest("s-0").busy()
        world.supervisor.stuck("s-0")
        await world.stop(3)


@pytest.mark.parametrize(
    ("tell", "cause"),
    [
        (lambda world: world.hosts.last.hangs_up(), "the host closed its control socket"),
        (lambda world: world.supervisor.broken("s-0", "a frame of length 0"), "a frame of length 0"),
    ],
)
async def test_a_host_that_hangs_up_has_two_seconds_to_die_by_itself(
    tell: Callable[[World], None], cause: str
) -> None:
    async with started() as world:
        await world.up()
        tell(world)
        assert world.channels.latest("s-0").calls[-1] == "drain"
        await world.clock.advance(2)
        crash = world.supervisor.snapshot().instances[0].last_crash
        assert crash is not None
        assert crash.cause == cause
        await world.up()
        tell(world)
        world.hosts.last.exits(3)
        crash = world.supervisor.snapshot().instances[0].last_crash
        assert crash is not None
        assert crash.cause == "exit 3"


async def test_a_message_out_of_turn_ends_the_host() -> None:
    async with started() as world:
        world.hosts.last.ready()
        await settle()
        crash = world.supervisor.snapshot().instances[0].last_crash
        assert crash is not None
        assert crash.kind == "control"
        assert "'ready' in state 'starting'" in crash.cause


async def test_worker_processes_make_a_group_that_is_ready_when_all_are() -> None:
    async with started(threads=5) as world:
        await world.up(processes=3)
        assert world.states == ["ready", "starting", "starting"]
        assert world.channels.latest("s-0").calls[-1] == "open 1"
        assert not world.supervisor.snapshot().ever_ready
        for host in world.hosts.made[1:]:
            host.hello(processes=3)
            host.ready()
        seen = world.supervisor.snapshot()
        assert (seen.ready_count, seen.ever_ready, seen.threads) == (1, True, 3)
        assert [host.name for host in seen.hosts] == ["s-0", "s-0.1", "s-0.2"]
        world.hosts.made[1].exits(1)
        await settle()
        assert world.states == ["ready", "starting", "ready"]
        assert world.supervisor.snapshot().instances[0].state is State.STARTING
        assert world.supervisor.snapshot().admitting_or_starting_count == 1


async def test_no_start_takes_too_long() -> None:
    async with started() as world:
        world.hosts.last.hello()
        await world.clock.advance(86_400)
        assert world.states == ["warming"]
        assert world.clock.sleepers == 0


async def test_cancelling_run_kills_everyone() -> None:
    async with started(instances=3) as world:
        await world.up()
        world.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await world.running
        assert world.hosts.alive == []


async def test_idle_it_does_nothing() -> None:
    async with started() as world:
        await world.up()
        count = len(world.seen)
        await world.clock.advance(3600)
        assert len(world.seen) == count
        assert world.clock.sleepers == 0


async def test_settings_that_need_no_new_process_reach_those_that_run_and_those_to_come() -> None:
    batching = replace(SETTINGS.processor, batching=Batching(16))
    other = replace(batching, batching=Batching(8, padding=True, sizes=(2, 8)), model_config="not this")
    async with started(processor=batching) as world:
        await world.up(batch=True)
        like = Release(0, 2, replace(SETTINGS, processor=other, grace=7.0, keepalive_ms=900))

        world.supervisor.adjust(like, Strategy())

        told = {"type": "batching", "batching": {"max_batch_size": 8, "padding": True, "sizes": (2, 8)}}
        assert world.hosts.last.sent[-1] == told
        assert [(one.version, one.release) for one in world.supervisor.snapshot().instances] == [(2, 1)]

        world.hosts.last.exits(1)
        await settle()
        start = world.hosts.last.sent[0]
        assert (start["batching"], start["keepalive_ms"]) == (told["batching"], 900)
        assert start["model_config"] == "{}"


async def test_a_host_that_does_not_batch_hears_nothing_of_batches() -> None:
    async with started() as world:
        await world.up()
        other = replace(SETTINGS.processor, batching=Batching(8))

        world.supervisor.adjust(Release(0, 2, replace(SETTINGS, processor=other)), Strategy())

        assert "batching" not in world.hosts.last.said
