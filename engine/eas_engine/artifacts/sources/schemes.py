"""Addresses that ``fsspec`` knows (``s3://``, ``gs://``, ``hdfs://``), when its packages are installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from eas_engine.artifacts.sources.checks import Version
from eas_engine.artifacts.sources.retry import TransferError
from eas_engine.artifacts.sources.source import Member, Opened, Outcome
from eas_engine.errors import ArtifactError
from eas_engine.secrecy import redacted
from eas_engine.spec.addresses import scheme
from eas_engine.spec.schemes import PACKAGES


class SchemeFile:
    """One file of a file system of fsspec's."""

    def __init__(self, system: Any, path: str, label: str) -> None:
        self._system, self._path, self.label = system, path, label

    def open(self, offset: int = 0, *, same: Version | None = None, unless: Version | None = None) -> Opened:
        """See ``source.RemoteFile``. The version is the file system's own mark of it, where it has one."""
        try:
            info = self._system.info(self._path)
            version = _version(info)
            if unless is not None and unless.known and unless == version:
                return Opened(Outcome.UNCHANGED, lambda _: b"", lambda: None, version)
            if same is not None and same != version:
                return Opened(Outcome.CHANGED, lambda _: b"", lambda: None, version)
            stream = self._system.open(self._path, "rb", cache_type="readahead")
            if offset:
                stream.seek(offset)
        except Exception as error:  # noqa: BLE001 - every file system has its own
            raise _trouble(error, self.label) from None

        def read(most: int) -> bytes:
            try:
                return bytes(stream.read(most))
            except Exception as error:  # noqa: BLE001 - as above
                raise _trouble(error, self.label) from None

        size = info.get("size")
        outcome = Outcome.REST if offset else Outcome.WHOLE
        return Opened(outcome, read, stream.close, version, size if isinstance(size, int) else None)


class SchemeFolder:
    """A folder of a file system of fsspec's."""

    def __init__(self, system: Any, path: str, label: str) -> None:
        self._system, self._path, self.label = system, path.rstrip("/"), label

    def members(self) -> list[Member]:
        """See ``source.RemoteFolder``."""
        try:
            found = self._system.find(self._path, detail=True)
        except Exception as error:  # noqa: BLE001 - as above
            raise _trouble(error, self.label) from None
        if not found:
            raise ArtifactError(f"{self.label}: there is no file below it")
        base = len(self._path) + 1 if self._path else 0
        return [
            Member(
                path[base:],
                int(info.get("size") or 0),
                _version(info),
                SchemeFile(self._system, path, f"{self.label.rstrip('/')}/{path[base:]}"),
            )
            for path, info in found.items()
        ]


def find(address: str) -> SchemeFile | SchemeFolder:
    """What an address names. Errors: ArtifactError, naming the package that is missing; TransferError."""
    label, name = redacted(address), scheme(address)
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError:
        raise ArtifactError(f"{label}: {_advice(name, 'fsspec')}") from None
    try:
        system, path = core.url_to_fs(address)
    except ImportError as error:
        raise ArtifactError(f"{label}: {_advice(name, PACKAGES.get(name, error.name or ''))}") from None
    except ValueError as error:
        raise ArtifactError(f"{label}: {error if 'rotocol' in str(error) else 'no such scheme'}") from None
    except Exception as error:  # noqa: BLE001 - every file system has its own
        raise _trouble(error, label) from None
    try:
        folder = address.endswith("/") or system.isdir(path)
    except Exception as error:  # noqa: BLE001 - as above
        raise _trouble(error, label) from None
    return (SchemeFolder if folder else SchemeFile)(system, path, label)


def _advice(name: str, package: str) -> str:
    packages = " ".join(dict.fromkeys(["fsspec", *([PACKAGES[name]] if name in PACKAGES else []), package]))
    return f"{name}:// needs the package {package or 'of its file system'}: pip install {packages.strip()}"


def _version(info: Mapping[str, Any]) -> Version:
    for field in ("ETag", "etag", "md5Hash", "version_id", "VersionId", "content_md5"):
        if info.get(field):
            return Version(etag=f'"{info[field]}"')
    moment = next(
        (info[one] for one in ("LastModified", "mtime", "updated", "last_modified") if info.get(one)), None
    )
    if moment is None:
        return Version()
    return Version(modified=f"{moment} {info.get('size')}")


def _trouble(error: Exception, label: str) -> TransferError:
    if isinstance(error, FileNotFoundError):
        return TransferError(f"{label}: no such file", again=False, answered=True)
    if isinstance(error, PermissionError):
        return TransferError(f"{label}: access is denied", again=False, answered=True)
    # Its text may repeat keys and signed addresses.
    return TransferError(f"{label}: {type(error).__name__}", again=isinstance(error, OSError))
