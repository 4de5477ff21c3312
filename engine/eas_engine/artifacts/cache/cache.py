"""What was fetched, by its content: shared by every engine of a state root.

``<state root>/cache/`` (0700) holds

* ``objects/<id>/content/``: a file (``file``) or a tree (``tree/``); ``about.json`` beside it says which,
  and its fingerprint, by which one that was changed in place is noticed. ``used`` is touched at each use. The
  id is the content's digest (an archive's tree: of the archive's).
* ``records/<key>.json``: what an address led to, and by which version the server knows it. The key is the
  digest of the address without what may be secret; the address in it is redacted.
* ``scratch/<key>.*``: what is being fetched or unpacked; who holds the key's lock may use or delete it.
* ``locks/<key>`` (exclusive: fetching that address) and ``locks/<id>.use`` (shared: an engine uses the
  object, exclusive: it is being deleted).

Objects and records appear by a rename, after what they consist of was synced: a kill at any instant leaves
the old state or the new one, and scratch.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from eas_engine import private_files
from eas_engine.artifacts.cache.locks import Lock
from eas_engine.artifacts.sources.checks import NO_VERSION, Version
from eas_engine.artifacts.workspace.survey import fingerprint
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass

Kind = Literal["file", "directory"]
FOLDERS: Final = ("objects", "records", "scratch", "locks")
_RECORD_LIMIT: Final = 64 << 20  # bytes; a record of a folder lists its files
_LOOK: Final = 0.02  # seconds between two tries for a lock that somebody only looks at


@dataclass(frozen=True, slots=True)
class Record:
    """What an address led to, the last time it was asked."""

    address: str  # redacted
    object: str
    digest: str  # of the file that came; of a folder: of its listing
    version: Version = NO_VERSION
    members: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Of a folder: size and version of each file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as ``ls`` and ``prune`` see it."""

    id: str
    kind: Kind
    size: int
    files: int
    used: float  # seconds since 1970
    in_use: bool
    addresses: tuple[str, ...] = ()


class Use:
    """A promise to everybody that an object is needed; ends with ``release`` or the process."""

    def __init__(self, path: Path, kind: Kind, lock: Lock) -> None:
        self.path, self.kind = path, kind
        self._lock = lock

    def release(self) -> None:
        """The object may go."""
        self._lock.release()


class Cache:
    """One cache directory. The disk's errors are OSError; ConfigurationError where it can't be used."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects, self._records, self._scratch, self._locks = (root / name for name in FOLDERS)

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make what is missing of it. Errors: ConfigurationError."""
        for path in (root, *(root / name for name in FOLDERS)):
            private_files.make_directory(path)
        return cls(root)

    # -- addresses

    def key(self, address: str) -> str:
        """The name of an address in the cache."""
        return hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()

    def lock(self, key: str, wait: Callable[[str], None]) -> Lock:
        """The right to fetch an address; see ``Lock.wait_for``."""
        return Lock.wait_for(self._locks / key, wait)

    def scratch(self, key: str, name: str) -> Path:
        """A place for what is being made; the caller holds the key's lock."""
        return self._scratch / f"{key}.{name}"

    def record(self, key: str) -> Record | None:
        """What is known of an address; None: nothing that can be used."""
        with contextlib.suppress(FileNotFoundError, ConfigurationError, ValueError, TypeError, KeyError):
            about = json.loads(private_files.read_text(self._records / f"{key}.json", _RECORD_LIMIT))
            members = {name: (int(size), str(mark)) for name, (size, mark) in about["members"].items()}
            version = Version(**about["version"])
            return Record(about["address"], about["object"], about["digest"], version, members)
        return None

    def remember(self, key: str, record: Record) -> None:
        """Write it down."""
        data = json.dumps(asdict(record), ensure_ascii=True).encode()
        private_files.write(self._records / f"{key}.json", data, 0o600, durable=True)

    def forget(self, key: str) -> None:
        """Nothing is known of it any more."""
        (self._records / f"{key}.json").unlink(missing_ok=True)

    # -- objects

    def path_of(self, object_id: str, kind: Kind) -> Path:
        """Where the content of an object lies."""
        return self._objects / object_id / "content" / ("file" if kind == "file" else "tree")

    def use(self, object_id: str, pause: Callable[[float], None]) -> Use | None:
        """Keep an object from being deleted; None: it isn't there, or isn't what it was (then it goes)."""
        lock = Lock.wait_for(self._locks / f"{object_id}.use", lambda _: pause(_LOOK), shared=True)
        try:
            about = self._about(object_id)
            if about is not None:
                return self._used(object_id, about, lock)
            self._remove(object_id)
        except BaseException:
            lock.release()
            raise
        lock.release()
        return None

    def _used(self, object_id: str, about: Mapping[str, Any], lock: Lock) -> Use:
        (self._objects / object_id / "used").touch()
        kind: Kind = "file" if about["kind"] == "file" else "directory"
        return Use(self.path_of(object_id, kind), kind, lock)

    def adopt(self, key: str, object_id: str, content: Path, kind: Kind) -> None:
        """Make an object of ``content`` (in this key's scratch), unless there is one; ``content`` is gone."""
        made = self.scratch(key, "new")
        shutil.rmtree(made, ignore_errors=True)
        (made / "content").mkdir(parents=True, mode=0o700)
        place = made / "content" / ("file" if kind == "file" else "tree")
        if kind == "file":
            content.chmod(0o444)
        content.rename(place)
        size, files = _measure(place)
        about = {"kind": kind, "size": size, "files": files, "fingerprint": fingerprint(made / "content")}
        (made / "used").touch()
        private_files.write(made / "about.json", json.dumps(about).encode(), 0o600)
        sync(made)
        if self._about(object_id) is None:
            self._remove(object_id)
            made.rename(self._objects / object_id)
            sync(self._objects)
        else:
            shutil.rmtree(made)

    def drop(self, object_id: str) -> bool:
        """Delete an object that nobody uses. Was it deleted?"""
        lock = Lock.take(self._locks / f"{object_id}.use")
        if lock is None:
            return False
        self._remove(object_id)
        lock.release(delete=True)
        return True

    def entries(self) -> list[Entry]:
        """Every object, the one that was used longest ago first."""
        led: dict[str, list[str]] = {}
        for path in sorted(self._records.glob("*.json")):
            record = self.record(path.stem)
            if record is not None:
                led.setdefault(record.object, []).append(record.address)
        found = [one for path in self._objects.iterdir() if (one := self._entry(path, led)) is not None]
        return sorted(found, key=lambda one: (one.used, one.id))

    def _entry(self, path: Path, led: Mapping[str, list[str]]) -> Entry | None:
        with contextlib.suppress(FileNotFoundError, ConfigurationError, ValueError, KeyError):
            about = json.loads(private_files.read_text(path / "about.json", _RECORD_LIMIT))
            used = (path / "used").stat().st_mtime
            in_use = private_files.is_held(self._locks / f"{path.name}.use")
            kind: Kind = "file" if about["kind"] == "file" else "directory"
            addresses = tuple(led.get(path.name, ()))
            return Entry(path.name, kind, int(about["size"]), int(about["files"]), used, in_use, addresses)
        return None

    def _about(self, object_id: str) -> dict[str, Any] | None:
        """What an object says of itself, if it is still that."""
        path = self._objects / object_id
        with contextlib.suppress(OSError, ConfigurationError, ValueError, KeyError):
            about: dict[str, Any] = json.loads(private_files.read_text(path / "about.json", _RECORD_LIMIT))
            if about["fingerprint"] == fingerprint(path / "content"):
                return about
        return None

    def _remove(self, object_id: str) -> None:
        """Out of the way first, so that nobody sees half of it."""
        path, aside = self._objects / object_id, self._scratch / f"{object_id}.gone"
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    # -- scratch and records that are of no use any more

    def leftovers(self) -> Iterator[tuple[Path, int, float]]:
        """What lies in scratch: path, bytes, last change (seconds since 1970)."""
        for path in sorted(self._scratch.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                size, _ = _measure(path)
                yield path, size, path.stat(follow_symlinks=False).st_mtime

    def sweep(self, *, before: float) -> int:
        """Delete from scratch what nobody works on and was last changed before; the bytes that are free now.

        Records that lead to no object go too.
        """
        freed = 0
        for path, size, changed in list(self.leftovers()):
            if changed >= before:
                continue
            lock = Lock.take(self._locks / path.name.partition(".")[0])
            if lock is None:
                continue
            delete(path)
            freed += size
            lock.release(delete=True)
        for path in self._records.glob("*.json"):
            record = self.record(path.stem)
            if record is None or not (self._objects / record.object).exists():
                with (
                    contextlib.suppress(OSError),
                    Lock.take(self._locks / path.stem) or contextlib.nullcontext(),
                ):
                    path.unlink()
        return freed


def delete(path: Path) -> None:
    """A file or a whole tree, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Everything of the file system that holds ``path`` is on disk; cheaper than each of many files."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(file) != 0:
            os.sync()
    finally:
        os.close(file)


def _measure(path: Path) -> tuple[int, int]:
    """Bytes and number of the files below."""
    if not path.is_dir():
        return path.stat(follow_symlinks=False).st_size, 1
    size = files = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - a hundred thousand of them
                files += 1
    return size, files
