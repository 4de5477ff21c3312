"""Models of numpy behind the base class of the tensor presets."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

import eas_sdk
from eas_processors.tensors import array_proto, protobuf
from eas_processors.tensors.base import TensorPreset
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, Model, OutputFilter, Signature, Spec
from eas_processors.tensors.protocol import Protocol
from eas_processors.tensors.wire_tensorflow import TENSORFLOW, map_entry

Function = Callable[[dict[str, np.ndarray]], Arrays]


class NumpyModel:
    """A model of one signature that computes with numpy, and remembers what it was called with.

    Attributes:
        calls: the rows of each call (of the first input; 0 for scalars).
    """

    def __init__(self, signature: Signature, function: Function) -> None:
        self._signature = signature
        self._function = function
        self.calls: list[int] = []

    def signature(self, name: str) -> Signature:
        if name not in {"", self._signature.name}:
            raise BadRequest(f"unknown signature {name!r}; known are {self._signature.name!r}")
        return self._signature

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        named = inputs if isinstance(inputs, dict) else {str(i): array for i, array in enumerate(inputs)}
        first = next(iter(named.values()), np.zeros(()))
        self.calls.append(first.shape[0] if first.ndim else 0)
        outputs = self._function(named)
        if isinstance(outputs, dict) and output_filter:
            return {name: array for name, array in outputs.items() if name in output_filter}
        return outputs


class NumpyPreset(TensorPreset):
    """A preset around a model that is there already."""

    protocol: ClassVar[Protocol] = TENSORFLOW

    def __init__(self, model: Model) -> None:
        self._given = model

    def load(self, model_entry: str, model_config: str) -> Model:
        return self._given


def preset(
    signature: Signature, function: Function, batching: eas_sdk.Batching | None = None
) -> tuple[NumpyPreset, NumpyModel]:
    """A started preset and its model."""
    model = NumpyModel(signature, function)
    made = NumpyPreset(model)
    made.batching = batching
    made.initialize("", "")
    return made, model


def signature(
    inputs: dict[str, tuple[int | None, ...] | None],
    outputs: dict[str, tuple[int | None, ...] | None] | None,
    *,
    dtype: str = "",
    batched: bool = True,
) -> Signature:
    """A signature called "main" whose tensors have all the same type, by default an unknown one."""
    return Signature(
        "main",
        tuple(Spec(name, dtype, shape) for name, shape in inputs.items()),
        None if outputs is None else tuple(Spec(name, dtype, shape) for name, shape in outputs.items()),
        batched,
    )


def predict(inputs: dict[str, np.ndarray], output_filter: tuple[str, ...] = ()) -> eas_sdk.Request:
    """A request in TensorFlow's protobuf."""
    entries = [
        part for name, array in inputs.items() for part in map_entry(2, name, array_proto.encode(array))
    ]
    wanted = [protobuf.bytes_field(3, name.encode()) for name in output_filter]
    return eas_sdk.Request.build(b"".join([*entries, *wanted]))
