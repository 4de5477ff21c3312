"""Small private files: directories 0700, secrets 0600, writes that are whole or not there.

Nothing is followed through a symbolic link, and what belongs to another user is refused: whoever can write
there could choose the token.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from eas_engine.errors import ConfigurationError

SECRET_LIMIT = 4096  # bytes; far more than any header's token


def make_directory(path: Path) -> None:
    """``path`` and the parents it lacks, each 0700; one that was open to others is closed.

    Errors: ConfigurationError when it can't be made, is no directory or belongs to somebody else.
    """
    try:
        for parent in reversed([path, *path.parents]):
            parent.mkdir(mode=0o700, exist_ok=True)  # Path.mkdir(parents=True) would make the parents 0755
        status = path.lstat()
    except OSError as error:
        raise unusable(error) from None
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"{path} is a symbolic link; the state directory must be a directory")
    _check_owner(path, status)
    if status.st_mode & 0o077:
        try:
            path.chmod(0o700)
        except OSError as error:
            raise unusable(error) from None


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(
            f"{path} belongs to user {status.st_uid}, not to {os.geteuid()} who runs the engine; "
            "use another --state-dir"
        )


def read_text(path: Path, limit: int) -> str:
    """The text of a small regular file. Errors: FileNotFoundError; ConfigurationError for anything else."""
    try:
        with _opened(path) as file:
            data = os.read(file, limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unusable(error) from None
    if len(data) > limit:
        raise ConfigurationError(f"{path} is larger than {limit} bytes; delete it")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} isn't text; delete it") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"{path} isn't a regular file; delete it")
        yield file
    finally:
        os.close(file)


def read_secret(path: Path) -> str:
    """The one line of a secret's file, made 0600 if it was open to others.

    Errors: FileNotFoundError; ConfigurationError when it isn't ours or holds nothing usable.
    """
    text = read_text(path, SECRET_LIMIT).strip("\r\n")
    if not text or not text.isprintable():
        raise ConfigurationError(f"{path} holds no usable token; delete it, and a new one is made")
    status = path.lstat()
    _check_owner(path, status)
    if status.st_mode & 0o077:
        path.chmod(0o600)
    return text


def write(path: Path, data: bytes, mode: int, *, durable: bool = False) -> None:
    """Replace ``path`` atomically: written beside it (O_EXCL), then renamed; ``durable``: synced between.

    Errors: ConfigurationError.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with os.fdopen(file, "wb") as stream:
            os.fchmod(file, mode)  # the umask may have taken bits
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(file)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise unusable(error) from None


def is_held(path: Path, *, shared: bool = False) -> bool:
    """Whether somebody has this flock'ed file locked; one that isn't there nobody has.

    Takes the lock for an instant: ``shared`` when only an exclusive holder counts.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def unusable(error: OSError) -> ConfigurationError:
    """The operating system's complaint, as one for a person."""
    place = error.filename2 or error.filename or "the state directory"
    return ConfigurationError(f"can't use {place} for the engine's state: {error.strerror}")
