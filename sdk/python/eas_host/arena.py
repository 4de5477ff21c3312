"""Shared memory for large bodies: one sparse file, mapped once, cut into extents.

Each side allocates in the arena that it writes: the engine in the arena of requests, each host in its own
arena of answers. The other side maps it read-only. So no allocation ever crosses the process border; a frame
names offset and length, and a ``RELEASE`` frame gives an answer's extent back.

The file is far larger than the memory it may use (it is sparse), so extents never have to be moved or merged:
there is one free list for each power of two. What is given back stays in memory for the next body of that
class, because page faults are what large bodies cost; above ``keep`` bytes of such reserve the pages go back
to the system. Those of the first ``fixed`` bytes never do, and are used before others: a device that was told
where they are would go on reading the old ones. ``fixed`` may grow while the arena is in use, before such a
device is told.

Not thread-safe: the engine uses it from its loop, the host under the lock of its outbox.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Dict, List, Optional

_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, since Linux 5.14
_SMALLEST = 18  # 256 KiB: smaller bodies travel inside frames


class Arena:
    """Extents of one shared mapping."""

    def __init__(self, fd: int, size: int, keep: int = 256 << 20, fixed: int = 0) -> None:
        self._map = mmap.mmap(fd, size)
        self.view = memoryview(self._map)
        self.size = size
        self.fixed = fixed
        self.used = 0  # bytes that are out
        self.reserve = 0  # bytes that are back, but still in memory
        self._keep = keep
        self._next = 0
        self._warm: Dict[int, List[int]] = {}
        self._cold: Dict[int, List[int]] = {}
        self._out: Dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Arena {self.used} bytes used, {self.reserve} in reserve>"

    def fix(self, size: int) -> None:
        """Keep the pages of the first `size` bytes for good, and have them now.

        Whoever touches a page first pays for it: a device that is told of them would make a host do so,
        whose memory may be limited to less. Where there is no room for them they come as they are used.
        """
        self.fixed = size
        with contextlib.suppress(OSError):
            self._map.madvise(_POPULATE_WRITE, 0, size)

    def take(self, length: int) -> Optional[int]:
        """The offset of an extent of at least `length` bytes, or None when the address space is used up."""
        order = max(_SMALLEST, (length - 1).bit_length())
        warm = self._warm.get(order)
        cold = self._cold.get(order)
        if warm:
            offset = warm.pop()
            self.reserve -= 1 << order
        elif cold:
            offset = cold.pop()
        else:
            offset = self._next
            if offset + (1 << order) > self.size:
                return None
            self._next = offset + (1 << order)
        self._out[offset] = order
        self.used += 1 << order
        return offset

    def give(self, offset: int) -> None:
        """Give back what :meth:`take` returned. KeyError: it isn't out (so nothing is freed twice)."""
        order = self._out.pop(offset)
        self.used -= 1 << order
        fixed = offset + (1 << order) <= self.fixed
        if not fixed and self.reserve + (1 << order) > self._keep:
            self._map.madvise(mmap.MADV_REMOVE, offset, 1 << order)
            self._cold.setdefault(order, []).append(offset)
        else:
            self.reserve += 1 << order
            warm = self._warm.setdefault(order, [])
            if fixed or not self.fixed:
                warm.append(offset)
            else:
                warm.insert(0, offset)

    def close(self) -> None:
        """Unmap, unless somebody still holds a view: then the mapping goes with the last of them."""
        self.view.release()
        with contextlib.suppress(BufferError):
            self._map.close()


def map_read_only(fd: int, size: int) -> memoryview:
    """The other side's arena; a reader can't write into what somebody else is reading."""
    return memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
