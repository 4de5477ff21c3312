"""Figures in the units that they are told in, and None where the card gives none."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.devices import THROTTLES
from eas_engine.devices import nvml as driver
from eas_engine.devices.inventory import Inventory
from eas_engine.devices.readings import Reading, busy, reading, throttles
from support.nvml import ScriptedNvml, Slice, card


def read(nvml: ScriptedNvml, place: int = 0) -> Reading | None:
    inventory = Inventory(nvml)
    return reading(nvml, inventory, inventory.devices()[place])


def known(found: Reading) -> set[str]:
    return {one.name for one in fields(Reading) if getattr(found, one.name) is not None}


def test_a_card() -> None:
    nvml = ScriptedNvml(card(0, processes={7: 5}, other=4, utilization=87, memory_utilization=40))
    one = nvml.cards[0]
    one.milliwatts, one.celsius, one.throttle, one.corrected, one.uncorrected = 345_678, 71, 0x44, 3, 1
    found = read(nvml)
    assert found is not None
    assert (found.memory, found.utilization, found.memory_utilization) == (9, 87.0, 40.0)
    assert (found.watts, found.watts_limit, found.celsius) == (345.678, 700.0, 71)
    assert (found.sm_mhz, found.memory_mhz) == (1980, 2619)
    assert found.throttles == ("sw_power_cap", "hw_thermal_slowdown")
    assert (found.corrected, found.uncorrected) == (3, 1)


def test_a_slice_has_memory_only() -> None:
    nvml = ScriptedNvml(card(0, slices=[Slice(uuid="MIG-a", processes={7: 5})], utilization=50))
    found = read(nvml, 1)
    assert found is not None
    assert found.memory == 5
    assert all(
        getattr(found, one.name) is None for one in fields(Reading) if one.name not in ("gpu", "memory")
    )
    whole = read(nvml)
    assert whole is not None
    assert (whole.utilization, whole.watts) == (None, 70.0)


def test_what_a_card_does_not_support_is_not_known() -> None:
    missing = {name for name in dir(ScriptedNvml) if name.startswith("nvmlDeviceGet")}
    missing -= {"nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetCount"}
    missing -= {"nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo"}
    found = read(ScriptedNvml(card(0, unsupported=missing)))
    assert found is not None
    assert all(
        getattr(found, one.name) is None for one in fields(Reading) if one.name not in ("gpu", "memory")
    )


def test_a_card_that_is_lost_between_two_questions() -> None:
    nvml = ScriptedNvml(card(0))
    inventory = Inventory(nvml)
    (gpu,) = inventory.devices()
    nvml.cards[0].lost = True
    assert reading(nvml, inventory, gpu) is None
    assert busy(nvml, inventory, gpu.uuid, 1e9) is None


@given(st.integers(0, (1 << 12) - 1))
def test_every_bit_but_idleness_is_told(mask: int) -> None:
    told = throttles(mask)
    assert bool(told) == bool(mask & ~1)
    assert ("other" in told) == bool(mask & ~1 & ~sum(THROTTLES))
    assert [name for bit, name in THROTTLES.items() if mask & bit] == [one for one in told if one != "other"]


def test_who_is_busy() -> None:
    nvml = ScriptedNvml(card(0, busy={7: 30, 8: 170}), card(1), card(2))
    nvml.cards[2].unsupported.add("nvmlDeviceGetProcessUtilization")
    inventory = Inventory(nvml)
    assert busy(nvml, inventory, "GPU-0", 1e9) == {7: 30.0, 8: 100.0}
    assert busy(nvml, inventory, "GPU-1", 1e9) == {}
    assert busy(nvml, inventory, "GPU-2", 1e9) is None
    nvml.cards[0].failing["nvmlDeviceGetProcessUtilization"] = 0  # what pynvml raises for an empty list
    assert busy(nvml, inventory, "GPU-0", 1e9) == {}
    nvml.cards[0].failing["nvmlDeviceGetProcessUtilization"] = driver.NO_PERMISSION
    assert busy(nvml, inventory, "GPU-0", 1e9) is None
