"""TensorFlow's types and shapes in the presets' terms."""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow.core.framework import types_pb2

from eas_processors.tensorflow.runtime import tf
from eas_processors.tensors.model import Spec


def spec(name: str, dtype: tf.DType, shape: tf.TensorShape) -> Spec:
    """A tensor's description; reference types (variables of TensorFlow 1) as the types they refer to."""
    type_name = types_pb2.DataType.Name(dtype.base_dtype.as_datatype_enum)
    return Spec(name, type_name, None if shape.rank is None else tuple(shape.as_list()))


def batched(inputs: Sequence[Spec], outputs: Sequence[Spec]) -> bool:
    """Whether dimension 0 of everything is unknown, and there is an input at all: requests may be joined.

    It is a guess, no file says it; whether outputs have as many rows as the inputs is seen when it runs.
    """
    return bool(inputs) and all(each.shape and each.shape[0] is None for each in (*inputs, *outputs))
