"""What lies on this machine already, and is used as it lies: nothing of the network is needed for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eas_engine.artifacts.fetching.fetched import Fetched
from eas_engine.artifacts.sources import local_files
from eas_engine.artifacts.sources.stopping import Stop
from eas_engine.errors import ArtifactError
from eas_engine.spec import addresses


def here(parameter: str, address: str, base: Path, stop: Stop) -> Fetched:
    """A local path, relative to ``base``, its pin checked. An archive is given as the file that it is.

    Errors: ArtifactError; OSError; StoppedError.
    """
    path = local_files.find(parameter, address, base)
    pin = addresses.pin(address)
    if pin and (got := local_files.digest(path, stop)) != pin:
        raise ArtifactError(f"{parameter}: {path}: its SHA-256 is {got}, the address says {pin}")
    return Fetched(path, "directory" if path.is_dir() else "file", path.name, cached=False)


@contextmanager
def named(parameter: str, root: Path) -> Iterator[None]:
    """Errors become ArtifactError, which says the parameter; those that name no file are of ``root``."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(f"{parameter}: {str(error).removeprefix(f'{parameter}: ')}") from None
    except OSError as error:
        reason = error.strerror or error
        raise ArtifactError(f"{parameter}: {error.filename or root}: {reason}") from None


class Here:
    """Stands for ``fetch.Fetcher`` where there is nothing to fetch and nothing to unpack."""

    def __init__(self, root: Path, stop: Stop) -> None:
        """``root``: of the cache, which stays as it is."""
        self._root, self._stop = root, stop

    def fetch(self, parameter: str, address: str, base: Path) -> Fetched:
        """See ``Fetcher.fetch``."""
        with named(parameter, self._root):
            return here(parameter, address, base, self._stop)

    def release(self) -> None:
        """See ``Fetcher.release``: nothing is held."""
