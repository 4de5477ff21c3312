"""CatBoost: ``processor: "catboost"``.

Models: ``.cbm``. Keys of ``model_config``:

* ``prediction_type``: one of CatBoost's (``RawFormulaVal``, ``Class``, ``Probability``, ``LogProbability``,
  ``Exponent``, ``RMSEWithUncertainty`` ...). Without it what CatBoost's own classes give: ``Probability`` for
  classifiers, ``Exponent`` for models trained with Poisson or Tweedie, ``RMSEWithUncertainty`` for those of
  that loss, else ``RawFormulaVal``.
* ``intra_op_threads`` (OMP_NUM_THREADS, else 1): threads of one call. The service's worker threads run calls
  at the same time; more is for large requests.

Categorical columns take texts and whole numbers; CatBoost has no missing value for them.
"""

from __future__ import annotations

from typing import Any

import catboost
import numpy as np
import numpy.typing as npt

from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.rows import BadRows, Column, Columns, RowPreset
from eas_processors.threads import INTRA, threads

Array = npt.NDArray[Any]

KEYS = {"prediction_type": Key(str), **INTRA}

_EXPONENTIAL = ("Poisson", "Tweedie")


class Preset(RowPreset):
    """A CatBoost model."""

    def load(self, model_entry: str, model_config: str) -> CatBoostModel:
        """See ``RowPreset``."""
        config = read_config(model_config, KEYS)
        return CatBoostModel(str(model_file(model_entry, (".cbm",), "a CatBoost model")), config)


class CatBoostModel:
    """A model; ``predict`` is safe in several threads."""

    def __init__(self, path: str, config: dict[str, Any]) -> None:
        self._model = model = catboost.CatBoost()
        try:
            model.load_model(path)
        except catboost.CatBoostError as error:
            raise ValueError(f"{path} is no CatBoost model (.cbm): {error}") from error
        if model.get_embedding_feature_indices():
            raise ValueError("the model has embedding features, which rows of single values can't hold")
        self._categories = frozenset(model.get_cat_feature_indices())
        self._texts = frozenset(model.get_text_feature_indices())
        columns = (
            Column(str(name), "text" if place in self._categories | self._texts else "number")
            for place, name in enumerate(model.feature_names_)
        )
        self.columns = Columns(tuple(columns), dtype=np.float32)
        self._threads: int = threads(config)
        self._type: str = config.get("prediction_type", "") or _usual_type(model)

    def signature(self) -> dict[str, Any]:
        """See ``Model``. A prediction type that the model can't give is an error here, at the start."""
        probe = np.zeros((1, self.columns.width), object)
        for place in self._categories | self._texts:
            probe[0, place] = ""
        shape = [-1, *self.run(probe).shape[1:]]
        return {
            "model": f"CatBoost {catboost.__version__}",
            "inputs": [
                {"name": column.name, "type": self._type_of(place)}
                for place, column in enumerate(self.columns.columns)
            ],
            "outputs": [{"name": self._type, "shape": shape}],
            "classes": [_plain(one) for one in self._model.classes_],
        }

    def run(self, rows: Array) -> Array:
        """See ``Model``."""
        for place in self._categories:
            rows[:, place] = [self._category(row, place, value) for row, value in enumerate(rows[:, place])]
        for place in self._texts:
            rows[:, place] = ["" if value is None else str(value) for value in rows[:, place]]
        found: Array = np.asarray(
            self._model.predict(rows, prediction_type=self._type, thread_count=self._threads)
        )
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def _category(self, row: int, place: int, value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return value
        name = self.columns.columns[place].name
        raise BadRows(
            f'row {row}, column {place} ("{name}"): {value!r}, a category is a text or a whole number'
        )

    def _type_of(self, place: int) -> str:
        if place in self._categories:
            return "category"
        return "text" if place in self._texts else "float"


def _usual_type(model: catboost.CatBoost) -> str:
    if len(model.classes_):
        return "Probability"
    loss = str(model.get_all_params().get("loss_function", "")).partition(":")[0]
    if loss in _EXPONENTIAL:
        return "Exponent"
    return loss if loss == "RMSEWithUncertainty" else "RawFormulaVal"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
