"""Requests in PyTorch's protobuf, and what its preset answers and logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from eas_processors.pytorch import Preset
from eas_processors.tensors import array_proto, dtypes
from support.proto import messages

PROTO = messages("pytorch_predict.proto")


def proto_array(array: Any) -> Any:
    """An ``ArrayProto`` as the vendor's client makes it."""
    message = PROTO["ArrayProto"](dtype=dtypes.NUMBERS[dtypes.name_of(array.dtype)])
    message.array_shape.dim.extend(array.shape)
    slot = {"f4": "float_val", "f8": "double_val", "i8": "int64_val"}.get(array.dtype.str[1:], "int_val")
    getattr(message, slot).extend(array.reshape(-1).tolist())
    return message


def request(*inputs: Any, output_filter: tuple[int, ...] = (), debug_level: int = 0, **named: Any) -> bytes:
    """The body of a ``PredictRequest``."""
    message = PROTO["PredictRequest"](
        inputs=map(proto_array, inputs), output_filter=output_filter, debug_level=debug_level
    )
    for name, array in named.items():
        message.map_inputs[name].CopyFrom(proto_array(array))
    body: bytes = message.SerializeToString()
    return body


def arrays(body: bytes | str) -> Any:
    """The outputs of a ``PredictResponse``, a list or a dict."""
    assert isinstance(body, bytes), body
    message = PROTO["PredictResponse"].FromString(body)
    if message.map_outputs:
        return {name: array_of(one) for name, one in message.map_outputs.items()}
    return [array_of(one) for one in message.outputs]


def array_of(message: Any) -> Any:
    return array_proto.decode(memoryview(message.SerializeToString()), bool_slot=array_proto.INT)


def same(ours: Any, theirs: Any) -> None:
    """Equal in type, shape and every bit."""
    theirs = theirs.numpy() if isinstance(theirs, torch.Tensor) else theirs
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


def loaded(preset: Preset) -> Any:
    """The model of a preset, to look inside."""
    return preset.model


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the preset has logged; torch logs, too."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("eas_processors")]


def rows(count: int, width: int = 6, seed: int = 3) -> Any:
    return np.random.default_rng(seed).standard_normal((count, width), np.float32)
