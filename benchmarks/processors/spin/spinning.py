"""A millisecond of pure Python, more or less: what holds the interpreter's lock and a core."""

from __future__ import annotations

TURNS = 16_500


def spin() -> int:
    """Count, in a way that nothing can shorten."""
    total = 0
    for turn in range(TURNS):
        total = (total * 31 + turn) & 0xFFFFFFFF
    return total
