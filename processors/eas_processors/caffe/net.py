"""A Caffe net in OpenCV, as often as calls may run at once.

OpenCV names what it computes by layers, Caffe by blobs; a blob is what the last layer made that has it on top
(layers that work in place have the same blob below and on top). OpenCV renames layers in front of those, so
both names are looked for.
"""

from __future__ import annotations

import queue
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eas_processors.caffe import prototxt
from eas_processors.tensors.check import described
from eas_processors.tensors.errors import BadRequest
from eas_processors.tensors.model import Arrays, OutputFilter, Signature, Spec

_LONGEST = 300

_TRIED = 2
"""Rows of the trial call: an output whose first dimension is 1 whatever comes isn't a batch."""

Place = tuple[str, int]
"""A blob in OpenCV: its layer, and which of the layer's outputs it is."""


class Nets:
    """A loaded model.

    Args:
        description: the prototxt.
        weights: the caffemodel.
        count: how many nets to make, each with all the weights.
        gpu: whether to run on a GPU.
        batched: whether requests may be joined; None: when a trial call keeps the first dimension.

    Raises:
        ValueError: the files aren't a net that OpenCV can run.
    """

    def __init__(
        self, description: Path, weights: Path, count: int, *, gpu: bool, batched: bool | None
    ) -> None:
        self._files = f"{description.name} with {weights.name}"
        try:
            self._net = prototxt.parse(description.read_text(encoding="utf-8", errors="replace"))
        except ValueError as error:
            raise ValueError(f"{description.name} can't be read: {error}") from None
        if not self._net.inputs:
            raise ValueError(
                f"{description.name} has no input: it must be the net for deployment, not for training"
            )
        nets = [self._loaded(weights, gpu=gpu) for _ in range(count)]
        self._places = _places(self._net, set(nets[0].getLayerNames()))
        self._outputs = [blob for blob in self._net.outputs() if blob in self._places]
        if not self._outputs:
            raise ValueError(f"{description.name} has no output")
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        for net in nets:
            self._free.put(net)
        self._shapes = self._tried()
        keeps = bool(self._shapes) and all(shape[:1] == (_TRIED,) for shape in self._shapes)
        self._signature = Signature("", self._inputs(), None, keeps if batched is None else batched)

    def signature(self, name: str) -> Signature:
        """The only one."""
        if name:
            raise BadRequest(f"unknown signature {name!r}; Caffe models have one without a name")
        return self._signature

    def outputs(self) -> list[tuple[str, list[int] | None]]:
        """Names and shapes of the outputs of an empty filter; -1 is what depends on the inputs."""
        if not self._shapes:
            return [(name, None) for name in self._outputs]
        return [(name, self._shown(shape)) for name, shape in zip(self._outputs, self._shapes, strict=True)]

    def run(self, signature: Signature, inputs: Arrays, output_filter: OutputFilter) -> Arrays:
        """Compute the outputs wanted; waits for a free net."""
        if not isinstance(inputs, dict):
            raise TypeError("the inputs of a Caffe model have names")
        names = self._wanted(output_filter)
        if any(not array.size for array in inputs.values()):
            return self._empty(inputs, names)
        return dict(zip(names, self._forward(inputs, names), strict=True))

    def _wanted(self, output_filter: OutputFilter) -> list[str]:
        """The blobs that a filter names, each once; without one the net's outputs."""
        every = list(self._places)
        wanted: dict[str, None] = {}
        for which in output_filter:
            name = which if isinstance(which, str) else "".join(self._outputs[which : which + 1])
            if name not in self._places:
                raise BadRequest(f"output_filter: unknown blob {which!r}; the net's are {', '.join(every)}")
            wanted[name] = None
        return list(wanted) or self._outputs

    def _forward(self, inputs: dict[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
        """One call of a net."""
        layers = list(dict.fromkeys(self._places[name][0] for name in names))
        net = self._free.get()
        try:
            for name, array in inputs.items():
                net.setInput(np.require(array, np.float32, ["A", "C"]), name)
            results = dict(zip(layers, net.forwardAndRetrieve(layers), strict=True))
        except cv2.error as error:
            raise BadRequest(self._reason(error, inputs)) from error
        finally:
            self._free.put(net)
        return [results[layer][index] for layer, index in (self._places[name] for name in names)]

    def _empty(self, inputs: dict[str, np.ndarray], names: list[str]) -> Arrays:
        """The outputs of a batch without rows, which OpenCV can't compute: those of one row, without it."""
        if any(len(array) or 0 in array.shape[1:] for array in inputs.values()):
            raise BadRequest(
                "an input without values: only the first dimension may be 0, and only in all inputs"
            )
        one = {name: np.zeros((1, *array.shape[1:]), np.float32) for name, array in inputs.items()}
        outputs = dict(zip(names, self._forward(one, names), strict=True))
        if any(array.shape[:1] != (1,) for array in outputs.values()):
            raise BadRequest("an empty batch, but the first dimension of the outputs isn't a batch")
        return {name: array[:0] for name, array in outputs.items()}

    def _inputs(self) -> tuple[Spec, ...]:
        """The inputs: any batch, and any height and width if the net allows it."""
        known = 2 if self._net.any_size() else None
        specs = []
        for one in self._net.inputs:
            dims: tuple[int | None, ...] | None = None
            if one.shape is not None:
                kept = one.shape[1:known]
                dims = (None, *kept, *[None] * (len(one.shape) - 1 - len(kept)))
            specs.append(Spec(one.name, "DT_FLOAT", dims))
        return tuple(specs)

    def _shown(self, shape: tuple[int, ...]) -> list[int]:
        """The shape of an output, as the trial call had it."""
        known = 2 if self._net.any_size() else len(shape)
        first = -1 if shape[0] == _TRIED else shape[0]
        return [first, *shape[1:known], *[-1] * len(shape[known:])]

    def _tried(self) -> list[tuple[int, ...]]:
        """The shapes of the outputs in a call of two rows, else of as many as the prototxt says.

        It also shows whether the caffemodel holds the weights of this net: OpenCV loads any file without a
        complaint. Empty when the prototxt doesn't say the shapes of the inputs.
        """
        shapes = {one.name: one.shape for one in self._net.inputs if one.shape}
        if len(shapes) < len(self._net.inputs):
            return []
        try:
            try:
                rows = {name: np.zeros((_TRIED, *shape[1:]), np.float32) for name, shape in shapes.items()}
                return [array.shape for array in self._forward(rows, self._outputs)]
            except BadRequest:
                said = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
                return [array.shape for array in self._forward(said, self._outputs)]
        except BadRequest as error:
            raise ValueError(f"OpenCV can't run {self._files}: {error}") from None

    def _loaded(self, weights: Path, *, gpu: bool) -> Any:
        """A net of OpenCV."""
        with tempfile.NamedTemporaryFile("w", suffix=".prototxt", encoding="utf-8") as file:
            file.write(self._net.text)
            file.flush()
            try:
                net = cv2.dnn.readNetFromCaffe(file.name, str(weights))
            except cv2.error as error:
                text = _short(error).replace(file.name, "it")
                raise ValueError(f"OpenCV can't load {self._files}: {text}") from error
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_CUDA if gpu else cv2.dnn.DNN_BACKEND_OPENCV)
        net.setPreferableTarget(cv2.dnn.DNN_TARGET_CUDA if gpu else cv2.dnn.DNN_TARGET_CPU)
        return net

    def _reason(self, error: cv2.error, inputs: dict[str, np.ndarray]) -> str:
        """What OpenCV complains of, what it was given, and what the prototxt says."""
        sent = ", ".join(f"{name!r}: {described(array)}" for name, array in inputs.items())
        wanted = ", ".join(
            f"{one.name!r}: {list(one.shape) if one.shape else '?'}" for one in self._net.inputs
        )
        return f"OpenCV: {_short(error)}; sent were {sent}; the prototxt says {wanted}"


def _short(error: cv2.error) -> str:
    """The complaint itself, in one line."""
    return " ".join(str(getattr(error, "err", "") or error).split())[:_LONGEST]


def _places(net: prototxt.Net, names: set[str]) -> dict[str, Place]:
    """Where OpenCV has the blobs; those that it doesn't have are left out."""
    places: dict[str, Place] = {}
    for layer in net.layers:
        for index, top in enumerate(layer.tops):
            for name in (layer.name, top):
                if name in names:
                    places[top] = (name, index)
                    break
    return places
