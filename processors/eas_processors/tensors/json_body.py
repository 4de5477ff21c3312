"""JSON bodies of the tensor presets (ours: the cloud's processors take protobuf only).

A request: ``{"inputs": {"x": [[1, 2]]}, "signature_name": "...", "output_filter": [...]}``. ``inputs`` is an
object, or a list with one value for each input. A value is a number, a string, true or false, or nested lists
of them; or ``{"dtype": "DT_INT32", "shape": [0, 3], "values": [...]}`` where the type or shape can't be seen
from the values. Bytes that aren't UTF-8 are ``{"b64": "..."}``, complex numbers are pairs ``[real,
imaginary]``.

The type is the signature's. Where that is not known: true and false are DT_BOOL, integers DT_INT64, other
numbers DT_FLOAT, strings DT_STRING. Nothing is converted silently, but integers may
stand for floats, and true and false for 1 and 0 of DT_UINT8.

A name that stands twice in an object is an error, and so is a lone surrogate (``json_text``). ``NaN``,
``Infinity`` and ``-Infinity`` are read and written bare, as Python and TensorFlow Serving do; it is the one
way in which bodies may not be JSON to the letter.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np

from eas_processors.json_text import loads
from eas_processors.tensors import dtypes
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call, Form, Signature, Spec
from eas_processors.tensors.shapes import shaped

CONTENT_TYPE = "application/json"

_MOST_EMPTY = 1 << 20
"""Lists of an output that has no elements: a few bytes could ask for any number of them."""

_FIELDS = ("inputs", "signature_name", "output_filter", "debug_level")
_TYPED = ("dtype", "shape", "values")
_JSON_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    dict: "an object",
    type(None): "null",
    list: "a list",
}


def parse(body: memoryview) -> dict[str, Any]:
    """The body as a JSON object with the fields of a request."""
    try:
        value = loads(body, surrogates=True)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if not isinstance(value, dict) or "inputs" not in value:
        raise BadRequest('the body must be a JSON object {"inputs": {...}}')
    unknown = [name for name in value if name not in _FIELDS]
    if unknown:
        raise BadRequest(f"unknown fields: {dtypes.listed(unknown)}; known are {dtypes.listed(_FIELDS)}")
    return value


def outline(value: dict[str, Any]) -> Call:
    """The call of a parsed body, but for its inputs: empty arrays, by name or in order."""
    name = value.get("signature_name", "")
    if not isinstance(name, str):
        raise BadRequest("signature_name must be a string")
    wanted = value.get("output_filter", [])
    if not isinstance(wanted, list) or not set(map(type, wanted)) <= {str, int}:
        raise BadRequest("output_filter must be a list of names, or of positions counted from 0")
    debug_level = value.get("debug_level", 0)
    if type(debug_level) is not int:
        raise BadRequest("debug_level must be an integer")
    sent = value["inputs"]
    if not isinstance(sent, (dict, list)):
        raise BadRequest('"inputs" must be an object (by name) or a list (one value for each input)')
    nothing = np.empty(0)
    inputs: Arrays = dict.fromkeys(sent, nothing) if isinstance(sent, dict) else [nothing] * len(sent)
    return Call(name, inputs, tuple(wanted), debug_level, Form.JSON)


def decode(value: dict[str, Any], call: Call, signature: Signature) -> Call:
    """The whole call; the types of its inputs are those of the signature.

    Args:
        value: the parsed body.
        call: its outline.
        signature: the call's.
    """
    return replace(call, inputs=_inputs(value["inputs"], signature))


def _inputs(sent: dict[str, object] | list[object], signature: Signature) -> Arrays:
    """The inputs, by name or in order."""
    specs = signature.inputs or ()
    if isinstance(sent, dict):
        known = {spec.name: spec for spec in specs}
        return {name: _array(data, name, known.get(name)) for name, data in sent.items()}
    if signature.inputs is not None and len(sent) > len(specs):
        names = dtypes.listed(spec.name for spec in specs)
        raise BadRequest(
            f'"inputs" has {len(sent)} values, one for each input; the model has {len(specs)}: {names}'
        )
    named = [*specs[: len(sent)], *[None] * (len(sent) - len(specs))]
    return [
        _array(data, spec.name if spec else str(index), spec)
        for index, (data, spec) in enumerate(zip(sent, named, strict=True))
    ]


def _array(data: object, name: str, spec: Spec | None) -> np.ndarray:
    """One input."""
    try:
        return _typed(data, spec or Spec(name, "", None))
    except BadRequest as error:
        raise BadRequest(f"input {name!r}: {error}") from None


def _typed(data: object, spec: Spec) -> np.ndarray:
    """A value, in one of its two ways of writing."""
    if not isinstance(data, dict) or "b64" in data:
        return _filled(_converted(data, spec.dtype), spec)
    if "values" not in data or not set(data) <= set(_TYPED):
        raise BadRequest(
            'an object must be {"dtype": ..., "shape": [...], "values": [...]} or {"b64": "..."}'
        )
    dtype, shape = data.get("dtype", spec.dtype), data.get("shape")
    if not isinstance(dtype, str) or not dtype.isascii():
        raise BadRequest('"dtype" must be a string, like "DT_FLOAT" or "float32"')
    array = _converted(data["values"], dtypes.canonical(dtype) if dtype else "")
    if shape is None:
        return _filled(array, spec)
    if not isinstance(shape, list) or not set(map(type, shape)) <= {int}:
        raise BadRequest('"shape" must be a list of integers')
    return shaped(array.reshape(-1), tuple(shape))


def _filled(array: np.ndarray, spec: Spec) -> np.ndarray:
    """An array without elements gets the dimensions that ``[]`` can't show from the signature; unknown: 0."""
    if array.size or not array.ndim or spec.shape is None or len(spec.shape) <= array.ndim:
        return array
    return array.reshape((*array.shape, *(dim or 0 for dim in spec.shape[array.ndim :])))


def _converted(data: object, dtype: str) -> np.ndarray:
    """Nested lists as an array of the type, or of the type they look like (``""``)."""
    try:
        objects = np.array(data, object)
    except ValueError:
        raise BadRequest(_RAGGED) from None
    leaves: list[Any] = objects.reshape(-1).tolist()
    kinds = set(map(type, leaves))
    if list in kinds:
        raise BadRequest(_RAGGED)
    name = dtype or _look(kinds)
    numpy_dtype = dtypes.numpy_dtype(name)
    wrong = kinds - _accepted(numpy_dtype)
    if wrong:
        culprit = next(leaf for leaf in leaves if type(leaf) in wrong)
        raise BadRequest(
            f"{json.dumps(culprit):.60} is {_JSON_NAMES[type(culprit)]}, the type wanted is {name}"
        )
    return _values(leaves, numpy_dtype, name, objects.shape)


_RAGGED = "the lists are ragged: those of one level must have the same length"


def _look(kinds: set[type]) -> str:
    """The type that values have when nobody says it."""
    if not kinds or (float in kinds and kinds <= {int, float}):
        return "DT_FLOAT"
    if kinds <= {str, dict}:
        return "DT_STRING"
    return "DT_BOOL" if kinds == {bool} else "DT_INT64"


def _accepted(dtype: np.dtype) -> set[type]:
    """The Python types of the JSON values that may stand for a tensor type."""
    if dtype.kind == "O":
        return {str, dict}
    if dtype.kind == "b":
        return {bool}
    if dtype == np.uint8:
        return {int, bool}  # bools travel as DT_UINT8 where a protocol has none
    return {int} if dtype.kind in "iu" else {int, float}


def _values(leaves: list[Any], dtype: np.dtype, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Checked leaves in the shape they were found in."""
    if dtype.kind == "O":
        strings = np.empty(len(leaves), object)
        strings[:] = [_bytes(leaf) for leaf in leaves]
        return strings.reshape(shape)
    if dtype.kind in "iu" and leaves:
        limits = np.iinfo(dtype)
        for number in (min(leaves), max(leaves)):
            if not limits.min <= number <= limits.max:
                raise BadRequest(f"{number!s:.60} doesn't fit {name}")
    if dtype.kind in "iub":
        return np.array(leaves, dtype).reshape(shape)
    return _floats(leaves, dtype, name, shape)


def _floats(leaves: list[Any], dtype: np.dtype, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Floats of any kind, and complex numbers as pairs."""
    try:
        doubles = np.array(leaves, np.float64)
    except OverflowError:
        raise BadRequest(f"a number is too large for {name}") from None
    if dtype.kind == "c" and leaves:
        if not shape or shape[-1] != 2:
            raise BadRequest(f"{name} numbers are pairs [real, imaginary]")
        doubles, shape = doubles.view(np.complex128), shape[:-1]
    with np.errstate(over="ignore"):
        values = doubles.astype(dtype)
    beyond = np.flatnonzero(np.isinf(values) & ~np.isinf(doubles))
    if len(beyond):
        raise BadRequest(f"{doubles[beyond[0]]} doesn't fit {name}")
    return values.reshape(shape)


def _bytes(leaf: str | dict[str, Any]) -> bytes:
    """A string's UTF-8, or what ``{"b64": ...}`` stands for."""
    try:
        if isinstance(leaf, str):
            return leaf.encode()
        if set(leaf) == {"b64"} and isinstance(leaf["b64"], str):
            return base64.b64decode(leaf["b64"], validate=True)
    except UnicodeEncodeError:
        raise BadRequest("a string has a lone surrogate, which is no character") from None
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f'"b64" is no base64: {error}') from None
    raise BadRequest('bytes are written {"b64": "..."}')


def encode(outputs: Arrays) -> bytes:
    """The answer's body: ``{"outputs": ...}``, an object if the model's outputs have names, else a list."""
    value: Any
    if isinstance(outputs, dict):
        value = {name: _listed(array, name) for name, array in outputs.items()}
    else:
        value = [_listed(array, index) for index, array in enumerate(outputs)]
    return json.dumps({"outputs": value}, ensure_ascii=False).encode()


def _listed(array: np.ndarray, name: str | int) -> Any:
    """An output as nested lists; each number in as many digits as make it exact."""
    if not array.size and math.prod(array.shape[: array.shape.index(0)]) > _MOST_EMPTY:
        raise BadRequest(
            f"output {name!r} of shape {list(array.shape)} is too many empty lists; .npy can hold it"
        )
    if array.dtype.kind in "OSU":
        strings = np.empty(array.size, object)
        strings[:] = [_text(value) for value in array.reshape(-1).tolist()]
        return strings.reshape(array.shape).tolist()
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], axis=-1).tolist()
    if dtypes.name_of(array.dtype) == "DT_BFLOAT16":
        return array.astype(np.float32).tolist()
    return array.tolist()


def _text(value: bytes | str) -> Any:
    """A string as JSON has it."""
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
