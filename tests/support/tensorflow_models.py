"""Small models of TensorFlow, as people have them: made anew by every test run, some as in TensorFlow 1."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf: Any = pytest.importorskip("tensorflow")
tf.get_logger().setLevel(logging.ERROR)
v1: Any = tf.compat.v1

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7 - 0.5
DTYPES: dict[str, str] = {
    "float": "float32",
    "double": "float64",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "bool": "bool",
    "string": "string",
    "half": "float16",
    "bfloat16": "bfloat16",
    "complex64": "complex64",
    "complex128": "complex128",
    "qint8": "qint8",
    "quint8": "quint8",
    "qint16": "qint16",
    "quint16": "quint16",
    "qint32": "qint32",
}
"""Every type that the protocol's messages can carry."""


def dense(folder: Path) -> Path:
    """TensorFlow 1, reference variables: ``x`` [-1, 4] -> ``y`` [-1, 3].

    A signature ``both`` takes ``scale``, too, a scalar that needn't be sent, and gives ``z`` [-1], too.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], "x")
        scale = v1.placeholder_with_default(np.float32(1), [], "scale")
        weights = v1.get_variable("weights", initializer=WEIGHTS, use_resource=False)
        assert weights.dtype._is_ref_dtype
        y = tf.tanh(tf.matmul(x * scale, weights), name="y")
        z = tf.reduce_sum(y, axis=1, name="z")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": _signature({"x": x}, {"y": y}),
                "both": _signature({"x": x, "scale": scale}, {"y": y, "z": z}),
                "sparse": _sparse_signature(y),
            },
        )
        builder.save()
    return folder


def frozen(file: Path) -> Path:
    """A frozen graph: ``x`` [-1, 4] -> ``y`` [-1, 3], ``rows`` [], and two outputs of ``parts``."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 4], "x")
        y = tf.tanh(tf.matmul(x, tf.constant(WEIGHTS)), name="y")
        tf.shape(y, name="sizes")
        tf.split(x, 2, axis=1, name="parts")
        file.write_bytes(graph.as_graph_def().SerializeToString())
    return file


def modern(folder: Path) -> Path:
    """TensorFlow 2, many signatures.

    ``serving_default``: ``x`` [-1, -1] -> ``sums`` [-1], ``doubled`` [-1, -1]. ``look_up``: ``word`` [-1] ->
    ``number`` [-1], by a table with a vocabulary. ``any_shape``: ``x`` of any rank -> ``size`` [].
    ``scalar``: ``text`` [] -> ``text`` []. ``loops``: ``x`` [-1, 3] -> ``mapped`` [-1], ``powers`` [-1, 3].
    One for each of ``DTYPES``: ``value`` [-1, 2] -> the same.
    """
    tf.saved_model.save(module := _Modern(), str(folder), module.signatures())
    return folder


def keras(file: Path) -> Path:
    """Keras: ``image`` [-1, 4, 1] and ``factor`` [-1, 1] -> ``scores`` [-1, 3]."""
    k = tf.keras
    k.utils.set_random_seed(7)
    image, factor = k.Input((4, 1), name="image"), k.Input((1,), name="factor")
    flat = k.layers.Flatten()(image)
    scores = k.layers.Dense(3, activation="softmax", name="scores")(k.layers.Multiply()([flat, factor]))
    k.Model([image, factor], scores).save(str(file))
    return file


def session_results(folder: Path, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What TensorFlow 1's own session computes with a SavedModel."""
    with tf.Graph().as_default(), v1.Session() as session:
        meta = v1.saved_model.load(session, ["serve"], str(folder))
        definition = meta.signature_def[signature]
        feeds = {definition.inputs[name].name: value for name, value in inputs.items()}
        found: dict[str, Any] = session.run(
            {name: info.name for name, info in definition.outputs.items()}, feeds
        )
        return found


def function_results(folder: Path, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What TensorFlow 2 computes with a SavedModel."""
    function = tf.saved_model.load(str(folder)).signatures[signature]
    outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in outputs.items()}


class _Modern(tf.Module):  # type: ignore[misc]
    """See ``modern``."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(2.0)
        words = tf.lookup.KeyValueTensorInitializer(
            [b"one", b"two", "zwölf".encode()], tf.constant([1, 2, 12])
        )
        self.table = tf.lookup.StaticHashTable(words, -1)

    def signatures(self) -> dict[str, Any]:
        """The functions by the names of their signatures."""
        return {
            "serving_default": tf.function(self.sums, [tf.TensorSpec([None, None], tf.float32, "x")]),
            "look_up": tf.function(self.look_up, [tf.TensorSpec([None], tf.string, "word")]),
            "any_shape": tf.function(self.any_shape, [tf.TensorSpec(None, tf.int32, "x")]),
            "scalar": tf.function(self.scalar, [tf.TensorSpec([], tf.string, "text")]),
            "loops": tf.function(self.loops, [tf.TensorSpec([None, 3], tf.float32, "x")]),
            **{
                name: tf.function(self.echo, [tf.TensorSpec([None, 2], tf.as_dtype(dtype), "value")])
                for name, dtype in DTYPES.items()
            },
        }

    def sums(self, x: Any) -> dict[str, Any]:
        return {"sums": tf.reduce_sum(x, axis=1), "doubled": x * self.factor}

    def look_up(self, word: Any) -> dict[str, Any]:
        return {"number": self.table.lookup(word)}

    def any_shape(self, x: Any) -> dict[str, Any]:
        return {"size": tf.size(x)}

    def loops(self, x: Any) -> dict[str, Any]:
        mapped = tf.map_fn(lambda row: tf.cond(row[0] > 0, lambda: tf.reduce_sum(row), lambda: row[1]), x)
        powers = tf.while_loop(lambda n, _: n < 5, lambda n, y: (n + 1, y * x), (tf.constant(0), x))[1]
        return {"mapped": mapped, "powers": powers}

    def echo(self, value: Any) -> dict[str, Any]:
        return {"value": tf.identity(value)}

    def scalar(self, text: Any) -> dict[str, Any]:
        return {"text": tf.strings.join([text, "!"])}


def _signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    build = v1.saved_model.build_tensor_info
    return v1.saved_model.build_signature_def(
        {name: build(tensor) for name, tensor in inputs.items()},
        {name: build(tensor) for name, tensor in outputs.items()},
        "tensorflow/serving/predict",
    )


def _sparse_signature(output: Any) -> Any:
    """A signature with an input that no request can bring."""
    words = v1.sparse_placeholder(tf.string, [None, 5], "words")
    return _signature({"words": words}, {"y": output})
