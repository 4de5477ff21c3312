"""From the text of service.json to a version whose instances can be started.

The same way for the start of the engine and for an update while it serves: read, held against this machine,
looked at without fetching, fetched. Each step is cheaper than the next, and nothing runs before the last.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from eas_engine import spec
from eas_engine.artifacts.local import look
from eas_engine.artifacts.resolve import provide
from eas_engine.artifacts.workspace import variables
from eas_engine.errors import ProcessorError
from eas_engine.records import dataclass
from eas_engine.spec import presets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from eas_engine.artifacts.fetching.progress import Progress
    from eas_engine.artifacts.local import Artifacts
    from eas_engine.artifacts.resolve import Places
    from eas_engine.artifacts.sources.stopping import Stop
    from eas_engine.clock import Clock
    from eas_engine.spec.load import Loaded


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can be served here, as far as can be told without fetching.

    ``warnings``: about the file and this machine.
    """

    loaded: Loaded
    warnings: tuple[spec.Problem, ...]


@dataclass(frozen=True, slots=True)
class Configured:
    """A version with everything that its instances need to find.

    ``warnings``: texts for people, those of the artifacts included. ``pinned``: see ``operations.Version``.
    """

    version: int
    loaded: Loaded
    artifacts: Artifacts
    warnings: tuple[str, ...]
    pinned: bool = False

    @property
    def files(self) -> str:
        """The same for the same model and processor; empty when everything is used where it lies."""
        return self.artifacts.workspace.identity if self.artifacts.workspace is not None else ""

    @property
    def workspace(self) -> Path | None:
        """Where its processors work; None when everything is used where it lies."""
        return self.artifacts.workspace.root if self.artifacts.workspace is not None else None


def read(
    text: str,
    source: Path,
    overrides: Sequence[str] = (),
    *,
    strict: bool = False,
    machine: spec.Machine | None = None,
) -> Checked:
    """Read it and hold it against a machine (None: this one as it is), without looking at the artifacts.

    Errors: ConfigurationError with all complaints.
    """
    loaded = spec.load_text(text, source, overrides=overrides, strict=strict, machine=machine)
    refusals, later = spec.startable(loaded)
    if refusals:
        raise spec.ConfigurationError(loaded.source, refusals)
    return Checked(loaded, (*loaded.warnings, *later))


def look_around(checked: Checked, files: str = "") -> str:
    """Is everything there that needn't be fetched? Returns what will serve a preset; empty for others.

    ``files``: as for ``configured``; what lies at the addresses doesn't matter then.

    Errors: ArtifactError; ProcessorError when a preset's packages aren't installed.
    """
    loaded = checked.loaded
    if not files:
        look(loaded.spec, loaded.base)
    return _look_for_packages(loaded)


@contextlib.contextmanager
def configured(
    checked: Checked,
    version: int,
    *,
    places: Places,
    clock: Clock,
    progress: Progress,
    stop: Stop | None = None,
    files: str = "",
) -> Iterator[Configured]:
    """Everything on this machine, until the end of the context; see ``artifacts.resolve.provide``.

    ``files``: those of a version that was gone back to, which is pinned to them.
    """
    loaded = checked.loaded
    with provide(
        loaded.spec,
        loaded.base,
        places=places,
        environ=os.environ,
        clock=clock,
        progress=progress,
        stop=stop,
        files=files,
    ) as artifacts:
        notes = variables.notes(artifacts)
        for note in notes:
            progress.warn(note)
        told = tuple(f"{problem.path}: {problem.message}" for problem in checked.warnings)
        yield Configured(version, loaded, artifacts, (*told, *notes), pinned=bool(files))


def _look_for_packages(loaded: Loaded) -> str:
    """A preset's packages, before its model is fetched; what will serve it, for the log.

    Errors: ProcessorError. Where ``processor_envs`` changes what Python finds, the host looks instead.
    """
    service, machine = loaded.spec, loaded.machine
    preset = presets.find(service.processor) if service.processor else None
    if preset is None:
        return ""
    lacking = machine.packages.lacking(preset.modules)
    if lacking and not any(variable.name == "PYTHONPATH" for variable in service.processor_envs):
        names = ", ".join(lacking)
        raise ProcessorError(f"processor {service.processor} needs {names}: {preset.install}")
    return presets.serving(service, machine)
