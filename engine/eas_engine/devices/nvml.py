# ruff: noqa: N802 - the names are NVML's
"""NVML, the driver's own interface to its cards: those functions of the package ``pynvml`` that are in use.

Whoever asks the driver takes an ``Nvml`` as a parameter, so tests ask a scripted one. Every function raises
``NVMLError`` of the same object, whose ``value`` is one of the numbers below; which card, which driver and
which container allow which question is nowhere written, so any of them may be answered with ``NOT_SUPPORTED``
or ``NO_PERMISSION``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from eas_engine.devices import can_be_asked

# The numbers are those of nvml.h: they never change, and importing the package for them takes 2 MB and 10 ms.
NOT_SUPPORTED: Final = 3
NO_PERMISSION: Final = 4
NOT_FOUND: Final = 6
DRIVER_NOT_LOADED: Final = 9
TIMEOUT: Final = 10
FUNCTION_NOT_FOUND: Final = 13
GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16
UNKNOWN: Final = 999

MIG_ENABLED: Final = 1
NODE_SCOPE: Final = 0
SM_CLOCK: Final = 1
MEMORY_CLOCK: Final = 2
CORE_TEMPERATURE: Final = 0
CORRECTED: Final = 0
UNCORRECTED: Final = 1
SINCE_BOOT: Final = 0
"""Of the counters of ECC errors: those since the driver was loaded, not those of the card's life."""
XID: Final = 0x8
"""Type of an event; ``eventData`` is its number."""
EXCLUSIVE_PROCESS: Final = 3
PROHIBITED: Final = 2
"""Compute modes; 0 is the default, any number of processes."""
NOT_A_SLICE: Final = 0xFFFFFFFF
"""``gpuInstanceId`` of an event that belongs to a whole card."""

Handle = Any
"""A card's or a slice's; only the driver knows what it is."""


class Memory(Protocol):
    """Bytes."""

    total: int
    free: int
    used: int


class Utilization(Protocol):
    """Percent of the last sample period (a sixth of a second to a second) in which something was running."""

    gpu: int
    memory: int


class Process(Protocol):
    """A process with a context on the card; ``usedGpuMemory`` in bytes, None: the driver doesn't say."""

    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVML's


class ProcessSample(Protocol):
    """Percent of the last sample period in which kernels of the process were running."""

    pid: int
    timeStamp: int  # noqa: N815 - NVML's
    smUtil: int  # noqa: N815 - NVML's


class Event(Protocol):
    """What ``nvmlEventSetWait_v2`` returns: of an Xid event ``eventData`` is its number."""

    device: Handle
    eventType: int  # noqa: N815 - NVML's
    eventData: int  # noqa: N815 - NVML's
    gpuInstanceId: int  # noqa: N815 - NVML's
    computeInstanceId: int  # noqa: N815 - NVML's


class Pci(Protocol):
    """Where the card is plugged in: ``00000000:3B:00.0``."""

    busId: str  # noqa: N815 - NVML's


class Nvml(Protocol):
    """The functions in use, as the module ``pynvml`` has them."""

    @property
    def NVMLError(self) -> type[Exception]:
        """What every function raises; ``number`` tells which."""
        ...

    @property
    def NVMLLibraryMismatchError(self) -> type[Exception]:
        """What lists of processes raise instead where the driver is older than 510; no ``NVMLError``."""
        ...

    def nvmlInit(self) -> None:
        """Opens the library; counted, so every call needs its ``nvmlShutdown``."""
        ...

    def nvmlShutdown(self) -> None: ...  # noqa: D102
    def nvmlSystemGetDriverVersion(self) -> str: ...  # noqa: D102
    def nvmlSystemGetCudaDriverVersion(self) -> int:
        """The newest CUDA that the driver can do: 12040 is 12.4."""
        ...

    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Handle:
        """Raises ``GPU_IS_LOST`` for a card that fell off the bus, ``NO_PERMISSION`` in some containers."""
        ...

    def nvmlDeviceGetHandleByUUID(self, uuid: str, /) -> Handle:
        """Of a card or of a slice."""
        ...

    def nvmlDeviceGetUUID(self, handle: Handle, /) -> str: ...  # noqa: D102
    def nvmlDeviceGetName(self, handle: Handle, /) -> str: ...  # noqa: D102
    def nvmlDeviceGetMemoryInfo(self, handle: Handle, /) -> Memory: ...  # noqa: D102
    def nvmlDeviceGetPciInfo(self, handle: Handle, /) -> Pci: ...  # noqa: D102
    def nvmlDeviceGetMemoryAffinity(self, handle: Handle, words: int, scope: int, /) -> Sequence[int]:
        """A mask of NUMA nodes, 64 to a word."""
        ...

    def nvmlDeviceGetMigMode(self, handle: Handle, /) -> Sequence[int]:
        """What it is, and what it will be after the next reset."""
        ...

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Handle, /) -> int: ...  # noqa: D102
    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Handle, index: int, /) -> Handle:
        """Raises ``NOT_FOUND`` where there is no slice; the indices may have gaps."""
        ...

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Handle, /) -> Sequence[Process]: ...  # noqa: D102
    def nvmlDeviceGetMPSComputeRunningProcesses(self, handle: Handle, /) -> Sequence[Process]:
        """Those that are clients of an MPS daemon."""
        ...

    def nvmlDeviceGetUtilizationRates(self, handle: Handle, /) -> Utilization: ...  # noqa: D102
    def nvmlDeviceGetProcessUtilization(self, handle: Handle, since: int, /) -> Sequence[ProcessSample]:
        """Of processes that did something after that instant, microseconds since the epoch.

        Raises ``NOT_FOUND``, and ``pynvml`` an error with the number 0, when none did.
        """
        ...

    def nvmlDeviceGetComputeMode(self, handle: Handle, /) -> int: ...  # noqa: D102
    def nvmlDeviceGetPowerUsage(self, handle: Handle, /) -> int:
        """Milliwatts."""
        ...

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Handle, /) -> int:
        """Milliwatts."""
        ...

    def nvmlDeviceGetTemperature(self, handle: Handle, sensor: int, /) -> int:
        """Degrees Celsius."""
        ...

    def nvmlDeviceGetClockInfo(self, handle: Handle, clock: int, /) -> int:
        """MHz."""
        ...

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Handle, /) -> int:
        """A mask. Its newer name, ``...EventReasons``, older packages and drivers don't have."""
        ...

    def nvmlDeviceGetTotalEccErrors(self, handle: Handle, error: int, counter: int, /) -> int: ...  # noqa: D102
    def nvmlEventSetCreate(self) -> Any: ...  # noqa: D102
    def nvmlEventSetFree(self, events: Any, /) -> None: ...  # noqa: D102
    def nvmlDeviceRegisterEvents(self, handle: Handle, types: int, events: Any, /) -> None:
        """Of cards; a slice's events come with its card's."""
        ...

    def nvmlEventSetWait_v2(self, events: Any, milliseconds: int, /) -> Event:
        """The next event; raises ``TIMEOUT`` when there was none."""
        ...


def load() -> Nvml | None:
    """The driver's interface, opened; None without driver or package, or where the driver doesn't answer."""
    if not can_be_asked():
        return None
    import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - an extra

    loaded: Nvml = pynvml
    try:
        loaded.nvmlInit()
    except loaded.NVMLError:
        return None
    return loaded


def number(error: Exception) -> int:
    """Which of the driver's errors it is."""
    return int(getattr(error, "value", UNKNOWN))
