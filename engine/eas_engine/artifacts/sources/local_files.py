"""Local addresses: what lies there, and what is said when nothing does."""

from __future__ import annotations

import hashlib
import os
from itertools import islice
from pathlib import Path
from typing import Final

from eas_engine.artifacts.sources.stopping import Stop
from eas_engine.errors import ArtifactError
from eas_engine.spec import addresses

_MOST_LISTED: Final = 20
_PIECE: Final = 1 << 20


def find(parameter: str, address: str, base: Path) -> Path:
    """The absolute path of a local address. Errors: ArtifactError, listing what is there instead."""
    path = base.absolute() / addresses.local_path(address)
    if not path.is_dir() and not path.is_file():
        raise ArtifactError(f"{parameter}: {path} {what_is_wrong(path)}; {listing(path.parent)}")
    return path


def digest(path: Path, stop: Stop) -> str:
    """SHA-256 of a file, in hex. Errors: OSError, ArtifactError for a directory, StoppedError."""
    if path.is_dir():
        raise ArtifactError(f"{path} is a directory: only a file can have a digest (#sha256=...)")
    made = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_PIECE):
            stop.check()
            made.update(data)
    return made.hexdigest()


def what_is_wrong(path: Path) -> str:
    """Why a path isn't the file that was meant."""
    if path.is_dir():
        return "is a directory, not a file"
    if path.is_symlink():
        return f"is a link to {os.readlink(path)}, which is not there"  # noqa: PTH115 - as it was written
    return "is not there"


def listing(directory: Path) -> str:
    """What there is instead, for whoever mistyped it."""
    while not directory.is_dir():
        directory = directory.parent
    try:
        with os.scandir(directory) as entries:
            names = [one.name + ("/" if one.is_dir() else "") for one in islice(entries, 1000)]
    except OSError as error:
        return f"{directory} can't be listed: {error.strerror}"
    shown = ", ".join(sorted(names)[:_MOST_LISTED]) or "nothing"
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"in {directory} there is: {shown}{more}"
