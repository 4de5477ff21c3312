"""The protobuf of the PyTorch processors (proto/pytorch_predict.proto).

``ArrayProto`` is TensorFlow's without ``bool_val``: bools come in ``int_val`` and go as DT_UINT8; the clients
know no DT_HALF, so half and bfloat16 outputs go as DT_FLOAT.
"""

from __future__ import annotations

import numpy as np

from eas_processors.tensors import array_proto, protobuf
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call
from eas_processors.tensors.protocol import Protocol
from eas_processors.tensors.wire_tensorflow import decode_map, map_entry

_INPUTS, _FILTER, _MAP_INPUTS, _DEBUG_LEVEL = 1, 2, 3, 100


def decode(body: memoryview) -> Call:
    """A ``PredictRequest``; positional and named inputs don't mix."""
    positional: list[memoryview] = []
    entries: list[memoryview] = []
    wanted: list[memoryview] = []
    debug_level = 0
    for number, wire, value, data in protobuf.fields(body):
        if number == _INPUTS and wire == protobuf.LEN:
            positional.append(data)
        elif number == _MAP_INPUTS and wire == protobuf.LEN:
            entries.append(data)
        elif number == _FILTER and wire in {protobuf.LEN, protobuf.VARINT}:
            wanted.append(data)
        elif number == _DEBUG_LEVEL and wire == protobuf.VARINT:
            debug_level = protobuf.int32(value)
    if positional and entries:
        raise BadRequest("the request has both inputs and map_inputs: send the inputs in order or by name")
    inputs = decode_map(entries, bool_slot=array_proto.INT) if entries else _decode_list(positional)
    return Call("", inputs, tuple(protobuf.integers(wanted, 32).tolist()), debug_level)


def _decode_list(messages: list[memoryview]) -> list[np.ndarray]:
    """The positional inputs."""
    arrays = []
    for index, message in enumerate(messages):
        try:
            arrays.append(array_proto.decode(message, bool_slot=array_proto.INT))
        except BadRequest as error:
            raise BadRequest(f"input {index}: {error}") from None
    return arrays


def encode(outputs: Arrays) -> bytes:
    """A ``PredictResponse``: a list as ``outputs``, a dict as ``map_outputs``."""
    if isinstance(outputs, dict):
        fields = [map_entry(2, name, _array(name, array)) for name, array in outputs.items()]
    else:
        fields = [protobuf.message_field(1, _array(i, array)) for i, array in enumerate(outputs)]
    return b"".join(part for field in fields for part in field)


def _array(name: str | int, array: np.ndarray) -> list[protobuf.Part]:
    """One output's message."""
    try:
        return array_proto.encode(array, bool_slot=array_proto.INT, half_as_float=True)
    except BadRequest as error:
        raise BadRequest(f"output {name!r}: {error}") from None


PYTORCH = Protocol("PyTorch", positional=True, decode=decode, encode=encode)
