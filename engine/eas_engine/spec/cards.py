"""What a service asks for of the machine's cards, after everything that makes it ask for less."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from eas_engine.records import dataclass
from eas_engine.spec import presets
from eas_engine.spec.engine.pools import Pool
from eas_engine.spec.machine import Gpu, Machine
from eas_engine.spec.model import ServiceSpec

Finding = tuple[str, str, Literal["error", "warning"]]
"""A parameter's path, and what is to be said of it."""

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


# --- does it fit? ---------------------------------------------------------------------------------------


def findings(spec: ServiceSpec, machine: Machine, choices: Sequence[Pool]) -> Iterator[Finding]:
    """What is wrong with asking for that here; ``choices``: the pools that its instances may be in."""
    asked = wanted(spec)
    if not asked:
        path = "metadata.gpu" if spec.metadata.gpu else "metadata.gpu_memory"
        yield path, f"no effect: {unused(spec)}", "warning"
    elif asked.whole:
        yield from _whole_gpus(asked, machine, choices)
    else:
        yield from _shared_gpu(asked, machine, choices)
        if asked.percent and machine.mps and spec.metadata.shm_size is not None:
            yield (
                "metadata.shm_size",
                "no effect with gpu_core_percentage: MPS, which enforces that, needs the machine's /dev/shm",
                "warning",
            )


def _whole_gpus(wanted: Cards, machine: Machine, choices: Sequence[Pool]) -> Iterator[Finding]:
    most = max(choices, key=lambda one: len(countable(wanted.whole, one.cards.values())))
    there = countable(wanted.whole, most.cards.values())
    if wanted.whole > len(there):
        where = most.title if machine.gpus else "this machine"
        slices = len(most.cards) - len(there)
        note = (
            f" (and {slices} MIG slice{'s'[: slices > 1]}, of which a process sees one alone)"
            if slices
            else ""
        )
        why = f": {machine.no_gpus}" if machine.no_gpus else ""
        gpus = "1 GPU" if wanted.whole == 1 else f"{wanted.whole} GPUs"
        message = f"{gpus} asked for, {where} has {len(there) or 'none'}{note}{why}"
        yield "metadata.gpu", message, "error"


def _shared_gpu(wanted: Cards, machine: Machine, choices: Sequence[Pool]) -> Iterator[Finding]:
    asked = f"{wanted.memory // _GB} GB of GPU memory asked for"
    memory = [(card.memory_bytes, pool.title) for pool in choices for card in pool.cards.values()]
    largest, where = max(memory, default=(0, choices[0].title))
    if not machine.gpus:
        why = f": {machine.no_gpus}" if machine.no_gpus else ""
        yield "metadata.gpu_memory", f"{asked}, this machine has no GPU{why}", "error"
    elif not largest:
        yield "metadata.gpu_memory", f"{asked}, {where} has no GPU", "error"
    elif wanted.memory > largest:
        message = f"{asked}, the largest card of {where} has {largest / _GB:.4g} GB"
        yield "metadata.gpu_memory", message, "error"
    if wanted.percent and machine.gpus and not machine.mps:
        yield (
            "metadata.gpu_core_percentage",
            "counted, but nothing enforces it: nvidia-cuda-mps-control isn't installed on this machine",
            "warning",
        )
