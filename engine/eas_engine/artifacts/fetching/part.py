"""A download in progress on disk: ``<key>.part`` and what it is part of, ``<key>.part.json``.

The description is written before the first byte, so bytes on disk always belong to the version that it names;
whatever a kill leaves is a beginning of that version, or all of it: who has taken over a whole part, or knows
that nobody will want it, throws it away (``forget``). After a crash of the machine the tail of the file may
never have reached the disk: bytes are synced every 64 MiB, and in another boot only what certainly was synced
counts.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from eas_engine import private_files
from eas_engine.artifacts.sources.checks import Expected, Version
from eas_engine.records import dataclass

SYNC_EVERY: Final = 64 << 20  # bytes
_LIMIT: Final = 64 << 10  # bytes of the description
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Begun:
    """What the bytes are the beginning of."""

    version: Version
    total: int | None
    expected: Expected


class Part:
    """One file that is being fetched; the caller holds the lock of its key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._about = _about(path)
        self._file = -1
        self.size = 0
        self._synced = 0

    def open(self) -> Begun | None:
        """Open it, and say what is there to go on with; None: nothing is."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self.path, flags, 0o600)
        self.size = os.fstat(self._file).st_size
        begun, boot = self._read()
        if begun is not None and boot != boot_id():
            self._cut(max(0, self.size // SYNC_EVERY - 1) * SYNC_EVERY)
        if begun is None or not self.size or (begun.total is not None and self.size > begun.total):
            self._cut(0)
            return None
        self._synced = self.size // SYNC_EVERY * SYNC_EVERY
        return begun

    def begin(self, begun: Begun) -> None:
        """Forget what is there: these bytes come now."""
        self._cut(0)
        self._describe(begun)

    def write(self, data: bytes) -> None:
        """The next bytes. Errors: OSError."""
        view = memoryview(data)
        while view:
            done = os.write(self._file, view)
            view, self.size = view[done:], self.size + done
        if self.size - self._synced >= SYNC_EVERY:
            os.fsync(self._file)
            self._synced = self.size // SYNC_EVERY * SYNC_EVERY

    def read_from(self, offset: int, most: int) -> bytes:
        """Bytes that are there."""
        return os.pread(self._file, most, offset)

    def finish(self, begun: Begun) -> Path:
        """Everything of ``begun`` is on disk, and stays there until the caller moves or forgets it."""
        os.fsync(self._file)
        self._close()
        if begun.total is None:  # the size wasn't announced, and is known now
            self._describe(replace(begun, total=self.size))
        return self.path

    def discard(self) -> None:
        """Nothing of it is kept."""
        self._close()
        forget(self.path)

    def leave(self) -> None:
        """Keep for the next attempt what there is; nothing, if that is nothing or it is finished."""
        if self._file >= 0 and not self.size:
            self.discard()
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _cut(self, size: int) -> None:
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)
        self.size, self._synced = size, min(self._synced, size)

    def _describe(self, begun: Begun) -> None:
        about = {**asdict(begun), "boot": boot_id()}
        private_files.write(self._about, json.dumps(about).encode(), 0o600)

    def _read(self) -> tuple[Begun | None, str]:
        os.lseek(self._file, 0, os.SEEK_END)
        with contextlib.suppress(Exception):
            about = json.loads(private_files.read_text(self._about, _LIMIT))
            begun = Begun(Version(**about["version"]), about["total"], Expected(**about["expected"]))
            return begun, str(about["boot"])
        return None, ""


def forget(path: Path) -> None:
    """What is left of the part at ``path``, if anything is, and its description."""
    for one in (path, _about(path)):
        one.unlink(missing_ok=True)


def _about(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def boot_id() -> str:
    """Changes with each boot of the machine; empty where the kernel doesn't say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
