"""A directory that grows from the entries of an archive which may be hostile.

Rules, whatever the archive's format:

* Every entry's name is taken apart and refused, never repaired: absolute ones, ``..``, NUL, over-long ones.
* While files are written there is no symbolic link in the tree. Links are only noted, followed in the model
  of the tree that is kept here, as the kernel would follow them, and made at the very end. So nothing can be
  written through a link, and the disk is never asked what a name means.
* A name comes once; a directory may be named again. What one entry made, another can't replace (``O_EXCL``).
* What is written is charged to the ``Budget`` before it is written.
* Owners, setuid bits, ACLs and the times of directories are dropped. Files are 0644, or 0755 if anybody could
  execute them; directories 0755.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from eas_engine.artifacts.archives.budget import Budget, Refused, shown

_MOST_HOPS: Final = 40  # links within one link, as in the kernel (path_resolution(7))
_MOST_STEPS: Final = 10_000_000  # of following links, in all: some seconds
_MOST_TARGET: Final = 4095  # bytes of a link's text (PATH_MAX)
_LATEST: Final = 1 << 33  # seconds since 1970; a time beyond is nonsense


class Tree:
    """The growing directory.

    Args:
        root: an empty directory that nobody else writes to.
        budget: what it may grow to.
    """

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root = os.fsencode(root)
        self._budget = budget
        self._files: set[bytes] = set()
        self._directories: set[bytes] = {b""}
        self._links: dict[bytes, bytes] = {}
        self._steps = 0

    def __len__(self) -> int:
        """Files, directories and links so far."""
        return len(self._files) + len(self._directories) - 1 + len(self._links)

    def directory(self, name: bytes) -> None:
        """Make a directory and the parents it lacks. It may be there already."""
        steps = self._steps_of(name)
        if steps:
            self._make_directories(steps)

    def file(self, name: bytes, contents: Iterable[bytes], *, executable: bool, mtime: float) -> None:
        """Write a file. ``contents`` is read only once everything about the name is right."""
        path = self._new(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with _saying():
            file = os.open(self._at(path), flags, 0o600)
        self._files.add(path)
        try:
            for piece in contents:
                self._budget.write(len(piece))
                _write(file, piece)
            with _saying():
                os.fchmod(file, 0o755 if executable else 0o644)
                if 0 <= mtime < _LATEST:  # also false for NaN
                    os.utime(file, (mtime, mtime))
        finally:
            os.close(file)

    def link(self, name: bytes, target: bytes) -> None:
        """Note a symbolic link; ``finish`` judges and makes it."""
        if not target or b"\0" in target or len(target) > _MOST_TARGET:
            raise Refused("its target is no path")
        if target.startswith(b"/"):
            raise Refused(f"it is a link to {shown(target)}, which leads out of the archive")
        self._links[self._new(name)] = target

    def hard_link(self, name: bytes, target: bytes) -> None:
        """A second name of an earlier file or link."""
        first = b"/".join(self._steps_of(target))
        if first in self._links:
            self.link(name, self._links[first])
            return
        if first not in self._files:
            raise Refused(f"it is a hard link to {shown(target)}, which is no earlier file of the archive")
        path = self._new(name)
        with _saying():
            self._at(path).hardlink_to(self._at(first))
        self._files.add(path)

    def finish(self) -> None:
        """Check every link now that all entries are known, then make them."""
        for path, target in self._links.items():
            self._follow(path, target)
        for path, target in self._links.items():
            with _saying(path):
                self._at(path).symlink_to(os.fsdecode(target))

    # -- names

    def _steps_of(self, name: bytes) -> list[bytes]:
        limits = self._budget.limits
        if b"\0" in name:
            raise Refused("its name has a NUL in it")
        if name.startswith(b"/"):
            raise Refused("its name is an absolute path")
        if len(name) > limits.path:
            raise Refused(f"its name is longer than {limits.path} bytes")
        steps = [step for step in name.split(b"/") if step not in (b"", b".")]
        if b".." in steps:
            raise Refused("its name has .. in it and could lead out of the archive")
        if len(steps) > limits.depth:
            raise Refused(f"it is nested deeper than {limits.depth} directories")
        if any(len(step) > limits.name for step in steps):
            raise Refused(f"a part of its name is longer than {limits.name} bytes")
        return steps

    def _new(self, name: bytes) -> bytes:
        """The path of an entry that isn't there yet; its parents are made."""
        steps = self._steps_of(name)
        path = b"/".join(steps)
        if not steps:
            raise Refused("its name is empty")
        if path in self._files or path in self._links or path in self._directories:
            raise Refused("another entry has the same name")
        self._budget.entry()
        self._make_directories(steps[:-1])
        return path

    def _make_directories(self, steps: list[bytes]) -> None:
        if b"/".join(steps) in self._directories:
            return
        path = b""
        for step in steps:
            path = path + b"/" + step if path else step
            if path in self._directories:
                continue
            if path in self._files or path in self._links:
                kind = "file" if path in self._files else "link"
                raise Refused(f"it lies in {shown(path)}, which is a {kind} in the same archive")
            self._budget.entry()
            with _saying():
                self._at(path).mkdir()
                self._at(path).chmod(0o755)  # the umask may have taken bits
            self._directories.add(path)

    def _at(self, path: bytes) -> Path:
        return Path(os.fsdecode(self._root + b"/" + path))  # any bytes survive it, whatever the locale

    def _follow(self, path: bytes, target: bytes) -> None:
        """Refuses a link that leads out of the tree, or nowhere but to itself. Dangling ones are harmless."""
        at = path.split(b"/")[:-1]
        waiting = target.split(b"/")[::-1]
        hops = 0
        while waiting:
            self._steps += 1
            step = waiting.pop()
            if step in (b"", b"."):
                continue
            if step == b"..":
                if not at:
                    raise Refused(
                        f"it is a link to {shown(target)}, which leads out of the archive", shown(path)
                    )
                at.pop()
                continue
            at.append(step)
            further = self._links.get(b"/".join(at))
            if further is not None:
                hops += 1
                at.pop()
                waiting.extend(further.split(b"/")[::-1])
            if hops > _MOST_HOPS or self._steps > _MOST_STEPS:
                raise Refused("it is a link that goes in circles", shown(path))


class _saying:  # noqa: N801 - used like a function
    """Turns what the file system doesn't take into a refusal in words."""

    def __init__(self, path: bytes = b"") -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"there is no room for it: {error.strerror}"
        elif error.errno == errno.EEXIST:
            reason = "another entry has the same name on this file system"
        else:
            reason = f"this file system doesn't take it: {error.strerror}"
        raise Refused(reason, shown(self._path) if self._path else "") from error


def _write(file: int, piece: bytes) -> None:
    left = memoryview(piece)
    with _saying():
        while left:
            left = left[os.write(file, left) :]
