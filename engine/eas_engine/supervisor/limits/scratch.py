"""Scratch directories of instances, and how much is in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TMP: Final = "/tmp"  # noqa: S108 - what an instance's own directory is mounted on
_MODE: Final = 0o1777
"""As /tmp has it; the directories above are the engine's own user's alone."""

_SECTOR: Final = 512
_FRESH: Final = 0.5  # seconds for which a count of the shared workspace holds


def make(root: Path, name: str) -> Path:
    """An empty directory. Errors: ``OSError``."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = root / name
    path.mkdir()
    path.chmod(_MODE)
    return path


def clear(root: Path) -> None:
    """Delete what a killed engine has left."""
    shutil.rmtree(root, ignore_errors=True)


def in_the_way(paths: Iterable[str], at: str = TMP) -> str:
    """The first of these paths that something mounted at ``at`` would hide; empty: none."""
    top = os.path.realpath(at) + os.sep
    return next(
        (path for path in paths if path.startswith("/") and os.path.realpath(path).startswith(top)), ""
    )


def written(root: Path) -> int:
    """Bytes on the disk of everything below ``root``, on its file system; hard links count once."""
    total = 0
    seen: set[int] = set()
    waiting = [os.fspath(root)]
    try:
        device = root.stat().st_dev
    except OSError:
        return 0
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != device or status.st_ino in seen:
                        continue
                    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                        seen.add(status.st_ino)
                    total += status.st_blocks * _SECTOR
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
    return total


def unlinked(pids: Iterable[int], root: Path, proc: Path = Path("/proc")) -> int:
    """Bytes on the disk, that of ``root``, of files without a name (``tempfile.TemporaryFile``).

    ``pids``: the processes that hold them open.
    """
    found: dict[int, int] = {}
    try:
        device = root.stat().st_dev
    except OSError:
        return 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for handle in (proc / str(pid) / "fd").iterdir():
                with contextlib.suppress(OSError):
                    status = handle.stat()
                    if status.st_nlink == 0 and status.st_dev == device and stat.S_ISREG(status.st_mode):
                        found[status.st_ino] = status.st_blocks * _SECTOR
    return sum(found.values())


class Workspace:
    """How much the instances have written into the workspace, which they share.

    Nobody can tell which of them it was, so each counts an even share of what has come while it was there.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._counted: tuple[float, int] = (0.0, 0)
        self.tenants = 0
        """Instances that share it now."""

    def size(self) -> int:
        """Bytes in it now (or half a second ago: several instances ask)."""
        now = time.monotonic()
        if self._root is not None and now - self._counted[0] > _FRESH:
            self._counted = (now, written(self._root))
        return self._counted[1]
