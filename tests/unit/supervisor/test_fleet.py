"""Rollouts, trials, scaling and places over fake hosts: what is told, and what the figures say."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest

from eas_engine.errors import ProcessorError
from eas_engine.supervisor.instance import Hooks
from eas_engine.supervisor.place import Limits, Place
from eas_engine.supervisor.reconcile import Supervisor
from eas_engine.supervisor.release import Release, Strategy
from support.channel import FakeChannels
from support.clock import FakeClock, settle
from support.hosts import FakeHosts
from support.placer import FakePlacer
from support.world import SETTINGS, World, started

# -- rollouts


async def test_a_rollout_is_told_from_its_beginning_to_its_end() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.roll_out(world.release(2, threads=3), Strategy())
        (begun,) = world.rollouts
        assert (begun.state, begun.release, begun.version) == ("rolling", 2, 20)
        assert (begun.source, begun.source_version, begun.started) == (1, 1, world.clock.wall())
        await settle()
        seen = world.fleet
        assert seen.rollout is not None
        assert seen.rollout.reason == "s-1: starting"
        rollout = seen.rollout
        assert (rollout.wanted, rollout.updated, rollout.ready, rollout.old) == (1, 1, 0, 1)
        assert (seen.release, seen.version) == (2, 20)
        assert [(one.name, one.release, one.version) for one in seen.instances] == [
            ("s-0", 1, 1),
            ("s-1", 2, 20),
        ]
        assert world.hosts.last.sent[0]["threads"] == 3
        await world.clock.advance(2)
        await world.up()
        assert world.states == ["draining", "ready"]
        assert world.fleet.instances[0].reason == "leaving: version 20 takes the place of version 1"
        done = world.rollouts[-1]
        assert (done.state, done.reason, done.ended) == ("done", "", world.clock.wall())
        assert (done.updated, done.ready, done.old) == (1, 1, 1)
        assert world.channels.latest("s-1").release == 2


async def test_a_restart_says_that_the_version_stays() -> None:
    """It used to say that version 10 takes the place of version 10."""
    async with started() as world:
        await world.up()
        world.supervisor.roll_out(Release(2, 1, world.release(2).settings), Strategy())
        await settle()
        await world.up()
        assert world.fleet.instances[0].reason == (
            "leaving: restarted: a new instance of version 1 takes its place"
        )


async def test_three_failed_starts_go_back_and_say_what_the_last_one_printed() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.roll_out(world.release(2), Strategy())
        await settle()
        for number in range(3):
            assert world.rolled == "rolling"
            world.hosts.last.prints(f"try {number}")
            world.hosts.last.exits(7)
            await world.clock.advance(1)
        back = world.rollouts[-1]
        assert (back.state, back.reason) == ("rolled_back", "s-1 failed to start 3 times in a row: exit 7")
        assert back.lines == ("try 2",)
        assert world.warned[-1] == "rollout"
        assert world.states == ["ready"]
        assert (world.fleet.release, world.fleet.rollout) == (1, replace(back, updated=0, old=1))
        assert len(world.hosts.made) == 4


async def test_a_new_one_that_was_ready_and_crashes_is_waited_for() -> None:
    async with started(instances=2) as world:
        await world.all_up()
        world.supervisor.roll_out(world.release(2), Strategy(timeout=100))
        await settle()
        await world.up()
        world.hosts.last.exits(-9)
        world.hosts.made[0].exits(0)  # it had finished
        await world.clock.advance(50)
        assert [(one.release, one.state.value) for one in world.fleet.instances] == [
            (2, "starting"),
            (1, "ready"),
            (2, "starting"),
        ]
        await world.all_up()
        assert world.rolled == "done"


async def test_what_is_blocked_before_it_was_ready_goes_back_at_once() -> None:
    async with started(crash_block=True) as world:
        await world.up()
        world.supervisor.roll_out(world.release(2, crash_block=True), Strategy())
        await settle()
        world.hosts.last.exits(-11)
        await settle()
        assert world.rollouts[-1].reason == "s-1 failed to start: signal 11 (SIGSEGV)"


async def test_what_is_blocked_after_it_was_ready_can_be_released_within_the_time() -> None:
    async with started(crash_block=True, instances=2) as world:
        await world.all_up()
        world.supervisor.roll_out(world.release(2, crash_block=True), Strategy(timeout=100))
        await settle()
        await world.up()
        world.hosts.last.exits(-11)
        await settle()
        assert "blocked" in world.states
        assert world.rolled == "rolling"
        await world.clock.advance(100)
        assert world.rolled == "rolled_back"
        assert world.rollouts[-1].reason.startswith("not done in time: 0 of 2 instances ready; s-")


async def test_who_holds_the_only_place_makes_room_first_or_it_is_said_how() -> None:
    """One card, and the service has it: by default an update waits for a place that nobody leaves."""
    async with started(placer=FakePlacer(1)) as world:
        await world.up()
        world.supervisor.roll_out(world.release(2), Strategy(timeout=100))
        await settle()
        await world.clock.advance(100)
        assert world.rolled == "rolled_back"
        assert "max_unavailable" in world.rollouts[-1].reason
        world.supervisor.roll_out(world.release(3), Strategy(timeout=100, max_unavailable=1))
        await settle()
        world.hosts.last.exits(0)
        await world.clock.advance(2)
        await world.up()
        assert world.rolled == "done"


async def test_before_anything_was_ready_a_bad_rollout_goes_back_and_a_bad_first_release_ends_it() -> None:
    async with started() as world:
        world.supervisor.roll_out(world.release(2), Strategy())
        await settle()
        world.hosts.last.failed("import", "no module")
        world.hosts.last.exits(1)
        await settle()
        assert world.rolled == "rolled_back"
        assert world.states == ["starting"]
        world.hosts.made[0].failed("import", "no module either")
        world.hosts.made[0].exits(1)
        with pytest.raises(ProcessorError, match="s-0 failed to start: import: no module either"):
            await world.running


async def test_a_rollout_of_a_service_without_instances_is_done_at_once_and_the_next_start_is_of_it() -> None:
    async with started(instances=0) as world:
        world.supervisor.roll_out(world.release(2), Strategy())
        await settle()
        assert world.rolled == "done"
        world.supervisor.wake()
        await settle()
        assert world.fleet.instances[0].release == 2


async def test_a_service_that_falls_asleep_in_the_middle_goes_back_unless_the_new_release_was_ready() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.roll_out(world.release(2), Strategy())
        await settle()
        world.supervisor.sleep()
        await settle()
        assert world.rolled == "rolled_back"
    async with started(instances=2) as world:
        await world.all_up()
        world.supervisor.roll_out(world.release(2), Strategy())
        await settle()
        await world.up()
        world.supervisor.sleep()
        await settle()
        assert (world.rolled, world.fleet.release) == ("done", 2)


async def test_release_numbers_only_grow_and_what_is_not_under_way_can_not_be_ended() -> None:
    async with started() as world:
        supervisor = world.supervisor
        with pytest.raises(ValueError, match="release 1 isn't new: the latest is 1"):
            supervisor.roll_out(world.release(1), Strategy())
        supervisor.try_out(world.release(5))
        with pytest.raises(ValueError, match="the latest is 5"):
            supervisor.roll_out(world.release(4), Strategy())
        assert supervisor.dismiss("no")
        assert not supervisor.dismiss("no")
        assert not supervisor.promote(Strategy())
        assert not supervisor.roll_back("no")
        with pytest.raises(ValueError, match="expected at least 1"):
            supervisor.try_out(world.release(6), 0)
        with pytest.raises(ValueError, match="expected 0 or more"):
            supervisor.scale(-1)
        assert not supervisor.replace("s-7")


# -- trials


async def test_a_trial_counts_nowhere_among_the_wanted_and_can_be_dismissed() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.try_out(world.release(2), 2)
        await settle()
        assert [one.release for one in world.fleet.instances] == [1, 2, 2]
        assert world.fleet.admitting_or_starting_count == 1
        await world.all_up()
        assert (world.fleet.ready_count, len(world.fleet.serving)) == (1, 1)
        trial = world.fleet.trial
        assert trial is not None
        assert (trial.state, trial.version, trial.ready, trial.wanted) == ("trying", 20, 2, 2)
        await world.clock.advance(1000)  # its timeout was for getting ready
        assert world.fleet.trial == trial
        world.supervisor.dismiss("errors rise")
        assert (world.tried, world.trials[-1].reason) == ("dismissed", "errors rise")
        await settle()
        assert [one.reason for one in world.fleet.instances] == ["", *["leaving: no longer tried out"] * 2]
        assert world.fleet.ready_count == 1


async def test_a_trial_that_does_not_come_up_is_dismissed_by_itself() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.try_out(world.release(2), 2, timeout=10)
        await settle()
        await world.up()
        await world.clock.advance(10)
        assert world.trials[-1].reason == "not ready in time: 1 of 2 instances ready; s-1: starting"
        world.supervisor.try_out(world.release(3))
        await settle()
        world.hosts.last.failed("import", "no module")
        world.hosts.last.exits(1)
        await settle()
        assert world.trials[-1].reason.endswith("failed to start: import: no module")
        assert (world.tried, world.fleet.release) == ("dismissed", 1)


async def test_a_trial_sleeps_with_the_service_and_has_its_time_again() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.try_out(world.release(2), 1, timeout=10)
        await settle()
        world.supervisor.sleep()
        await world.clock.advance(60)
        assert [one.release for one in world.fleet.instances if not one.leaving] == []
        world.supervisor.wake()
        await world.clock.advance(9)
        assert world.tried == "trying"
        await world.clock.advance(1)
        assert world.tried == "dismissed"


async def test_another_trial_takes_the_place_of_the_first() -> None:
    async with started() as world:
        world.supervisor.try_out(world.release(2))
        world.supervisor.try_out(world.release(3))
        assert [(one.release, one.state) for one in world.trials] == [
            (2, "trying"),
            (2, "dismissed"),
            (3, "trying"),
        ]
        assert world.trials[1].reason == "version 30 is tried out instead"


# -- how many


async def test_asleep_requests_may_wait_and_stopped_they_may_not() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.sleep()
        await settle()
        assert world.fleet.instances[0].reason == "leaving: scaled to zero"
        world.hosts.last.exits(0)
        await settle()
        asleep = world.fleet
        assert (asleep.asleep, asleep.stopped, asleep.next_start_due) == (True, False, 0.0)
        assert asleep.reasons == ("asleep: scaled to zero, the next request wakes it",)
        world.supervisor.stop_service()
        stopped = world.fleet
        assert (stopped.asleep, stopped.stopped, stopped.next_start_due) == (False, True, math.inf)
        assert stopped.reasons[0].startswith("stopped by the operator")
        world.supervisor.scale(2)
        await settle()
        assert world.states == []
        world.supervisor.start_service()
        await settle()
        assert [one.name for one in world.fleet.instances] == ["s-0", "s-1"]
        assert world.fleet.wanted == 2


async def test_stopped_at_once_none_is_expected_though_one_is_still_ready() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.stop_service()
        assert world.fleet.next_start_due == math.inf
        await settle()
        assert world.fleet.instances[0].reason == "leaving: stopped by the operator"


async def test_waking_a_service_that_is_awake_changes_nothing() -> None:
    async with started(instances=3) as world:
        world.supervisor.wake()
        assert world.fleet.wanted == 3


async def test_scaled_down_the_ones_that_are_not_ready_go_then_the_highest() -> None:
    async with started(instances=4) as world:
        for host in world.hosts.made[1:]:
            host.hello()
            host.ready()
        await settle()
        world.supervisor.scale(2)
        await settle()
        assert [one.name for one in world.fleet.instances] == ["s-1", "s-2", "s-3"]
        assert world.states == ["ready", "ready", "draining"]
        assert world.fleet.instances[2].reason == "leaving: scaled to 2"


async def test_a_number_is_free_again_when_the_last_process_is_dead() -> None:
    async with started(instances=2) as world:
        for host in list(world.hosts.made):
            host.hello(processes=2)
            await settle()
        for host in world.hosts.made[2:]:
            host.hello(processes=2)
        for host in world.hosts.made:
            host.ready()
        world.supervisor.scale(1)
        await settle()
        first, second = (host for host in world.hosts.made if "stop" in host.said)
        first.exits(0)
        world.supervisor.scale(2)
        await settle()
        assert [one.name for one in world.fleet.instances] == ["s-0", "s-1", "s-2"]
        second.exits(0)
        world.supervisor.scale(3)
        await settle()
        assert [one.state.value for one in world.fleet.instances] == ["ready", "starting", "starting"]


# -- what needs no new process


async def test_settings_of_no_process_hold_at_once_for_everyone() -> None:
    async with started() as world:
        await world.up()
        world.channels.latest("s-0").busy()
        other = replace(SETTINGS, grace=3.0, enable_sigterm=True, crash_block=True)
        world.supervisor.adjust(Release(0, 1, other), Strategy())
        (host,) = world.fleet.hosts
        assert (host.grace, host.crash_block) == (3.0, True)
        world.supervisor.roll_out(world.release(2), Strategy())
        await settle()
        await world.up()
        assert world.hosts.made[0].signals == ["TERM"]
        await world.clock.advance(3)
        assert world.states == ["ready"]
        assert world.fleet.hosts[0].grace == 30.0  # a release brings its own


async def test_the_strategy_of_a_rollout_can_be_changed_while_it_is_under_way() -> None:
    async with started(instances=4) as world:
        await world.all_up()
        world.supervisor.roll_out(world.release(2), Strategy(1, 0, timeout=300))
        await settle()
        assert world.states == [*["ready"] * 4, "starting"]
        world.supervisor.adjust(Release(0, 1, SETTINGS), Strategy(3, 0, timeout=20))
        await settle()
        assert world.states == [*["ready"] * 4, *["starting"] * 3]
        await world.clock.advance(20)
        assert world.rolled == "rolled_back"


# -- places


async def test_an_instance_without_a_place_waits_and_says_why() -> None:
    placer = FakePlacer(1)
    async with started(instances=2, placer=placer, limits=Limits(cpu=2.0)) as world:
        assert world.states == ["starting", "pending"]
        (_, waits) = world.fleet.instances
        assert waits.reason == "waits for a place: 1 of 1 places are taken"
        assert world.warned == ["no_place"]
        assert world.fleet.admitting_or_starting_count == 1
        quarters = world.hosts.last.quarters
        assert quarters is not None
        assert (quarters.instance, quarters.place, quarters.limits) == (
            "s-0",
            Place(cpus=(0,)),
            Limits(cpu=2.0),
        )
        await world.clock.advance(3)
        assert placer.asked == [("s-0", Limits(cpu=2.0))] + [("s-1", Limits(cpu=2.0))] * 4
        assert world.warned == ["no_place"]
        placer.room = 2
        await world.clock.advance(1)
        assert world.states == ["starting", "starting"]


async def test_requests_may_wait_for_the_next_look_for_a_place() -> None:
    async with started(placer=FakePlacer(0)) as world:
        assert world.fleet.next_start_due == world.clock.now() + 1


async def test_a_place_that_is_still_looked_for_is_waited_for_without_asking_again() -> None:
    placer = FakePlacer(2, slow=True)
    async with started(instances=3, placer=placer) as world:
        placer.found = world.supervisor.placed
        await world.clock.advance(10)
        assert (world.states, len(placer.asked)) == (["pending"] * 3, 3)
        assert world.fleet.admitting_or_starting_count == 3, "requests may wait for them"
        placer.answer()
        await settle()
        assert world.states == ["starting", "starting", "pending"]
        assert world.fleet.instances[2].reason == "waits for a place: 2 of 2 places are taken"
        await world.clock.advance(1)
        assert (placer.open, world.warned) == ({"s-2"}, ["no_place"])
        placer.room = 3
        placer.answer()
        await settle()
        assert world.states == ["starting"] * 3


async def test_an_instance_that_leaves_before_its_place_is_found_is_gone() -> None:
    placer = FakePlacer(slow=True)
    async with started(placer=placer) as world:
        placer.found = world.supervisor.placed
        world.supervisor.scale(0)
        await settle()
        assert (world.states, placer.open, placer.held) == ([], set(), {})


async def test_a_place_is_free_when_the_last_process_is_dead_and_given_on_at_once() -> None:
    placer = FakePlacer(1)
    async with started(placer=placer) as world:
        await world.up()
        world.supervisor.roll_out(world.release(2), Strategy(0, 1))
        await settle()
        assert placer.held.keys() == {"s-0"}
        assert world.states == ["draining"]
        world.hosts.made[0].exits(0)
        await settle()
        assert world.states == ["starting"]
        world.supervisor.scale(2)
        await settle()
        assert placer.held.keys() == {"s-0"}
        assert world.fleet.instances[1].reason.startswith("waits for a place")
        world.hosts.last.hello()
        world.hosts.last.ready()
        await settle()
    assert placer.held == {}


async def test_a_place_is_kept_through_crashes_and_shared_by_all_processes() -> None:
    placer = FakePlacer(1)
    async with started(placer=placer) as world:
        await world.up(processes=2)
        assert [host.quarters for host in world.hosts.made] == [world.hosts.made[0].quarters] * 2
        for host in list(world.hosts.alive):
            host.exits(1)
        assert placer.held.keys() == {"s-0"}
        await settle()
        assert len(world.hosts.alive) == 2


# -- those who are told


async def test_a_hook_may_ask_for_something_else_at_once() -> None:
    """What the planner found a moment ago is out of date then, and must do no harm."""
    clock, hosts = FakeClock(), FakeHosts()

    def against_it(fleet: object) -> None:
        supervisor.roll_back("no")

    supervisor = Supervisor(
        Release(1, 1, SETTINGS),
        FakeChannels(),
        clock=clock,
        execute=hosts,
        hooks=Hooks(on_rollout=against_it),
    )
    running = asyncio.ensure_future(supervisor.run())
    await settle()
    supervisor.roll_out(Release(2, 2, SETTINGS), Strategy())
    await settle()
    assert [one.release for one in supervisor.snapshot().instances] == [1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_everything_can_be_printed() -> None:
    world = World(SETTINGS, 2)
    world.supervisor.roll_out(world.release(2), Strategy())
    assert "s-0 pending, s-1 pending" in repr(world.supervisor)
    assert "rolling" in repr(world.supervisor)
