"""Puts files into a workspace: shared with the cache where that is safe, else copied.

A hard link shares the inode: who writes into one name changes the other. So, in this order,

1. a *reflink* where the file system has them (btrfs, xfs): a private copy that costs nothing,
2. for files of the cache that are large, a *hard link*, and the inode is made read-only first. That stops
   everybody but root; for root the launcher mounts these files read-only into the instance (``mounts.py``),
3. a copy: all small files (a processor that writes into what it was shipped with writes into a small file),
   all that lies outside the cache, and what can't be linked (another file system).

See docs/decisions/0009.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

LARGE: Final = 1 << 20
"""Bytes from which a file of the cache is linked: below, copying costs little time and little disk."""

_FICLONE: Final = 0x40049409  # ioctl_ficlone(2)
_PIECE: Final = 1 << 30  # bytes asked of one copy_file_range
_NOT_HERE: Final = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM, errno.EBADF}
)


class Placer:
    """Places the files of one workspace; learns what its file system can do."""

    def __init__(self) -> None:
        self._reflinks = True
        self._links = True

    def place(self, source: Path, target: Path, status: os.stat_result, *, cached: bool) -> bool:
        """Make ``target`` hold what ``source`` holds; True when they share an inode.

        ``status`` is the source's. Raises ``OSError``.
        """
        shareable = cached and status.st_size >= LARGE
        if shareable and not self._reflinks and self._link(source, target, status):
            return True
        if self._copy(source, target, status, give_up=shareable and self._links):
            return False
        return self._link(source, target, status) or not self._copy(source, target, status, give_up=False)

    def _link(self, source: Path, target: Path, status: os.stat_result) -> bool:
        if not self._links:
            return False
        try:
            if status.st_mode & 0o222:
                source.chmod(status.st_mode & 0o555)
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in {*_NOT_HERE, errno.EMLINK, errno.EACCES, errno.EROFS}:
                raise
            self._links = error.errno == errno.EMLINK
            return False
        return True

    def _copy(self, source: Path, target: Path, status: os.stat_result, *, give_up: bool) -> bool:
        """Reflink or copy; False when ``give_up`` and there is no reflink: then nothing is left there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with source.open("rb") as old, os.fdopen(os.open(target, flags, 0o600), "wb") as new:
            if not self._reflink(old.fileno(), new.fileno()):
                if give_up:
                    target.unlink()
                    return False
                _copy_contents(old.fileno(), new.fileno())
            os.fchmod(new.fileno(), status.st_mode & 0o777 | 0o600)
            os.utime(new.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))
        return True

    def _reflink(self, old: int, new: int) -> bool:
        if self._reflinks:
            try:
                fcntl.ioctl(new, _FICLONE, old)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                self._reflinks = False
        return self._reflinks


def _copy_contents(old: int, new: int) -> None:
    with contextlib.suppress(OSError):  # file systems that lack it; what is left is copied below
        while os.copy_file_range(old, new, _PIECE):
            pass
    with os.fdopen(os.dup(old), "rb", buffering=0) as reader, os.fdopen(os.dup(new), "wb", 0) as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
