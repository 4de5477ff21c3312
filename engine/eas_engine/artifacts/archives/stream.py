"""What ``tarfile`` reads from: forward only, counted, and with an end that can be judged."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from eas_engine.artifacts.archives.budget import Budget, Refused

_PIECE: Final = 1 << 20  # bytes read at a time


def is_tar_header(block: bytes) -> bool:
    """Whether a file that begins so is a tar archive. Old ones have no magic, but all have a checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


class Stream:
    """A file object, as far as ``tarfile`` needs one.

    Args:
        source: read from its beginning; may be a decompressor.
        budget: is told all that comes out of it.
    """

    def __init__(self, source: BinaryIO, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._position = 0
        self._ahead = b""
        self._headers = 0
        self._last = b""

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay unread; fewer at the end."""
        while len(self._ahead) < size and (data := self._take(size - len(self._ahead))):
            self._ahead += data
        return self._ahead[:size]

    def tell(self) -> int:
        """How many bytes were read."""
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        """Forward only, by reading."""
        if whence or position < self._position:
            raise Refused("it is damaged: a header points backwards")
        while self._position < position:
            if not self.read(min(_PIECE, position - self._position)):
                raise EOFError
        return self._position

    def read(self, size: int) -> bytes:
        """``tarfile``'s own reading: of headers."""
        limit = self._budget.limits.header
        self._headers += size
        if size < 0 or self._headers > limit:
            raise Refused(f"the headers of one entry are larger than {limit} bytes, or damaged")
        self._last = self._read(size)
        return self._last

    def end_of_headers(self) -> None:
        """An entry is done with: what is read next are another one's headers."""
        self._headers = 0

    def contents(self, offset: int, size: int, tell: Callable[[], None]) -> Iterator[bytes]:
        """An entry's contents, in pieces. ``EOFError`` when they are cut short."""
        if size < 0 or offset != self._position:
            raise Refused("it is damaged: its size or place is impossible")
        self._budget.expect(size)
        while size:
            data = self._read(min(_PIECE, size))
            if not data:
                raise EOFError
            size -= len(data)
            yield data
            tell()

    def rest(self, tell: Callable[[], None]) -> Iterator[bytes]:
        """All that is left."""
        while data := self._read(_PIECE):
            yield data
            tell()

    def expect_end(self) -> None:
        """``tarfile`` has stopped: was that the mark of the archive's end, and is nothing behind it?

        Reading to the end also has the decompressor check its checksum.
        """
        if len(self._last) < tarfile.BLOCKSIZE:
            raise EOFError
        if self._last.strip(b"\0"):
            raise Refused("it is damaged: what follows its last good entry is no header")
        while data := self._read(_PIECE):
            if data.strip(b"\0"):
                raise Refused("something follows its end; archives can't be joined by appending files")

    def _read(self, size: int) -> bytes:
        if not self._ahead:
            data = self._take(size)
        else:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            while len(data) < size and (more := self._take(size - len(data))):
                data += more
        self._position += len(data)
        return data

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        self._budget.inflate(len(data))
        return data
