"""What a service asks for of the machine's cards, after everything that makes it ask for less."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from eas_engine.records import dataclass
from eas_engine.spec import presets
from eas_engine.spec.machine import Gpu
from eas_engine.spec.model import ServiceSpec

_GB: Final = 2**30
_ALL: Final = 100


@dataclass(frozen=True, slots=True)
class Cards:
    """Whole cards, or a share of one, or nothing.

    Attributes:
        whole: how many, its alone.
        memory: bytes of one card that it shares.
        percent: of that card's compute; 0: any.
    """

    whole: int = 0
    memory: int = 0
    percent: int = 0

    def __bool__(self) -> bool:
        return bool(self.whole or self.memory)

    def fits(self, gpus: Iterable[Gpu]) -> int:
        """How many instances find room on these cards when nobody else is there."""
        if self.whole:
            return len(countable(self.whole, gpus)) // self.whole
        percent = _ALL // self.percent if self.percent else math.inf
        return sum(int(min(one.memory_bytes // self.memory, percent)) for one in gpus) if self.memory else 0


def wanted(spec: ServiceSpec) -> Cards:
    """What each instance asks for."""
    metadata = spec.metadata
    if unused(spec):
        return Cards()
    if metadata.gpu:
        return Cards(metadata.gpu)
    if not metadata.gpu_memory:
        return Cards()
    return Cards(0, metadata.gpu_memory * _GB, metadata.gpu_core_percentage or 0)


def unused(spec: ServiceSpec) -> str:
    """Why a preset takes no card, whatever it asks for; empty: it would, or it is no preset."""
    preset = presets.find(spec.processor) if spec.processor else None
    if preset is None or not preset.is_served:
        return ""
    if not preset.uses_gpus:
        return f"{preset.served_by} runs on the CPU here"
    return f'"{spec.processor}" is for the CPU' if "_cpu" in spec.processor else ""


def countable(whole: int, gpus: Iterable[Gpu]) -> list[Gpu]:
    """The cards that count for who wants so many: CUDA shows a process one MIG slice alone."""
    return [one for one in gpus if whole == 1 or not one.card]
