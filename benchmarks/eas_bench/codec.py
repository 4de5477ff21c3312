"""``python -m eas_bench.codec``: protobuf to numpy and back, ours against google.protobuf's, in milliseconds.

One image, 1x3x224x224 float32, in the TensorFlow processor's messages: a request is decoded to an array, an
array is encoded to an answer. Both sides start and end with the same bytes and arrays. Google's is used as
one uses it with numpy: ``extend`` with the flat list, ``numpy.fromiter`` from the repeated field.

``--check`` exits with 1 when ours takes 1.5 ms or more for the two together (median of the rounds).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import typer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from rich.console import Console
from rich.table import Table

from eas_processors.tensors import array_proto, wire_tensorflow

BAR = 1.5
SHAPE = (1, 3, 224, 224)


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Of each; ours and google's take turns.")] = 50,
    check: Annotated[bool, typer.Option("--check", help=f"Exit with 1 at {BAR} ms or more.")] = False,
) -> None:
    """Measure and print."""
    array = np.random.default_rng(1).random(SHAPE, np.float32)
    request = b"".join(wire_tensorflow.map_entry(2, "image", array_proto.encode(array)))
    google = Google()
    steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "decode a request": (
            lambda: wire_tensorflow.decode(memoryview(request)).inputs,
            lambda: google.decode(request),
        ),
        "encode an answer": (
            lambda: wire_tensorflow.encode({"image": array}),
            lambda: google.encode(array),
        ),
    }
    if not np.array_equal(google.decode(request), array):
        raise SystemExit("google.protobuf reads something else from our request")
    if google.encode(array) != wire_tensorflow.encode({"image": array}):
        raise SystemExit("google.protobuf writes another answer than we")
    both = _show({name: _medians(*pair, rounds) for name, pair in steps.items()})
    if check and both >= BAR:
        sys.exit(1)


def _medians(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Milliseconds of the two, medians of rounds in which they take turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for step, kept in zip((ours, theirs), taken, strict=True):
            start = time.perf_counter()
            step()
            kept.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _show(medians: dict[str, tuple[float, float]]) -> float:
    """Print the table; our sum."""
    table = Table("1x3x224x224 float32, ms", "ours", "google.protobuf")
    ours, theirs = (sum(pair[side] for pair in medians.values()) for side in (0, 1))
    for name, (one, other) in {**medians, "together": (ours, theirs)}.items():
        table.add_row(name, f"{one:.3f}", f"{other:.3f}")
    Console().print(table)
    return ours


class Google:
    """The messages of the TensorFlow processor (as far as floats need them) with google.protobuf."""

    def __init__(self) -> None:
        file = descriptor_pb2.FileDescriptorProto(name="codec.proto", syntax="proto3")
        shape = file.message_type.add(name="ArrayShape")
        shape.field.add(name="dim", number=1, label=3, type=3)
        array = file.message_type.add(name="ArrayProto")
        array.field.add(name="dtype", number=1, label=1, type=5)
        array.field.add(name="array_shape", number=2, label=1, type=11, type_name=".ArrayShape")
        array.field.add(name="float_val", number=3, label=3, type=2)
        for name, number in (("Request", 2), ("Response", 1)):
            _add_map(file.message_type.add(name=name), number)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._request, self._response = (
            message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
            for name in ("Request", "Response")
        )

    def decode(self, body: bytes) -> np.ndarray:
        """The array of a request."""
        message: Any = self._request.FromString(body)
        array = message.arrays["image"]
        flat = np.fromiter(array.float_val, np.float32, len(array.float_val))
        return flat.reshape(tuple(array.array_shape.dim))

    def encode(self, array: np.ndarray) -> bytes:
        """The answer that holds an array."""
        message: Any = self._response()
        entry = message.arrays["image"]
        entry.dtype = 1
        entry.array_shape.dim.extend(array.shape)
        entry.float_val.extend(array.reshape(-1).tolist())
        body: bytes = message.SerializeToString()
        return body


def _add_map(message: Any, number: int) -> None:
    """A field ``map<string, ArrayProto> arrays``."""
    entry = message.nested_type.add(name="ArraysEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=".ArrayProto")
    message.field.add(
        name="arrays", number=number, label=3, type=11, type_name=f".{message.name}.ArraysEntry"
    )


if __name__ == "__main__":
    typer.run(main)
