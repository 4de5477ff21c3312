"""Which cards and slices there are, whether they can be used, and which processes are on them.

A card whose driver doesn't answer is not there: it fell off the bus, or this container may not use it. All
others are. Nothing is remembered between two questions, so what came, went or was divided is seen at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from eas_engine.devices import Gpu
from eas_engine.devices import nvml as driver
from eas_engine.devices.nvml import Handle, Nvml
from eas_engine.records import dataclass

T = TypeVar("T")

_NODE_WORDS: Final = 16
"""Of 64 NUMA nodes each: as many as Linux can be built for."""
_ANCESTORS: Final = 64
"""More than a process of an instance can reasonably have above it."""
_WHY: Final = {
    driver.GPU_IS_LOST: "it fell off the bus: the machine has to be restarted, or the card reset",
    driver.RESET_REQUIRED: "it has to be reset (nvidia-smi --gpu-reset)",
    driver.NO_PERMISSION: "the driver doesn't allow it to be used from here",
    driver.NOT_FOUND: "there is no such card",
}

_GONE: Final = frozenset({driver.GPU_IS_LOST, driver.RESET_REQUIRED, driver.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Occupant:
    """A process on a card.

    Attributes:
        pid: as this machine counts; a container may see none of those outside.
        memory: bytes of the card's that it has; None: the driver doesn't say.
        line: the process, its parent, that one's parent and so on.
    """

    pid: int
    memory: int | None
    line: frozenset[int]

    def belongs(self, pids: Collection[int]) -> bool:
        """Whether it is one of these processes, or descends from one."""
        return not self.line.isdisjoint(pids)


class Inventory:
    """The cards, as the driver sees them at the moment of each question.

    Args:
        nvml: the driver, opened.
        proc: where the kernel's files of processes are.

    Its methods raise nothing, may be called from any thread, and take milliseconds: not on the loop.
    """

    def __init__(self, nvml: Nvml, proc: Path = Path("/proc")) -> None:
        self._nvml, self._proc = nvml, proc
        self._errors: tuple[type[Exception], ...] = (nvml.NVMLError, nvml.NVMLLibraryMismatchError)

    def __repr__(self) -> str:
        return f"<Inventory {len(self.gpus())} cards and slices>"

    def gpus(self) -> tuple[Gpu, ...]:
        """What instances may be given: cards, and instead of a card that is divided its slices."""
        return tuple(part for card, handle in self._cards() for part in self._parts(card, handle))

    def devices(self) -> tuple[Gpu, ...]:
        """Everything with figures of its own: cards, divided or not, each followed by its slices."""
        found: list[Gpu] = []
        for card, handle in self._cards():
            found += [card, *(part for part in self._parts(card, handle) if part != card)]
        return tuple(found)

    def occupants(self, uuid: str) -> tuple[Occupant, ...] | None:
        """The processes that use it, directly or through MPS; None: the driver doesn't tell."""
        handle = self.handle(uuid)
        if handle is None:
            return None
        lists = [
            self.ask(question, handle)
            for question in (
                self._nvml.nvmlDeviceGetComputeRunningProcesses,
                self._nvml.nvmlDeviceGetMPSComputeRunningProcesses,
            )
        ]
        if lists[0] is None:
            return None
        memory: dict[int, int | None] = {}
        for process in (one for known in lists for one in known or ()):
            before, now = memory.get(process.pid), process.usedGpuMemory
            memory[process.pid] = now if before is None else max(before, now or 0)
        return tuple(Occupant(pid, used, self._line(pid)) for pid, used in sorted(memory.items()))

    def used_by(self, uuid: str) -> dict[int, int] | None:
        """Bytes by process; 0 for one of which the driver doesn't say; None: it tells nothing at all."""
        found = self.occupants(uuid)
        return None if found is None else {one.pid: one.memory or 0 for one in found}

    def holds(self, uuids: Collection[str], pids: Collection[int]) -> bool:
        """Whether one of these processes, or a descendant, still has memory of one of these cards.

        A dead process's memory is back when the driver doesn't list it any more, which may be later than
        its end. What can't be asked holds nothing.
        """
        listed = (self.occupants(uuid) or () for uuid in uuids)
        return any(one.belongs(pids) for occupants in listed for one in occupants)

    def trouble(self, uuid: str) -> str:
        """Why a card or slice can't be used now, for a person; empty: it can."""
        try:
            self._nvml.nvmlDeviceGetMemoryInfo(self._nvml.nvmlDeviceGetHandleByUUID(uuid))
        except self._nvml.NVMLError as error:
            return why(error)
        return ""

    def answers(self, uuid: str) -> bool | None:
        """Whether a card or slice is there: False: the driver says that it is gone; None: it says nothing."""
        try:
            self._nvml.nvmlDeviceGetMemoryInfo(self._nvml.nvmlDeviceGetHandleByUUID(uuid))
        except self._nvml.NVMLError as error:
            return False if driver.number(error) in _GONE else None
        return True

    def absent(self) -> tuple[str, ...]:
        """What the driver counts but doesn't let be used, a sentence each."""
        found = []
        for index in range(self.ask(self._nvml.nvmlDeviceGetCount) or 0):
            try:
                self._nvml.nvmlDeviceGetUUID(self._nvml.nvmlDeviceGetHandleByIndex(index))
            except self._nvml.NVMLError as error:
                found.append(f"card {index}: {why(error)}")
        return tuple(found)

    def handle(self, uuid: str) -> Handle | None:
        """The driver's handle of a card or slice; None: it isn't there."""
        return self.ask(self._nvml.nvmlDeviceGetHandleByUUID, uuid)

    def ask(self, question: Callable[..., T], *about: object) -> T | None:
        """The driver's answer; None when it has none."""
        try:
            return question(*about)
        except self._errors:
            return None

    def _cards(self) -> Iterator[tuple[Gpu, Handle]]:
        for index in range(self.ask(self._nvml.nvmlDeviceGetCount) or 0):
            handle = self.ask(self._nvml.nvmlDeviceGetHandleByIndex, index)
            card = None if handle is None else self._described(handle, "", self._node(handle))
            if card is not None:
                yield card, handle

    def _parts(self, card: Gpu, handle: Handle) -> Sequence[Gpu]:
        """Of a card: itself, or its slices, of which there may be none yet."""
        mode = self.ask(self._nvml.nvmlDeviceGetMigMode, handle)
        if not mode or mode[0] != driver.MIG_ENABLED:
            return [card]
        slots = range(self.ask(self._nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0)
        handles = (self.ask(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, slot) for slot in slots)
        parts = (self._described(one, card.uuid, card.node) for one in handles if one is not None)
        return [part for part in parts if part is not None]

    def _described(self, handle: Handle, card: str, node: int | None) -> Gpu | None:
        uuid = self.ask(self._nvml.nvmlDeviceGetUUID, handle)
        memory = self.ask(self._nvml.nvmlDeviceGetMemoryInfo, handle)
        if uuid is None or memory is None:
            return None
        name = self.ask(self._nvml.nvmlDeviceGetName, handle) or "GPU"
        return Gpu(name, memory.total, uuid, card, node)

    def _node(self, handle: Handle) -> int | None:
        """The NUMA node, if it is near exactly one."""
        words = self.ask(self._nvml.nvmlDeviceGetMemoryAffinity, handle, _NODE_WORDS, driver.NODE_SCOPE)
        mask = sum(int(word) << 64 * place for place, word in enumerate(words or ()))
        return mask.bit_length() - 1 if mask.bit_count() == 1 else None

    def _line(self, pid: int) -> frozenset[int]:
        """It and its ancestors, as far as they are visible from here."""
        line: set[int] = set()
        while pid > 0 and pid not in line and len(line) < _ANCESTORS:
            line.add(pid)
            pid = self._parent(pid)
        return frozenset(line)

    def _parent(self, pid: int) -> int:
        """0: it has none, or is gone."""
        with suppress(OSError, ValueError, IndexError):
            return int((self._proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        return 0


def why(error: Exception) -> str:
    """What an error of the driver's means for whoever wants to use a card."""
    number = driver.number(error)
    return _WHY.get(number, f"the driver says: {error} (NVML error {number})")
