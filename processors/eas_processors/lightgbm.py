"""LightGBM: ``processor: "lightgbm"``.

Models: LightGBM's own text format (``.txt``, ``.model``, ``.lgb``). Keys of ``model_config``:

* ``raw_score`` (false): raw scores instead of transformed predictions.
* ``start_iteration`` (0), ``num_iteration`` (-1, the best or all): the iterations that count.
* ``intra_op_threads`` (OMP_NUM_THREADS, else 1): threads of one call. The service's worker threads run calls
  at the same time; more is for large requests.

A model that was trained with categorical columns of pandas takes their values, texts or numbers, as they were
in training; a value that was not there is a missing one, as LightGBM has it.
"""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.rows import Column, Columns, RowPreset
from eas_processors.threads import INTRA, threads

Array = npt.NDArray[Any]

KEYS = {
    "raw_score": Key(bool),
    "start_iteration": Key(int, least=0),
    "num_iteration": Key(int, least=-1),
    **INTRA,
}

_SUFFIXES = (".txt", ".model", ".lgb", ".lightgbm")


class Preset(RowPreset):
    """A LightGBM model."""

    def load(self, model_entry: str, model_config: str) -> Booster:
        """See ``RowPreset``."""
        config = read_config(model_config, KEYS)
        return Booster(str(model_file(model_entry, _SUFFIXES, "a LightGBM model")), config)


class Booster:
    """A booster; ``predict`` is safe in several threads."""

    def __init__(self, path: str, config: dict[str, Any]) -> None:
        try:
            self._booster = booster = lightgbm.Booster(model_file=path)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(
                f"{path} is no model that LightGBM {lightgbm.__version__} reads: {error}"
            ) from error
        self._how = {
            "raw_score": config.get("raw_score", False),
            "start_iteration": config.get("start_iteration", 0),
            "num_iteration": config.get("num_iteration", -1),
            "num_threads": threads(config),
        }
        names = booster.feature_name()
        self._codes = _codes(booster)
        columns = (
            Column(name, "any" if place in self._codes else "number") for place, name in enumerate(names)
        )
        self.columns = Columns(tuple(columns), dtype=np.float64)

    def signature(self) -> dict[str, Any]:
        """See ``Model``."""
        probe = self.run(np.zeros((1, self.columns.width), np.float64))
        return {
            "model": f"LightGBM {lightgbm.__version__}",
            "inputs": [
                {"name": column.name, "type": "category" if place in self._codes else "double"}
                for place, column in enumerate(self.columns.columns)
            ],
            "outputs": [{"name": "prediction", "type": "double", "shape": [-1, *probe.shape[1:]]}],
        }

    def run(self, rows: Array) -> Array:
        """See ``Model``."""
        for place, codes in self._codes.items():
            rows[:, place] = [codes.get(_key(value), np.nan) for value in rows[:, place]]
        return np.asarray(self._booster.predict(rows.astype(np.float64, copy=False), **self._how))


def _codes(booster: Any) -> dict[int, dict[Any, int]]:
    """By column: what training made of its categories. Errors: ValueError."""
    categories = booster.pandas_categorical or []
    infos = list(booster.dump_model(num_iteration=1)["feature_infos"].items()) if categories else []
    places = [booster.feature_name().index(name) for name, info in infos if info["values"]]
    if len(places) != len(categories):
        raise ValueError(
            f"the model has {len(categories)} categorical columns of pandas, and {len(places)} of them are "
            "used; which ones can't be told: train it with the unused ones left out"
        )
    return {
        place: {_key(value): code for code, value in enumerate(values)}
        for place, values in zip(places, categories, strict=True)
    }


def _key(value: Any) -> Any:
    """Equal for equal categories: 1 and 1.0 are (to Python, too), 1 and true are not."""
    return (bool, value) if isinstance(value, bool) else value
