"""Addresses of every scheme to something on this machine; ``job`` does it for one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path

from eas_engine.artifacts.cache.cache import Cache, Use
from eas_engine.artifacts.fetching.fetched import Fetched
from eas_engine.artifacts.fetching.here import here, named
from eas_engine.artifacts.fetching.job import Job
from eas_engine.artifacts.fetching.progress import Progress
from eas_engine.artifacts.fetching.transfer import Means
from eas_engine.artifacts.sources import oss, oss_account, schemes
from eas_engine.artifacts.sources.http import Session, Settings
from eas_engine.artifacts.sources.retry import TransferError
from eas_engine.artifacts.sources.source import RemoteFile, RemoteFolder
from eas_engine.artifacts.sources.web import WebFile
from eas_engine.errors import ArtifactError
from eas_engine.records import dataclass
from eas_engine.spec import addresses


@dataclass(frozen=True, slots=True)
class Network:
    """What fetching knows of the world outside."""

    environ: Mapping[str, str]
    oss_endpoint: str = ""
    http: Settings = field(default_factory=Settings)


class Fetcher:
    """Fetches addresses for one engine; what it gave stays in the cache until ``release``."""

    def __init__(self, cache: Cache, network: Network, means: Means, progress: Progress) -> None:
        self._cache, self._network, self._means, self._progress = cache, network, means, progress
        self._sessions = threading.local()
        self._uses: list[Use] = []

    def release(self) -> None:
        """What was fetched may be deleted from the cache."""
        while self._uses:
            self._uses.pop().release()

    def fetch(self, parameter: str, address: str, base: Path) -> Fetched:
        """What lies at the address of a parameter; local paths are relative to ``base``.

        Errors: ArtifactError and ConfigurationError, saying which parameter; StoppedError.
        """
        with named(parameter, self._cache.root):
            if not addresses.scheme(address):
                return self._local(parameter, address, base)
            try:
                locate = self._locate(address)
                return self._job(parameter, address).bring(locate)
            except TransferError as error:
                raise ArtifactError(str(error)) from None

    # -- where it lies

    def _locate(self, address: str) -> Callable[[], RemoteFile | RemoteFolder]:
        bare, kind = addresses.without_pin(address), addresses.scheme(address)
        if kind in ("http", "https"):
            file = WebFile(self._session, bare)
            return lambda: file
        if kind != "oss":
            return lambda: schemes.find(bare)
        place = oss_account.parse(bare)
        account = oss_account.Account.find(self._network.environ)
        bucket = oss.Bucket.of(place, account, self._network.oss_endpoint, self._session, self._means.clock)
        if not place.key or place.key.endswith("/"):
            return lambda: bucket.folder(place.key)
        return lambda: bucket.file(place.key)

    def _session(self) -> Session:
        """The calling thread's connections."""
        found: Session | None = getattr(self._sessions, "own", None)
        if found is None:
            found = self._sessions.own = Session(self._network.http, self._means.stop)
        return found

    # -- on this machine already

    def _local(self, parameter: str, address: str, base: Path) -> Fetched:
        found = here(parameter, address, base, self._means.stop)
        if found.kind == "directory" or not addresses.is_archive(found.name):
            return found
        return self._job(parameter, str(found.path)).unpack(found.path)

    def _job(self, parameter: str, address: str) -> Job:
        return Job(self._cache, self._means, self._progress, self._uses, (parameter, address))
