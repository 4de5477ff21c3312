"""What an archive may ask for, and how it is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from eas_engine.errors import ArtifactError
from eas_engine.records import dataclass

_LOOK_AT_DISK: Final = 1 << 26  # bytes written between two looks at what is free


class UnpackError(ArtifactError):
    """An archive that is refused; nothing of it was kept.

    Attributes:
        archive: its name.
        entry: the offending entry, fit for a terminal; empty when it is the archive as a whole.
        reason: what is wrong.
    """

    def __init__(self, archive: str, entry: str, reason: str) -> None:
        where = f"{archive}: {entry}" if entry else archive
        super().__init__(f"{where}: {reason}; nothing of the archive was kept")
        self.archive, self.entry, self.reason = archive, entry, reason


class Refused(Exception):
    """Why an archive isn't unpacked; ``entry`` is empty when it is the archive as a whole."""

    def __init__(self, reason: str, entry: str = "") -> None:
        super().__init__(reason)
        self.reason, self.entry = reason, entry


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may ask for at most; a real model stays far below.

    Attributes:
        total: bytes, unpacked.
        ratio: unpacked bytes to one packed byte; not looked at up to ``always`` bytes.
        always: bytes that any archive may unpack to, however small it is.
        entries: files, directories and links.
        depth: directories one within the other.
        path: bytes of an entry's whole name; the cache's own path comes before it (PATH_MAX is 4096).
        name: bytes of one part of it (NAME_MAX).
        header: bytes of all headers that describe one entry of a tar archive.
        directory: bytes of a zip archive's table of contents, which is held in memory.
        reserve: bytes of the disk that stay free.
    """

    total: int = 1 << 42
    ratio: int = 200
    always: int = 1 << 30
    entries: int = 500_000
    depth: int = 100
    path: int = 2000
    name: int = 255
    header: int = 1 << 18
    directory: int = 1 << 28
    reserve: int = 1 << 28


def free_bytes(directory: Path) -> int:
    """What this user may still write there."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


class Budget:
    """What one archive has asked for so far, against its limits and the disk.

    Args:
        limits: what it may ask for.
        packed: the archive's size, bytes.
        free: tells how many bytes the disk has left.
    """

    def __init__(self, limits: Limits, packed: int, free: Callable[[], int]) -> None:
        self.limits = limits
        self._allowed = min(limits.total, max(limits.always, limits.ratio * packed))
        self._packed = packed
        self._free = free
        self._entries = 0
        self._inflated = 0
        self._unlooked = _LOOK_AT_DISK

    def entry(self) -> None:
        """One more file, directory or link."""
        self._entries += 1
        if self._entries > self.limits.entries:
            raise Refused(f"it has more than {self.limits.entries} entries")

    def inflate(self, size: int) -> None:
        """So many more bytes came out of the decompressor."""
        self._inflated += size
        if self._inflated > self._allowed:
            raise Refused(
                f"it unpacks to more than {_size(self._allowed)} out of {_size(self._packed)}: "
                "that is how a decompression bomb looks"
            )

    def expect(self, size: int) -> None:
        """So many bytes will be written, if what the archive says is true."""
        if size > self._allowed:
            self.inflate(size)
        self._look(size)

    def write(self, size: int) -> None:
        """So many bytes are about to be written."""
        self._unlooked += size
        if self._unlooked > _LOOK_AT_DISK:
            self._unlooked = 0
            self._look(size)

    def _look(self, size: int) -> None:
        free = self._free()
        if size + self.limits.reserve > free:
            raise Refused(
                f"the disk is too full for it: {_size(free)} are free, {_size(size)} more are needed, "
                f"and {_size(self.limits.reserve)} stay free"
            )


def shown(name: bytes) -> str:
    """A name from an archive, fit for a terminal and a log: escaped where it must be, and not too long."""
    text = name.decode("utf-8", "backslashreplace")
    text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return text if len(text) <= 200 else f"{text[:150]}...{text[-40:]}"


def _size(count: int) -> str:
    """Bytes for a person."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} TiB"
