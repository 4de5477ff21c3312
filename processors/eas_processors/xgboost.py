"""XGBoost: ``processor: "xgboost"``.

Models: ``.json``, ``.ubj``, and the old binary format where the installed XGBoost still reads it. Keys of
``model_config``:

* ``output_margin`` (false): raw margins instead of transformed predictions.
* ``iteration_range`` ([0, 0], all): the boosting rounds that count.
* ``intra_op_threads`` (OMP_NUM_THREADS, else 1): threads of one call. The service's worker threads run calls
  at the same time; more is for large requests.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from eas_processors.model_config import Key, read_config
from eas_processors.model_files import model_file
from eas_processors.rows import Columns, RowPreset
from eas_processors.threads import INTRA, threads

Array = npt.NDArray[Any]

KEYS = {
    "output_margin": Key(bool),
    "iteration_range": Key(list, least=0, items=int, length=2),
    **INTRA,
}

_WANTED = 'save the model with save_model("model.json") or save_model("model.ubj")'
_OLD_FORMAT = b"binf"
_CONVERT = (
    "it is in the old binary format, which XGBoost reads up to 3.0; convert it once: "
    "python3 -m venv old && old/bin/pip install 'xgboost-cpu<3.1' && old/bin/python -c "
    '"import sys, xgboost; b = xgboost.Booster(); b.load_model(sys.argv[1]); b.save_model(sys.argv[2])" '
    "{name} model.json"
)
_SUFFIXES = (".json", ".ubj", ".model", ".bin", ".xgb", ".deprecated")


class Preset(RowPreset):
    """An XGBoost model."""

    def load(self, model_entry: str, model_config: str) -> Booster:
        """See ``RowPreset``."""
        config = read_config(model_config, KEYS)
        return Booster(str(model_file(model_entry, _SUFFIXES, "an XGBoost model")), config, self.device)


class Booster:
    """A booster.

    Trees are asked by ``inplace_predict``, which is safe in several threads and needs no ``DMatrix``. The
    other kinds (gblinear, dart) don't have it, or sum in another order there than in ``predict``, and
    ``predict`` of theirs is for one thread at a time.
    """

    def __init__(self, path: str, config: dict[str, Any], device: str) -> None:
        self._booster = booster = xgboost.Booster()
        try:
            booster.load_model(path)
        except (xgboost.core.XGBoostError, UnicodeDecodeError) as error:  # it quotes what it can't read
            raise ValueError(
                f"{path} is no model that XGBoost {xgboost.__version__} reads: {_why(path, error)}"
            ) from error
        booster.set_param({"nthread": threads(config), "device": _device(device)})
        kind = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
        self._one_at_a_time = None if kind == "gbtree" else threading.Lock()
        self._margin: bool = config.get("output_margin", False)
        self._range = tuple(config.get("iteration_range", [0, 0]))
        self.columns = Columns.numbers(booster.feature_names or (), booster.num_features(), np.float32)

    def signature(self) -> dict[str, Any]:
        """See ``Model``."""
        types = self._booster.feature_types or ["float"] * self.columns.width
        probe = self.run(np.zeros((1, self.columns.width), np.float32))
        return {
            "model": f"XGBoost {xgboost.__version__}",
            "inputs": [
                {"name": column.name, "type": kind}
                for column, kind in zip(self.columns.columns, types, strict=True)
            ],
            "outputs": [{"name": "prediction", "type": "float", "shape": [-1, *probe.shape[1:]]}],
        }

    def run(self, rows: Array) -> Array:
        """See ``Model``."""
        found: Array
        if self._one_at_a_time is not None:
            with self._one_at_a_time:
                found = self._booster.predict(
                    xgboost.DMatrix(rows),
                    output_margin=self._margin,
                    iteration_range=self._range,
                    validate_features=False,
                )
            return found
        found = self._booster.inplace_predict(
            rows,
            iteration_range=self._range,
            predict_type="margin" if self._margin else "value",
            missing=np.nan,
            validate_features=False,
        )
        return found


def _device(device: str) -> str:
    """XGBoost's name of the device; a build without CUDA stays on the CPU, and the log says so."""
    if device == "gpu" and not xgboost.build_info().get("USE_CUDA"):
        sys.stderr.write("WARNING: this XGBoost has no CUDA and runs on the CPU: pip install xgboost\n")
        return "cpu"
    return "cuda" if device == "gpu" else "cpu"


def _why(path: str, error: Exception) -> str:
    """XGBoost's message without the time, the place and the stack of its C++ code; and what to do."""
    with open(path, "rb") as file:  # noqa: PTH123 - the path is XGBoost's word
        start = file.read(len(_OLD_FORMAT))
    if start == _OLD_FORMAT:
        return _CONVERT.format(name=shlex.quote(os.path.basename(path)))  # noqa: PTH119 - as above
    if start.startswith(b"\x80"):  # as pickles begin
        return f"it is a pickle; {_WANTED}"
    if not start.startswith(b"{"):  # as JSON and UBJSON begin
        return f"it is neither JSON nor UBJSON (XGBoost before 3.1 reads the old format, too); {_WANTED}"
    if isinstance(error, UnicodeDecodeError):
        return f"it is damaged, or no model; {_WANTED}"
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"^\[[\d:]+\] (\S+:\d+: )?", "", line)
