"""Moving to better groups: a probe, then 2, 4 ..., and nobody leaves before somebody is ready for it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_engine.supervisor.pools.rebalance import Decision, Progress, Rebalancer, Rules, Seat, decide
from support.clock import FakeClock, settle
from support.groups import GroupedFleet

RULES = Rules(("fast", "slow", ""), period=60.0, patience=300.0)


def rebalancer(fleet: GroupedFleet, clock: FakeClock | None = None) -> tuple[Rebalancer, FakeClock]:
    clock = clock or FakeClock()
    return Rebalancer(fleet, RULES, clock), clock


async def test_nothing_is_tried_before_its_time() -> None:
    fleet = GroupedFleet({"fast": 4, "slow": 4}, ["slow"])
    one, clock = rebalancer(fleet)
    clock.jump(59)
    await one.step()
    assert fleet.asked() == []
    clock.jump(1)
    await one.step()
    assert fleet.asked() == ["start fast"]


async def test_one_then_two_then_four_and_each_that_is_ready_replaces_one() -> None:
    fleet = GroupedFleet({"fast": 20, "slow": 20}, ["slow"] * 9)
    one, clock = rebalancer(fleet)
    clock.jump(60)
    await one.step()
    assert fleet.asked() == ["start fast"]
    await one.step()
    assert fleet.asked() == [], "it isn't ready, so nobody leaves, and no other is tried"
    fleet.get_ready()
    await one.step()
    assert fleet.asked() == ["drain d-8", "start fast", "start fast"]
    fleet.leave()
    fleet.get_ready()
    await one.step()
    assert fleet.asked() == ["drain d-7", "drain d-6", *["start fast"] * 4]
    fleet.get_ready()
    await one.step()
    assert fleet.asked() == ["drain d-5", "drain d-4", "drain d-3", "drain d-2", *["start fast"] * 2]
    fleet.get_ready()
    await one.step()
    fleet.leave()
    assert fleet.groups() == ["fast"] * 9
    assert fleet.fewest_ready == 9
    fleet.asked()
    clock.jump(600)
    await one.step()
    assert fleet.asked() == [], "all are where they should be"


async def test_one_that_does_not_fit_ends_the_round_until_later() -> None:
    fleet = GroupedFleet({"fast": 2, "slow": 4}, ["slow"] * 4)
    one, clock = rebalancer(fleet)
    clock.jump(60)
    await one.step()
    fleet.get_ready()
    await one.step()
    assert fleet.asked() == ["start fast", "drain d-3", "start fast", "full fast"]
    fleet.get_ready()
    await one.step()
    assert fleet.asked() == ["drain d-2"], "the one that did fit takes its place all the same"
    fleet.leave()
    fleet.room["fast"] = 4
    clock.jump(59)
    await one.step()
    assert fleet.asked() == []
    clock.jump(1)
    await one.step()
    assert fleet.asked() == ["start fast"], "and it begins with one again"


async def test_the_best_group_that_has_room_is_taken_and_who_is_worst_off_moves_first() -> None:
    fleet = GroupedFleet({"fast": 0, "slow": 2, "": 2}, ["slow", ""])
    one, clock = rebalancer(fleet)
    clock.jump(60)
    await one.step()
    assert fleet.asked() == ["full fast", "start slow"]
    fleet.get_ready()
    await one.step()
    assert fleet.asked() == ["drain d-1", "full fast"], "and nobody in slow is moved to slow"


async def test_who_is_not_ready_leaves_rather_than_who_is() -> None:
    fleet = GroupedFleet({"fast": 4, "slow": 4}, ["slow", "slow"])
    fleet.instances["d-0"] = Seat("d-0", "slow", ready=False)
    one, clock = rebalancer(fleet)
    clock.jump(60)
    await one.step()
    probe = "d-2"
    fleet.instances[probe] = Seat(probe, "fast", ready=True)
    await one.step()
    assert "drain d-0" in fleet.asked()


async def test_a_probe_that_is_needed_no_more_leaves() -> None:
    fleet = GroupedFleet({"fast": 4, "slow": 4}, ["fast", "slow"])
    one, clock = rebalancer(fleet)
    clock.jump(60)
    await one.step()
    fleet.crash("d-1")  # scaled to fewer, say, and the supervisor chose this one
    fleet.get_ready()
    fleet.asked()
    await one.step()
    assert fleet.asked() == ["drain d-2"]


@pytest.mark.parametrize("how", ["crash", "drain", "never ready"])
async def test_a_probe_that_comes_to_nothing_costs_nobody_its_place(how: str) -> None:
    fleet = GroupedFleet({"fast": 4, "slow": 4}, ["slow"] * 3)
    one, clock = rebalancer(fleet)
    clock.jump(60)
    await one.step()
    assert fleet.asked() == ["start fast"]
    if how == "crash":
        fleet.crash("d-3")
    elif how == "drain":
        fleet.drain("d-3")
    else:
        clock.jump(301)
    fleet.asked()
    await one.step()
    assert fleet.asked() == (["drain d-3"] if how == "never ready" else [])
    fleet.leave()
    assert fleet.groups() == ["slow"] * 3
    await one.step()
    assert fleet.asked() == []
    clock.jump(60)
    await one.step()
    assert fleet.asked() == ["start fast"]


async def test_nothing_is_tried_during_an_update_but_probes_that_are_there_are_finished() -> None:
    fleet = GroupedFleet({"fast": 4, "slow": 4}, ["slow"] * 3)
    one, clock = rebalancer(fleet)
    clock.jump(60)
    await one.step()
    fleet.calm = False
    fleet.get_ready()
    await one.step()
    assert fleet.asked() == ["start fast", "drain d-2"]
    fleet.calm = True
    await one.step()
    assert fleet.asked() == ["start fast", "start fast"]


async def test_who_is_in_a_group_that_is_none_of_the_services_is_worst_off() -> None:
    decision = decide(Progress(0.0), [Seat("d-0", "gold", ready=True)], RULES, 0.0, steady=True)
    assert decision == Decision((), (("fast", "slow", ""),), Progress(0.0))


async def test_a_probe_is_known_as_soon_as_it_is_started() -> None:
    """Whoever gives up while the next one is looked for must not leave it behind."""
    known: list[list[str]] = []

    class Looking(GroupedFleet):
        async def start_in(self, group: str) -> str | None:
            known.append([probe.name for probe in one.progress.probes])
            return await super().start_in(group)

    fleet = Looking({"fast": 4, "slow": 4}, ["slow", "slow"])
    one, clock = rebalancer(fleet)
    one.progress = replace(one.progress, size=2)
    clock.jump(60)
    await one.step()
    assert known == [[], ["d-2"]]
    assert [probe.name for probe in one.progress.probes] == ["d-2", "d-3"]


async def test_it_runs_until_it_is_cancelled() -> None:
    fleet = GroupedFleet({"fast": 1, "slow": 4}, ["slow"])
    one, clock = rebalancer(fleet)
    task = asyncio.create_task(one.run())
    await settle()
    for _ in range(70):
        clock.jump(1.0)
        await settle(2)
    assert fleet.asked() == ["start fast"]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


STEPS = st.lists(
    st.sampled_from(["wait", "ready", "leave", "crash", "unsettle", "settle", "grow", "shrink"]), max_size=60
)


@given(
    st.lists(st.sampled_from(["fast", "slow", ""]), min_size=1, max_size=8),
    st.integers(0, 8),
    st.integers(0, 8),
    STEPS,
)
def test_never_fewer_that_are_ready_and_in_the_end_all_are_as_well_off_as_can_be(
    seats: list[str], fast: int, slow: int, steps: list[str]
) -> None:
    asyncio.run(live_through(seats, fast, slow, steps))


async def live_through(seats: list[str], fast: int, slow: int, steps: list[str]) -> None:
    fleet = GroupedFleet({"fast": fast, "slow": slow, "": 99}, seats)
    one, clock = rebalancer(fleet)
    wanted = len(seats)
    for step in steps:
        take(fleet, clock, step)
        await one.step()
        probes = {probe.name for probe in one.progress.probes}
        assert sum(not seat.leaving for seat in fleet.seats()) == wanted + len(probes)
        assert fleet.fewest_ready >= wanted
    fleet.calm = True
    for _ in range(12):
        clock.jump(61)
        await one.step()
        fleet.get_ready()
        await one.step()
        fleet.leave()
    room = fleet.room
    best = ["fast"] * max(room["fast"], seats.count("fast")) + ["slow"] * max(
        room["slow"], seats.count("slow")
    )
    assert ranks(fleet.groups()) <= ranks((best + [""] * wanted)[:wanted])


def take(fleet: GroupedFleet, clock: FakeClock, step: str) -> None:
    """One thing that happens to a fleet; who wasn't started by rebalancing neither crashes nor unreadies."""
    starting = [one for one in fleet.seats() if not one.ready and not one.leaving]
    match step:
        case "wait":
            clock.jump(61)
        case "ready":
            fleet.get_ready()
        case "leave":
            fleet.leave()
        case "crash" if starting:
            fleet.crash(starting[0].name)
        case "unsettle" | "settle":
            fleet.calm = step == "settle"
        case "grow":
            fleet.room["fast"] += 1
        case "shrink":
            fleet.room["fast"] = max(fleet.held("fast"), fleet.room["fast"] - 1)


def ranks(groups: list[str]) -> list[int]:
    return sorted((RULES.rank(one) for one in groups), reverse=True)
