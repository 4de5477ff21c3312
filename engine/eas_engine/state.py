"""The state directory: what an engine leaves on disk, and how two engines keep out of each other's way.

``<root>[/<workspace_id>]/<name>/`` (mode 0700) holds

* ``lock``: flock'ed for as long as the engine lives, with its pid inside. The kernel drops the lock however
  the engine ends, so a lock that can be had means that what else lies there is stale.
* ``token``: the generated token (0600), made once, so that it survives restarts. ``token.configured``: a copy
  of the one in service.json, so that the curl line and other tools find either in a file. No newline.
* ``admin-token`` (0600): opens the admin API where it is reachable from elsewhere.
* ``engine.json`` (0644, in the 0700 directory): where the running engine is. Files of tokens, never tokens.

Every file is written beside its place and renamed, so a reader sees the old one or the new one.
``private_files.py`` says how they are written, and what is refused.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import secrets
import select
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from eas_engine import private_files
from eas_engine.errors import ConfigurationError
from eas_engine.records import dataclass

SYSTEM_ROOT = Path("/var/lib/eas-engine")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ENGINE_LIMIT = 1 << 20
# A look by ``status`` or ``list`` holds the lock for an instant, an engine holds it for good.
_LOCK_TRIES = 25
_LOCK_PAUSE = 0.02  # seconds


def default_root() -> Path:
    """``/var/lib/eas-engine`` for root, else ``$XDG_STATE_HOME/eas-engine`` (XDG base directories)."""
    if os.geteuid() == 0:
        return SYSTEM_ROOT
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    return base / "eas-engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """``engine.json``: where a running engine is. It holds no secrets."""

    name: str
    pid: int
    version: str
    started: float  # seconds since 1970
    host: str
    port: int
    admin_host: str
    admin_port: int
    url: str  # http://127.0.0.1:8080/api/predict/digits: reachable from this machine
    admin_url: str  # http://127.0.0.1:9090
    config: str  # absolute path of service.json
    admin_token_file: str
    token_file: str | None = None  # None: the service is open
    workspace_id: str = ""

    @classmethod
    def read(cls, path: Path) -> EngineRecord:
        """Errors: FileNotFoundError; ConfigurationError when it isn't an engine's record."""
        text = private_files.read_text(path, _ENGINE_LIMIT)
        try:
            fields = json.loads(text)
            record = cls(**{key: fields[key] for key in cls.__dataclass_fields__ if key in fields})
        except (ValueError, TypeError, RecursionError) as error:
            raise ConfigurationError(f"{path} isn't an engine's record ({error}); delete it") from None
        if type(fields["pid"]) is not int or not str(record.admin_url).startswith("http://"):
            raise ConfigurationError(f"{path} isn't an engine's record; delete it")
        return record


class StateDirectory:
    """One engine's directory, held by its lock from ``acquire`` to ``release``."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def acquire(cls, root: Path, name: str, workspace_id: str = "", *, pause: Pause | None = None) -> Self:
        """Make the directory, take its lock, and clear away what a killed engine left.

        Errors: ConfigurationError when another engine has it (naming its pid), or it can't be used.
        """
        path = directory_of(root, name, workspace_id)
        private_files.make_directory(path)
        lock = _take_lock(path, name, pause or _pause)
        state = cls(path, lock)
        try:
            state._clear_stale()
        except BaseException:
            state.release()
            raise
        return state

    def __repr__(self) -> str:
        return f"StateDirectory({str(self.path)!r}, {'held' if self._lock >= 0 else 'released'})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def token(self, configured: str | None, *, generate: bool = True) -> Token | None:
        """The token in effect: service.json's, else the generated one; None = an open service.

        ``generate`` is ``generate_token`` of service.json.
        """
        copy = self.path / "token.configured"
        if configured:
            private_files.write(copy, configured.encode(), 0o600)
            return Token(configured, copy, fresh=False)
        copy.unlink(missing_ok=True)
        return self._secret("token") if generate else None

    def admin_token(self) -> Token:
        """The token of the admin API, made at the first start."""
        return self._secret("admin-token")

    def publish(self, record: EngineRecord) -> Path:
        """Write ``engine.json``; from now on ``status`` and ``list`` find the engine."""
        path = self.path / "engine.json"
        private_files.write(path, json.dumps(asdict(record), indent=2).encode() + b"\n", 0o644)
        return path

    def release(self) -> None:
        """The clean end: ``engine.json`` goes, then the lock. May be called twice."""
        if self._lock < 0:
            return
        with contextlib.suppress(OSError):
            (self.path / "engine.json").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
        os.close(self._lock)
        self._lock = -1

    def _clear_stale(self) -> None:
        try:
            (self.path / "engine.json").unlink(missing_ok=True)
            for left in self.path.glob(".*.new"):
                left.unlink()
        except OSError as error:
            raise private_files.unusable(error) from None

    def _secret(self, name: str) -> Token:
        path = self.path / name
        try:
            return Token(private_files.read_secret(path), path, fresh=False)
        except FileNotFoundError:
            text = new_token()
            private_files.write(path, text.encode(), 0o600, durable=True)
            return Token(text, path, fresh=True)


@dataclass(frozen=True, slots=True)
class Token:
    """A secret and the file that holds it. Its ``repr`` doesn't show it."""

    text: str
    file: Path
    fresh: bool  # made by this start: the one time that it is shown

    def __repr__(self) -> str:
        return f"Token(file={str(self.file)!r}, fresh={self.fresh})"


@dataclass(frozen=True, slots=True)
class Found:
    """A directory with an ``engine.json``; ``running`` is what its lock says."""

    path: Path
    record: EngineRecord
    running: bool

    def token(self) -> str | None:
        """The service's token, None when it is open. Errors: ConfigurationError."""
        return self._secret(self.record.token_file) if self.record.token_file else None

    def admin_token(self) -> str:
        """Errors: ConfigurationError."""
        return self._secret("admin-token")

    def _secret(self, file: str) -> str:
        path = self.path / Path(file).name  # from this directory alone, whatever a record of a stranger says
        try:
            return private_files.read_secret(path)
        except FileNotFoundError:
            raise ConfigurationError(f"{path}, a token of the running engine, is gone") from None


def find_engines(root: Path) -> tuple[list[Found], list[str]]:
    """Every engine with a record under ``root``, running or stale, by path; and what couldn't be read."""
    found: list[Found] = []
    problems: list[str] = []
    for path in sorted([*root.glob("*/engine.json"), *root.glob("*/*/engine.json")]):
        try:
            found.append(
                Found(
                    path.parent,
                    EngineRecord.read(path),
                    private_files.is_held(path.parent / "lock", shared=True),
                )
            )
        except FileNotFoundError:
            continue  # it ended while we looked
        except (ConfigurationError, OSError) as error:
            problems.append(str(error))
    return found, problems


def directory_of(root: Path, name: str, workspace_id: str = "") -> Path:
    """Errors: ConfigurationError when a part could lead out of ``root``."""
    parts = [workspace_id, name] if workspace_id else [name]
    for label, part in zip(("metadata.workspace_id", "name")[-len(parts) :], parts, strict=True):
        if not _PART.fullmatch(part):
            raise ConfigurationError(f"{label}: {part!r} can't be the name of a directory")
    return root.absolute().joinpath(*parts)


def new_token() -> str:
    """Base64 text of a hex digest, 56 characters, as the cloud's tokens look."""
    return base64.b64encode(secrets.token_hex(20).encode()).decode()


# --- the lock -------------------------------------------------------------------------------------------

Pause = Callable[[float], None]


def _pause(seconds: float) -> None:
    select.select([], [], [], seconds)  # before there is a loop


def _take_lock(path: Path, name: str, pause: Pause) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        lock = os.open(path / "lock", flags, 0o600)
    except OSError as error:
        raise private_files.unusable(error) from None
    try:
        for attempt in range(_LOCK_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock
            if attempt + 1 < _LOCK_TRIES:
                pause(_LOCK_PAUSE)
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
    except OSError as error:
        os.close(lock)
        raise ConfigurationError(f"can't lock {path / 'lock'}: {error.strerror}") from None
    os.close(lock)
    raise ConfigurationError(
        f"an engine with the name {name!r} is running already (pid {holder}, state in {path}); "
        "stop it, or use another name or --state-dir"
    )
