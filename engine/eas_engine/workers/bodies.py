"""The memory of request bodies: what they may take together, and the arena for the large ones."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from eas_engine.admission.budget import Budget
from eas_host import wire
from eas_host.arena import Arena

if TYPE_CHECKING:
    from eas_engine.request import Ticket

_CARD_SPILLS: Final = 64 << 10
"""Bodies from this size on lie in the arena where a card reads them."""


def make_shared(name: str, size: int) -> int:
    """A sparse file in memory that can't be resized: nobody can take pages away under a reader (SIGBUS)."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


class Bodies:
    """Where the bodies of admitted requests lie until their answers have come."""

    def __init__(self, limit: int, of: Bodies | None = None) -> None:
        """Bytes they may take together, and whose.

        Args:
            limit: bytes.
            of: others in whose arena these lie, too, with a budget of their own.
        """
        self.budget = Budget(limit)
        self.fd = -1  # what the hosts inherit
        self.spill = wire.SPILL_BYTES  # bytes of a body that lies in the arena
        self.arena: Arena | None = None
        self._keep = 0
        self._owns = of is None
        if of is not None:
            self.fd, self.arena, self.spill = of.fd, of.arena, of.spill
            return
        # Extents are powers of two and never merged: address space is what is spent freely, not memory.
        size = 16 * max(limit, 1 << 30)
        try:
            writable = make_shared("eas-requests", size)
            self._keep = max(1 << 20, min(limit // 4, 256 << 20))
            self.arena = Arena(writable, size, self._keep)
            self.fd = _read_only(writable)
        except OSError:
            return  # no memfd here, or no room to map it: large bodies travel inside frames

    def __repr__(self) -> str:
        return f"<Bodies {self.budget!r} {self.arena!r}>"

    def read_by_card(self) -> None:
        """A card will read them where they lie, in hosts that are started from now on. Idempotent.

        The arena keeps the pages of its beginning for good, which such a host registers (at most 256 MiB, a
        quarter of what bodies may take), and smaller bodies lie there, too: those in frames are copied on
        their way.
        """
        if self.arena is not None and not self.arena.fixed:
            self.spill = _CARD_SPILLS
            self.arena.fix(self._keep)

    def describe(self) -> dict[str, int] | None:
        """What a host must know to read the bodies."""
        if self.arena is None:
            return None
        return {"fd": self.fd, "size": self.arena.size, "fixed": self.arena.fixed}

    def place(self, size: int) -> tuple[int, memoryview]:
        """Room to receive `size` bytes into: (offset, view), or (-1, view) when the arena has none."""
        if size >= self.spill and self.arena is not None:
            offset = self.arena.take(size)
            if offset is not None:
                return offset, self.arena.view[offset : offset + size]
        return -1, memoryview(bytearray(size))

    def view(self, ticket: Ticket) -> memoryview:
        """The ticket's body, where it lies: valid until it is released."""
        if ticket.offset >= 0 and self.arena is not None:
            whole: memoryview = self.arena.view
            return whole[ticket.offset : ticket.offset + ticket.size]
        return memoryview(ticket.body or b"")[: ticket.size]

    def copy(self, ticket: Ticket, limit: int) -> bytes:
        """The ticket's body, or the first ``limit`` bytes of it."""
        return bytes(self.view(ticket)[:limit])

    def release(self, ticket: Ticket) -> None:
        """Nobody reads the ticket's body any more."""
        size, ticket.size, ticket.body = ticket.size, 0, None
        if ticket.offset >= 0:
            offset, ticket.offset = ticket.offset, -1
            if self.arena is not None:
                self.arena.give(offset)
        if size:
            self.budget.give(size)

    def free(self, offset: int) -> None:
        """Nobody needs the extent of the arena any more, which `place` gave and no ticket has."""
        if self.arena is not None:
            self.arena.give(offset)

    def close(self) -> None:
        """Unmap and close."""
        if self.arena is not None and self._owns:
            self.arena.close()
            os.close(self.fd)


def _read_only(writable: int) -> int:
    """The file opened once more, for those who must not write into it; `writable` is closed.

    Not by a seal: F_SEAL_FUTURE_WRITE forbids the owner to give pages back, too (MADV_REMOVE: EPERM).
    """
    try:
        readable = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return writable  # no /proc: the hosts map the file read-only by themselves
    os.close(writable)
    return readable
