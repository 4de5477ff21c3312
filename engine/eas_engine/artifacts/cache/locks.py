"""Locks between engines: flock'ed files, which the kernel frees however their holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_MINE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Lock:
    """A held lock; ``release`` or the end of the context frees it."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file

    @classmethod
    def wait_for(cls, path: Path, wait: Callable[[str], None], *, shared: bool = False) -> Self:
        """Take it; ``wait`` is called with the holder's pid before each further try."""
        while (taken := cls.take(path, shared=shared)) is None:
            wait(_holder(path))
        return taken

    @classmethod
    def take(cls, path: Path, *, shared: bool = False) -> Self | None:
        """Take it; None: somebody has it.

        Who deletes a lock's file must hold it; so one that was deleted meanwhile is taken anew.
        """
        while True:
            file = os.open(path, _MINE, 0o600)
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return None
            if _is_still(path, file):
                if not shared:
                    os.ftruncate(file, 0)
                    os.pwrite(file, str(os.getpid()).encode(), 0)
                return cls(path, file)
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self, *, delete: bool = False) -> None:
        """Free it; ``delete`` its file too. May be called twice."""
        if self._file < 0:
            return
        if delete:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1


def _is_still(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(file))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """The pid of who has it, as far as is known."""
    with contextlib.suppress(OSError):
        return path.read_bytes()[:32].decode("ascii", "replace").strip()
    return ""
