"""Shapes as they travel."""

from __future__ import annotations

import math

import numpy as np

from eas_processors.tensors import protobuf
from eas_processors.tensors.errors import BadRequest

_MAX_DIMS = 64
"""numpy 2 has no more; checked before anything is computed with what a client sent."""
_MOST_WITHOUT = 1 << 26
"""The product of the dimensions that aren't 0 of an array without elements.

Arrays with elements are bounded by the body that they came in. But ``[0, 1000000000000]`` costs nothing to
send, and a model that sums over the rows would make an output of that size.
"""


def shaped(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The values (flat) in a shape that a client sent; a view.

    Raises:
        BadRequest: they are not as many as the shape says (no dimensions: a scalar, one value), or it has
            negative dimensions, or more than numpy can have.
    """
    if len(shape) > _MAX_DIMS:
        raise BadRequest(f"a shape of {len(shape)} dimensions is not supported")
    if any(dim < 0 for dim in shape):
        raise BadRequest(f"the shape {list(shape)} has a negative dimension")
    wanted = math.prod(shape)
    if not wanted and math.prod(filter(None, shape)) > _MOST_WITHOUT:
        raise BadRequest(f"the shape {list(shape)} is too large for an array without elements")
    if wanted != values.size:
        raise BadRequest(f"the shape {list(shape)} wants {wanted} values, {values.size} were sent")
    try:
        return values.reshape(shape)
    except ValueError as error:
        raise BadRequest(f"the shape {list(shape)} is not supported: {error}") from None


def dimensions(runs: list[memoryview]) -> tuple[int, ...]:
    """A ``repeated int64`` field of dimensions, of the runs that ``protobuf.fields`` gave."""
    sizes: list[int] = []
    for size in protobuf.few_integers(runs):
        sizes.append(size)
        if len(sizes) > _MAX_DIMS:
            raise BadRequest(f"a shape of more than {_MAX_DIMS} dimensions is not supported")
    return tuple(sizes)


def shape_runs(message: memoryview) -> list[memoryview]:
    """The runs of an ``ArrayShape``."""
    return [
        data
        for number, wire, _, data in protobuf.fields(message)
        if number == 1 and wire in {protobuf.LEN, protobuf.VARINT}
    ]


def shape_message(shape: tuple[int, ...]) -> bytes:
    """An ``ArrayShape``."""
    return b"".join(protobuf.packed_field(1, dims(shape)))


def dims(shape: tuple[int, ...]) -> bytes:
    """The dimensions as a packed run."""
    return b"".join(map(protobuf.varint, shape))
