"""How a card is at one moment, in figures; None for each that this card, driver or container doesn't give."""

from __future__ import annotations

from typing import Final

from eas_engine.devices import THROTTLES, Gpu
from eas_engine.devices import nvml as driver
from eas_engine.devices.inventory import Inventory
from eas_engine.devices.nvml import Nvml
from eas_engine.records import dataclass

_MICRO: Final = 1_000_000
_LATELY: Final = 2 * _MICRO
"""Microseconds; the driver samples at least once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One card or slice.

    Attributes:
        gpu: which.
        memory: bytes in use, by whomever.
        utilization: percent of the last sample period in which a kernel was running.
        memory_utilization: the same of reading or writing memory.
        watts: that it takes.
        watts_limit: that it may take.
        celsius: of its core.
        sm_mhz: the clock of its processors.
        memory_mhz: the clock of its memory.
        throttles: why the clocks are lower than they could be (``THROTTLES``).
        corrected: ECC errors since the driver was loaded.
        uncorrected: the same of those that cost somebody's data.
    """

    gpu: Gpu
    memory: int | None = None
    utilization: float | None = None
    memory_utilization: float | None = None
    watts: float | None = None
    watts_limit: float | None = None
    celsius: int | None = None
    sm_mhz: int | None = None
    memory_mhz: int | None = None
    throttles: tuple[str, ...] | None = None
    corrected: int | None = None
    uncorrected: int | None = None


def reading(nvml: Nvml, inventory: Inventory, gpu: Gpu) -> Reading | None:
    """How it is now; None: it isn't there. Of a slice only its memory is its own."""
    ask, handle = inventory.ask, inventory.handle(gpu.uuid)
    memory = None if handle is None else ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    if memory is None:
        return None
    if gpu.card:
        return Reading(gpu=gpu, memory=memory.used)
    use = ask(nvml.nvmlDeviceGetUtilizationRates, handle)
    reasons = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    return Reading(
        gpu=gpu,
        memory=memory.used,
        utilization=None if use is None else float(use.gpu),
        memory_utilization=None if use is None else float(use.memory),
        watts=_thousandth(ask(nvml.nvmlDeviceGetPowerUsage, handle)),
        watts_limit=_thousandth(ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
        celsius=ask(nvml.nvmlDeviceGetTemperature, handle, driver.CORE_TEMPERATURE),
        sm_mhz=ask(nvml.nvmlDeviceGetClockInfo, handle, driver.SM_CLOCK),
        memory_mhz=ask(nvml.nvmlDeviceGetClockInfo, handle, driver.MEMORY_CLOCK),
        throttles=None if reasons is None else throttles(reasons),
        corrected=ask(nvml.nvmlDeviceGetTotalEccErrors, handle, driver.CORRECTED, driver.SINCE_BOOT),
        uncorrected=ask(nvml.nvmlDeviceGetTotalEccErrors, handle, driver.UNCORRECTED, driver.SINCE_BOOT),
    )


def throttles(mask: int) -> tuple[str, ...]:
    """The names of the bits, in their order; what is new to us as ``other``."""
    known = tuple(name for bit, name in THROTTLES.items() if mask & bit)
    return (*known, "other") if mask & ~sum(THROTTLES) & ~1 else known


def busy(nvml: Nvml, inventory: Inventory, uuid: str, wall: float) -> dict[int, float] | None:
    """Percent of the card by process, of those that did something lately; None: the driver doesn't tell.

    ``wall``: seconds since the epoch, now.
    """
    handle = inventory.handle(uuid)
    if handle is None:
        return None
    try:
        samples = nvml.nvmlDeviceGetProcessUtilization(handle, max(0, int(wall * _MICRO) - _LATELY))
    except nvml.NVMLError as error:
        return {} if driver.number(error) in (0, driver.NOT_FOUND) else None
    newest: dict[int, tuple[int, float]] = {}
    for one in samples:
        found = (one.timeStamp, float(min(one.smUtil, 100)))
        newest[one.pid] = max(newest.get(one.pid, found), found)
    return {pid: percent for pid, (_, percent) in newest.items()}


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000
