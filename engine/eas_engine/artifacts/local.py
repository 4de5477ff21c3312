"""Local artifacts: paths of this machine, used where they lie, never copied or changed.

Relative paths are relative to the directory of service.json. Without ``processor_path`` the entry itself is,
and its own directory is the processor's. The processor sees absolute paths only; ``model_entry`` keeps its
trailing ``/`` and isn't normalised otherwise, because processors append file names to it as text.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from eas_engine.errors import ArtifactError, ConfigurationError
from eas_engine.spec import ServiceSpec, addresses

_MOST_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Everything a host needs to find; all paths are absolute.

    ``processor_dir`` is the host's working directory. ``entry_class`` is the class named in ``app.py:Class``.
    ``model_path`` is the model's directory (a plain file's: the one it lies in), ``model_entry`` what
    ``initialize`` gets; both are empty without ``model_path``. ``warm_up``: a file or directory of requests.
    """

    processor_dir: Path
    entry: Path
    entry_class: str | None
    model_path: str
    model_entry: str
    interpreter: Path
    warm_up: Path | None = None


def resolve(spec: ServiceSpec, base: Path) -> Artifacts:
    """Find the processor and the model; ``base`` is the directory of service.json.

    Raises ``ArtifactError`` when something isn't there, saying what is; ``ConfigurationError`` for addresses
    that aren't local paths.
    """
    try:
        return _resolve(spec, base.absolute())
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}") from error


def _resolve(spec: ServiceSpec, base: Path) -> Artifacts:
    name, entry_class = split_entry(spec.processor_entry)
    if spec.processor_path:
        directory = _directory("processor_path", spec.processor_path, base)
        entry = directory / name
    else:
        entry = base / name
        directory = entry.parent
    if not entry.is_file():
        raise ArtifactError(f"processor_entry: {entry} {_what_is_wrong(entry)}; {_listing(entry.parent)}")
    model_path, model_entry = _model(spec, base)
    interpreter, warm_up = _interpreter(directory), _warm_up(spec, base)
    return Artifacts(directory, entry, entry_class, model_path, model_entry, interpreter, warm_up)


def split_entry(text: str) -> tuple[str, str | None]:
    """``app.py:Class`` -> the file and the class; ``app.py`` has none."""
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py") and name.isidentifier():
        return file, name
    return text, None


def _directory(parameter: str, address: str, base: Path) -> Path:
    """The directory an address means: itself, or the one that holds a plain file."""
    if addresses.scheme(address):
        raise ConfigurationError(f"{parameter}: not yet: remote addresses are not fetched ({address})")
    path = base / address
    if path.is_dir():
        return path
    if not path.is_file():
        raise ArtifactError(f"{parameter}: {path} {_what_is_wrong(path)}; {_listing(path.parent)}")
    if addresses.is_archive(address):
        raise ConfigurationError(f"{parameter}: not yet: archives are not unpacked ({address})")
    return path.parent


def _model(spec: ServiceSpec, base: Path) -> tuple[str, str]:
    if not spec.model_path:
        return "", ""
    directory = _directory("model_path", spec.model_path, base)
    given = base / spec.model_path
    if spec.model_entry:
        entry = f"{directory}/{spec.model_entry.lstrip('/')}"
    elif given.is_dir():
        entry = f"{directory}/"
    else:
        entry = str(given)
    if not os.path.exists(entry):  # noqa: PTH110 - pathlib drops the trailing /, which asks for a directory
        raise ArtifactError(f"model_entry: {entry} is not there; {_listing(directory)}")
    return str(directory), entry


def _warm_up(spec: ServiceSpec, base: Path) -> Path | None:
    """``warm_up_data_path``: a file or a directory; the host reads what is in it."""
    if not spec.warm_up_data_path:
        return None
    path = base / spec.warm_up_data_path
    if not path.is_dir():
        _directory("warm_up_data_path", spec.warm_up_data_path, base)
    return path


def _interpreter(directory: Path) -> Path:
    """``ENV/bin/python`` of the processor's package, else the engine's own interpreter."""
    own = directory / "ENV" / "bin" / "python"
    if not (directory / "ENV" / "bin").is_dir():
        return Path(sys.executable)
    if not os.access(own, os.X_OK):
        raise ArtifactError(
            f"{own} can't be executed: the processor's environment is incomplete, or was moved"
        )
    return own


def _what_is_wrong(path: Path) -> str:
    if path.is_dir():
        return "is a directory, not a file"
    if path.is_symlink():
        return f"is a link to {os.readlink(path)}, which is not there"  # noqa: PTH115 - as it was written
    return "is not there"


def _listing(directory: Path) -> str:
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
