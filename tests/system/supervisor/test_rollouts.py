"""Rollouts and scaling of real processes: what serves keeps its process until another one serves."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.release import Release, Strategy
from support.scripted import HELLO, LOAD, STOP, UP, Fleet, is_alive, running, settings, until_gone

SERVES: list[Any] = [*UP, STOP, ["exit", 0]]
HANGS: list[Any] = [HELLO, LOAD, ["forever", 0]]
EXITS: list[Any] = [["print", "no such model"], ["exit", 7]]
REFUSES: list[Any] = [
    HELLO,
    LOAD,
    ["print", "last words"],
    ["say", {"type": "failed", "stage": "initialize", "message": "no such model"}],
    ["exit", 1],
]


def release(number: int, directory: Path, script: list[Any]) -> Release:
    return Release(number, 10 * number, settings(directory, *script))


def releases(fleet: Fleet) -> list[int]:
    return [one.release for one in fleet.supervisor.snapshot().instances]


async def test_a_rollout_replaces_every_process_and_never_has_fewer_ready(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES), instances=3) as fleet:
        before = await fleet.up(3)
        fleet.seen.clear()
        fleet.supervisor.roll_out(release(2, tmp_path, SERVES), Strategy(1, 0))
        assert (await fleet.ended(2)).state == "done"
        after = await fleet.up(3)
        assert releases(fleet) == [2, 2, 2]
        assert not set(before.values()) & set(after.values())
        await until_gone(list(before.values()))
        assert min(seen.ready_count for seen in fleet.seen) == 3
        assert max(len(seen.instances) for seen in fleet.seen) == 4
        assert {one.name for seen in fleet.seen for one in seen.instances} == {f"s-{n}" for n in range(4)}
        assert [made.release for made in fleet.channels.made] == [1, 1, 1, 2, 2, 2]


async def test_without_a_surge_one_leaves_before_another_comes(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES), instances=2) as fleet:
        await fleet.up(2)
        fleet.seen.clear()
        fleet.supervisor.roll_out(release(2, tmp_path, SERVES), Strategy(0, 1))
        assert (await fleet.ended(2)).state == "done"
        await fleet.up(2)
        assert min(seen.ready_count for seen in fleet.seen) == 1
        assert max(len(seen.instances) for seen in fleet.seen) == 2


async def test_a_version_that_exits_at_its_start_goes_back_while_the_old_one_serves(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES), instances=2) as fleet:
        before = await fleet.up(2)
        fleet.seen.clear()
        fleet.supervisor.roll_out(release(2, tmp_path, EXITS), Strategy(1, 0))
        ended = await fleet.ended(2)
        assert (ended.state, ended.source) == ("rolled_back", 1)
        assert ended.reason == "s-2 failed to start 3 times in a row: exit 7"
        assert ended.lines == ("no such model",)
        assert await fleet.up(2) == before
        assert min(seen.ready_count for seen in fleet.seen) == 2


async def test_a_processor_that_refuses_goes_back_at_once(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES)) as fleet:
        before = await fleet.up(1)
        fleet.supervisor.roll_out(release(2, tmp_path, REFUSES), Strategy())
        ended = await fleet.ended(2)
        assert ended.reason == "s-1 failed to start: initialize: no such model"
        assert ended.lines == ("last words",)
        assert [made.release for made in fleet.channels.made] == [1, 2]
        assert await fleet.up(1) == before


async def test_a_version_that_never_gets_ready_goes_back_in_time(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES)) as fleet:
        before = await fleet.up(1)
        fleet.supervisor.roll_out(release(2, tmp_path, HANGS), Strategy(timeout=0.3))
        ended = await fleet.ended(2)
        assert ended.reason.startswith("not done in time: 0 of 1 instances ready")
        assert await fleet.up(1) == before


async def test_a_newer_version_supersedes_one_that_hangs(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES), instances=2) as fleet:
        await fleet.up(2)
        fleet.seen.clear()
        fleet.supervisor.roll_out(release(2, tmp_path, HANGS), Strategy(1, 0))
        seen = await fleet.until(lambda fleet: fleet.hosts[-1].state is State.WARMING)
        assert (seen.hosts[-1].release, seen.rollout and seen.rollout.reason) == (
            2,
            "s-2: the processor initialises",
        )
        hanging = seen.hosts[-1].pid
        assert hanging is not None
        fleet.supervisor.roll_out(release(3, tmp_path, SERVES), Strategy(1, 0))
        ended = await fleet.ended(3)
        assert (ended.state, ended.source) == ("done", 1)
        await fleet.up(2)
        assert releases(fleet) == [3, 3]
        assert not is_alive(hanging)
        assert min(seen.ready_count for seen in fleet.seen) == 2
        assert max(len(seen.instances) for seen in fleet.seen) == 3


async def test_kill_9_of_old_and_new_during_a_rollout(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()  # the new version comes up when the test says so
    async with running(settings(tmp_path, *SERVES), instances=2) as fleet:
        before = await fleet.up(2)
        fleet.supervisor.roll_out(release(2, tmp_path, [["wait for", str(gate)], *SERVES]), Strategy(1, 0))
        await fleet.until(lambda fleet: len(fleet.instances) == 3)
        os.kill(before["s-0"], signal.SIGKILL)
        await fleet.until(lambda fleet: fleet.ready_count == 2 and before["s-0"] not in pids(fleet))
        gate.unlink()
        seen = await fleet.until(lambda fleet: any(ready_of(2, one) for one in fleet.instances))
        first = next(one for one in seen.instances if ready_of(2, one))
        os.kill(first.pids[0], signal.SIGKILL)
        assert (await fleet.ended(2)).state == "done"
        after = await fleet.up(2)
        assert releases(fleet) == [2, 2]
        assert not {*before.values(), first.pids[0]} & set(after.values())


def ready_of(number: int, instance: Any) -> bool:
    return bool(instance.release == number and instance.state is State.READY)


def pids(fleet: Any) -> set[int]:
    return {pid for one in fleet.instances for pid in one.pids}


async def test_from_one_to_three_to_none_to_one(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES)) as fleet:
        first = await fleet.up(1)
        fleet.supervisor.scale(3)
        three = await fleet.up(3)
        assert three.items() >= first.items()
        fleet.supervisor.scale(1)
        assert await fleet.up(1) == first
        fleet.supervisor.scale(0)
        asleep = await fleet.until(lambda fleet: not fleet.instances)
        assert (asleep.asleep, asleep.next_start_due) == (True, 0.0)
        fleet.supervisor.wake()
        again = await fleet.up(1)
        assert again.keys() == {"s-0"}
        assert again != first
        assert releases(fleet) == [1]


async def test_one_instance_is_replaced_and_the_other_is_not(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES), instances=2) as fleet:
        before = await fleet.up(2)
        fleet.seen.clear()
        assert fleet.supervisor.replace("s-0")
        await fleet.until(lambda fleet: before["s-0"] not in pids(fleet))
        after = await fleet.up(2)
        assert after == {"s-1": before["s-1"], "s-2": after["s-2"]}
        assert min(seen.ready_count for seen in fleet.seen) == 2


async def test_what_is_tried_out_is_promoted_with_its_processes(tmp_path: Path) -> None:
    async with running(settings(tmp_path, *SERVES), instances=2) as fleet:
        await fleet.up(2)
        fleet.supervisor.try_out(release(2, tmp_path, SERVES), 1)
        seen = await fleet.until(lambda fleet: fleet.trial is not None and fleet.trial.ready == 1)
        assert (seen.ready_count, len(seen.instances)) == (2, 3)
        tried = seen.instances[2].pids[0]
        assert fleet.supervisor.promote(Strategy(1, 0))
        assert (await fleet.ended(2)).state == "done"
        after = await fleet.up(2)
        assert releases(fleet) == [2, 2]
        assert tried in after.values()
