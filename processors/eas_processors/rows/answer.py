"""Results as JSON: one item a row, numbers with every digit that they have."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt


def encode(results: npt.NDArray[Any] | list[Any]) -> bytes:
    """Results of a model as the body of an answer; what is no number (NaN) or infinite becomes ``null``.

    A float32 is written as the double of the same value, so reading it back gives the same float32.
    """
    if isinstance(results, np.ndarray):
        finite = results.dtype.kind not in "fO" or (
            results.dtype.kind == "f" and bool(np.isfinite(results).all())
        )
        values = results.tolist()
    else:
        finite, values = False, results
    if not finite:
        values = _without_nan(values)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _without_nan(one) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
