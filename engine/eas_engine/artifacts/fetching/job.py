"""One address into the cache, unless what is there is still right; unpacked, if it is an archive.

Who fetches an address holds its lock, so two engines fetch it once and the second finds it. A copy in the
cache is used when the server says that it is still right; when the server can't be reached, with a warning;
when the address pins the digest, without asking. A server that refuses (401, 403, 404) is believed: the copy
isn't used.
"""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eas_engine.artifacts.archives.unpack import unpack
from eas_engine.artifacts.cache.cache import Cache, Kind, Record, Use, delete
from eas_engine.artifacts.fetching import crew, folder, part
from eas_engine.artifacts.fetching.fetched import Fetched
from eas_engine.artifacts.fetching.progress import Progress, Task
from eas_engine.artifacts.fetching.transfer import Means, patiently, receive
from eas_engine.artifacts.sources import local_files
from eas_engine.artifacts.sources.checks import Version
from eas_engine.artifacts.sources.retry import TransferError
from eas_engine.artifacts.sources.source import Member, RemoteFile, RemoteFolder
from eas_engine.errors import ArtifactError
from eas_engine.secrecy import redacted
from eas_engine.spec import addresses

Place = RemoteFile | RemoteFolder
_WAIT: Final = 0.2  # seconds between two tries for a lock that another engine holds while it fetches
_UNPACKER: Final = "1"  # part of an unpacked tree's name: a new one unpacks everything anew
_SIGNATURES: Final = frozenset(
    (
        *("signature", "expires", "ossaccesskeyid", "security-token", "token"),  # OSS, and a common name
        *("sig", "se", "sp", "sv", "sr", "st", "skoid", "sktid", "ske", "sks", "skv"),  # Azure
    )
)
"""Fields of a query that only say who asks."""


class Job:
    """One address on its way; ``wanted``: a parameter and its address. What it uses is added to ``uses``."""

    def __init__(
        self, cache: Cache, means: Means, progress: Progress, uses: list[Use], wanted: tuple[str, str]
    ) -> None:
        self._cache, self._means, self._progress, self._uses = cache, means, progress, uses
        self._parameter, address = wanted
        self._shown = redacted(address)
        self._pin = addresses.pin(address)
        self._name = addresses.name_of(address)
        self._archive = addresses.is_archive(address)
        self._key = cache.key(identity(address))
        self._part = cache.scratch(self._key, "part")

    def bring(self, locate: Callable[[], Place]) -> Fetched:
        """Of a remote address. Errors: TransferError, ArtifactError, OSError, StoppedError."""
        with self._locked():
            record, use = self._kept()
            if record is not None and use is not None and self._pin == record.digest:
                return self._given(record, use)
            if self._pin and use is not None:  # it isn't what is wanted
                use.release()
                record = use = None
            try:
                fresh = self._ask(locate, record, use)
            except TransferError as error:
                if record is None or use is None or error.answered:
                    raise
                self._progress.warn(
                    "the server can't be reached: the copy in the cache is used",
                    parameter=self._parameter,
                    reason=str(error),
                )
                fresh = None
            if fresh is None and record is not None and use is not None:
                return self._given(record, use)
            if use is not None:
                use.release()
            if fresh is None:
                raise ArtifactError(f"{self._shown}: the server says that it is unchanged, and wasn't asked")
            return self._remembered(fresh)

    def unpack(self, path: Path) -> Fetched:
        """Of an archive on this machine: unpacked once, as long as it isn't changed. Errors: as ``bring``."""
        status = path.stat()
        version = Version(etag=f"{status.st_size} {status.st_mtime_ns} {status.st_ino}")
        with self._locked():
            record, use = self._kept()
            if record is not None and use is not None and record.version == version:
                return self._given(record, use)
            if use is not None:
                use.release()
            task = self._progress.bar(self._parameter, self._shown)

            def work() -> Record:
                digest = local_files.digest(path, self._means.stop)
                return Record(self._shown, self._unpacked(path, digest, task), digest, version)

            return self._remembered(crew.run_one(work, self._means.stop))

    # -- the cache

    @contextmanager
    def _locked(self) -> Iterator[None]:
        told = False

        def wait(holder: str) -> None:
            nonlocal told
            if not told:
                self._progress.note(
                    "waiting: another engine is fetching it",
                    parameter=self._parameter,
                    address=self._shown,
                    pid=holder,
                )
            told = True
            self._means.stop.pause(_WAIT)

        with self._cache.lock(self._key, wait):
            yield

    def _kept(self) -> tuple[Record | None, Use | None]:
        """What the cache has of this address."""
        record = self._cache.record(self._key)
        if record is None:
            return None, None
        return record, self._cache.use(record.object, self._means.stop.pause)

    def _given(self, record: Record, use: Use) -> Fetched:
        self._uses.append(use)
        return Fetched(use.path, use.kind, self._name, cached=True, identity=record.object)

    def _remembered(self, record: Record) -> Fetched:
        self._cache.remember(self._key, record)
        part.forget(self._part)  # not before: until then the next start would need it
        use = self._cache.use(record.object, self._means.stop.pause)
        if use is None:
            raise ArtifactError(f"{self._shown}: it was deleted from the cache meanwhile; start again")
        return self._given(record, use)

    # -- the steps; in a thread, so that the caller's stays free for signals

    def _ask(self, locate: Callable[[], Place], record: Record | None, use: Use | None) -> Record | None:
        """Bring it; None: what is kept is still right."""
        task = self._progress.bar(self._parameter, self._shown)
        kept = (record, use) if record is not None and use is not None else None

        def work() -> Record | None:
            place = patiently(locate, self._means, task, quick=kept is not None)
            if isinstance(place, RemoteFolder):
                return self._folder(place, task, kept)
            return self._file(place, task, kept)

        fresh = crew.run_one(work, self._means.stop)
        task.finished(fetched=fresh is not None)
        return fresh

    def _file(self, place: RemoteFile, task: Task, kept: tuple[Record, Use] | None) -> Record | None:
        unless = kept[0].version if kept is not None else None
        received = receive(place, self._part, self._means, task, pin=self._pin, unless=unless)
        if received is None:
            return None
        digest = received.sha256
        if not self._archive:
            self._cache.adopt(self._key, digest, received.path, "file")
            return Record(self._shown, digest, digest, received.version)
        try:
            tree = self._unpacked(received.path, digest, task)
        except ArtifactError:
            part.forget(received.path)  # a refused one isn't kept
            raise
        return Record(self._shown, tree, digest, received.version)

    def _unpacked(self, archive: Path, digest: str, task: Task) -> str:
        """The object that is the archive's tree. Errors: ArtifactError when it is refused."""
        name = self._name.lower()
        single = self._name if name.endswith(".bz2") and not name.endswith(".tar.bz2") else ""
        tree = _sha256("archive", _UNPACKER, digest, single)
        use = self._cache.use(tree, self._means.stop.pause)
        if use is not None:
            use.release()
            return tree
        task.phase("unpacking")
        into = self._cache.scratch(self._key, "unpacked")
        delete(into)

        def moved(done: int, total: int) -> None:
            self._means.stop.check()
            task.at(done, total)

        unpack(archive, self._name, into, progress=moved)
        self._adopt(tree, into, "directory")
        return tree

    def _folder(self, place: RemoteFolder, task: Task, kept: tuple[Record, Use] | None) -> Record | None:
        if self._pin:
            raise ArtifactError(f"{self._shown}: a folder has no digest: #sha256= is for files")
        members: list[Member] = patiently(place.members, self._means, task, quick=kept is not None)
        folder.checked(self._shown, members)
        listed = folder.digest(members)
        if kept is not None and kept[0].digest == listed and all(folder.mark(one) for one in members):
            return None
        previous = folder.Previous(kept[1].path, kept[0].members) if kept is not None else None
        tree = folder.Tree(self._cache.scratch(self._key, "tree"), self._means, task)
        path = tree.fetch(members, previous)
        made = _sha256("folder", self._key, listed)
        self._adopt(made, path, "directory")
        tree.discard_scratch()
        known = {one.name: (one.size, folder.mark(one)) for one in members}
        return Record(self._shown, made, listed, members=known)

    def _adopt(self, object_id: str, path: Path, kind: Kind) -> None:
        self._cache.adopt(self._key, object_id, path, kind)


def identity(address: str) -> str:
    """The address without what changes with each signing, or with who asks: one key for one thing."""
    bare = addresses.without_pin(address)
    if addresses.scheme(address) not in ("http", "https"):
        return bare
    parts = urllib.parse.urlsplit(bare)
    query = "&".join(one for one in parts.query.split("&") if one and not _is_signature(one))
    host = parts.netloc.rpartition("@")[2].lower()
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, query, ""))


def _is_signature(field: str) -> bool:
    name = urllib.parse.unquote(field.partition("=")[0]).lower()
    return name in _SIGNATURES or name.startswith(("x-oss-", "x-amz-", "x-goog-"))


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
