"""What ``rpc.io_threads`` comes to: how many event loops and why, and how many threads for bodies.

One, on every interpreter: with a GIL several loops take turns at it, and without one what they pay for
handing requests over is more than they win (``docs/decisions/0011-one-loop-everywhere.md`` has the figures).
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from eas_engine.records import dataclass


@dataclass(frozen=True, slots=True)
class Loops:
    """``rpc.io_threads``, and what it comes to here."""

    requested: int
    effective: int
    reason: str
    """Why it isn't the number requested, for a person; empty when it is."""


def body_threads(requested: int, cpus: int) -> int:
    """How many threads inflate and compress bodies, which releases the GIL: no more than there are cores."""
    return min(requested, max(1, cpus))


def has_gil() -> bool:
    """Whether this interpreter runs one thread at a time."""
    ask: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)  # since Python 3.13
    return True if ask is None else ask()


def loops(requested: int, *, gil: bool) -> Loops:
    """What `requested` loops come to on an interpreter with a GIL, or without."""
    if requested == 1:
        return Loops(1, 1, "")
    if gil:
        return Loops(requested, 1, "several would take turns at this interpreter's GIL")
    return Loops(requested, 1, "handing requests over would cost more than several win")
