"""What a service's directories hold: the entry, the model's main file, the interpreter.

Relative paths are relative to the directory of service.json. Without ``processor_path`` the entry itself is,
and its own directory is the processor's. The processor sees absolute paths only; ``model_entry`` keeps its
trailing ``/`` and isn't normalised otherwise, because processors append file names to it as text.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path

from eas_engine.artifacts.sources.local_files import find, listing, what_is_wrong
from eas_engine.artifacts.workspace.workspace import Workspace
from eas_engine.errors import ArtifactError
from eas_engine.records import dataclass
from eas_engine.spec import ServiceSpec, addresses


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Everything a host needs to find; all paths are absolute.

    ``processor_dir`` is the host's working directory. ``entry_class`` is the class named in ``app.py:Class``.
    ``model_path`` is the model's directory (a plain file's: the one it lies in), ``model_entry`` what
    ``initialize`` gets; both are empty without ``model_path``. ``warm_up`` is a file or a directory of
    requests. ``workspace`` is None when everything is used where it lies. ``config`` is the effective
    configuration without secrets.
    """

    processor_dir: Path
    entry: Path
    entry_class: str | None
    model_path: str
    model_entry: str
    interpreter: Path
    warm_up: Path | None = None
    workspace: Workspace | None = None
    config: Mapping[str, object] = field(default_factory=dict)

    def is_like(self, other: Artifacts) -> bool:
        """Whether processors would find the same there, at the same addresses."""
        if self.workspace is None or other.workspace is None:
            return replace(self, config={}) == replace(other, config={})
        same = self.workspace.identity == other.workspace.identity
        return same and (self.warm_up, self.interpreter.name) == (other.warm_up, other.interpreter.name)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a model or a processor lies: its directory, and the file in it when it is a plain file."""

    directory: Path
    file: Path | None = None

    @classmethod
    def of(cls, path: Path) -> Location:
        """Of a directory or a file."""
        return cls(path) if path.is_dir() else cls(path.parent, path)


def look(spec: ServiceSpec, base: Path) -> None:
    """Is everything there that can be looked at without fetching or unpacking?

    Errors: ArtifactError, saying what is there instead.
    """
    try:
        locate("warm_up_data_path", spec.warm_up_data_path, base)
        if not spec.processor:
            processor = locate("processor_path", spec.processor_path, base)
            if processor is not None or not spec.processor_path:
                find_processor(spec, processor, base.absolute())
        model = locate("model_path", spec.model_path, base)
        if model is not None:
            find_model(spec, model)
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}") from error


def in_place(spec: ServiceSpec, base: Path) -> Artifacts:
    """A service whose addresses are all local and no archives, used where it lies. Errors: ArtifactError."""
    try:
        processor = locate("processor_path", spec.processor_path, base)
        model = locate("model_path", spec.model_path, base)
        found = arrange(spec, base, processor, model)
        warm_up = find("warm_up_data_path", spec.warm_up_data_path, base) if spec.warm_up_data_path else None
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}") from error
    directory, entry, entry_class, interpreter, model_path, model_entry = found
    return Artifacts(directory, entry, entry_class, model_path, model_entry, interpreter, warm_up)


def is_all_local(spec: ServiceSpec) -> bool:
    """Whether nothing has to be fetched or unpacked."""
    given = (spec.processor_path, spec.model_path, spec.warm_up_data_path)
    return not any(addresses.scheme(one) or addresses.is_archive(one) for one in given)


Arranged = tuple[Path, Path, str | None, Path, str, str]


def arrange(spec: ServiceSpec, base: Path, processor: Location | None, model: Location | None) -> Arranged:
    """Working directory, entry, its class, interpreter, model path and model entry.

    Errors: ArtifactError; OSError.
    """
    directory, entry, entry_class = find_processor(spec, processor, base.absolute())
    model_path, model_entry = find_model(spec, model) if model is not None else ("", "")
    return directory, entry, entry_class, _interpreter(spec, directory), model_path, model_entry


def locate(parameter: str, address: str, base: Path) -> Location | None:
    """A local address; None for one that must be fetched or unpacked first. Errors: ArtifactError."""
    if not address or addresses.scheme(address):
        return None
    path = find(parameter, address, base)
    if path.is_file() and addresses.is_archive(address):
        return None
    return Location.of(path)


def find_processor(
    spec: ServiceSpec, processor: Location | None, base: Path
) -> tuple[Path, Path, str | None]:
    """The working directory, the entry, and the class in it.

    A Java processor needs no ``processor_entry``: the entry is then the jar that ``processor_path`` is, or
    its directory (all jars and classes in it count). A preset has neither: its working directory stands for
    both.
    """
    name, entry_class = split_entry(spec.processor_entry)
    if spec.processor:
        directory = processor.directory if processor is not None else base
        return directory, directory, None
    if processor is None:
        entry = base / name
        directory = entry.parent
    elif spec.processor_type == "java" and not name:
        return processor.directory, processor.file or processor.directory, None
    else:
        directory = processor.directory
        entry = directory / name
    if not entry.is_file():
        raise ArtifactError(f"processor_entry: {entry} {what_is_wrong(entry)}; {listing(entry.parent)}")
    return directory, entry, entry_class


def split_entry(text: str) -> tuple[str, str | None]:
    """``app.py:Class`` -> the file and the class; ``app.py`` has none."""
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py") and name.isidentifier():
        return file, name
    return text, None


def find_model(spec: ServiceSpec, model: Location) -> tuple[str, str]:
    """The model's directory, and what ``initialize`` gets."""
    directory = model.directory
    if spec.model_entry:
        entry = f"{directory}/{spec.model_entry.lstrip('/')}"
    else:
        entry = str(model.file) if model.file is not None else f"{directory}/"
    if not os.path.exists(entry):  # noqa: PTH110 - pathlib drops the trailing /, which asks for a directory
        raise ArtifactError(f"model_entry: {entry} is not there; {listing(directory)}")
    return str(directory), entry


def _interpreter(spec: ServiceSpec, directory: Path) -> Path:
    """``ENV/bin/python`` of a Python processor's package, else the engine's own interpreter."""
    own = directory / "ENV" / "bin" / "python"
    if spec.processor or spec.processor_type in ("cpp", "java") or not (directory / "ENV" / "bin").is_dir():
        return Path(sys.executable)
    if not os.access(own, os.X_OK):
        raise ArtifactError(
            f"{own} can't be executed: the processor's environment is incomplete, or was moved"
        )
    return own
