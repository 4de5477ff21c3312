"""Figures of places, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MOST_NAMED: Final = 6
_GIB: Final = 2**30
_MIB: Final = 2**20


def size(count: int) -> str:
    """``1.5 GiB``."""
    return f"{count / _GIB:.4g} GiB" if count >= _GIB else f"{count / _MIB:.4g} MiB"


def named(holders: Sequence[tuple[str, str]]) -> str:
    """``, of which digits-0 has 2, other/resnet-1 has 2``; empty when nobody has anything."""
    shown = [f"{name} has {figure}" for name, figure in holders[:_MOST_NAMED]]
    if more := len(holders) - len(shown):
        shown.append(f"{more} more have some")
    return f", of which {', '.join(shown)}" if shown else ""
