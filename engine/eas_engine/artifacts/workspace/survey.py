"""What is in a directory, as a copy of it would hold it, and a fingerprint of that.

*Links* that stay inside are kept as links. One that leads out, or names its target by an absolute path, would
mean something else in a copy, so the copy holds what it leads to. Dangling ones are kept as they are. One to
a directory that it lies in has no end; it is left out, and so are sockets, pipes and devices. Of somebody's
own directory, an engine's state directory is left out, too, whichever engine's: it holds tokens.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

_TOKENS: Final = ("admin-token", "token", "token.configured", "engine.json")

Identity = tuple[int, int]
"""Device and inode: what a directory is, whatever it is called."""


class Kind(Enum):
    """What an ``Item`` is."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"
    STATE = "state"  # an engine's state directory; left out
    OTHER = "other"  # left out


class Item(NamedTuple):
    """One thing in a directory."""

    path: str  # relative to the directory; parents come before their children
    kind: Kind
    source: Path  # where it lies; for a link that leads out, the link
    status: os.stat_result  # of what it is in a copy
    target: str = ""  # of a link, as it is written


def identity(path: Path) -> Identity | None:
    """What ``path`` is, links followed; None when it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_state_directory(path: Path) -> bool:
    """Whether an engine keeps its lock and its tokens in this directory, or kept them: see ``state``."""
    return (path / "lock").is_file() and any((path / name).is_file() for name in _TOKENS)


def survey(tree: Path, leave_out: frozenset[Identity] = frozenset(), *, own: bool = False) -> Iterator[Item]:
    """Everything below ``tree``, sorted; not what goes away meanwhile, as an editor's files do.

    Args:
        tree: a directory.
        leave_out: directories that count as not there.
        own: it is somebody's own, and may hold state directories.

    Raises:
        OSError: a directory can't be read.
    """
    root = Path(os.path.realpath(tree))
    waiting = [(tree, "", frozenset(map(identity, (root, *root.parents))))]
    while waiting:
        directory, path, above = waiting.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda each: each.name)
        except FileNotFoundError:
            if path:
                continue
            raise
        for entry in entries:
            item = _item(entry, f"{path}{entry.name}", root)
            if item is None:
                continue
            if item.kind is Kind.DIRECTORY:
                known = (item.status.st_dev, item.status.st_ino)
                if known in leave_out:
                    continue
                if known in above:
                    item = item._replace(kind=Kind.OTHER)
                elif own and is_state_directory(item.source):
                    item = item._replace(kind=Kind.STATE)
                else:
                    waiting.append((item.source, f"{item.path}/", above | {known}))
            yield item


def _item(entry: os.DirEntry[str], path: str, root: Path) -> Item | None:
    """None: it isn't there any more."""
    source = Path(entry.path)
    try:
        status = entry.stat(follow_symlinks=False)
        target = _text(source) if stat.S_ISLNK(status.st_mode) else ""
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        try:
            meant = source.stat()
        except OSError:  # dangling, or in circles
            return Item(path, Kind.LINK, source, status, target)
        if _stays_inside(path, target, source, root):
            return Item(path, Kind.LINK, source, status, target)
        status = meant
    if stat.S_ISDIR(status.st_mode):
        return Item(path, Kind.DIRECTORY, source, status)
    kind = Kind.FILE if stat.S_ISREG(status.st_mode) else Kind.OTHER
    return Item(path, kind, source, status)


def _text(link: Path) -> str:
    return os.readlink(link)  # noqa: PTH115 - as it was written


def _stays_inside(path: str, target: str, source: Path, root: Path) -> bool:
    written = os.path.normpath(f"{path}/../{target}")
    if target.startswith("/") or written == ".." or written.startswith("../"):
        return False
    return Path(os.path.realpath(source)).is_relative_to(root)


def fingerprint(path: Path, leave_out: frozenset[Identity] = frozenset(), *, own: bool = False) -> str:
    """A digest of names, sizes, times of change, executable bits and links; the contents aren't read.

    Of a directory or of a file. Takes some microseconds a file. Raises ``OSError``.
    """
    digest = hashlib.sha256()
    if not path.is_dir():
        digest.update(repr(signature(path.stat())).encode())
        return digest.hexdigest()
    for item in survey(path, leave_out, own=own):
        if item.kind in (Kind.OTHER, Kind.STATE):
            continue
        told = signature(item.status) if item.kind is Kind.FILE else item.target
        digest.update(repr((item.path, item.kind.value, told)).encode())
    return digest.hexdigest()


def signature(status: os.stat_result) -> tuple[int, int, bool]:
    """What changes when a file does: its size and time; and whether it can be executed."""
    return status.st_size, status.st_mtime_ns, bool(status.st_mode & 0o111)
