"""Small ONNX models, written byte by byte: the field numbers are those of onnx.proto."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from support.protobuf_writer import message

TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "string": 8,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "bfloat16": 16,
}
"""``TensorProto.DataType``."""

Shape = Sequence[int | str | None] | None
Dims = tuple[int | str | None, ...]


def model(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    initializers: Sequence[bytes] = (),
    *,
    ml: bool = False,
) -> bytes:
    """A ``ModelProto``; ``ml``: with the operators of classical models."""
    graph = message(
        *((1, node) for node in nodes),
        (2, "graph"),
        *((5, tensor) for tensor in initializers),
        *((11, value) for value in inputs),
        *((12, value) for value in outputs),
    )
    operators = [(8, message((1, ""), (2, 17)))]
    if ml:
        operators.append((8, message((1, "ai.onnx.ml"), (2, 3))))
    return message((1, 8), *operators, (7, graph))


def value(name: str, dtype: str, shape: Shape) -> bytes:
    """A ``ValueInfoProto``; a ``str`` names an unknown dimension, None leaves it (or the whole shape) out."""
    fields: list[tuple[int, Any]] = [(1, TYPES[dtype])]
    if shape is not None:
        fields.append((2, message(*((1, _dim(dim)) for dim in shape))))
    return message((1, name), (2, message((1, message(*fields)))))


def maps(name: str) -> bytes:
    """A ``ValueInfoProto`` of the type ``seq(map(int64, float))``."""
    one = message((5, message((1, TYPES["int64"]), (2, message((1, message((1, TYPES["float32"]))))))))
    return message((1, name), (2, message((4, message((1, one))))))


def _dim(dim: int | str | None) -> bytes:
    if dim is None:
        return b""
    return message((1, dim)) if isinstance(dim, int) else message((2, dim))


def tensor(name: str, array: Any) -> bytes:
    """A ``TensorProto``."""
    return message((1, list(array.shape)), (2, TYPES[array.dtype.name]), (8, name), (9, array.tobytes()))


def node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], *attributes: bytes, ml: bool = False
) -> bytes:
    """A ``NodeProto``."""
    return message(
        *((1, name) for name in inputs),
        *((2, name) for name in outputs),
        (4, operator),
        *((5, attribute) for attribute in attributes),
        *([(7, "ai.onnx.ml")] if ml else []),
    )


def ints(name: str, values: list[int]) -> bytes:
    """An ``AttributeProto`` of a list of integers."""
    return message((1, name), *((8, number) for number in values), (20, 7))


def perceptron(
    path: Path, batch: int | str | None = "batch", output_batch: int | str | None = "batch"
) -> Path:
    """``relu(x @ w1 + b1) @ w2 + b2``, 6 to 3."""
    rng = np.random.default_rng(1)
    sizes = {"w1": (6, 16), "b1": (16,), "w2": (16, 3), "b2": (3,)}
    path.write_bytes(
        model(
            [
                node("Gemm", ["x", "w1", "b1"], ["hidden"]),
                node("Relu", ["hidden"], ["active"]),
                node("Gemm", ["active", "w2", "b2"], ["y"]),
            ],
            [value("x", "float32", [batch, 6])],
            [value("y", "float32", [output_batch, 3])],
            [tensor(name, rng.standard_normal(size, np.float32)) for name, size in sizes.items()],
        )
    )
    return path


def identity(path: Path, dtype: str, shape: Shape) -> Path:
    """Gives back what it gets."""
    nodes = [node("Identity", ["x"], ["y"])]
    path.write_bytes(model(nodes, [value("x", dtype, shape)], [value("y", dtype, shape)]))
    return path


def sums(path: Path) -> Path:
    """Several inputs and outputs: the sum, the product and whether the first is less."""
    operators = {"sum": "Add", "product": "Mul", "less": "Less"}
    path.write_bytes(
        model(
            [node(operator, ["a", "b"], [name]) for name, operator in operators.items()],
            [value("a", "float32", ["n", None]), value("b", "float32", ["n", None])],
            [
                value("sum", "float32", ["n", None]),
                value("product", "float32", ["n", None]),
                value("less", "bool", ["n", None]),
            ],
        )
    )
    return path


def where(path: Path) -> Path:
    """A bool among the inputs."""
    types = {"mask": "bool", "a": "float32"}
    nodes = [node("Where", ["mask", "a", "zero"], ["y"])]
    inputs = [value(name, dtype, ["n"]) for name, dtype in types.items()]
    path.write_bytes(
        model(nodes, inputs, [value("y", "float32", ["n"])], [tensor("zero", np.zeros((), np.float32))])
    )
    return path


def zip_map(path: Path) -> Path:
    """What converters of scikit-learn's classifiers make: a tensor, and a list of maps."""
    nodes = [
        node("Identity", ["x"], ["same"]),
        node("ZipMap", ["x"], ["maps"], ints("classlabels_int64s", [7, 3]), ml=True),
    ]
    outputs = [value("same", "float32", ["n", 2]), maps("maps")]
    path.write_bytes(model(nodes, [value("x", "float32", ["n", 2])], outputs, ml=True))
    return path
