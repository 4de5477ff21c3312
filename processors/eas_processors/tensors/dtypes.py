"""The names of the tensor types, and the numpy types behind them.

The names and numbers are those of ``ArrayDataType`` in the protocol of the TensorFlow and PyTorch processors.
``DT_UINT32`` and ``DT_UINT64`` have no number there: they exist in ONNX's
protocol, in JSON and in .npy bodies.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import numpy as np

from eas_processors.tensors.errors import BadRequest

NUMBERS: dict[str, int] = {
    "DT_INVALID": 0,
    "DT_FLOAT": 1,
    "DT_DOUBLE": 2,
    "DT_INT32": 3,
    "DT_UINT8": 4,
    "DT_INT16": 5,
    "DT_INT8": 6,
    "DT_STRING": 7,
    "DT_COMPLEX64": 8,
    "DT_INT64": 9,
    "DT_BOOL": 10,
    "DT_QINT8": 11,
    "DT_QUINT8": 12,
    "DT_QINT32": 13,
    "DT_BFLOAT16": 14,
    "DT_QINT16": 15,
    "DT_QUINT16": 16,
    "DT_UINT16": 17,
    "DT_COMPLEX128": 18,
    "DT_HALF": 19,
    "DT_RESOURCE": 20,
    "DT_VARIANT": 21,
}
"""``ArrayDataType``."""

NAMES: dict[int, str] = {number: name for name, number in NUMBERS.items()}

_NUMPY: dict[str, np.dtype] = {
    "DT_FLOAT": np.dtype(np.float32),
    "DT_DOUBLE": np.dtype(np.float64),
    "DT_INT32": np.dtype(np.int32),
    "DT_UINT8": np.dtype(np.uint8),
    "DT_INT16": np.dtype(np.int16),
    "DT_INT8": np.dtype(np.int8),
    "DT_STRING": np.dtype(object),
    "DT_COMPLEX64": np.dtype(np.complex64),
    "DT_INT64": np.dtype(np.int64),
    "DT_BOOL": np.dtype(np.bool_),
    "DT_UINT16": np.dtype(np.uint16),
    "DT_COMPLEX128": np.dtype(np.complex128),
    "DT_HALF": np.dtype(np.float16),
    "DT_UINT32": np.dtype(np.uint32),
    "DT_UINT64": np.dtype(np.uint64),
}
QUANTIZED: dict[str, str] = {
    "DT_QINT8": "DT_INT8",
    "DT_QUINT8": "DT_UINT8",
    "DT_QINT16": "DT_INT16",
    "DT_QUINT16": "DT_UINT16",
    "DT_QINT32": "DT_INT32",
}
"""Quantized integers and what carries them: numpy has no types of their own for them."""

_OF_NATIVE: dict[np.dtype, str] = {dtype: name for name, dtype in _NUMPY.items()}
"""``dtype.name`` costs as much as all else that a small tensor needs, so it is the last resort."""

_OF_NUMPY: dict[str, str] = {dtype.name: name for name, dtype in _NUMPY.items()} | {"bfloat16": "DT_BFLOAT16"}


def numpy_dtype(name: str) -> np.dtype:
    """The numpy type of ``DT_...``; ``BadRequest`` for a type that holds no values a client could send."""
    if name == "DT_BFLOAT16":
        return _bfloat16()
    try:
        return _NUMPY[QUANTIZED.get(name, name)]
    except KeyError:
        raise BadRequest(f"the type {name} is not supported; supported are {listed(supported())}") from None


def supported() -> list[str]:
    """The names that ``numpy_dtype`` knows."""
    return sorted([*_NUMPY, *QUANTIZED, "DT_BFLOAT16"])


def name_of(dtype: np.dtype) -> str:
    """``DT_...`` of a numpy type; its numpy name where there is none. Byte order doesn't matter."""
    native = _OF_NATIVE.get(dtype)
    if native is not None:
        return native
    if dtype.kind in "SU":
        return "DT_STRING"
    return _OF_NUMPY.get(dtype.name, dtype.name)


def canonical(name: str) -> str:
    """``DT_FLOAT`` of ``float32``; names that already are ``DT_...``, and unknown ones, as they are."""
    return _OF_NUMPY.get(name, name)


_MOST_SHOWN = 24


def listed(names: Iterable[str]) -> str:
    """``'a', 'b'``, for messages, not too many; ``none`` when there are none."""
    shown = list(names)
    more = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
    return (", ".join(map(repr, shown[:_MOST_SHOWN])) or "none") + more


def _bfloat16() -> np.dtype:
    """The type of ml_dtypes, which TensorFlow brings along: numpy has none of its own."""
    try:
        bfloat16: np.dtype = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
        return bfloat16
    except ImportError:
        raise BadRequest(
            "DT_BFLOAT16 needs the Python package ml_dtypes in the engine's environment"
        ) from None
