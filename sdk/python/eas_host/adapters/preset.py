"""Preset processors: ``eas_processors.<family>``, found by the engine's own interpreter.

Such a module has a class ``Preset``, an ``eas_sdk.Processor`` that is made without arguments. Before its
``initialize`` the host sets ``device`` (``"cpu"`` or ``"gpu"``). One that runs in a JVM has a static method
``jars()``, the class path; the host starts the JVM with them, and with the options of the service, first.

Packages are imported when the module is or in ``initialize``; one that is missing ends the start with the
command that installs it.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any, Dict, List

import eas_sdk
from eas_host.adapters.python import Native
from eas_host.load import Failed, attempt

_PACKAGE = "eas_processors"


class Preset(Native):
    """An adapter of a preset."""

    kind = "preset"

    def __init__(self, processor: eas_sdk.Processor, start: Dict[str, Any]) -> None:
        super().__init__(processor, start)
        self._preset: Dict[str, str] = start["preset"]

    def initialize(self) -> None:
        """Calls the preset's ``initialize``."""
        try:
            super().initialize()
        except ImportError as error:
            raise lacking("initialize", self._preset, error) from error

    def arena(self, view: memoryview, fixed: int) -> None:
        """Where large bodies lie, for a preset that wants to know."""
        show = getattr(self._processor, "arena", None)
        if show is not None:
            show(view, fixed)


class JvmPreset(Preset):
    """One that runs in a JVM of this process."""

    def __init__(self, processor: eas_sdk.Processor, start: Dict[str, Any], machine: Any) -> None:
        super().__init__(processor, start)
        self._machine = machine

    def dump_threads(self) -> str:
        """The stacks of all Java threads."""
        return str(self._machine.jpype.JClass("eas.host.Stacks").all())

    def close(self) -> None:
        """Calls the preset's ``close``; the JVM ends with the process."""
        if self._machine.ending():
            self._machine.outlast()
        super().close()
        self._machine.status = 0


def preset(start: Dict[str, Any]) -> Preset:
    """The adapter for ``start["preset"]``. ``Failed`` when it can't be had."""
    told: Dict[str, str] = start["preset"]
    kind: Any = attempt("import", lambda: _class(told))
    processor = attempt("construct", kind)
    processor.device = told["device"]
    if not hasattr(kind, "jars"):
        return Preset(processor, start)
    from eas_host.adapters.java_vm import Machine

    jars = attempt("import", lambda: _jars(kind, told))
    return JvmPreset(processor, start, Machine({**start, "class_path": jars}))


def _class(told: Dict[str, str]) -> Any:
    """The class ``Preset``; ``Failed`` when a package is missing."""
    try:
        return importlib.import_module(f"{_PACKAGE}.{told['family']}").Preset
    except ImportError as error:
        raise lacking("import", told, error) from error


def _jars(kind: Any, told: Dict[str, str]) -> List[str]:
    """The class path of a preset in a JVM; ``Failed`` when a package is missing."""
    try:
        return list(kind.jars())
    except ImportError as error:
        raise lacking("import", told, error) from error


def lacking(stage: str, told: Dict[str, str], error: ImportError) -> Failed:
    """What to say of a package that isn't there, or is broken."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    why = str(error).split("\n")[0]
    missing = isinstance(error, ModuleNotFoundError)
    if missing and (error.name or "").startswith(_PACKAGE):
        return Failed(
            stage, f"processor {told['code']}: {why}; this installation is incomplete, reinstall eas-engine"
        )
    advice = f"{told['install']} (for {sys.executable})"
    if missing:
        return Failed(stage, f"processor {told['code']} needs {told['served_by']}: {advice}; {why}", trace)
    return Failed(
        stage,
        f"processor {told['code']}: a package of {told['served_by']} is there but can't be imported: {why}; "
        f"{advice} installs what is known to work",
        trace,
    )
