"""``ArrayProto`` of the TensorFlow and the PyTorch processor: a type, a shape and one slot of values.

Which type travels in which slot:

====================================================  =========================================
DT_FLOAT, DT_HALF, DT_BFLOAT16, DT_COMPLEX64          ``float_val`` (complex: real, imaginary, ...)
DT_DOUBLE, DT_COMPLEX128                              ``double_val``
DT_INT8, DT_INT16, DT_INT32, DT_UINT8, DT_UINT16      ``int_val``
DT_INT64                                              ``int64_val``
DT_STRING                                             ``string_val``
DT_BOOL                                               ``bool_val``; PyTorch's message has none: ``int_val``
====================================================  =========================================

The values must be as many as the shape says; a shape without dimensions is a scalar, one value. The quantized
types, resources and variants are refused by name.
"""

from __future__ import annotations

import math

import numpy as np

from eas_processors.tensors import dtypes, protobuf
from eas_processors.tensors.errors import BadRequest

FLOAT, DOUBLE, INT, STRING, INT64, BOOL = 3, 4, 5, 6, 7, 8
_SLOT_NAMES = {
    FLOAT: "float_val",
    DOUBLE: "double_val",
    INT: "int_val",
    STRING: "string_val",
    INT64: "int64_val",
    BOOL: "bool_val",
}
_WIRES = {FLOAT: protobuf.FIXED32, DOUBLE: protobuf.FIXED64, INT: protobuf.VARINT, INT64: protobuf.VARINT}
_WIRES[BOOL] = protobuf.VARINT
_SLOTS = {
    "DT_FLOAT": FLOAT,
    "DT_HALF": FLOAT,
    "DT_BFLOAT16": FLOAT,
    "DT_COMPLEX64": FLOAT,
    "DT_DOUBLE": DOUBLE,
    "DT_COMPLEX128": DOUBLE,
    "DT_INT8": INT,
    "DT_INT16": INT,
    "DT_INT32": INT,
    "DT_UINT8": INT,
    "DT_UINT16": INT,
    "DT_INT64": INT64,
    "DT_STRING": STRING,
    "DT_BOOL": BOOL,
}
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


class _Parts:
    """What a message holds, collected field by field: type, dimensions, and runs of values per slot."""

    __slots__ = ("dims", "dtype", "runs")

    def __init__(self) -> None:
        self.dtype = 0
        self.dims: list[np.ndarray] = []
        self.runs: dict[int, list[memoryview | int]] = {}


def decode(message: memoryview, *, bool_slot: int = BOOL) -> np.ndarray:
    """The array of an ``ArrayProto``; a view of the message where the wire has the values as numpy does.

    Args:
        message: the serialised message.
        bool_slot: where bools travel.

    Raises:
        BadRequest: see protobuf.py; an unsupported type; values that are not as many as the shape says, stand
            in another type's slot or don't fit the type. The input is the caller's to name.
    """
    parts = _parts(message, bool_slot)
    name = dtypes.NAMES.get(parts.dtype, f"number {parts.dtype}")
    dtype = dtypes.numpy_dtype(name)
    slot = _slot(name, bool_slot)
    for other in parts.runs:
        if other != slot:
            raise BadRequest(f"{name} travels in {_SLOT_NAMES[slot]}, but {_SLOT_NAMES[other]} was sent")
    shape = tuple(int(dim) for run in parts.dims for dim in run.astype(np.int64))
    values = _values(slot, parts.runs.get(slot, []), dtype)
    return shaped(values, shape)


def shaped(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The values in a shape that a client sent; ``BadRequest`` when they are not as many as it says."""
    if any(dim < 0 for dim in shape):
        raise BadRequest(f"the shape {list(shape)} has a negative dimension")
    if math.prod(shape) != values.size:
        raise BadRequest(f"the shape {list(shape)} wants {math.prod(shape)} values, {values.size} were sent")
    try:
        return values.reshape(shape)
    except ValueError as error:  # more dimensions than numpy has
        raise BadRequest(f"the shape {list(shape)[:70]} is not supported: {error}") from None


def _parts(message: memoryview, bool_slot: int) -> _Parts:
    """The fields of the message, sorted."""
    parts = _Parts()
    for number, wire, value, data in protobuf.fields(message):
        if number == 1 and wire == protobuf.VARINT:
            parts.dtype = value
        elif number == 2 and wire == protobuf.LEN:
            parts.dims += _dims(data)
        elif number == STRING and wire == protobuf.LEN:
            parts.runs.setdefault(STRING, []).append(data)
        elif number in _WIRES and (number != BOOL or bool_slot == BOOL):
            if wire == protobuf.LEN:
                if data:
                    parts.runs.setdefault(number, []).append(data)
            elif wire == _WIRES[number]:
                parts.runs.setdefault(number, []).append(value if wire == protobuf.VARINT else data)
    return parts


def _dims(message: memoryview) -> list[np.ndarray]:
    """The dimensions of an ``ArrayShape``."""
    runs = []
    for number, wire, value, data in protobuf.fields(message):
        if number == 1 and wire == protobuf.LEN:
            runs.append(protobuf.varints(data))
        elif number == 1 and wire == protobuf.VARINT:
            runs.append(np.array([value], np.uint64))
    return runs


def _slot(name: str, bool_slot: int) -> int:
    """The slot of a type."""
    if name == "DT_BOOL":
        return bool_slot
    if name not in _SLOTS:
        raise BadRequest(f"this processor's protobuf message can't carry {name}; JSON and .npy can")
    return _SLOTS[name]


def _values(slot: int, runs: list[memoryview | int], dtype: np.dtype) -> np.ndarray:
    """The values of one slot, flat, in the type asked for."""
    if slot == STRING:
        strings = np.empty(len(runs), object)
        strings[:] = [bytes(run) for run in runs if isinstance(run, memoryview)]
        return strings
    if slot in {FLOAT, DOUBLE}:
        return _floats(runs, _FLOAT32 if slot == FLOAT else _FLOAT64, dtype)
    numbers = _one([_integers(run) for run in runs], np.dtype(np.uint8))
    return _integers_as(numbers, dtype, 32 if slot == INT else 64)


def _one(runs: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Several runs as one; the run itself when it is the only one."""
    if len(runs) == 1:
        return runs[0]
    return np.concatenate(runs) if runs else np.empty(0, dtype)


def _floats(runs: list[memoryview | int], sent: np.dtype, dtype: np.dtype) -> np.ndarray:
    """Values of ``float_val`` or ``double_val`` as float, double, half, bfloat16 or complex."""
    views = [run for run in runs if isinstance(run, memoryview)]
    if len(views) > 1:
        views = [memoryview(b"".join(views))]
    flat = protobuf.fixed(views[0], sent) if views else np.empty(0, sent)
    if dtype.kind == "c":
        if flat.size % 2:
            raise BadRequest(f"{flat.size} numbers are no pairs of real and imaginary parts")
        pairs: np.ndarray = flat.view(dtype)
        return pairs
    if dtype == sent:
        return flat
    with np.errstate(over="ignore"):  # beyond the range of a half is infinity, as rounding has it
        return flat.astype(dtype)


def _integers(run: memoryview | int) -> np.ndarray:
    """A packed run, or one unpacked number."""
    return np.array([run], np.uint64) if isinstance(run, int) else protobuf.varints(run)


def _integers_as(numbers: np.ndarray, dtype: np.dtype, bits: int) -> np.ndarray:
    """Values of ``int_val`` (32 bits), ``int64_val`` or ``bool_val`` in the type asked for."""
    if numbers.dtype == np.uint8 and dtype.itemsize == 1 and dtype.kind in "iu":
        return numbers.view(dtype)  # all are below 128
    if dtype.kind == "b":
        return numbers != 0
    if numbers.dtype == np.uint8:
        return numbers.astype(dtype)
    signed = numbers.view(np.int64)
    if bits == 32:
        signed = signed.astype(np.int32)  # protobuf takes the low 32 bits
    if dtype == signed.dtype:
        return signed
    limits = np.iinfo(dtype)
    wrong = np.flatnonzero((signed < limits.min) | (signed > limits.max))
    if len(wrong):
        raise BadRequest(f"the value {signed[wrong[0]]} doesn't fit {dtypes.name_of(dtype)}")
    return signed.astype(dtype)


def encode(array: np.ndarray, *, bool_slot: int = BOOL, half_as_float: bool = False) -> bytes:
    """The serialised ``ArrayProto`` of an array.

    Args:
        array: any array of a type that has a slot.
        bool_slot: where bools travel; elsewhere than in ``bool_val`` they are sent as DT_UINT8.
        half_as_float: DT_HALF and DT_BFLOAT16 are sent as DT_FLOAT.

    Raises:
        BadRequest: there is no slot for the type.
    """
    name = dtypes.name_of(array.dtype)
    if name == "DT_BOOL" and bool_slot != BOOL:
        name = "DT_UINT8"
    elif half_as_float and name in {"DT_HALF", "DT_BFLOAT16"}:
        name = "DT_FLOAT"
    slot = _slot(name, bool_slot)
    dims = protobuf.packed_field(1, protobuf.packed_varints(np.array(array.shape, np.int64)))
    head = protobuf.number_field(1, dtypes.NUMBERS[name]) + protobuf.bytes_field(2, dims)
    if slot == STRING:
        return head + b"".join([protobuf.bytes_field(STRING, value) for value in array.reshape(-1).tolist()])
    return head + protobuf.packed_field(slot, _run(slot, array))


def _run(slot: int, array: np.ndarray) -> bytes:
    """The values as a packed run."""
    if slot not in {FLOAT, DOUBLE}:
        return protobuf.packed_varints(array)
    part = "f4" if slot == FLOAT else "f8"
    if array.dtype.kind == "c":
        array = np.ascontiguousarray(array).reshape(-1).view(part)
    return array.astype("<" + part, copy=False).tobytes()
