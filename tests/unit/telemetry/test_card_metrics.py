"""What is exported of cards is what was seen of them, and nothing of what wasn't."""

from __future__ import annotations

from types import MappingProxyType

from prometheus_client.parser import text_string_to_metric_families

from eas_engine.devices import THROTTLES
from eas_engine.devices.inventory import Inventory
from eas_engine.devices.readings import busy, reading
from eas_engine.devices.watch import Seen, View
from eas_engine.telemetry.cards import CARD_FAMILIES, card_values
from eas_engine.telemetry.counters import Counters
from eas_engine.telemetry.metrics import Metrics
from eas_engine.telemetry.status import InstanceStatus, Load
from eas_engine.telemetry.window import Window
from support.clock import FakeClock
from support.nvml import ScriptedNvml, Slice, card

A, B, C = 5_000_007, 5_000_008, 5_000_009
"""No processes of this machine have such numbers."""
INSTANCES = (
    InstanceStatus(name="digits-0", state="READY", pids=(A,)),
    InstanceStatus(name="digits-1", state="READY", pids=(B, C)),
)


def seen(nvml: ScriptedNvml) -> View:
    inventory = Inventory(nvml)
    found = {}
    for gpu in inventory.devices():
        figures = reading(nvml, inventory, gpu)
        assert figures is not None
        occupants = inventory.occupants(gpu.uuid)
        found[gpu.uuid] = Seen(figures, occupants, busy(nvml, inventory, gpu.uuid, 1e9))
    return View(MappingProxyType(found), MappingProxyType({("GPU-0", 31): 2}), frozenset({"GPU-gone"}))


def test_a_card_and_who_is_on_it() -> None:
    one = card(0, processes={A: 5, B: 6, C: 7}, busy={A: 50, C: 20}, utilization=70, throttle=4)
    nvml = ScriptedNvml(one)
    values = card_values(seen(nvml), INSTANCES)
    present = {("GPU-0", "NVIDIA Scripted 100", ""): 1.0, ("GPU-gone", "", ""): 0.0}
    assert values["eas_gpu_present"] == present
    assert values["eas_gpu_memory_bytes"] == {("GPU-0",): 18}
    assert values["eas_gpu_memory_total_bytes"] == {("GPU-0",): 80 << 30}
    assert values["eas_gpu_utilization_ratio"] == {("GPU-0",): 0.7}
    assert values["eas_gpu_power_watts"] == {("GPU-0",): 70.0}
    assert values["eas_gpu_clock_hertz"] == {("GPU-0", "sm"): 1.98e9, ("GPU-0", "memory"): 2.619e9}
    assert values["eas_gpu_xid_errors"] == {("GPU-0", "31"): 2}
    assert values["eas_gpu_ecc_errors"] == {("GPU-0", "corrected"): 0, ("GPU-0", "uncorrected"): 0}
    throttled = values["eas_gpu_throttled"]
    assert len(throttled) == len(THROTTLES) + 1
    assert [key for key, value in throttled.items() if value] == [("GPU-0", "sw_power_cap")]
    assert values["eas_instance_gpu_memory_bytes"] == {("digits-0", "GPU-0"): 5, ("digits-1", "GPU-0"): 13}
    shares = values["eas_instance_gpu_utilization_ratio"]
    assert shares == {("digits-0", "GPU-0"): 0.5, ("digits-1", "GPU-0"): 0.2}


def test_of_a_slice_there_is_memory() -> None:
    nvml = ScriptedNvml(card(0, slices=[Slice(uuid="MIG-a", processes={A: 5})]))
    values = card_values(seen(nvml), INSTANCES)
    assert values["eas_gpu_present"]["MIG-a", "NVIDIA Scripted 100 MIG 1g.10gb", "GPU-0"] == 1.0
    assert values["eas_gpu_memory_bytes"] == {("GPU-0",): 5, ("MIG-a",): 5}
    assert set(values["eas_gpu_power_watts"]) == {("GPU-0",)}
    assert values["eas_instance_gpu_memory_bytes"]["digits-0", "MIG-a"] == 5
    assert values["eas_instance_gpu_utilization_ratio"] == {}


def test_without_cards_families_are_empty() -> None:
    values = card_values(None, INSTANCES)
    assert list(values) == [family.name for family in CARD_FAMILIES]
    assert not any(values.values())


def test_they_are_scraped() -> None:
    counters, view = Counters(), seen(ScriptedNvml(card(0, processes={A: 5})))
    load = Load(ready=True, instances=INSTANCES)
    window = Window(FakeClock(), counters)
    made = Metrics(counters, lambda: load, window, version="0", labels={"service": "s"}, cards=lambda: view)
    text, _ = made.render()
    found = {one.name: one.samples for one in text_string_to_metric_families(text.decode())}
    (sample,) = found["eas_instance_gpu_memory_bytes"]
    assert (sample.labels, sample.value) == ({"service": "s", "instance": "digits-0", "gpu": "GPU-0"}, 5)
    assert found["eas_gpu_temperature_celsius"][0].value == 35
