# ruff: noqa: N802, N815 - the names are NVML's
"""A scripted NVML: cards that a test makes up and changes, behind the functions of the package ``pynvml``.

It answers as the driver does, also where that is odd: a slice has no utilisation and no power, its indices
have gaps, a lost card raises ``GPU_IS_LOST`` at every question, and what is on ``Card.unsupported`` raises
``NOT_SUPPORTED``. Everything may be changed while it is asked, from any thread.

    nvml = ScriptedNvml(card(0), card(1, memory=80 << 30))
    nvml.cards[0].processes[4711] = 2 << 30
    nvml.xid("GPU-1", 79)
    nvml.cards[1].lost = True
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eas_engine.devices import nvml as numbers

_GIB: Final = 1 << 30


class NVMLError(Exception):
    """As ``pynvml.NVMLError``."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


class NVMLLibraryMismatchError(Exception):
    """As ``pynvml.NVMLLibraryMismatchError``."""


@dataclass(eq=False, kw_only=True)
class Slice:
    """A MIG slice. ``processes``: bytes by pid; None: the driver doesn't say."""

    uuid: str
    profile: str = "1g.10gb"
    memory: int = 10 * _GIB
    processes: dict[int, int | None] = field(default_factory=dict)
    instance: int = 1
    """``gpuInstanceId`` of its events."""


@dataclass(eq=False, kw_only=True)
class Card:
    """A card; every field may be changed while it is in use.

    Attributes:
        processes: bytes by pid of those that use the card directly; None: the driver doesn't say.
        clients: the same for clients of MPS.
        other: bytes in use that belong to no process that is shown.
        busy: percent of the card by pid, of those that did something lately.
        nodes: the mask of NUMA nodes.
        slices: None: MIG is off. A None in it is a gap in the indices.
        lost: it fell off the bus.
        unsupported: names of functions that it doesn't support.
        failing: the error by the name of the function that raises it.
    """

    uuid: str
    name: str = "NVIDIA Scripted 100"
    memory: int = 80 * _GIB
    processes: dict[int, int | None] = field(default_factory=dict)
    clients: dict[int, int | None] = field(default_factory=dict)
    other: int = 0
    busy: dict[int, int] = field(default_factory=dict)
    bus: str = "00000000:01:00.0"
    nodes: int = 1
    slices: list[Slice | None] | None = None
    utilization: int = 0
    memory_utilization: int = 0
    milliwatts: int = 70_000
    milliwatts_limit: int = 700_000
    celsius: int = 35
    sm_mhz: int = 1980
    memory_mhz: int = 2619
    throttle: int = 0
    corrected: int = 0
    uncorrected: int = 0
    compute_mode: int = 0
    lost: bool = False
    unsupported: set[str] = field(default_factory=set)
    failing: dict[str, int] = field(default_factory=dict)


def card(index: int, **fields: Any) -> Card:
    """A card with the UUID ``GPU-<index>``."""
    return Card(uuid=f"GPU-{index}", bus=f"00000000:{index + 1:02X}:00.0", **fields)


@dataclass
class _Memory:
    total: int
    free: int
    used: int


@dataclass
class _Utilization:
    gpu: int
    memory: int


@dataclass
class _Process:
    pid: int
    usedGpuMemory: int | None
    gpuInstanceId: int = numbers.NOT_A_SLICE
    computeInstanceId: int = numbers.NOT_A_SLICE


@dataclass
class _Pci:
    busId: str


@dataclass
class _Sample:
    pid: int
    timeStamp: int
    smUtil: int


@dataclass
class _Event:
    device: Card
    eventType: int
    eventData: int
    gpuInstanceId: int = numbers.NOT_A_SLICE
    computeInstanceId: int = numbers.NOT_A_SLICE


class EventSet:
    """What ``nvmlEventSetCreate`` returns."""

    def __init__(self) -> None:
        self.registered: dict[str, int] = {}
        """Types by the card's UUID."""
        self.waiting: queue.SimpleQueue[_Event | NVMLError] = queue.SimpleQueue()
        self.freed = False


class ScriptedNvml:
    """Implements ``eas_engine.devices.nvml.Nvml``.

    Attributes:
        cards: what the machine has; a test may add and remove.
        opened: ``nvmlInit`` less ``nvmlShutdown``; begins with 1, as ``nvml.load`` leaves it.
        events: the sets that were made.
        asked: names of the functions that were called, in order.
        driver: version of the driver.
        cuda: the newest CUDA that it can do, 12040 for 12.4.
        failing: the error by the name of the function that raises it, for all cards.
        old: the driver is older than the package: lists of processes can't be had.
    """

    NVMLError = NVMLError
    NVMLLibraryMismatchError = NVMLLibraryMismatchError

    def __init__(self, *cards: Card) -> None:
        self.cards: list[Card] = list(cards)
        self.opened = 1
        self.events: list[EventSet] = []
        self.asked: list[str] = []
        self.driver = "570.86.15"
        self.cuda = 12080
        self.failing: dict[str, int] = {}
        self.old = False

    def xid(self, uuid: str, xid: int, *, gpu_instance: int = numbers.NOT_A_SLICE) -> None:
        """The driver reports an Xid of a card, to every set that asked for it."""
        self._tell(uuid, numbers.XID, xid, gpu_instance)

    def break_waiting(self, error: int) -> None:
        """The next wait of each set raises this error."""
        for events in self.events:
            events.waiting.put(NVMLError(error))

    def _tell(self, uuid: str, kind: int, data: int, gpu_instance: int) -> None:
        device = next(one for one in self.cards if one.uuid == uuid)
        for events in self.events:
            if events.registered.get(uuid, 0) & kind:
                events.waiting.put(_Event(device, kind, data, gpu_instance))

    def _check(self, function: str, device: Card | Slice | None = None) -> None:
        self.asked.append(function)
        if self.old and function.endswith("RunningProcesses"):
            raise NVMLLibraryMismatchError(
                "Unversioned function called and the pyNVML version does not match"
            )
        if function in self.failing:
            raise NVMLError(self.failing[function])
        if isinstance(device, Slice):
            device = self._card_of(device)
        if device is None:
            return
        if device.lost or device not in self.cards:
            raise NVMLError(numbers.GPU_IS_LOST)
        if function in device.failing:
            raise NVMLError(device.failing[function])
        if function in device.unsupported:
            raise NVMLError(numbers.NOT_SUPPORTED)

    def _whole(self, function: str, device: Card | Slice) -> Card:
        """For what slices don't support."""
        self._check(function, device)
        if isinstance(device, Slice):
            raise NVMLError(numbers.NOT_SUPPORTED)
        return device

    def _card_of(self, part: Slice) -> Card:
        for one in self.cards:
            if part in (one.slices or ()):
                return one
        raise NVMLError(numbers.NOT_FOUND)

    def nvmlInit(self) -> None:
        self._check("nvmlInit")
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self._check("nvmlShutdown")
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        self._check("nvmlSystemGetDriverVersion")
        return self.driver

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        self._check("nvmlSystemGetCudaDriverVersion")
        return self.cuda

    def nvmlDeviceGetCount(self) -> int:
        self._check("nvmlDeviceGetCount")
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        found = self.cards[index] if index < len(self.cards) else None
        self._check("nvmlDeviceGetHandleByIndex", found)
        if found is None:
            raise NVMLError(numbers.NOT_FOUND)
        return found

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Card | Slice:
        for one in self.cards:
            devices: list[Card | Slice | None] = [one, *(one.slices or ())]
            for device in devices:
                if device is not None and device.uuid == uuid:
                    self._check("nvmlDeviceGetHandleByUUID", device)
                    return device
        raise NVMLError(numbers.NOT_FOUND)

    def nvmlDeviceGetUUID(self, handle: Card | Slice) -> str:
        self._check("nvmlDeviceGetUUID", handle)
        return handle.uuid

    def nvmlDeviceGetName(self, handle: Card | Slice) -> str:
        self._check("nvmlDeviceGetName", handle)
        return (
            handle.name if isinstance(handle, Card) else f"{self._card_of(handle).name} MIG {handle.profile}"
        )

    def nvmlDeviceGetMemoryInfo(self, handle: Card | Slice) -> _Memory:
        self._check("nvmlDeviceGetMemoryInfo", handle)
        used = sum(known for known in handle.processes.values() if known)
        if isinstance(handle, Card):
            used += handle.other + sum(known for known in handle.clients.values() if known)
            used += sum(sum(v for v in one.processes.values() if v) for one in handle.slices or () if one)
        return _Memory(handle.memory, handle.memory - used, used)

    def nvmlDeviceGetPciInfo(self, handle: Card | Slice) -> _Pci:
        return _Pci(self._whole("nvmlDeviceGetPciInfo", handle).bus)

    def nvmlDeviceGetMemoryAffinity(self, handle: Card | Slice, words: int, scope: int) -> Sequence[int]:
        nodes = self._whole("nvmlDeviceGetMemoryAffinity", handle).nodes
        return [nodes >> 64 * word & (1 << 64) - 1 for word in range(words)]

    def nvmlDeviceGetMigMode(self, handle: Card) -> Sequence[int]:
        mode = int(self._whole("nvmlDeviceGetMigMode", handle).slices is not None)
        return [mode, mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Card) -> int:
        self._check("nvmlDeviceGetMaxMigDeviceCount", handle)
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Card, index: int) -> Slice:
        self._check("nvmlDeviceGetMigDeviceHandleByIndex", handle)
        found = dict(enumerate(handle.slices or ())).get(index)
        if found is None:
            raise NVMLError(numbers.NOT_FOUND)
        return found

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Card | Slice) -> Sequence[_Process]:
        self._check("nvmlDeviceGetComputeRunningProcesses", handle)
        return [_Process(pid, memory) for pid, memory in handle.processes.items()]

    def nvmlDeviceGetMPSComputeRunningProcesses(self, handle: Card | Slice) -> Sequence[_Process]:
        self._check("nvmlDeviceGetMPSComputeRunningProcesses", handle)
        clients = handle.clients if isinstance(handle, Card) else {}
        return [_Process(pid, memory) for pid, memory in clients.items()]

    def nvmlDeviceGetUtilizationRates(self, handle: Card | Slice) -> _Utilization:
        whole = self._whole("nvmlDeviceGetUtilizationRates", handle)
        if whole.slices is not None:
            raise NVMLError(numbers.NOT_SUPPORTED)
        return _Utilization(whole.utilization, whole.memory_utilization)

    def nvmlDeviceGetProcessUtilization(self, handle: Card | Slice, since: int) -> Sequence[_Sample]:
        busy = self._whole("nvmlDeviceGetProcessUtilization", handle).busy
        if not busy:
            raise NVMLError(numbers.NOT_FOUND)
        return [_Sample(pid, since + 1, percent) for pid, percent in busy.items()]

    def nvmlDeviceGetComputeMode(self, handle: Card | Slice) -> int:
        return self._whole("nvmlDeviceGetComputeMode", handle).compute_mode

    def nvmlDeviceGetPowerUsage(self, handle: Card | Slice) -> int:
        return self._whole("nvmlDeviceGetPowerUsage", handle).milliwatts

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Card | Slice) -> int:
        return self._whole("nvmlDeviceGetEnforcedPowerLimit", handle).milliwatts_limit

    def nvmlDeviceGetTemperature(self, handle: Card | Slice, sensor: int) -> int:
        return self._whole("nvmlDeviceGetTemperature", handle).celsius

    def nvmlDeviceGetClockInfo(self, handle: Card | Slice, clock: int) -> int:
        whole = self._whole("nvmlDeviceGetClockInfo", handle)
        return whole.sm_mhz if clock == numbers.SM_CLOCK else whole.memory_mhz

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Card | Slice) -> int:
        return self._whole("nvmlDeviceGetCurrentClocksThrottleReasons", handle).throttle

    def nvmlDeviceGetTotalEccErrors(self, handle: Card | Slice, error: int, counter: int) -> int:
        whole = self._whole("nvmlDeviceGetTotalEccErrors", handle)
        return whole.corrected if error == numbers.CORRECTED else whole.uncorrected

    def nvmlEventSetCreate(self) -> EventSet:
        self._check("nvmlEventSetCreate")
        self.events.append(EventSet())
        return self.events[-1]

    def nvmlEventSetFree(self, events: EventSet) -> None:
        self._check("nvmlEventSetFree")
        events.freed = True

    def nvmlDeviceRegisterEvents(self, handle: Card, types: int, events: EventSet) -> None:
        self._whole("nvmlDeviceRegisterEvents", handle)
        events.registered[handle.uuid] = types

    def nvmlEventSetWait_v2(self, events: EventSet, milliseconds: int) -> _Event:
        self._check("nvmlEventSetWait_v2")
        try:
            one = events.waiting.get(timeout=milliseconds / 1000)
        except queue.Empty:
            raise NVMLError(numbers.TIMEOUT) from None
        if isinstance(one, NVMLError):
            raise one
        return one
