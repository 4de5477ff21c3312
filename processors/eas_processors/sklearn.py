"""scikit-learn: ``processor: "sklearn"``.

Models: ``.skops``; pickles (``.pkl``, ``.pickle``, ``.joblib``) only when ``model_config`` allows them,
because whoever wrote one decides what is executed when it is loaded. Keys of ``model_config``:

* ``method`` (``predict``): or ``predict_proba``, ``predict_log_proba``, ``decision_function``, ``transform``.
* ``trusted`` ([]): types in a ``.skops`` file that skops doesn't know, and that you trust.
* ``allow_pickle`` (false): load pickles.

A model that was fitted with a DataFrame gets one, when pandas is installed; then columns may hold texts, and
objects are read by its names. One that begins with a vectorizer of texts takes rows of one text.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn

from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.rows import BadRows, Column, Columns, RowPreset

Array = npt.NDArray[Any]

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform")
_PICKLES = (".pkl", ".pickle", ".joblib")
_PROBE = "a text"
KEYS = {
    "method": Key(str, one_of=METHODS),
    "trusted": Key(list, items=str),
    "allow_pickle": Key(bool),
}


class Preset(RowPreset):
    """An estimator or pipeline of scikit-learn."""

    def load(self, model_entry: str, model_config: str) -> Estimator:
        """See ``RowPreset``."""
        config = read_config(model_config, KEYS)
        path = model_file(model_entry, (".skops", *_PICKLES), "a scikit-learn model")
        return Estimator(load(path, config), config.get("method", "predict"))


def load(path: Path, config: dict[str, Any]) -> Any:
    """The estimator in a file. Errors: ValueError, when it isn't trusted."""
    if path.name.lower().endswith(_PICKLES):
        if not config.get("allow_pickle", False):
            raise ValueError(
                f"{path.name} is a pickle, and loading one executes what its maker put there: save the model "
                'with skops.io.dump, or set "allow_pickle": true in model_config if you trust its maker'
            )
        import joblib  # noqa: PLC0415 - comes with scikit-learn; only pickles need it

        return joblib.load(path)
    import skops.io  # noqa: PLC0415 - a package of its own, and pickles don't need it

    trusted: list[str] = config.get("trusted", [])
    unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(trusted))
    if unknown:
        raise ValueError(
            f"{path.name} holds types that skops doesn't trust: {', '.join(unknown)}; if you trust its "
            'maker, list them in model_config: "trusted": [...]'
        )
    return skops.io.load(path, trusted=trusted)


class Estimator:
    """A fitted estimator."""

    def __init__(self, estimator: Any, method: str) -> None:
        if not hasattr(estimator, method):
            known = [name for name in METHODS if hasattr(estimator, name)]
            kind = type(estimator).__name__
            raise ValueError(
                f'model_config: "method" is "{method}"; {kind} has: {", ".join(known) or "none"}'
            )
        self._estimator = estimator
        self._method = method
        self._call = getattr(estimator, method)
        self._names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
        self._frames = bool(self._names) and importlib.util.find_spec("pandas") is not None
        self._texts = hasattr(_first_step(estimator), "build_analyzer")
        if self._texts:
            self.columns = Columns((Column("text", "text"),))
        else:
            count = int(getattr(estimator, "n_features_in_", 0))
            self.columns = Columns.anything(self._names, count)
            self.columns = self._known_numbers()

    def signature(self) -> dict[str, Any]:
        """See ``Model``."""
        told: dict[str, Any] = {
            "model": f"{type(self._estimator).__name__}, scikit-learn {sklearn.__version__}",
            "inputs": [{"name": column.name, "type": column.kind} for column in self.columns.columns],
            "outputs": [{"name": self._method}],
        }
        classes = getattr(self._estimator, "classes_", None)
        if classes is not None:
            told["classes"] = (
                classes.tolist() if isinstance(classes, np.ndarray) else [one.tolist() for one in classes]
            )
        return told

    def run(self, rows: Array) -> Array | list[Any]:
        """See ``Model``."""
        try:
            with np.errstate(over="ignore"):  # it checks that itself, and refuses
                found = self._call(self._input(rows))
        except (
            ValueError,
            TypeError,
            OverflowError,
        ) as error:  # scikit-learn's words for data that don't fit
            raise BadRows(self._why(rows, str(error))) from error
        if hasattr(found, "toarray"):  # sparse
            found = found.toarray()
        if isinstance(found, list):  # one array for each output of a classifier with several
            return [list(parts) for parts in zip(*(part.tolist() for part in found), strict=True)]
        return np.asarray(found)

    def _known_numbers(self) -> Columns:
        """The columns, with those that hold numbers told apart.

        A model doesn't say what it was trained on, so it is asked: a text in a column that must hold numbers
        is an error which quotes the text. Transformers for some of the columns are asked for each of them.
        Where another error comes first (of a category that isn't known, say), the column may hold anything.
        """
        width = self.columns.width
        first = _first_step(self._estimator)
        if not width or not self._quotes(range(width)):
            return self.columns
        apart = hasattr(first, "transformers_") or hasattr(first, "transformer_list")
        columns = (
            Column(column.name, "number" if not apart or self._quotes([place]) else "any")
            for place, column in enumerate(self.columns.columns)
        )
        return Columns(tuple(columns), dtype=np.float64, inferred=True)

    def _quotes(self, places: Iterable[int]) -> bool:
        """Whether the model fails to make a number of a text in these columns."""
        row = np.zeros((1, self.columns.width), object)
        row[0, list(places)] = _PROBE
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._call(self._input(row))
        except Exception as error:  # noqa: BLE001 - whatever it is, it only matters what it says
            return f"could not convert string to float: '{_PROBE}'" in str(error)
        return False

    def _why(self, rows: Array, message: str) -> str:
        """scikit-learn's complaint without its advice, and which value it may be about."""
        line = message.partition("\n")[0]
        if self._texts:
            return line
        for word, fits in (("NaN", _missing), ("infinity", _beyond)):
            place = next((place for place, value in np.ndenumerate(rows) if fits(value)), None)
            if word in line and place is not None:
                return f"{self.columns.cell(*place)}: {_shown(rows[place])}; {line}"
        return line

    def _input(self, rows: Array) -> Any:
        """The rows as the estimator wants them."""
        if self._texts:
            return ["" if value is None else str(value) for value in rows[:, 0]]
        return self._frame(rows) if self._frames else _unboxed(rows)

    def _frame(self, rows: Array) -> Any:
        import pandas as pd  # noqa: PLC0415 - only for models that were fitted with one

        if rows.dtype != object:
            return pd.DataFrame(rows, columns=self._names)
        return pd.DataFrame({name: _column(rows[:, at]) for at, name in enumerate(self._names)})


def _first_step(estimator: Any) -> Any:
    """The first step of a pipeline, else the estimator."""
    steps = getattr(estimator, "steps", None)
    return steps[0][1] if steps else estimator


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _beyond(value: Any) -> bool:
    """Too large for float32, in which trees compute."""
    return isinstance(value, int | float) and abs(value) > float(np.finfo(np.float32).max)


def _shown(value: Any) -> str:
    return "a missing value" if _missing(value) else f"{value:g}"


def _unboxed(rows: Array) -> Array:
    """Numbers as such when there is nothing else; what is missing is NaN then."""
    if rows.dtype != object:
        return rows
    flat = rows.ravel()
    if all(value is None or isinstance(value, int | float) for value in flat):
        return rows.astype(np.float64)
    return rows


def _column(values: Array) -> Array:
    """A column of a DataFrame: numbers, or objects with None for what is missing."""
    if all(value is None or isinstance(value, int | float) for value in values):
        return values.astype(np.float64)
    return values
