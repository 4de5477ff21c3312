"""Log lines on their way to a file descriptor that may be slow, full or gone.

The loop must never wait for whoever reads the engine's stderr: a pipe that nobody empties, a stopped
terminal, a full disk. So lines go into a bounded list, and a thread of its own writes them, all that have
gathered in one call.

Guarantees: ``put`` never blocks on the descriptor; lines keep their order; memory stays below ``capacity``
plus one write; lines that found no room are counted, and the count is written where they are missing; a
reader that is gone costs nothing more.
"""

from __future__ import annotations

import errno
import os
import select
import threading

CAPACITY = 4 << 20  # bytes of lines not yet written
LOST = b"... %d log lines are missing here: they were not read fast enough\n"


class LineWriter:
    """Writes lines to ``fd`` from a thread, between ``start`` and ``close``."""

    def __init__(self, fd: int, *, capacity: int = CAPACITY, lost: bytes = LOST) -> None:
        """``lost``: the line that stands for so many lines that found no room."""
        self._fd = fd
        self._note = lost
        self._capacity = capacity
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._size = 0  # bytes of lines not yet written, those in the current write included
        self._lost = 0  # lines since the last that found room
        self._closing = False
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)

    def __repr__(self) -> str:
        return f"<LineWriter fd={self._fd} {self._size} bytes waiting, {self._lost} lines lost>"

    @property
    def waiting(self) -> int:
        """Bytes not yet written."""
        return self._size

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Take one line, which ends in a newline; or count it when there is no room."""
        with self._changed:
            if self._broken or self._closing:
                return
            if self._size + len(line) > self._capacity:
                self._lost += 1
                return
            if self._lost:
                line = self._confess() + line
            self._lines.append(line)
            self._size += len(line)
            self._changed.notify()

    def close(self, limit: float) -> bool:
        """Write what is left, for at most ``limit`` seconds. False: not everything could be written."""
        with self._changed:
            if self._lost and not self._closing:
                note = self._confess()
                self._lines.append(note)
                self._size += len(note)
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(limit)
        return not self._thread.is_alive() and not self._size

    def _confess(self) -> bytes:
        note = self._note % self._lost
        self._lost = 0
        return note

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._changed.wait()
                lines, self._lines = self._lines, []
            if not lines:
                return
            data = b"".join(lines)
            written = self._write(data)
            with self._changed:
                self._size -= len(data)
                if not written:
                    self._broken = True
                    self._lines.clear()
                    self._size = 0
                    return

    def _write(self, data: bytes) -> bool:
        """False: nobody reads any more (or the disk is gone)."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # somebody we share the descriptor with made it non-blocking
                select.select([], [self._fd], [])
            except OSError as error:
                # On a full disk these lines are lost, and later ones may find room.
                return error.errno in (errno.ENOSPC, errno.EDQUOT)
        return True
