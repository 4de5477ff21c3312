"""PMML: ``processor: "pmml"``, evaluated by JPMML in a JVM of the instance's process.

Requests are a JSON list of flat objects (or of lists, in the order of the model's input fields), answers a
list of objects: target fields and output fields by name. A field that an object doesn't have gets the default
of the cloud's service: false, 0, 0.0 or "" by its type; ``null`` is a missing value, and goes by the model's
own rules. Names that aren't the model's are passed over. Keys of ``model_config``:

* ``defaults`` (true): false makes a missing value of a field that isn't there.

``metadata.java_opts`` and ``metadata.memory`` set the JVM's options, as for Java processors.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import pickle
from pathlib import Path
from typing import Any

import jpype
import numpy as np
import numpy.typing as npt

from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.rows import BadRows, Column, Columns, RowPreset

Array = npt.NDArray[Any]

KEYS = {"defaults": Key(bool)}

_PACKAGE = "jpmml_evaluator"
_DEFAULTS = {"boolean": False, "double": 0.0, "float": 0.0, "integer": 0, "string": ""}
_UNNAMED = "prediction"
_SEQUENTIAL = 1


class Preset(RowPreset):
    """A PMML model."""

    @staticmethod
    def jars() -> list[str]:
        """JPMML's jars. Errors: ImportError. The package itself isn't imported: that would bring pandas."""
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
        place = Path(next(iter(found.submodule_search_locations)))
        return [str(path) for path in sorted(place.glob("*/*.jar"))]

    def load(self, model_entry: str, model_config: str) -> Evaluator:
        """See ``RowPreset``. The host has started the JVM."""
        config = read_config(model_config, KEYS)
        path = model_file(model_entry, (".pmml", ".xml"), "a PMML model")
        if not jpype.isJVMStarted():
            jpype.startJVM(classpath=self.jars())
        return Evaluator(str(path), defaults=config.get("defaults", True))


class Evaluator:
    """A model in the JVM. One call evaluates all rows of a batch; columns and results cross as a pickle."""

    def __init__(self, path: str, *, defaults: bool) -> None:
        try:
            builder = jpype.JClass("org.jpmml.evaluator.LoadingModelEvaluatorBuilder")()
            self._evaluator = builder.load(jpype.JClass("java.io.File")(path)).build()
            self._evaluator.verify()
        except jpype.JException as error:
            raise ValueError(f"{path} is no model that JPMML evaluates: {_said(error)}") from error
        self._utilities = jpype.JClass("org.jpmml.evaluator.python.PythonEvaluatorUtil")
        self._inputs = _fields(self._evaluator.getInputFields())
        self._outputs = _fields(self._evaluator.getTargetFields()) | _fields(
            self._evaluator.getOutputFields()
        )
        columns = (
            Column(name, "text", _DEFAULTS.get(kind) if defaults else None)
            for name, kind in self._inputs.items()
        )
        self.columns = Columns(tuple(columns), lenient=True)
        self._warm_up()

    def _warm_up(self) -> None:
        """The first evaluation loads classes for a quarter of a second; no client should wait for that."""
        with contextlib.suppress(BadRows):
            self.run(np.array([[column.default for column in self.columns.columns]], object))

    def signature(self) -> dict[str, Any]:
        """See ``Model``."""
        return {
            "model": f"PMML, {self._evaluator.getSummary()}",
            "inputs": [{"name": name, "type": kind} for name, kind in self._inputs.items()],
            "outputs": [{"name": name, "type": kind} for name, kind in self._outputs.items()],
        }

    def run(self, rows: Array) -> list[Any]:
        """See ``Model``."""
        columns = {
            "columns": list(self._inputs),
            "data": [list(map(_plain, rows[:, place])) for place in range(self.columns.width)],
        }
        try:
            told = self._utilities.evaluateAll(
                self._evaluator, pickle.dumps(columns, protocol=2), None, _SEQUENTIAL
            )
        except jpype.JException as error:
            raise RuntimeError(_said(error)) from error
        found = pickle.loads(bytes(told))  # noqa: S301 - what JPMML has just written in this process
        for place, complaint in enumerate(found["errors"] or ()):
            if complaint is not None:
                raise BadRows(f"row {place}: {_short(str(complaint))}")
        names = [_UNNAMED if name is None else name for name in found["columns"]]
        return [dict(zip(names, values, strict=True)) for values in zip(*found["data"], strict=True)]


def _fields(fields: Any) -> dict[str, str]:
    """Names and data types (PMML's words; empty: not told), in the model's order."""
    found: dict[str, str] = {}
    for field in fields:
        name, kind = field.getName(), field.getDataType()
        found[_UNNAMED if name is None else str(name)] = "" if kind is None else str(kind.value())
    return found


def _plain(value: Any) -> Any:
    """A value as PMML has it: NaN is a missing one."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _said(error: Any) -> str:
    """What an exception of Java says, with its causes, in one line."""
    lines: list[str] = []
    while error is not None and len(lines) < 4:
        text = str(error.getMessage() or error.getClass().getSimpleName()).strip().split("\n")[0]
        if text not in lines:
            lines.append(text)
        error = error.getCause()
    return ": ".join(lines)


def _short(text: str) -> str:
    """JPMML's complaint without the name of the exception's class."""
    kind, colon, rest = text.partition(": ")
    return rest if colon and " " not in kind else text
