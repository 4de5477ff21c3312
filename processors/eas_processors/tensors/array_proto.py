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

The quantized integers (DT_QINT8, ...) travel and are read as the plain ones of their size. Resources and
variants are refused by name. The values must be as many as the shape says; a shape without dimensions is a
scalar, one value.
"""

from __future__ import annotations

import numpy as np

from eas_processors.tensors import dtypes, protobuf
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.shapes import dimensions, shape_message, shape_runs, shaped

FLOAT, DOUBLE, INT, STRING, INT64, BOOL = 3, 4, 5, 6, 7, 8
_SLOT_NAMES = {
    FLOAT: "float_val",
    DOUBLE: "double_val",
    INT: "int_val",
    STRING: "string_val",
    INT64: "int64_val",
    BOOL: "bool_val",
}
_WIRES = {
    FLOAT: protobuf.FIXED32,
    DOUBLE: protobuf.FIXED64,
    INT: protobuf.VARINT,
    INT64: protobuf.VARINT,
    BOOL: protobuf.VARINT,
}
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
    "DT_QINT8": INT,
    "DT_QUINT8": INT,
    "DT_QINT16": INT,
    "DT_QUINT16": INT,
    "DT_QINT32": INT,
    "DT_INT64": INT64,
    "DT_STRING": STRING,
    "DT_BOOL": BOOL,
}
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


class _Parts:
    """What a message holds, collected field by field: type, dimensions, and the runs of values per slot."""

    __slots__ = ("dims", "dtype", "runs")

    def __init__(self) -> None:
        self.dtype = 0
        self.dims: list[memoryview] = []
        self.runs: dict[int, list[memoryview]] = {}


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
    return shaped(_values(slot, parts.runs.get(slot, []), dtype), dimensions(parts.dims))


def _parts(message: memoryview, bool_slot: int) -> _Parts:
    """The fields of the message, sorted."""
    parts = _Parts()
    for number, wire, value, data in protobuf.fields(message):
        if number == 1 and wire == protobuf.VARINT:
            parts.dtype = protobuf.int32(value)
        elif number == 2 and wire == protobuf.LEN:
            parts.dims += shape_runs(data)
        elif number == STRING and wire == protobuf.LEN:
            parts.runs.setdefault(STRING, []).append(data)
        elif number == BOOL != bool_slot:
            continue
        elif number in _WIRES and wire in {protobuf.LEN, _WIRES[number]} and len(data):
            parts.runs.setdefault(number, []).append(data)
    return parts


def _slot(name: str, bool_slot: int) -> int:
    """The slot of a type."""
    if name == "DT_BOOL":
        return bool_slot
    if name not in _SLOTS:
        raise BadRequest(f"this processor's protobuf message can't carry {name}; JSON and .npy can")
    return _SLOTS[name]


def _values(slot: int, runs: list[memoryview], dtype: np.dtype) -> np.ndarray:
    """The values of one slot, flat, in the type asked for."""
    if slot == STRING:
        strings = np.empty(len(runs), object)
        strings[:] = [bytes(run) for run in runs]
        return strings
    if slot in {FLOAT, DOUBLE}:
        return _as_type(protobuf.fixed(runs, _FLOAT32 if slot == FLOAT else _FLOAT64), dtype)
    return _narrowed(protobuf.integers(runs, 32 if slot == INT else 64), dtype)


def _as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats or doubles as what they stand for: themselves, half, bfloat16 or complex."""
    if dtype == values.dtype:
        return values
    if dtype.kind == "c":
        if values.size % 2:
            raise BadRequest(f"{values.size} numbers are no pairs of real and imaginary parts")
        pairs: np.ndarray = values.view(dtype)
        return pairs
    with np.errstate(over="ignore"):  # beyond the range of a half is infinity, as rounding has it
        return values.astype(dtype)


def _narrowed(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Integers of the wire in the type they stand for; ``BadRequest`` when one doesn't fit."""
    if dtype.kind == "b":
        flags: np.ndarray = numbers != 0
        return flags
    if numbers.dtype == np.uint8 and dtype.itemsize == 1:
        return numbers.view(dtype)  # all are below 128
    if numbers.dtype not in {np.dtype(np.uint8), dtype}:
        limits = np.iinfo(dtype)
        wrong = np.flatnonzero((numbers < limits.min) | (numbers > limits.max))
        if len(wrong):
            raise BadRequest(f"the value {numbers[wrong[0]]} doesn't fit {dtypes.name_of(dtype)}")
    return numbers.astype(dtype, copy=False)


def encode(array: np.ndarray, *, bool_slot: int = BOOL, half_as_float: bool = False) -> list[protobuf.Part]:
    """The parts of the ``ArrayProto`` of an array.

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
    head = protobuf.number_field(1, dtypes.NUMBERS[name])
    shape = protobuf.bytes_field(2, shape_message(array.shape))
    if slot == STRING:
        return [head, shape, *(protobuf.bytes_field(STRING, value) for value in array.reshape(-1).tolist())]
    return [head, shape, *protobuf.packed_field(slot, _run(slot, array))]


def _run(slot: int, array: np.ndarray) -> protobuf.Part:
    """The values as a packed run."""
    if slot not in {FLOAT, DOUBLE}:
        return protobuf.packed_varints(array)
    if array.dtype.kind != "c":
        array = array.astype(np.float32 if slot == FLOAT else np.float64, copy=False)
    return protobuf.raw(array)
