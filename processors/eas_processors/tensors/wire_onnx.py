"""The protobuf of the ONNX processors (proto/hie_processor_data.proto): raw bytes, little endian, C order.

No strings, no bools: bool outputs go as UINT8. Inputs without a name are taken in the model's order.
"""

from __future__ import annotations

import numpy as np

from eas_processors.tensors import dtypes, protobuf
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call
from eas_processors.tensors.protocol import Protocol
from eas_processors.tensors.shapes import dimensions, dims, shaped

_NAMES = {
    1: "DT_FLOAT",
    2: "DT_UINT8",
    3: "DT_INT8",
    4: "DT_UINT16",
    5: "DT_INT16",
    6: "DT_INT32",
    7: "DT_INT64",
    10: "DT_HALF",
    11: "DT_DOUBLE",
    12: "DT_UINT32",
    13: "DT_UINT64",
}
_NUMBERS = {name: number for number, name in _NAMES.items()} | {"DT_BOOL": 2}


def decode(body: memoryview) -> Call:
    """A ``DataProto``; all inputs have names or none has."""
    tensors = [
        _decode_tensor(index, data)
        for index, data in enumerate(
            data for number, wire, _, data in protobuf.fields(body) if number == 1 and wire == protobuf.LEN
        )
    ]
    names = [name for name, _ in tensors]
    if tensors and not any(names):
        return Call("", [array for _, array in tensors])
    if len(set(names)) < len(names) or not all(names):
        raise BadRequest(f"each input must have a name of its own; sent were {dtypes.listed(names)}")
    return Call("", dict(tensors))


def _decode_tensor(index: int, message: memoryview) -> tuple[str, np.ndarray]:
    """Name and array of a ``TensorProto``; the array is a view of the message."""
    name = ""
    number_of_type = 0
    runs: list[memoryview] = []
    raw = memoryview(b"")
    for number, wire, value, data in protobuf.fields(message):
        if number == 1 and wire == protobuf.LEN:
            name = protobuf.text(data)
        elif number == 2 and wire in {protobuf.LEN, protobuf.VARINT}:
            runs.append(data)
        elif number == 3 and wire == protobuf.VARINT:
            number_of_type = protobuf.int32(value)
        elif number == 5 and wire == protobuf.LEN:
            raw = data
    try:
        return name, _array(number_of_type, raw, dimensions(runs))
    except BadRequest as error:
        raise BadRequest(f"input {name or index!r}: {error}") from None


def _array(number_of_type: int, raw: memoryview, dims: tuple[int, ...]) -> np.ndarray:
    """The raw bytes as an array."""
    try:
        dtype = dtypes.numpy_dtype(_NAMES[number_of_type])
    except KeyError:
        known = ", ".join(f"{number} ({name[3:]})" for number, name in _NAMES.items())
        raise BadRequest(f"data_type {number_of_type} is not supported; supported are {known}") from None
    if len(raw) % dtype.itemsize:
        raise BadRequest(
            f"raw_data has {len(raw)} bytes, no multiple of the {dtype.itemsize} of {dtype.name}"
        )
    return shaped(np.frombuffer(raw, dtype.newbyteorder("<")), dims)


def encode(outputs: Arrays) -> bytes:
    """A ``DataProto``."""
    named = outputs.items() if isinstance(outputs, dict) else (("", array) for array in outputs)
    fields = [protobuf.message_field(1, _encode_tensor(name, array)) for name, array in named]
    return b"".join(part for field in fields for part in field)


def _encode_tensor(name: str, array: np.ndarray) -> list[protobuf.Part]:
    """One output's ``TensorProto``."""
    kind = dtypes.name_of(array.dtype)
    number = _NUMBERS.get(kind)
    if number is None:
        raise BadRequest(f"output {name!r}: the ONNX protobuf message can't carry {kind}; JSON can")
    return [
        protobuf.bytes_field(1, name.encode()) if name else b"",
        *protobuf.packed_field(2, dims(array.shape)),
        protobuf.number_field(3, number),
        *protobuf.packed_field(5, protobuf.raw(array)),
    ]


ONNX = Protocol("ONNX", positional=False, decode=decode, encode=encode)
