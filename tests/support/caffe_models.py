"""Small Caffe nets: the text of a prototxt, and a caffemodel with the field numbers of caffe.proto."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from support.protobuf_writer import message

CLASSIFIER = """
name: "classifier"  # images to probabilities
input: "data"
input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc1" inner_product_param { num_output: 5 } }
layer { name: "softmax" type: "Softmax" bottom: "fc1" top: "prob" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc1" top: "accuracy" include { phase: TRAIN } }
"""

CONVOLUTIONAL = """
layer { name: "in" type: 'Input' top: "image" input_param { shape: { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "image" top: "before"
  convolution_param < num_output: 4; kernel_size: 3, pad: 1 > }
layer { name: "act" type: "ReLU" bottom: "before" top: "after" }
layer { name: "halves" type: "Slice" bottom: "after" top: "left" top: "right"
  slice_param { axis: 1 slice_point: 1 } }
"""

TWO_INPUTS = """
input: "a" input: "b"
input_dim: 1 input_dim: 2 input_dim: 1 input_dim: 1
input_dim: 1 input_dim: 2 input_dim: 1 input_dim: 1
layers { name: "sum" type: ELTWISE bottom: "a" bottom: "b" top: "sum" eltwise_param { operation: SUM } }
layers { name: "training" type: SOFTMAX_LOSS bottom: "sum" top: "loss" exclude { phase: TEST } }
"""

_RNG = np.random.default_rng(1)
CONV = [_RNG.standard_normal((4, 3, 3, 3), np.float32), _RNG.standard_normal(4, np.float32)]
FC = [_RNG.standard_normal((5, 64), np.float32), _RNG.standard_normal(5, np.float32)]


def weights(layers: Mapping[str, tuple[str, Sequence[Any]]]) -> bytes:
    """A ``NetParameter`` that holds blobs: type and arrays by the name of the layer."""
    return message(
        (1, "net"),
        *(
            (100, message((1, name), (2, kind), *((7, _blob(array)) for array in arrays)))
            for name, (kind, arrays) in layers.items()
        ),
    )


def _blob(array: Any) -> bytes:
    return message((7, message((1, list(array.shape)))), (5, array.reshape(-1).tolist()))


def classifier(directory: Path) -> Path:
    """Convolution, ReLU in place, pooling, fully connected, softmax: [N, 3, 8, 8] to [N, 5]."""
    blobs = {"conv": ("Convolution", CONV), "fc": ("InnerProduct", FC)}
    return saved(directory, CLASSIFIER, weights(blobs))


def convolutional(directory: Path) -> Path:
    """Images of any size, two outputs of one layer, a blob in between."""
    return saved(directory, CONVOLUTIONAL, weights({"conv": ("Convolution", CONV)}))


def two_inputs(directory: Path) -> Path:
    """The sum of two inputs, in the older schema, without weights."""
    return saved(directory, TWO_INPUTS, weights({}))


def saved(directory: Path, text: str, caffemodel: bytes, name: str = "net") -> Path:
    """The two files in a directory, which is returned."""
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.prototxt").write_text(text)
    (directory / f"{name}.caffemodel").write_bytes(caffemodel)
    return directory
