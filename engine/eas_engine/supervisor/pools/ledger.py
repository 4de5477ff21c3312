"""What the engines of one machine tell each other about what they have of it.

``<state root>/.ledger/`` (a name that no service can have) holds a file for each engine, and ``lock``. An
engine writes its own file alone, beside its place and renamed, so that a reader sees the old one or the new
one. Who decides about a place holds ``lock`` from reading the others to writing its own; so does an engine
that begins, for its file may just be found to be that of a dead one. To have less needs no lock.

Guarantees
    * A file counts as long as its engine lives, which the lock of its state directory says: the kernel drops
      that however the engine ends, and no number is used twice as pids are. A file whose engine is gone is
      deleted, unread, by whoever looks next.
    * What can't be read is told as such, by the file's name, and nothing is placed beside it: an engine that
      lives has something there, and nobody knows what.
    * Nothing here waits for longer than 50 ms: an engine that was stopped with the lock in its hands
      makes others say so, not stop, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from eas_engine import private_files
from eas_engine.errors import ConfigurationError
from eas_engine.state import directory_of
from eas_engine.supervisor.pools.claims import Claim

DIRECTORY: Final = ".ledger"
VERSION: Final = 1
_LIMIT: Final = 1 << 20
_BETWEEN: Final = "@"  # of workspace and service; neither can have it
_TRIES: Final = 25
_PAUSE: Final = 0.002  # seconds
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Busy(ConfigurationError):
    """Another engine has the ledger for longer than it should."""


class Ledger:
    """The ledger of one state root, as one engine sees it, which must hold its state directory's lock.

    Every method is synchronous and takes a few milliseconds at most. Errors: ConfigurationError.
    """

    def __init__(
        self, root: Path, service: str, workspace: str = "", *, pause: Callable[[float], None] | None = None
    ) -> None:
        self.root = root.absolute()
        self.path = self.root / DIRECTORY
        directory_of(self.root, service, workspace)  # refuses names that lead elsewhere
        self.service, self.workspace = service, workspace
        self.file = self.path / f"{_BETWEEN.join(filter(None, (workspace, service)))}.json"
        self._pause = pause or _pause

    def __repr__(self) -> str:
        return f"Ledger({str(self.file)!r})"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else decides meanwhile. Errors: Busy."""
        private_files.make_directory(self.path)
        lock = self._lock()
        try:
            yield
        finally:
            os.close(lock)

    def others(self) -> list[Claim]:
        """What all other engines have; while the ledger is held. Files of dead engines are deleted."""
        return [claim for file in sorted(self.path.glob("*.json")) for claim in self._of(file)]

    def write(self, claims: Iterable[Claim]) -> None:
        """What this engine has, from now on. To have more, hold the ledger."""
        private_files.make_directory(self.path)
        data = {"version": VERSION, "claims": [one.as_data() for one in claims]}
        private_files.write(self.file, json.dumps(data, indent=1).encode() + b"\n", 0o600)

    def _lock(self) -> int:
        path = self.path / "lock"
        try:
            lock = os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise private_files.unusable(error) from None
        try:
            for attempt in range(_TRIES):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.pwrite(lock, f"{os.getpid():<16}\n".encode(), 0)
                    return lock
                if attempt + 1 < _TRIES:
                    self._pause(_PAUSE)
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        except OSError as error:
            os.close(lock)
            raise ConfigurationError(f"can't lock {path}: {error.strerror}") from None
        os.close(lock)
        raise Busy(f"another engine (pid {holder}) is deciding about places just now ({path})")

    def _of(self, file: Path) -> list[Claim]:
        if file == self.file:
            return []
        claims = read(self.root, file)
        if claims is None:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        return claims or []


def read(root: Path, file: Path) -> list[Claim] | None:
    """What the engine of that file has; None: it lives no more.

    Errors: ConfigurationError when it lives, and the file can't be read.
    """
    workspace, _, service = file.stem.rpartition(_BETWEEN)
    try:
        state = directory_of(root, service, workspace)
    except ConfigurationError:
        return None  # no engine can have written it
    try:
        if not private_files.is_held(state / "lock", shared=True):
            return None
        data = json.loads(private_files.read_text(file, _LIMIT))
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r}, expected {VERSION}")  # noqa: TRY301 - one way out
        return [Claim.from_data(one, service, workspace) for one in data["claims"]]
    except FileNotFoundError:
        return None  # deleted between the two looks
    except OSError as error:
        raise private_files.unusable(error) from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            f"{file} can't be read ({why}), so nobody knows what {service} has of this machine; "
            "restart that engine, which writes the file anew"
        ) from None


def survey(root: Path) -> tuple[list[Claim], list[str]]:
    """What every engine has, and which files can't be read. Changes nothing and needs no lock."""
    claims: list[Claim] = []
    problems: list[str] = []
    for file in sorted((root.absolute() / DIRECTORY).glob("*.json")):
        try:
            claims += read(root, file) or []
        except ConfigurationError as error:
            problems.append(str(error))
    return claims, problems


def _pause(seconds: float) -> None:
    select.select([], [], [], seconds)
