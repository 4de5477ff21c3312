"""What is there is what the driver lets be used; who is on it is who the driver lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.devices import Gpu
from eas_engine.devices import nvml as driver
from eas_engine.devices.inventory import Inventory
from support.nvml import Card, ScriptedNvml, Slice, card

GIB = 1 << 30


def test_no_cards() -> None:
    inventory = Inventory(ScriptedNvml())
    assert inventory.gpus() == inventory.devices() == ()
    assert inventory.absent() == ()


def test_cards_with_their_memory_and_node() -> None:
    nvml = ScriptedNvml(card(0, nodes=0b1), card(1, memory=40 * GIB, nodes=0b10, name="Other"))
    assert Inventory(nvml).gpus() == (
        Gpu("NVIDIA Scripted 100", 80 * GIB, "GPU-0", "", 0),
        Gpu("Other", 40 * GIB, "GPU-1", "", 1),
    )


@pytest.mark.parametrize("nodes", [0, 0b11, 1 << 70 | 1])
def test_a_card_near_no_node_or_several_is_near_none(nodes: int) -> None:
    assert Inventory(ScriptedNvml(card(0, nodes=nodes))).gpus()[0].node is None


def test_a_far_node_is_found() -> None:
    assert Inventory(ScriptedNvml(card(0, nodes=1 << 200))).gpus()[0].node == 200


def test_a_divided_card_is_its_slices() -> None:
    parts = [Slice(uuid="MIG-a"), None, Slice(uuid="MIG-b", profile="2g.20gb", memory=20 * GIB)]
    inventory = Inventory(ScriptedNvml(card(0, slices=parts, nodes=2), card(1)))
    assert [one.uuid for one in inventory.gpus()] == ["MIG-a", "MIG-b", "GPU-1"]
    part = inventory.gpus()[1]
    assert part == Gpu("NVIDIA Scripted 100 MIG 2g.20gb", 20 * GIB, "MIG-b", "GPU-0", 1)
    assert [one.uuid for one in inventory.devices()] == ["GPU-0", "MIG-a", "MIG-b", "GPU-1"]


def test_a_card_that_is_to_be_divided_gives_nothing() -> None:
    inventory = Inventory(ScriptedNvml(card(0, slices=[])))
    assert inventory.gpus() == ()
    assert [one.uuid for one in inventory.devices()] == ["GPU-0"]


def test_a_card_that_knows_no_slices_is_whole() -> None:
    nvml = ScriptedNvml(card(0, unsupported={"nvmlDeviceGetMigMode", "nvmlDeviceGetMemoryAffinity"}))
    assert [(one.uuid, one.node) for one in Inventory(nvml).gpus()] == [("GPU-0", None)]


def test_a_lost_card_is_not_there_and_the_others_are() -> None:
    nvml = ScriptedNvml(card(0), card(1), card(2))
    nvml.cards[1].lost = True
    inventory = Inventory(nvml)
    assert [one.uuid for one in inventory.gpus()] == ["GPU-0", "GPU-2"]
    (told,) = inventory.absent()
    assert told.startswith("card 1: it fell off the bus")
    assert inventory.trouble("GPU-1").startswith("it fell off the bus")
    assert inventory.trouble("GPU-0") == ""
    assert "no such card" in inventory.trouble("GPU-9")


def test_a_driver_that_answers_nothing_has_no_cards() -> None:
    nvml = ScriptedNvml(card(0))
    nvml.failing["nvmlDeviceGetCount"] = driver.UNKNOWN
    assert Inventory(nvml).gpus() == ()


def test_a_card_that_may_not_be_used_here() -> None:
    nvml = ScriptedNvml(card(0, failing={"nvmlDeviceGetHandleByIndex": driver.NO_PERMISSION}))
    inventory = Inventory(nvml)
    assert inventory.gpus() == ()
    assert inventory.absent() == ("card 0: the driver doesn't allow it to be used from here",)


class TestProcesses:
    def of(self, tmp_path: Path, one: Card, **parents: int) -> Inventory:
        """``parents``: parent by ``p<pid>``."""
        for name, parent in parents.items():
            folder = tmp_path / name.removeprefix("p")
            folder.mkdir()
            (folder / "stat").write_text(f"{name} (a) (b) S {parent} 1 1")
        return Inventory(ScriptedNvml(one), tmp_path)

    def test_those_who_use_it_directly_and_through_mps(self, tmp_path: Path) -> None:
        one = card(0, processes={7: 5, 8: 6}, clients={9: 4, 8: 9, 3: None})
        inventory = self.of(tmp_path, one)
        assert inventory.used_by("GPU-0") == {3: 0, 7: 5, 8: 9, 9: 4}
        assert {found.pid: found.memory for found in inventory.occupants("GPU-0") or ()}[3] is None

    def test_a_driver_that_tells_of_no_mps(self, tmp_path: Path) -> None:
        missing = {"nvmlDeviceGetMPSComputeRunningProcesses"}
        assert self.of(tmp_path, card(0, processes={7: 5}, unsupported=missing)).used_by("GPU-0") == {7: 5}

    def test_a_driver_that_tells_nothing(self, tmp_path: Path) -> None:
        missing = {"nvmlDeviceGetComputeRunningProcesses"}
        inventory = self.of(tmp_path, card(0, processes={7: 5}, unsupported=missing))
        assert inventory.used_by("GPU-0") is None
        assert inventory.used_by("GPU-none") is None
        assert not inventory.holds(["GPU-0"], [7])

    def test_a_driver_that_is_older_than_its_package(self, tmp_path: Path) -> None:
        nvml = ScriptedNvml(card(0, processes={7: 5}))
        nvml.old = True
        assert Inventory(nvml, tmp_path).used_by("GPU-0") is None

    def test_of_a_slice(self, tmp_path: Path) -> None:
        one = card(0, slices=[Slice(uuid="MIG-a", processes={7: 5}), Slice(uuid="MIG-b")])
        inventory = self.of(tmp_path, one)
        assert (inventory.used_by("MIG-a"), inventory.used_by("MIG-b")) == ({7: 5}, {})

    def test_memory_is_held_until_no_descendant_is_listed(self, tmp_path: Path) -> None:
        one = card(0, processes={30: 5})
        inventory = self.of(tmp_path, one, p30=20, p20=10, p10=1)
        assert inventory.holds(["GPU-0"], [10])
        assert inventory.holds(["GPU-0"], [99, 30])
        assert not inventory.holds(["GPU-0"], [40])
        assert not inventory.holds([], [10])
        del one.processes[30]
        assert not inventory.holds(["GPU-0"], [10])

    def test_ancestors_that_go_in_a_circle_end(self, tmp_path: Path) -> None:
        inventory = self.of(tmp_path, card(0, processes={5: 1}), p5=6, p6=5)
        (found,) = inventory.occupants("GPU-0") or ()
        assert found.line == {5, 6}
