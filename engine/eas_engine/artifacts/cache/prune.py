"""How large the cache may be, and what goes first; the decision is pure.

What is in use is never chosen. Otherwise what was used longest ago goes first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eas_engine.artifacts.cache.cache import Cache, Entry
from eas_engine.errors import ArtifactError, ConfigurationError

RESERVE: Final = 256 << 20  # bytes of the disk that fetching leaves free
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|h|d|w)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)i?B?", re.IGNORECASE)
STALE: Final = 7 * 86400.0  # seconds after which nobody comes back for a broken download


def choose(entries: Sequence[Entry], *, limit: int | None, before: float | None = None) -> list[Entry]:
    """What to delete: what was last used before ``before``, and the oldest until ``limit`` bytes are left."""
    left = sum(one.size for one in entries)
    chosen: list[Entry] = []
    for one in sorted(entries, key=lambda one: (one.used, one.id)):
        old = before is not None and one.used < before
        if not one.in_use and (old or (limit is not None and left > limit)):
            chosen.append(one)
            left -= one.size
    return chosen


def trim(cache: Cache, limit: int, now: float) -> list[Entry]:
    """Delete what is over the limit, and what broken downloads left long ago; what went."""
    cache.sweep(before=now - STALE)
    return [one for one in choose(cache.entries(), limit=limit) if cache.drop(one.id)]


def limit_of(text: str, root: Path) -> int:
    """``--cache-size`` or ``EAS_CACHE_SIZE`` in bytes.

    ``200G``, ``1.5T``, a number of bytes, or a share of the disk (``30%``). Empty: half of the disk
    that the cache lies on. Errors: ConfigurationError.
    """
    text = text.strip() or "50%"
    if text.endswith("%") and (share := _SIZE.fullmatch(text[:-1].strip())) and not share.group(2):
        disk = os.statvfs(root)
        return int(disk.f_blocks * disk.f_frsize * min(100.0, float(share.group(1))) / 100)
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"--cache-size, or EAS_CACHE_SIZE: {text!r}: expected a size such as 200G, or a share of the "
            "disk such as 30%"
        )
    return int(float(match.group(1)) * 1024 ** " KMGT".index(match.group(2).upper() or " "))


def seconds_of(age: str) -> float:
    """``7d``, ``12h``, ``90`` (days). Errors: ConfigurationError."""
    match = _AGE.fullmatch(age.strip())
    if match is None:
        raise ConfigurationError(f"--older-than {age}: expected a time such as 7d, 12h or 30m")
    return float(match.group(1)) * _SECONDS[match.group(2) or "d"]


class Room:
    """Keeps the disk from filling up."""

    def __init__(self, cache: Cache, reserve: int = RESERVE) -> None:
        self._cache, self._reserve = cache, reserve

    def make(self, count: int) -> None:
        """So many bytes will come: delete what can go if they don't fit. Errors: ArtifactError."""
        if self.free() >= count + self._reserve:
            return
        for one in choose(self._cache.entries(), limit=0):
            if self._cache.drop(one.id) and self.free() >= count + self._reserve:
                return
        free = self.free()
        if free < count + self._reserve:
            raise ArtifactError(
                f"{count / 2**20:.1f} MiB more are to come, {self._cache.root} has {free / 2**20:.1f} MiB "
                f"free, of which {self._reserve / 2**20:.0f} MiB stay free: make room, or put the state "
                "(--state-dir) on another disk"
            )

    def free(self) -> int:
        """Bytes that this user may still write there."""
        disk = os.statvfs(self._cache.root)
        return disk.f_bavail * disk.f_frsize
