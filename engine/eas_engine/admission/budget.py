"""``rpc.max_inflight_bytes``: how much memory request bodies may take together.

A body that is larger than what is left waits: its connection isn't read until there is room or its deadline
comes. First come, first served, so a large body isn't starved by small ones behind it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Budget:
    """Bytes of bodies, held and waited for. While nobody waits, the hot path adds to ``used`` by itself."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.waiting: OrderedDict[object, tuple[int, Callable[[], None]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Budget {self.used} of {self.limit} bytes, {len(self.waiting)} waiting>"

    def take(self, who: object, size: int, resume: Callable[[], None]) -> bool:
        """Reserve `size` bytes. False: there is no room yet; `resume` is called once they are reserved."""
        if not self.waiting and self.used + size <= self.limit:
            self.used += size
            return True
        self.waiting[who] = (size, resume)
        return False

    def forget(self, who: object) -> bool:
        """`who` doesn't wait any more. True: it did wait, and had reserved nothing."""
        waited = self.waiting.pop(who, None) is not None
        if waited:
            self._admit()
        return waited

    def give(self, size: int) -> None:
        """`size` bytes are free again."""
        self.used -= size
        if self.waiting:
            self._admit()

    def _admit(self) -> None:
        while self.waiting:
            who, (size, resume) = next(iter(self.waiting.items()))
            if self.used + size > self.limit:
                return
            del self.waiting[who]
            self.used += size
            resume()
