"""The protobuf of the Caffe processors (proto/caffe_predict.proto): lists of names and of float arrays."""

from __future__ import annotations

import numpy as np

from eas_processors.tensors import protobuf
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Call
from eas_processors.tensors.protocol import Protocol
from eas_processors.tensors.shapes import dimensions, shape_message, shape_runs, shaped

_FLOAT = np.dtype(np.float32)


def decode(body: memoryview) -> Call:
    """A ``PredictRequest``."""
    names: list[str] = []
    messages: list[memoryview] = []
    wanted: list[str] = []
    for number, wire, _, data in protobuf.fields(body):
        if wire != protobuf.LEN:
            continue
        if number == 1:
            names.append(protobuf.text(data))
        elif number == 2:
            messages.append(data)
        elif number == 3:
            wanted.append(protobuf.text(data))
    if len(names) != len(messages):
        raise BadRequest(f"{len(names)} input names were sent, but {len(messages)} arrays")
    inputs: dict[str, np.ndarray] = {}
    for name, message in zip(names, messages, strict=True):
        if name in inputs:
            raise BadRequest(f"the input {name!r} was sent twice")
        try:
            inputs[name] = _decode_array(message)
        except BadRequest as error:
            raise BadRequest(f"input {name!r}: {error}") from None
    return Call("", inputs, tuple(wanted))


def _decode_array(message: memoryview) -> np.ndarray:
    """An ``ArrayProto``; a view of the message when its values are one packed run."""
    dims: list[memoryview] = []
    runs: list[memoryview] = []
    for number, wire, _, data in protobuf.fields(message):
        if number == 1 and wire == protobuf.LEN:
            dims += shape_runs(data)
        elif number == 2 and wire in {protobuf.LEN, protobuf.FIXED32}:
            runs.append(data)
    return shaped(protobuf.fixed(runs, _FLOAT), dimensions(dims))


def encode(outputs: Arrays) -> bytes:
    """A ``PredictResponse``; whatever the type of an output, its values go as floats."""
    if not isinstance(outputs, dict):
        raise TypeError("the outputs of a Caffe model have names")
    parts: list[protobuf.Part] = [protobuf.bytes_field(1, name.encode()) for name in outputs]
    for name, array in outputs.items():
        parts += protobuf.message_field(2, _encode_array(name, array))
    return b"".join(parts)


def _encode_array(name: str, array: np.ndarray) -> list[protobuf.Part]:
    """One output's ``ArrayProto``."""
    if array.dtype.kind not in "fiub":
        raise BadRequest(f"output {name!r}: the Caffe protobuf message can't carry {array.dtype.name}")
    run = protobuf.raw(array.astype(np.float32, copy=False))
    return [protobuf.bytes_field(1, shape_message(array.shape)), *protobuf.packed_field(2, run)]


CAFFE = Protocol("Caffe", positional=False, decode=decode, encode=encode)
