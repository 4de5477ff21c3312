"""Cards below instances: faults, memory that must be back, cards that are gone, and events."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eas_engine.supervisor.control import Fault, parse
from eas_engine.supervisor.gpu_memory import PATIENCE, InThread, session
from support.cards import FakeCards
from support.channel import FakeChannel
from support.clock import settle
from support.placer import FakePlacer
from support.world import World, started

A, B = "GPU-a", "GPU-b"
MIB = 2**20


def placer_of(*cards: str) -> FakePlacer:
    placer = FakePlacer()
    placer.cards = list(cards)
    return placer


async def dies(world: World) -> int:
    """The last host had memory of card A, and is killed; its pid."""
    pid = world.hosts.last.pid
    world.hosts.last.exits(-9)
    await settle()
    return pid


def died_of(channel: FakeChannel) -> str:
    assert channel.crash is not None
    return channel.crash.code


# -- a fault


async def test_a_host_that_lost_its_gpu_is_replaced_and_what_it_had_begun_is_told_why() -> None:
    async with started(placer=placer_of(A)) as world:
        await world.up()
        host = world.hosts.last
        host.lost_its_gpu("AcceleratorError: CUDA error: misaligned address")
        channel = world.channels.latest("s-0")
        assert channel.calls[-1] == "drain", "nothing new is handed out"
        host.exits(70)
        crash = channel.crash
        assert (died_of(channel), crash and crash.status) == ("gpu_fault", 500)
        assert "CUDA error: misaligned address" in str(crash)
        await settle()
        seen = world.fleet.hosts[0]
        assert (seen.state.value, seen.restarts) == ("starting", {"gpu_fault": 1})
        assert seen.last_crash is not None
        assert seen.last_crash.cause.startswith("GPUFault: AcceleratorError")


async def test_one_that_says_so_and_stays_is_ended() -> None:
    async with started() as world:
        await world.up()
        world.hosts.last.lost_its_gpu("CUDA error: misaligned address")
        await world.clock.advance(2)
        assert world.hosts.made[0].signals == ["KILL"]
        assert world.fleet.hosts[0].restarts == {"gpu_fault": 1}


async def test_one_that_is_leaving_says_so_and_is_no_crash() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.scale(0)
        await settle()
        world.hosts.last.lost_its_gpu("CUDA error: misaligned address")
        world.hosts.last.exits(70)
        assert died_of(world.channels.made[0]) == "gpu_fault"
        await settle()
        assert world.fleet.hosts == ()


def test_what_a_host_says_of_it() -> None:
    assert parse(b'{"type": "fault", "message": "m"}') == Fault("m")


# -- memory


async def test_a_successor_starts_when_the_memory_is_back_and_not_before() -> None:
    cards = FakeCards()
    async with started(placer=placer_of(A), cards=cards) as world:
        await world.up()
        pid = world.hosts.last.pid
        cards.used = {A: {pid: 100 * MIB, 7: MIB}}
        await dies(world)
        assert (world.states, len(world.hosts.made)) == (["crashed"], 1)
        await world.clock.advance(1)
        assert (world.states, len(world.hosts.made)) == (["crashed"], 1)
        reason = f"process {pid} has 100 MiB on {A}"
        assert world.fleet.hosts[0].reason.endswith(f"waits for its GPU memory: {reason}")
        assert world.fleet.reasons == (f"s-0: {world.fleet.hosts[0].reason}",)
        cards.used = {A: {7: MIB}}
        await world.clock.advance(0.1)
        assert world.states == ["starting"], "what others have there is their own"
        assert world.warned == ["host_crashed"]


async def test_memory_of_children_counts() -> None:
    cards = FakeCards()
    async with started(placer=placer_of(A), cards=cards) as world:
        await world.up()
        cards.children = {world.hosts.last.pid: {4711}}
        cards.used = {A: {4711: MIB}}
        await dies(world)
        await world.clock.advance(1)
        assert world.states == ["crashed"]
        cards.used = {}
        await world.clock.advance(0.1)
        assert world.states == ["starting"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_memory_that_never_comes_back_is_waited_for_so_long_and_told(hangs: bool) -> None:
    cards = FakeCards()
    async with started(placer=placer_of(A), cards=cards) as world:
        await world.up()
        cards.hangs = hangs
        cards.used = {A: {world.hosts.last.pid: MIB}}
        await dies(world)
        await world.clock.advance(PATIENCE - 0.01)
        assert world.states == ["crashed"]
        await world.clock.advance(0.02)
        assert world.states == ["starting"]
        assert world.warned == ["host_crashed", "gpu_memory_not_back"]


async def test_the_place_of_one_that_left_is_free_when_its_memory_is() -> None:
    cards, placer = FakeCards(), placer_of(A)
    async with started(placer=placer, cards=cards) as world:
        await world.up()
        cards.used = {A: {world.hosts.last.pid: MIB}}
        world.supervisor.scale(0)
        await settle()
        world.hosts.last.exits(0)
        await world.clock.advance(1)
        assert list(placer.held) == ["s-0"]
        cards.used = {}
        await world.clock.advance(0.1)
        assert placer.held == {}


async def test_who_ends_the_engine_waits_for_no_memory() -> None:
    cards = FakeCards()
    async with started(placer=placer_of(A), cards=cards) as world:
        await world.up()
        cards.used = {A: {world.hosts.last.pid: MIB}}
        await dies(world)
        before = world.clock.now()
        await world.supervisor.stop(30)
        await world.running
        assert world.clock.now() == before


async def test_without_a_card_nobody_asks() -> None:
    cards = FakeCards()
    cards.hangs = True
    async with started(cards=cards) as world:
        await world.up()
        await dies(world)
        assert world.states == ["starting"]


# -- a card that is gone


async def test_instances_of_a_card_that_is_gone_go_where_one_is_free() -> None:
    placer = placer_of(A, B)
    async with started(placer=placer) as world:
        await world.up()
        placer.cards = [B]  # the inventory knows
        world.supervisor.card_lost(A, "Xid 79")
        await settle()
        assert died_of(world.channels.made[0]) == "gpu_fault"
        assert world.hosts.made[0].signals == ["KILL"]
        assert placer.held["s-0"].cards == (B,)
        assert world.states == ["starting"]
        quarters = world.hosts.quarters[-1]
        assert quarters is not None
        assert quarters.place.cards == (B,)
        assert world.warned[0] == "card_lost"


async def test_without_another_card_they_wait_and_say_why() -> None:
    placer = placer_of(A)
    async with started(placer=placer) as world:
        await world.up()
        world.supervisor.card_lost(A, "Xid 79: GPU has fallen off the bus")
        await settle()
        (host,) = world.fleet.hosts
        assert len(world.hosts.made) == 1
        assert host.reason == f"waits for a place: {A} is gone: Xid 79: GPU has fallen off the bus"
        assert placer.held == {}
        placer.cards = [B]
        await world.clock.advance(1)
        assert world.states == ["starting"]


async def test_the_others_go_on() -> None:
    async with started(2, placer=placer_of(A, B)) as world:
        await world.all_up()
        world.supervisor.card_lost(A, "Xid 79")
        await settle()
        assert [host.alive for host in world.hosts.made] == [False, True]
        assert world.fleet.ready_count == 1


async def test_one_that_was_leaving_is_ended_at_once() -> None:
    async with started(placer=placer_of(A)) as world:
        await world.up()
        world.channels.latest("s-0").busy()
        world.supervisor.scale(0)
        await settle()
        world.supervisor.card_lost(A, "Xid 79")
        await settle()
        assert not world.hosts.made[0].alive


# -- events of a card


async def test_an_event_asks_those_on_the_card_alone() -> None:
    async with started(2, placer=placer_of(A, B)) as world:
        await world.all_up()
        world.supervisor.check_card(B, "Xid 31")
        asked = [host.sent[-1] for host in world.hosts.made if "check_gpu" in host.said]
        assert asked == [{"type": "check_gpu", "why": "Xid 31"}]
        assert "check_gpu" in world.hosts.made[1].said
        world.supervisor.check_card("", "Xid 8")
        assert [host.sent[-1].get("why") for host in world.hosts.made] == ["Xid 8"] * 2


async def test_an_event_of_an_unknown_card_asks_nobody_without_one() -> None:
    async with started() as world:
        await world.up()
        world.supervisor.check_card("", "Xid 8")
        assert "check_gpu" not in world.hosts.last.said


# -- whom it asks


async def test_a_function_that_blocks_is_asked_in_a_thread() -> None:
    asked: list[str] = []

    def used_by(card: str) -> dict[int, int]:
        asked.append(card)
        return {1: threading.get_ident()}

    cards = InThread(used_by)
    assert (await cards.used_by(A))[1] != threading.get_ident()
    assert asked == [A]
    assert os.getpid() in await cards.members(os.getsid(0))


def test_a_session_is_its_leader_and_who_is_left_of_it(tmp_path: Path) -> None:
    program = "import sys, subprocess; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, start_new_session=True
    ) as one:
        while len(found := session(one.pid)) < 2:
            pass
        assert one.pid in found
        one.communicate(b"\n")
    assert session(one.pid) == {one.pid}
    for name, stat in (("1", "1 (a b) S 0 1 7 0"), ("2", "2 (x) R) S 1 7 7 0"), ("self", "3 (x) S 1 7 7 0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stat").write_text(stat)
    (tmp_path / "9").mkdir()
    assert session(7, tmp_path) == {1, 2, 7}


async def test_the_waiting_ends_with_the_engines_task() -> None:
    cards = FakeCards()
    async with started(placer=placer_of(A), cards=cards) as world:
        await world.up()
        cards.hangs = True
        await dies(world)
        world.running.cancel()
        await asyncio.gather(world.running, return_exceptions=True)
        assert world.running.done()


async def test_a_driver_that_never_answers_holds_none_of_the_loops_own_threads() -> None:
    """They are few, and the end of the loop waits for them."""
    hangs, asked = threading.Event(), threading.Event()

    def used_by(_: str) -> dict[int, int]:
        asked.set()
        hangs.wait()
        return {7: MIB}

    cards = InThread(used_by)
    questions = [asyncio.ensure_future(cards.used_by(A)) for _ in range(50)]
    try:
        assert await asyncio.to_thread(asked.wait, 60)
        await asyncio.get_running_loop().shutdown_default_executor()  # as at the end
        for one in questions[1:]:
            one.cancel()
    finally:
        hangs.set()
    assert await questions[0] == {7: MIB}, "who still waits is answered all the same"


async def test_who_asks_is_told_what_went_wrong() -> None:
    def used_by(card: str) -> dict[int, int]:
        raise ValueError(card)

    cards = InThread(used_by)
    with pytest.raises(ValueError, match=A):
        await cards.used_by(A)
    with pytest.raises(ValueError, match=B):
        await cards.used_by(B)
