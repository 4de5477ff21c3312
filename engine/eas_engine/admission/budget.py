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
        self.waiting: OrderedDict[object, tuple[int, Callable[[], None], int]] = OrderedDict()
        self._favoured: object = None

    def __repr__(self) -> str:
        return f"<Budget {self.used} of {self.limit} bytes, {len(self.waiting)} waiting>"

    def configure(self, limit: int) -> None:
        """Another limit from now on. What is over a lower one waits until nothing else is in use."""
        self.limit = limit
        self._admit()

    def take(self, who: object, size: int, resume: Callable[[], None], *, held: int = 0) -> bool:
        """Reserve `size` bytes. False: there is no room yet; `resume` is called once they are reserved.

        `held`: bytes that were reserved before for the same body, which grows. When everything in use is held
        by bodies that wait to grow, they would wait for one another for ever: then the first of them is
        favoured and goes over the limit, until it says ``forget``. So False may come after `resume`.
        """
        if not size or who is self._favoured or (not self.waiting and self._fits(size)):
            self.used += size
            return True
        self.waiting[who] = (size, resume, held)
        if self._stuck():
            self._favoured = self._first_growing()
            if self._favoured is who:
                del self.waiting[who]
                self.used += size
                return True
            self._let(self._favoured)
        return False

    def forget(self, who: object) -> bool:
        """`who` doesn't wait, or grow, any more. True: it did wait, and what it waited for isn't reserved."""
        if self._favoured is who:
            self._favoured = None
        waited = self.waiting.pop(who, None) is not None
        self._admit()
        return waited

    def give(self, size: int) -> None:
        """`size` bytes are free again."""
        self.used -= size
        if self.waiting:
            self._admit()

    def _admit(self) -> None:
        while self.waiting:
            who, (size, _, _) = next(iter(self.waiting.items()))
            if self._fits(size):
                self._let(who)
            elif self._stuck():
                self._favoured = self._first_growing()
                self._let(self._favoured)
            else:
                return

    def _fits(self, size: int) -> bool:
        return self.used + size <= self.limit or not self.used

    def _stuck(self) -> bool:
        held = sum(held for _, _, held in self.waiting.values())
        return self._favoured is None and held > 0 and held == self.used

    def _first_growing(self) -> object:
        return next(who for who, (_, _, held) in self.waiting.items() if held)

    def _let(self, who: object) -> None:
        size, resume, _ = self.waiting.pop(who)
        self.used += size
        resume()
