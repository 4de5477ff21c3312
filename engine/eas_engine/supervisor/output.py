"""What a processor prints, line by line, without ever holding up the engine.

*Guarantees*

* One turn of the loop reads at most ``CHUNK`` bytes of a stream and hands on at most ``LINES_A_TURN`` lines.
  A stream that has more to say is then left alone for ``PAUSE`` seconds: about 3 MB/s or 12 000 lines/s go
  through, using a small share of the loop. Whoever prints more waits for room in its pipe, as on a slow
  terminal; nothing is dropped while the host lives.
* Memory is bounded: a line is cut after ``MAX_LINE`` bytes, and no chunk is read before the last one is
  handed on.
* When the host is dead, what is still in the pipe is taken at once, at most ``LAST_WORDS`` lines of it,
  whoever else (a forked child) holds the other end.

The pause is the loop's own timer, not the injected clock: pipes live in real time.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable

from eas_engine.telemetry.last_words import dump_begin

MAX_LINE = 1 << 16
"""Bytes after which a line is cut in two."""

CHUNK = 1 << 14
LINES_A_TURN = 64
PAUSE = 0.005
LAST_WORDS = 1000
TAIL_LINES = 100
"""Lines kept for the status."""

WHOLE_TAIL = 1000
"""Lines kept for whoever looks into a crash: the words that say why may stand before stacks of threads."""

TAIL_WIDTH = 4096
"""Characters kept of each of them."""

_PIPE_LIMIT = 1 << 20  # fs.pipe-max-size: what a pipe can hold at most


class LineCutter:
    """Bytes in, lines out. No I/O.

    Invalid UTF-8 is replaced, line ends are removed, and a line longer than ``MAX_LINE`` bytes comes in
    pieces.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        pieces = [piece for line in whole for piece in _pieces(line)]
        if len(self._rest) > MAX_LINE:
            *long, self._rest = _pieces(self._rest)
            pieces += long
        return [_text(piece) for piece in pieces]

    def finish(self) -> list[str]:
        """The last line, if it had no end."""
        rest, self._rest = self._rest, b""
        return [_text(piece) for piece in _pieces(rest)] if rest else []


def _pieces(line: bytes) -> list[bytes]:
    """``line`` in pieces of at most ``MAX_LINE`` bytes, cut between characters where it is UTF-8."""
    pieces = []
    while len(line) > MAX_LINE:
        cut = MAX_LINE
        while cut > MAX_LINE - 4 and line[cut] & 0xC0 == 0x80:  # never in front of a continuation byte
            cut -= 1
        pieces.append(line[:cut])
        line = line[cut:]
    return [*pieces, line]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")


class Tail:
    """The last lines of one host, both streams."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=WHOLE_TAIL)

    def add(self, line: str) -> None:
        """One line more; the oldest goes."""
        self._lines.append(line[:TAIL_WIDTH])

    def lines(self, *, all_of_them: bool = False) -> tuple[str, ...]:
        """The last ``TAIL_LINES``, or all that were kept; oldest first."""
        return tuple(self._lines) if all_of_them else tuple(self._lines)[-TAIL_LINES:]

    def last_words(self) -> tuple[str, ...]:
        """Of a process that died: ``TAIL_LINES``, the last ones, or those that a longer dump begins with."""
        begin = dump_begin(self._lines)
        first = max(0, len(self._lines) - TAIL_LINES)
        first = first if begin is None else min(first, begin)
        return tuple(self._lines)[first : first + TAIL_LINES]


class OutputReader:
    """Reads one pipe on the running loop.

    Args:
        fd: the read end; owned from now on.
        on_line: called with each line, synchronously.
    """

    def __init__(self, fd: int, on_line: Callable[[str], None]) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._on_line = on_line
        self._cutter = LineCutter()
        self._waiting: deque[str] = deque()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._fd, self._turn)

    def finish(self) -> None:
        """The host is dead: take what it left and close. Idempotent."""
        if self._closed:
            return
        left = _PIPE_LIMIT
        while left > 0 and (chunk := self._read()):
            left -= len(chunk)
            self._waiting += self._cutter.feed(chunk)
        self._close()

    def _turn(self) -> None:
        self._pause = None
        full = False
        if not self._waiting:
            chunk = self._read()
            if chunk is None:
                return
            if not chunk:
                self._close()
                return
            full = len(chunk) == CHUNK
            self._waiting += self._cutter.feed(chunk)
        for _ in range(min(len(self._waiting), LINES_A_TURN)):
            self._on_line(self._waiting.popleft())
        if full or self._waiting:
            self._loop.remove_reader(self._fd)
            self._pause = self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        self._turn()
        if not self._closed and self._pause is None:
            self._loop.add_reader(self._fd, self._turn)

    def _read(self) -> bytes | None:
        """Empty at the end of the stream, None when there is nothing at the moment."""
        try:
            return os.read(self._fd, CHUNK)
        except (BlockingIOError, InterruptedError):
            return None

    def _close(self) -> None:
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._waiting += self._cutter.finish()
        lost = len(self._waiting) - LAST_WORDS
        if lost > 0:
            self._on_line(f"... {lost} lines of output left out ...")
        for line in list(self._waiting)[max(0, lost) :]:
            self._on_line(line)
        self._waiting.clear()
