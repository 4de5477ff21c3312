"""Metrics of the cards of this machine, and of what each instance has of them.

What a card, driver or container doesn't tell has no sample: an absent figure is not a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from eas_engine.devices import THROTTLES
from eas_engine.telemetry.family import COUNTER, GAUGE, Family
from eas_engine.telemetry.status import InstanceStatus

if TYPE_CHECKING:  # loaded only where there are cards
    from eas_engine.devices.readings import Reading
    from eas_engine.devices.watch import View

_C, _G = COUNTER, GAUGE
_NAMED: Final = ("gpu", "gpu_model", "gpu_card")
_OF_BOTH: Final = ("instance", "gpu")
CARD_FAMILIES: Final = (
    Family("eas_gpu_present", _G, "1 for a card or slice, 0 once it is lost", _NAMED),
    Family("eas_gpu_memory_bytes", _G, "Memory in use of a card or slice, by whomever", ("gpu",)),
    Family("eas_gpu_memory_total_bytes", _G, "All that it has", ("gpu",)),
    Family("eas_gpu_utilization_ratio", _G, "Part of the time in which a kernel was running", ("gpu",)),
    Family("eas_gpu_memory_utilization_ratio", _G, "The same of reading or writing memory", ("gpu",)),
    Family("eas_gpu_power_watts", _G, "Power that the card takes", ("gpu",)),
    Family("eas_gpu_power_limit_watts", _G, "Power that it may take", ("gpu",)),
    Family("eas_gpu_temperature_celsius", _G, "Temperature of its core", ("gpu",)),
    Family("eas_gpu_clock_hertz", _G, "Clocks of its processors (sm) and its memory", ("gpu", "clock")),
    Family("eas_gpu_throttled", _G, "1 while its clocks are lower for that, else 0", ("gpu", "reason")),
    Family("eas_gpu_xid_errors", _C, "Xid errors that the driver reported", ("gpu", "xid")),
    Family("eas_gpu_ecc_errors", _C, "ECC errors since the driver was loaded", ("gpu", "ecc")),
    Family("eas_instance_gpu_memory_bytes", _G, "Memory of a card that it has", _OF_BOTH),
    Family("eas_instance_gpu_utilization_ratio", _G, "Part of a card's time that it uses", _OF_BOTH),
)  # fmt: skip
"""Everything about cards that is exported, with and without any."""

_Samples = dict[tuple[str, ...], float]
_PLAIN: Final[Mapping[str, tuple[str, float]]] = {
    "eas_gpu_memory_bytes": ("memory", 1),
    "eas_gpu_utilization_ratio": ("utilization", 100),
    "eas_gpu_memory_utilization_ratio": ("memory_utilization", 100),
    "eas_gpu_power_watts": ("watts", 1),
    "eas_gpu_power_limit_watts": ("watts_limit", 1),
    "eas_gpu_temperature_celsius": ("celsius", 1),
}
"""Fields of a reading, and how many of their units are one of the metric's."""


def card_values(view: View | None, instances: Iterable[InstanceStatus]) -> dict[str, _Samples]:
    """The samples of ``CARD_FAMILIES``; None: there are no cards."""
    values: dict[str, _Samples] = {family.name: {} for family in CARD_FAMILIES}
    if view is None:
        return values
    for uuid, seen in view.seen.items():
        for name, key, value in _of_card(uuid, seen.reading):
            values[name][key] = value
    for uuid in view.lost:
        values["eas_gpu_present"][uuid, "", ""] = 0.0
    for (uuid, xid), count in view.faults.items():
        values["eas_gpu_xid_errors"][uuid, str(xid)] = count
    for instance in instances:
        for uuid, seen in view.seen.items():
            memory, percent = seen.memory_of(instance.pids), seen.percent_of(instance.pids)
            if memory is not None:
                values["eas_instance_gpu_memory_bytes"][instance.name, uuid] = memory
            if percent is not None:
                values["eas_instance_gpu_utilization_ratio"][instance.name, uuid] = percent / 100
    return values


def _of_card(uuid: str, one: Reading) -> Iterator[tuple[str, tuple[str, ...], float]]:
    yield "eas_gpu_present", (uuid, one.gpu.name, one.gpu.card), 1.0
    yield "eas_gpu_memory_total_bytes", (uuid,), one.gpu.memory_bytes
    for name, (figure, units) in _PLAIN.items():
        value = getattr(one, figure)
        if value is not None:
            yield name, (uuid,), value / units
    for clock, mhz in (("sm", one.sm_mhz), ("memory", one.memory_mhz)):
        if mhz is not None:
            yield "eas_gpu_clock_hertz", (uuid, clock), mhz * 1e6
    for kind, count in (("corrected", one.corrected), ("uncorrected", one.uncorrected)):
        if count is not None:
            yield "eas_gpu_ecc_errors", (uuid, kind), count
    if one.throttles is not None:
        for reason in (*THROTTLES.values(), "other"):
            yield "eas_gpu_throttled", (uuid, reason), float(reason in one.throttles)
