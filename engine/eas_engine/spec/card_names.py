"""What cards and MIG slices are called."""

from __future__ import annotations

from collections.abc import Iterable

from eas_engine.devices import Gpu


def by_name(gpus: Iterable[Gpu]) -> dict[str, Gpu]:
    """Cards and slices by what ``CUDA_VISIBLE_DEVICES`` calls them: their UUIDs, else their numbers."""
    return {one.uuid or str(number): one for number, one in enumerate(gpus)}


def whole(gpus: Iterable[Gpu]) -> tuple[str, ...]:
    """The cards in the driver's order, those that are cut into slices, too: by their numbers in this list."""
    return tuple(dict.fromkeys(one.card or name for name, one in by_name(gpus).items()))
