"""The protobuf of the TensorFlow processors (proto/tf_predict.proto)."""

from __future__ import annotations

import numpy as np

from eas_processors.tensors import array_proto, protobuf
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call
from eas_processors.tensors.protocol import Protocol


def decode(body: memoryview) -> Call:
    """A ``PredictRequest``."""
    name = ""
    output_filter: list[str] = []
    entries: list[memoryview] = []
    for number, wire, _, data in protobuf.fields(body):
        if wire != protobuf.LEN:
            continue
        if number == 1:
            name = protobuf.text(data)
        elif number == 2:
            entries.append(data)
        elif number == 3:
            output_filter.append(protobuf.text(data))
    return Call(name, decode_map(entries), tuple(output_filter))


def decode_map(entries: list[memoryview], *, bool_slot: int = array_proto.BOOL) -> dict[str, np.ndarray]:
    """The entries of a ``map<string, ArrayProto>``; of entries with the same key the last one counts."""
    messages: dict[str, memoryview] = {}
    for entry in entries:
        key, values = "", []
        for number, wire, _, data in protobuf.fields(entry):
            if number == 1 and wire == protobuf.LEN:
                key = protobuf.text(data)
            elif number == 2 and wire == protobuf.LEN:
                values.append(data)
        # A message sent in parts is the message of all the parts' bytes.
        messages[key] = values[0] if len(values) == 1 else memoryview(b"".join(values))
    arrays = {}
    for key, message in messages.items():
        try:
            arrays[key] = array_proto.decode(message, bool_slot=bool_slot)
        except BadRequest as error:
            raise BadRequest(f"input {key!r}: {error}") from None
    return arrays


def encode(outputs: Arrays) -> bytes:
    """A ``PredictResponse``."""
    if not isinstance(outputs, dict):
        raise TypeError("the outputs of a TensorFlow model have names")
    return b"".join(
        part for name, array in outputs.items() for part in map_entry(1, name, _array(name, array))
    )


def _array(name: str, array: np.ndarray) -> list[protobuf.Part]:
    """One output's message."""
    try:
        return array_proto.encode(array)
    except BadRequest as error:
        raise BadRequest(f"output {name!r}: {error}") from None


def map_entry(field: int, key: str, message: list[protobuf.Part]) -> list[protobuf.Part]:
    """One entry of a ``map<string, ArrayProto>``."""
    entry = [protobuf.bytes_field(1, key.encode()), *protobuf.message_field(2, message)]
    return protobuf.message_field(field, entry)


TENSORFLOW = Protocol("TensorFlow", positional=False, decode=decode, encode=encode)
