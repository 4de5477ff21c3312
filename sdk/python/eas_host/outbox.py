"""Answers on their way to the engine, and the memory of the large ones."""

from __future__ import annotations

import socket
import threading
from typing import Any, Dict, Final, List, Optional, Sequence, Tuple

from eas_host import wire
from eas_host.arena import Arena

_pack: Final = wire.ANSWER.pack
_HEADER_SIZE: Final = wire.ANSWER.size


class Outbox:
    """Answers on their way to the engine: many at a time, whole, in any order of threads."""

    def __init__(self, link: socket.socket, channel: Dict[str, Any]) -> None:
        arena = channel["answers"]
        self._send = link.sendall
        self._arena = Arena(arena["fd"], arena["size"]) if arena else None
        self.frames: List[bytes] = []
        self._lock = threading.Lock()  # around sending, so that frames stay whole
        self._allocation = threading.Lock()

    def __repr__(self) -> str:
        return f"<Outbox {len(self.frames)} frames waiting>"

    def put(  # noqa: PLR0917 - the hot path passes no keywords
        self, kind: int, slot: int, status: int, took_us: int, begun: float, body: Any
    ) -> None:
        """Queue an answer without header lines."""
        head = _pack(_HEADER_SIZE + len(body), kind, slot, status, took_us, begun)
        # One append: another thread may flush between two of them.
        self.frames.append(head + body)

    def put_full(  # noqa: PLR0917 - as `put`
        self, slot: int, status: int, took_us: int, begun: float, headers: bytes, body: Any
    ) -> None:
        """Queue an answer with header lines, or one so large that it goes into the arena of answers."""
        size = len(body)
        extent = self._spill(body) if size >= wire.SPILL_BYTES else None
        if extent is None:
            kind, parts = wire.FULL, (wire.LINES.pack(len(headers)), headers, body)
        else:
            kind, parts = wire.FULL_AT, (extent, headers, b"")
        whole = _HEADER_SIZE + sum(map(len, parts))
        head = _pack(whole, kind, slot, status, took_us, begun)
        self.frames.append(b"".join((head, *parts)))

    def put_unit(
        self,
        took_us: int,
        begun: float,
        counts: Tuple[int, int, int, int],
        slots: Sequence[int],
        bodies: Sequence[Any],
        *,
        too_large: int = 0,
    ) -> None:
        """Queue the plain answers of a unit of work, and its counts: requests, calls, rows, padding.

        ``too_large``: so many requests were too many for the memory of the GPU; 0: they weren't.
        """
        count = len(slots)
        told = wire.BATCH.pack(*[min(each, 0xFFFFFFFF) for each in counts])
        columns = wire.replies(count).pack(*slots, *map(len, bodies))
        whole = _HEADER_SIZE + len(told) + len(columns) + sum(map(len, bodies))
        head = _pack(whole, wire.BATCHED, count, too_large, took_us, begun)
        self.frames.append(b"".join((head, told, columns, *bodies)))

    def _spill(self, body: Any) -> Optional[bytes]:
        if self._arena is None:
            return None
        size = len(body)
        with self._allocation:
            offset = self._arena.take(size)
        if offset is None:
            return None
        self._arena.view[offset : offset + size] = body
        return wire.EXTENT.pack(offset, size)

    def release(self, offset: int) -> None:
        """The engine has sent the answer that lay at `offset`."""
        if self._arena is not None:
            with self._allocation:
                self._arena.give(offset)

    def flush(self) -> None:
        """Send what is waiting. Threads append meanwhile, so only what was seen is taken off the list.

        Copying, appending and deleting a slice are atomic each, with a GIL or without.
        """
        if not self.frames:
            return
        with self._lock:
            ready = self.frames[:]
            if ready:
                del self.frames[: len(ready)]
                self._send(b"".join(ready))
