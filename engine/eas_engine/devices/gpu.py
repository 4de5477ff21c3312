"""A card or a slice of one, as a value."""

from __future__ import annotations

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card, or one MIG slice of a card: what an instance may be given.

    Attributes:
        name: the model's, of a slice with its profile.
        memory_bytes: all that it has.
        uuid: the driver's name of it, which ``CUDA_VISIBLE_DEVICES`` takes; empty: unknown.
        card: the UUID of the card that a slice is part of; empty: it is a whole card.
        node: the NUMA node that it is attached to; None: unknown.
    """

    name: str
    memory_bytes: int
    uuid: str = ""
    card: str = ""
    node: int | None = None
