"""What an engine knows of the cards, and what the autoscaler is told of them."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from eas_engine.cards import Cards
from eas_engine.clock import SystemClock
from eas_engine.devices.xid import Fault, fault
from eas_engine.supervisor.lifecycle import State
from eas_engine.supervisor.observe import HostSnapshot, InstanceSnapshot, Seat
from eas_engine.supervisor.place import Limits
from support.nvml import ScriptedNvml, Slice, card

PID = 5_000_007
"""No process of this machine has such a number."""


class FakeNotes:
    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))


def instance(pid: int) -> InstanceSnapshot:
    seat = Seat(0, 0)
    return InstanceSnapshot("digits-0", (HostSnapshot(seat, "digits-0", "digits-0", State.READY, pid),), 0.0)


class World:
    def __init__(self, nvml: ScriptedNvml | None, **given: tuple[str, ...]) -> None:
        self.notes = FakeNotes()
        self.given = {name.replace("_", "-"): cards for name, cards in given.items()}
        self.cards = Cards(nvml, lambda: self.given, SystemClock(), self.notes)  # type: ignore[arg-type]
        self.faults: asyncio.Queue[Fault] = asyncio.Queue()
        self.cards.on_fault = self.faults.put_nowait

    async def __aenter__(self) -> Self:
        self.cards.start()
        await asyncio.to_thread(self._looked)
        return self

    def _looked(self) -> None:
        """Wait until the cards were seen."""
        while (view := self.cards.view()) is not None and not view.seen:
            threading.Event().wait(0.001)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.cards.close)
        assert self.cards.view() is None


async def test_without_cards_there_is_no_figure_and_no_thread() -> None:
    async with World(None) as world:
        world.cards.configure(Limits(gpus=1), often=True)
        assert world.cards.view() is None
        assert world.cards.percent(instance(PID)) is None


async def test_a_fault_comes_to_the_loop() -> None:
    nvml = ScriptedNvml(card(0))
    async with World(nvml) as world:
        nvml.xid("GPU-0", 48)
        assert await world.faults.get() == fault("GPU-0", 48)
    ((event, fields),) = world.notes.told
    assert event == "card_fault"
    assert fields == {"gpu": "GPU-0", "fault": "Xid 48: double-bit ECC error"}
    assert nvml.opened == 0


async def test_whole_cards_are_told_by_the_card() -> None:
    """In a container the driver lists no process that the engine knows."""
    nvml = ScriptedNvml(card(0, utilization=80), card(1, utilization=20), card(2))
    async with World(nvml, digits_0=("GPU-0", "GPU-1")) as world:
        world.cards.configure(Limits(gpus=2), often=True)
        assert world.cards.percent(instance(PID)) == 50.0
        world.given["digits-0"] = ("GPU-0", "GPU-gone")
        assert world.cards.percent(instance(PID)) is None


async def test_a_share_is_told_by_its_processes() -> None:
    nvml = ScriptedNvml(card(0, utilization=90, clients={PID: 5, PID + 1: 5}, busy={PID: 15, PID + 1: 75}))
    async with World(nvml, digits_0=("GPU-0",)) as world:
        world.cards.configure(Limits(gpu_memory=1 << 30, gpu_percent=30), often=True)
        assert world.cards.percent(instance(PID)) == 50.0
        assert world.cards.percent(instance(PID + 2)) is None


async def test_who_was_given_none_is_told_where_it_is_found() -> None:
    nvml = ScriptedNvml(card(0), card(1, processes={PID: 5}, busy={PID: 40}))
    async with World(nvml) as world:
        assert world.cards.percent(instance(PID)) == 40.0


async def test_of_a_slice_there_is_no_figure() -> None:
    nvml = ScriptedNvml(card(0, slices=[Slice(uuid="MIG-a", processes={PID: 5})]))
    async with World(nvml, digits_0=("MIG-a",)) as world:
        world.cards.configure(Limits(gpus=1), often=True)
        assert world.cards.percent(instance(PID)) is None
