"""What cards and MIG slices are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from eas_engine.devices import Gpu

_PREFIXES: Final = ("GPU-", "MIG-")


def by_name(gpus: Iterable[Gpu]) -> dict[str, Gpu]:
    """Cards and slices by what ``CUDA_VISIBLE_DEVICES`` calls them: their UUIDs, else their numbers."""
    return {one.uuid or str(number): one for number, one in enumerate(gpus)}


def whole(gpus: Iterable[Gpu]) -> tuple[str, ...]:
    """The cards in the driver's order, those that are cut into slices, too: by their numbers in this list."""
    return tuple(dict.fromkeys(one.card or name for name, one in by_name(gpus).items()))


def visible(gpus: Sequence[Gpu], only: str | None) -> tuple[Gpu, ...]:
    """Those that the engine's own ``CUDA_VISIBLE_DEVICES`` leaves it; None: all.

    As CUDA reads it: UUIDs, beginnings of them or numbers, here as ``nvidia-smi`` has them; what comes after
    one that isn't there doesn't count.
    """
    if only is None:
        return tuple(gpus)
    numbers = {str(number): uuid for number, uuid in enumerate(whole(gpus))}
    kept: set[str] = set()
    for name in (one.strip() for one in only.split(",")):
        uuid = numbers.get(name, name)
        found = name and [
            one
            for one, gpu in by_name(gpus).items()
            if uuid in (gpu.card, one) or (name[:4] in _PREFIXES and one.startswith(name))
        ]
        if not found:
            break
        kept.update(found)
    return tuple(gpu for one, gpu in by_name(gpus).items() if one in kept)
